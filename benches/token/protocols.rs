//! HTTP/1.1 beside HTTP/2, with a connection a request at a time and with shared ones.

use super::support::client::Connector;
use super::support::closed::{self, Spread};
use super::support::daemon::{Daemon, USUAL};
use super::support::stats::Row;
use super::support::table;
use super::{Plan, warm};

/// What is compared: whether it is HTTP/2, and how 32 requests at a time are spread.
const KINDS: [(&str, bool, Spread); 3] = [
    ("HTTP/1.1, 32 connections", false, Spread::Kept(32)),
    ("HTTP/2, 32 connections", true, Spread::Kept(32)),
    (
        "HTTP/2, 4 connections of 8 streams",
        true,
        Spread::Shared(4, 8),
    ),
];

/// Measures, and prints the table.
pub fn run(plan: &Plan) {
    let folder = Plan::tmpfs();
    let daemon = Daemon::start(folder.path(), USUAL);
    let asks = [
        ("HTTPS GET", Daemon::floor()),
        ("token", Daemon::token("ES256")),
    ];
    let mut rows: Vec<Row> = asks
        .iter()
        .flat_map(|(what, _)| KINDS.map(|(kind, ..)| Row::new(format!("{what}, {kind}"))))
        .collect();
    warm(&daemon);
    for _ in 0..plan.rounds {
        let mut rows = rows.iter_mut();
        for (_, ask) in &asks {
            for (_, http2, spread) in KINDS {
                let connector = if http2 {
                    Connector::http2(&daemon)
                } else {
                    Connector::http1(&daemon)
                };
                let round = closed::run(&daemon, &connector, ask, spread, plan.length);
                if let Some(row) = rows.next() {
                    row.push(round);
                }
            }
        }
    }
    table::heading(
        "HTTP/1.1 and HTTP/2",
        "Closed loop, 32 requests at a time, ES256, journal on tmpfs.",
    );
    table::loads(&rows);
}
