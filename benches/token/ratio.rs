//! CPU of a token beside a plain HTTPS request of the same server and a signature.

use super::support::client::Connector;
use super::support::closed::{self, Spread};
use super::support::daemon::{Daemon, USUAL};
use super::support::stats::{Figure, Row};
use super::support::{signature, table};
use super::{Plan, warm};

/// Few connections, and many.
const CONNECTIONS: [usize; 2] = [32, 256];

/// Measures, and prints the table and the ratios.
pub fn run(plan: &Plan) {
    let (disk, tmpfs) = (Plan::disk(), Plan::tmpfs());
    let on_disk = Daemon::start(disk.path(), USUAL);
    let on_tmpfs = Daemon::start(tmpfs.path(), USUAL);
    let mut sign = Row::new("ES256 signature, one core");
    let mut rows: Vec<Row> = Vec::new();
    for connections in CONNECTIONS {
        for what in [
            "HTTPS GET",
            "token, journal on tmpfs",
            "token, journal on disk",
        ] {
            rows.push(Row::new(format!("{what}, {connections}")));
        }
    }
    [&on_disk, &on_tmpfs].into_iter().for_each(warm);
    let (get, token) = (Daemon::floor(), Daemon::token("ES256"));
    for _ in 0..plan.rounds {
        sign.push(signature::run("ES256", plan.length));
        let mut rows = rows.iter_mut();
        for connections in CONNECTIONS {
            for (daemon, ask) in [(&on_tmpfs, &get), (&on_tmpfs, &token), (&on_disk, &token)] {
                let spread = Spread::Kept(connections);
                let connector = Connector::http1(daemon);
                let round = closed::run(daemon, &connector, ask, spread, plan.length);
                if let Some(row) = rows.next() {
                    row.push(round);
                }
            }
        }
    }
    report(sign, rows);
}

fn report(sign: Row, rows: Vec<Row>) {
    table::heading(
        "A token",
        "Closed loop, kept connections, HTTP/1.1, ES256; the floor is a GET of the metadata.",
    );
    let mut ratios = Vec::new();
    for kinds in rows.chunks(3) {
        let [get, tokens @ ..] = kinds else { continue };
        for token in tokens {
            let cpu = |row: &Row| row.spread(Figure::Cpu).median;
            ratios.push(vec![
                token.name.clone(),
                format!("{:.1} / ({:.1} + {:.1})", cpu(token), cpu(get), cpu(&sign)),
                token.ratio(&[get, &sign]).text(2),
            ]);
        }
    }
    let all: Vec<Row> = std::iter::once(sign).chain(rows).collect();
    table::loads(&all);
    table::print(
        &[
            "aim: at most 1.75",
            "CPU, µs: token / (floor + signature)",
            "ratio, round by round",
        ],
        &ratios,
    );
}
