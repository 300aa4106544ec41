//! From nothing to a checked snapshot, beside what can't be saved.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use grantd::clock::Clock;
use grantd::registry::publish::{Applied, Publisher, RegistrySettings, Update};

use super::layout::{CLIENTS, LAYOUTS};
use super::support::stats::Spread;
use super::support::table;
use super::{Plan, baseline, stages};

/// A publisher of this folder, which has read it, and what it found.
pub fn load(folder: &Path) -> (Publisher, Applied) {
    let settings = RegistrySettings {
        folder: folder.to_owned(),
        ..RegistrySettings::default()
    };
    let mut publisher = Publisher::new(&settings, Clock::of_this_machine());
    match publisher.first() {
        Update::Applied(applied) => (publisher, applied),
        other => panic!("not accepted: {other:?}"),
    }
}

/// Measures, and prints the tables.
pub fn run(plan: &Plan) {
    stages::install();
    let (mut rows, mut parts) = (Vec::new(), Vec::new());
    for layout in LAYOUTS {
        let folder = Plan::disk();
        layout.write(folder.path());
        let files = baseline::files(folder.path());
        let bytes: u64 = files
            .iter()
            .filter_map(|it| it.metadata().ok())
            .map(|it| it.len())
            .sum();
        let (mut own, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut sums: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        // One round that does not count: the files are in the page cache from then on.
        for round in 0..=plan.rounds {
            let begun = Instant::now();
            assert!(baseline::run(&files) >= files.len());
            let least = begun.elapsed();
            drop(stages::take());
            let begun = Instant::now();
            let (publisher, applied) = load(folder.path());
            let took = begun.elapsed();
            assert_eq!(applied.snapshot.clients.len(), CLIENTS);
            if round > 0 {
                ratios.push(took.as_secs_f64() / least.as_secs_f64());
                own.push(millis(took));
                bare.push(millis(least));
                for (name, took) in stages::sums(&stages::take()) {
                    sums.entry(name).or_default().push(millis(took));
                }
            }
            drop((publisher, applied));
        }
        let spread = |values: Vec<f64>, digits| Spread::of(values.into_iter()).text(digits);
        rows.push(vec![
            format!("{}, {:.0} MB", layout.name, bytes as f64 / 1e6),
            spread(bare, 0),
            spread(own, 0),
            spread(ratios, 2),
        ]);
        for (name, values) in sums {
            parts.push(vec![format!("{}: {name}", layout.name), spread(values, 0)]);
        }
    }
    table::heading(
        "Cold load of 100,000 clients",
        "From nothing to a checked snapshot: two scans, reading, hashing, parsing, checking, digest, index. Beside it \
         reading and hashing the same files and parsing them with the bare `toml` crate on two threads, keeping \
         nothing. Files in the page cache. Aim: at most 2 times.",
    );
    table::print(&["", "bare, ms", "grantd, ms", "ratio"], &rows);
    table::print(&["of it", "ms"], &parts);
}

/// A time in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
