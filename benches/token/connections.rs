//! What a connection costs that serves one request: a job that asks once and ends.

use super::support::client::Connector;
use super::support::closed::{self, Spread};
use super::support::daemon::{Daemon, USUAL};
use super::support::stats::Row;
use super::support::table;
use super::{Plan, warm};

/// Requests at a time: a handshake takes the daemon's core longer than a token.
const AT_A_TIME: usize = 16;

/// Measures, and prints the table.
pub fn run(plan: &Plan) {
    let folder = Plan::tmpfs();
    let daemon = Daemon::start(folder.path(), USUAL);
    let kinds = [
        ("kept connections", true, Spread::Kept(AT_A_TIME)),
        (
            "a new connection each, TLS resumed",
            true,
            Spread::Fresh(AT_A_TIME),
        ),
        (
            "a new connection each, whole TLS handshake",
            false,
            Spread::Fresh(AT_A_TIME),
        ),
    ];
    let asks = [
        ("HTTPS GET", Daemon::floor()),
        ("token", Daemon::token("ES256")),
    ];
    let mut rows: Vec<Row> = asks
        .iter()
        .flat_map(|(what, _)| kinds.map(|(kind, ..)| Row::new(format!("{what}, {kind}"))))
        .collect();
    warm(&daemon);
    for _ in 0..plan.rounds {
        let mut rows = rows.iter_mut();
        for (_, ask) in &asks {
            for (_, resume, spread) in kinds {
                let connector = if resume {
                    Connector::http1(&daemon)
                } else {
                    Connector::without_resumption(&daemon)
                };
                let round = closed::run(&daemon, &connector, ask, spread, plan.length);
                if let Some(row) = rows.next() {
                    row.push(round);
                }
            }
        }
    }
    table::heading(
        "A connection for each token",
        "Closed loop, 16 at a time, HTTP/1.1, TLS 1.3, ES256, journal on tmpfs. Latencies include TCP and TLS.",
    );
    table::loads(&rows);
}
