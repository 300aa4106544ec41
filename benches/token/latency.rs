//! Honest latency: an open loop at half of what the daemon can do, and what the disk itself takes.

use tempfile::TempDir;

use super::support::client::Connector;
use super::support::closed::{self, Spread};
use super::support::daemon::{Daemon, USUAL};
use super::support::stats::{Figure, Row, Spread as Over};
use super::support::{self, disk, open, table};
use super::{Plan, warm};

/// A daemon with its journal in one place, and what was measured of both.
struct Kind {
    name: &'static str,
    folder: TempDir,
    daemon: Daemon,
    half: f64,
    row: Row,
    probe: Row,
    late: Vec<f64>,
}

/// Measures, and prints the table.
pub fn run(plan: &Plan) {
    let mut kinds = [("tmpfs", Plan::tmpfs()), ("disk", Plan::disk())].map(|(name, folder)| {
        let daemon = Daemon::start(folder.path(), USUAL);
        warm(&daemon);
        Kind {
            name,
            half: peak(plan, &daemon) / 2.0,
            folder,
            daemon,
            row: Row::new(format!("token, journal on {name}")),
            probe: Row::new(format!("1 KiB and fdatasync alone, {name}")),
            late: Vec::new(),
        }
    });
    let ask = Daemon::token("ES256");
    for _ in 0..plan.rounds {
        for kind in &mut kinds {
            let connector = Connector::http1(&kind.daemon);
            let opened = open::run(&kind.daemon, &connector, &ask, kind.half, plan.length);
            kind.late.push(opened.late_p99.as_secs_f64() * 1e3);
            kind.row.push(opened.round);
            kind.probe
                .push(disk::syncs(kind.folder.path(), plan.length));
        }
    }
    report(kinds);
}

fn report(kinds: [Kind; 2]) {
    table::heading(
        "Latency at half of the peak",
        "Open loop: Poisson arrivals at half of the rate that a closed loop of 32 connections reached first, over 64 \
         kept connections; each latency counts from the moment at which the request was meant to be sent (no \
         coordinated omission). Aim: p99 on tmpfs under 5 ms. Below, what the disk itself takes for an append and \
         its fdatasync, in the same rounds.",
    );
    let (mut tokens, mut probes, mut late) = (Vec::new(), Vec::new(), String::new());
    for kind in kinds {
        let wait = Over::of(kind.late.into_iter()).text(2);
        late.push_str(&format!(
            "- {}: p99 of the wait for the generator or a free connection, within the above: {wait} ms\n",
            kind.name
        ));
        tokens.push(kind.row);
        probes.push(kind.probe);
    }
    tokens.extend(probes);
    table::loads(&tokens);
    println!("{late}");
}

/// The median rate of three closed loops.
fn peak(plan: &Plan, daemon: &Daemon) -> f64 {
    let connector = Connector::http1(daemon);
    let mut row = Row::new("peak");
    for _ in 0..3 {
        let spread = Spread::Kept(support::USUAL);
        let ask = Daemon::token("ES256");
        row.push(closed::run(daemon, &connector, &ask, spread, plan.length));
    }
    row.spread(Figure::PerSecond).median
}
