//! Each algorithm beside its own floor: the same GET, its own signature.

use super::support::client::Connector;
use super::support::closed::{self, Spread};
use super::support::daemon::{Daemon, USUAL};
use super::support::registry::ALGORITHMS;
use super::support::stats::{Figure, Row};
use super::support::{self, signature, table};
use super::{Plan, warm};

/// Measures, and prints the table and the ratios.
pub fn run(plan: &Plan) {
    let folder = Plan::tmpfs();
    let daemon = Daemon::start(folder.path(), USUAL);
    let connector = Connector::http1(&daemon);
    let spread = Spread::Kept(support::USUAL);
    let mut get = Row::new("HTTPS GET");
    let mut rows: Vec<(Row, Row)> = ALGORITHMS
        .into_iter()
        .map(|it| {
            (
                Row::new(format!("{it} signature, one core")),
                Row::new(format!("{it} token")),
            )
        })
        .collect();
    warm(&daemon);
    for _ in 0..plan.rounds {
        get.push(closed::run(
            &daemon,
            &connector,
            &Daemon::floor(),
            spread,
            plan.length,
        ));
        for (algorithm, (sign, token)) in ALGORITHMS.into_iter().zip(&mut rows) {
            sign.push(signature::run(algorithm, plan.length));
            let ask = Daemon::token(algorithm);
            token.push(closed::run(&daemon, &connector, &ask, spread, plan.length));
        }
    }
    table::heading(
        "Algorithms",
        "Closed loop, 32 kept connections, HTTP/1.1, journal on tmpfs. RSA keys have 2048 bits.",
    );
    let ratios: Vec<Vec<String>> = rows
        .iter()
        .map(|(sign, token)| {
            let cpu = |row: &Row| row.spread(Figure::Cpu).median;
            vec![
                token.name.clone(),
                format!("{:.1} / ({:.1} + {:.1})", cpu(token), cpu(&get), cpu(sign)),
                token.ratio(&[&get, sign]).text(2),
            ]
        })
        .collect();
    let pairs = rows.into_iter().flat_map(|(sign, token)| [sign, token]);
    let all: Vec<Row> = std::iter::once(get).chain(pairs).collect();
    table::loads(&all);
    table::print(
        &[
            "",
            "CPU, µs: token / (floor + signature)",
            "ratio, round by round",
        ],
        &ratios,
    );
}
