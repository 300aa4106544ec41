//! An open loop: requests arrive when they arrive, whether or not earlier ones are answered.
//!
//! Arrivals are a Poisson process. A latency counts from the moment at which the request was meant to be
//! sent: one that waits for a free connection has waited, so a stall of the server is felt by all that
//! would have come in it (no coordinated omission).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::client::{Connector, Sender};
use super::closed::runtime;
use super::stats::{Round, Times};
use super::target::{Ask, Server};

/// Connections that requests are spread over; one that finds none free waits, and that counts.
pub const CONNECTIONS: usize = 64;

/// Where the random numbers begin: the same arrivals in each run.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// A round, and how well the generator kept to its own plan.
pub struct Opened {
    /// The answers.
    pub round: Round,
    /// From the moment that was meant to that at which the request was taken up, at the 99th percentile.
    pub late_p99: Duration,
}

/// Requests that have arrived and that no connection has taken up yet.
#[derive(Default)]
struct Waiting {
    arrived: Mutex<(VecDeque<Instant>, bool)>,
    news: Notify,
}

impl Waiting {
    fn push(&self, at: Instant) {
        self.arrived.lock().expect("no panic").0.push_back(at);
        self.news.notify_one();
    }

    fn close(&self) {
        self.arrived.lock().expect("no panic").1 = true;
        self.news.notify_waiters();
    }

    /// The next arrival, or `None` when there will be none.
    async fn next(&self) -> Option<Instant> {
        loop {
            let news = self.news.notified();
            {
                let mut arrived = self.arrived.lock().expect("no panic");
                if let Some(at) = arrived.0.pop_front() {
                    return Some(at);
                }
                if arrived.1 {
                    return None;
                }
            }
            news.await;
        }
    }
}

/// Sends so many requests a second, on average, for this long, and waits for all answers.
pub fn run(
    server: &dyn Server,
    connector: &Connector,
    ask: &Ask,
    per_second: f64,
    length: Duration,
) -> Opened {
    runtime().block_on(async {
        let waiting = Arc::new(Waiting::default());
        let mut senders = Vec::new();
        for _ in 0..CONNECTIONS {
            senders.push(connector.connect().await);
        }
        let (cpu, syncs, started) = (server.cpu(), server.syncs(), Instant::now());
        let workers: Vec<_> = senders
            .into_iter()
            .map(|sender| tokio::spawn(answer(sender, ask.clone(), Arc::clone(&waiting))))
            .collect();
        arrive(&waiting, per_second, started, length).await;
        let (mut times, mut late) = (Times::new(), Times::new());
        for worker in workers {
            let (answered, taken) = worker.await.expect("a worker ends");
            times.add(&answered);
            late.add(&taken);
        }
        let took = started.elapsed();
        let syncs = server.syncs() - syncs;
        Opened {
            round: Round::new(&times, took, server.cpu().saturating_sub(cpu), syncs),
            late_p99: late.at(0.99),
        }
    })
}

/// The arrivals. It never sleeps, for a timer of 1 ms would be seen in the figures: between arrivals it
/// lets the others run, who have this core to themselves.
async fn arrive(waiting: &Waiting, per_second: f64, started: Instant, length: Duration) {
    let mut random = SEED;
    let mut due = Duration::ZERO;
    while due < length {
        while started.elapsed() < due {
            tokio::task::yield_now().await;
        }
        waiting.push(started + due);
        due += Duration::from_secs_f64(-uniform(&mut random).ln() / per_second);
    }
    waiting.close();
}

async fn answer(mut sender: Sender, ask: Ask, waiting: Arc<Waiting>) -> (Times, Times) {
    let (mut times, mut late) = (Times::new(), Times::new());
    while let Some(meant) = waiting.next().await {
        late.note(meant.elapsed());
        sender.ask(&ask).await;
        times.note(meant.elapsed());
    }
    (times, late)
}

/// The next number in (0, 1], by splitmix64.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    ((mixed >> 11) as f64 + 1.0) / (1_u64 << 53) as f64
}
