//! The whole pipe: tokens, their events, a real NATS server that stores them, on the same two cores.

use std::time::{Duration, Instant};

use super::support::client::Connector;
use super::support::closed::{self, Spread};
use super::support::daemon::{Daemon, Options};
use super::support::nats::NatsServer;
use super::support::process::wait_for;
use super::support::stats::{Figure, Round, Row, Spread as Over};
use super::support::{self, table};
use super::{Plan, warm};

/// The last line that is in the journal, and the last that the stream has confirmed.
const LINES: [&str; 2] = [
    "grantd_journal_last_sequence",
    "grantd_ship_confirmed_sequence",
];

/// Figures of each round besides those of the load.
#[derive(Default)]
struct Pipe {
    shipped_per_second: Vec<f64>,
    nats_cpu: Vec<f64>,
    behind: Vec<f64>,
    caught_up: Vec<f64>,
}

/// Measures, and prints the tables.
pub fn run(plan: &Plan) {
    let (store, with, without) = (Plan::disk(), Plan::disk(), Plan::disk());
    let nats = NatsServer::start("0,1", store.path());
    let shipping = Options {
        clients: 10,
        nats: Some(&nats.url),
    };
    let alone = Options {
        nats: None,
        ..shipping
    };
    let shipping = Daemon::start(with.path(), shipping);
    let alone = Daemon::start(without.path(), alone);
    [&shipping, &alone].into_iter().for_each(warm);
    let mut rows = [
        Row::new("token, nothing shipped"),
        Row::new("token, every event shipped"),
    ];
    let mut pipe = Pipe::default();
    for _ in 0..plan.rounds {
        caught_up(&shipping);
        rows[0].push(load(plan, &alone));
        rows[1].push(pipe.round(plan, &shipping, &nats));
    }
    table::heading(
        "The whole pipe",
        "Closed loop, 32 connections, ES256, journal on disk, NATS' store on the same disk; nats-server on both cores. \
         Shipped is what the stream confirmed while the load ran; the rest is shipped after it.",
    );
    table::loads(&rows);
    let text = |values: &[f64], digits| Over::of(values.iter().copied()).text(digits);
    table::print(
        &["while the load ran", ""],
        &[
            vec![
                "events shipped a second".into(),
                text(&pipe.shipped_per_second, 0),
            ],
            vec![
                "CPU of nats-server for an event, µs".into(),
                text(&pipe.nats_cpu, 1),
            ],
            vec![
                "events not yet shipped at its end".into(),
                text(&pipe.behind, 0),
            ],
            vec!["s until they were".into(), text(&pipe.caught_up, 2)],
        ],
    );
    let cpu = |row: &Row| row.spread(Figure::Cpu).median;
    println!(
        "CPU that shipping adds to a token: {:.1} µs of the daemon.\n",
        cpu(&rows[1]) - cpu(&rows[0])
    );
}

fn load(plan: &Plan, daemon: &Daemon) -> Round {
    let ask = Daemon::token("ES256");
    let spread = Spread::Kept(support::USUAL);
    closed::run(daemon, &Connector::http1(daemon), &ask, spread, plan.length)
}

impl Pipe {
    fn round(&mut self, plan: &Plan, daemon: &Daemon, nats: &NatsServer) -> Round {
        let ([_, shipped], cpu, started) = (lines(daemon), nats.cpu(), Instant::now());
        let round = load(plan, daemon);
        let ([written, now], took) = (lines(daemon), started.elapsed());
        let events = now - shipped;
        let used = nats.cpu().saturating_sub(cpu);
        self.shipped_per_second.push(events / took.as_secs_f64());
        self.nats_cpu.push(used.as_secs_f64() * 1e6 / events);
        self.behind.push(written - now);
        self.caught_up.push(caught_up(daemon).as_secs_f64());
        round
    }
}

fn lines(daemon: &Daemon) -> [f64; 2] {
    LINES.map(|name| daemon.metric(name))
}

/// Waits until everything that was written is in the stream.
fn caught_up(daemon: &Daemon) -> Duration {
    let started = Instant::now();
    wait_for("the stream to have every event", || {
        let [written, shipped] = lines(daemon);
        (written <= shipped).then_some(())
    });
    started.elapsed()
}
