//! What finding a client costs a request, in a registry of ten and of 100,000.

use std::hint::black_box;
use std::time::Instant;

use grantd::registry::snapshot::Snapshot;

use super::Plan;
use super::cold::load;
use super::layout::{self, CLIENTS, LAYOUTS};
use super::support::stats::Spread;
use super::support::table;

/// Lookups of a round.
const LOOKUPS: usize = 1_000_000;

/// A stride that visits all clients and is prime to their number.
const STRIDE: usize = 61_803;

/// Measures, and prints the table.
pub fn run(plan: &Plan) {
    let folder = Plan::disk();
    let [layout, ..] = LAYOUTS;
    layout.write(folder.path());
    let (_publisher, applied) = load(folder.path());
    let all: Vec<String> = (0..CLIENTS)
        .map(|at| layout::client(at * STRIDE % CLIENTS))
        .collect();
    let few = all.get(..10).unwrap_or_default();
    let kinds = [("the same ten clients", few), ("all 100,000 in turn", &all)];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..plan.rounds {
        for ((_, ids), times) in kinds.iter().zip(&mut times) {
            let begun = Instant::now();
            look_up(&applied.snapshot, ids);
            times.push(begun.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64);
        }
    }
    let rows: Vec<Vec<String>> = kinds
        .iter()
        .zip(times)
        .map(|((name, _), times)| vec![(*name).to_owned(), Spread::of(times.into_iter()).text(0)])
        .collect();
    table::heading(
        "Lookup",
        "A client by its id in a snapshot of 100,000, and its first secret, in one thread.",
    );
    table::print(&["", "ns"], &rows);
}

fn look_up(snapshot: &Snapshot, ids: &[String]) {
    for id in ids.iter().cycle().take(LOOKUPS) {
        let client = snapshot.clients.get(id.as_str()).expect("a client");
        black_box(client.secrets.first());
    }
}
