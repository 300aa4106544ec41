//! A closed loop: each of so many asks again as soon as it is answered. What a server can do at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::{Connector, Sender};
use super::stats::{Round, Times};
use super::target::{Ask, Server};

/// How requests are spread over connections.
#[derive(Clone, Copy)]
pub enum Spread {
    /// So many connections, each kept open, one request at a time.
    Kept(usize),
    /// So many kept connections, and on each so many requests at a time: HTTP/2.
    Shared(usize, usize),
    /// So many at a time, each on a connection of its own.
    Fresh(usize),
}

/// Loads a server for this long.
pub fn run(
    server: &dyn Server,
    connector: &Connector,
    ask: &Ask,
    spread: Spread,
    length: Duration,
) -> Round {
    runtime().block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let senders = senders(connector, spread).await;
        let (cpu, syncs, started) = (server.cpu(), server.syncs(), Instant::now());
        let mut workers = Vec::new();
        for sender in senders {
            let (ask, stop) = (ask.clone(), Arc::clone(&stop));
            workers.push(match sender {
                Some(sender) => tokio::spawn(keep_asking(sender, ask, stop)),
                None => tokio::spawn(keep_connecting(connector.clone(), ask, stop)),
            });
        }
        tokio::time::sleep(length).await;
        stop.store(true, Ordering::Relaxed);
        let mut times = Times::new();
        for worker in workers {
            times.add(&worker.await.expect("a worker ends"));
        }
        let took = started.elapsed();
        let syncs = server.syncs() - syncs;
        Round::new(&times, took, server.cpu().saturating_sub(cpu), syncs)
    })
}

/// The runtime of a load: one thread, on the core of this process.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A sender for each of those that ask; none for those that connect themselves.
async fn senders(connector: &Connector, spread: Spread) -> Vec<Option<Sender>> {
    let mut senders = Vec::new();
    match spread {
        Spread::Kept(count) => {
            for _ in 0..count {
                senders.push(Some(connector.connect().await));
            }
        }
        Spread::Shared(count, streams) => {
            for _ in 0..count {
                let sender = connector.connect().await;
                senders.extend((1..streams).map(|_| sender.share()));
                senders.push(Some(sender));
            }
        }
        Spread::Fresh(count) => senders.resize_with(count, || None),
    }
    senders
}

async fn keep_asking(mut sender: Sender, ask: Ask, stop: Arc<AtomicBool>) -> Times {
    let mut times = Times::new();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        sender.ask(&ask).await;
        times.note(started.elapsed());
    }
    times
}

async fn keep_connecting(connector: Connector, ask: Ask, stop: Arc<AtomicBool>) -> Times {
    let mut times = Times::new();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        connector.connect().await.ask(&ask).await;
        times.note(started.elapsed());
    }
    times
}
