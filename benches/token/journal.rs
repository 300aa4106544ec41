//! What the journal adds: CPU by thread, and time by a load that is the same for all.
//!
//! No daemon runs without its journal: a token can't leave without a record. So its part is told from within, by the
//! CPU of its own threads, and from without, by the same open-loop load on a request that records nothing (the GET),
//! on a journal in memory, and on one on a disk. The GET lacks the signature and the form besides, so what lies
//! between it and tmpfs is not the journal's alone; what lies between tmpfs and disk is the disk's.

use std::time::Duration;

use super::support::client::Connector;
use super::support::closed::{self, Spread};
use super::support::daemon::{Daemon, USUAL};
use super::support::stats::{Figure, Round, Row, Spread as Over};
use super::support::target::Ask;
use super::support::{self, open, table};
use super::{Plan, warm};

/// The daemon's threads that are told apart: those of requests, and those of the journal.
const THREADS: [&str; 3] = ["grantd-worker", "journal-writer", "journal-keeper"];

/// One kind of load, and the CPU of each thread for one answer in each round, in microseconds.
struct Kind<'a> {
    row: Row,
    daemon: &'a Daemon,
    ask: Ask,
    open: bool,
    threads: [Vec<f64>; 3],
}

/// Measures, and prints the tables.
pub fn run(plan: &Plan) {
    let (disk, tmpfs) = (Plan::disk(), Plan::tmpfs());
    let on_disk = Daemon::start(disk.path(), USUAL);
    let on_tmpfs = Daemon::start(tmpfs.path(), USUAL);
    [&on_disk, &on_tmpfs].into_iter().for_each(warm);
    let mut kinds = Vec::new();
    for open in [false, true] {
        for (what, daemon, ask) in [
            ("HTTPS GET, no journal", &on_tmpfs, Daemon::floor()),
            ("token, journal on tmpfs", &on_tmpfs, Daemon::token("ES256")),
            ("token, journal on disk", &on_disk, Daemon::token("ES256")),
        ] {
            let how = if open {
                "half of the peak"
            } else {
                "at the peak"
            };
            kinds.push(Kind {
                row: Row::new(format!("{what}, {how}")),
                daemon,
                ask,
                open,
                threads: Default::default(),
            });
        }
    }
    let mut half = f64::INFINITY;
    for number in 0..plan.rounds {
        for kind in &mut kinds {
            let round = measure(plan, kind, half);
            if number == 0 && !kind.open && kind.ask.form.is_some() {
                // One rate for all open loops of all rounds: half of the lowest peak of the first round.
                half = half.min(round.figure(Figure::PerSecond) / 2.0);
            }
            kind.row.push(round);
        }
    }
    report(kinds);
}

fn measure(plan: &Plan, kind: &mut Kind<'_>, half: f64) -> Round {
    let cpu = |daemon: &Daemon| THREADS.map(|name| daemon.process().thread_cpu(name));
    let connector = Connector::http1(kind.daemon);
    let before = cpu(kind.daemon);
    let round = if kind.open {
        open::run(kind.daemon, &connector, &kind.ask, half, plan.length).round
    } else {
        let spread = Spread::Kept(support::USUAL);
        closed::run(kind.daemon, &connector, &kind.ask, spread, plan.length)
    };
    let after = cpu(kind.daemon);
    let answers = round.answers();
    let used = after
        .into_iter()
        .zip(before)
        .map(|(after, before)| after - before);
    for (thread, used) in kind.threads.iter_mut().zip(used) {
        thread.push(Duration::as_secs_f64(&used) * 1e6 / answers);
    }
    round
}

fn report(kinds: Vec<Kind<'_>>) {
    table::heading(
        "The journal by itself",
        "The peak: a closed loop of 32 connections. Half of it: an open loop at one rate for all, half of the lowest \
         peak of a token in the first round.",
    );
    let threads: Vec<Vec<String>> = kinds
        .iter()
        .map(|kind| {
            let each = kind
                .threads
                .iter()
                .map(|used| Over::of(used.iter().copied()).text(1));
            std::iter::once(kind.row.name.clone()).chain(each).collect()
        })
        .collect();
    let rows: Vec<Row> = kinds.into_iter().map(|kind| kind.row).collect();
    table::loads(&rows);
    let mut head = vec!["CPU of each thread, µs each"];
    head.extend(THREADS);
    table::print(&head, &threads);
}
