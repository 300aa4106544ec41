//! From the start of the process to its readiness.

use super::Plan;
use super::support::daemon::{Daemon, Options};
use super::support::stats::Spread;
use super::support::table;

/// Starts of each kind for each round.
const STARTS: usize = 4;

/// Measures, and prints the table.
pub fn run(plan: &Plan) {
    let kinds = [10, 1000, 10_000];
    let deployments: Vec<_> = kinds
        .into_iter()
        .map(|clients| {
            let folder = Plan::disk();
            let options = Options {
                clients,
                nats: None,
            };
            Daemon::start(folder.path(), options).stop();
            (clients, folder, Vec::new())
        })
        .collect();
    let mut deployments = deployments;
    for _ in 0..plan.rounds * STARTS {
        for (_, folder, times) in &mut deployments {
            let mut daemon = Daemon::serve(folder.path());
            times.push(daemon.started_in.as_secs_f64() * 1e3);
            daemon.stop();
        }
    }
    let rows: Vec<Vec<String>> = deployments
        .iter()
        .map(|(clients, _, times)| {
            let spread = Spread::of(times.iter().copied());
            vec![format!("{clients} clients, a file each"), spread.text(0)]
        })
        .collect();
    table::heading(
        "Start",
        "From the process to `ready`, on one core, state on disk: five rings of keys each signing once, registry \
         read and checked, journal and store opened, sockets bound.",
    );
    table::print(&["", "ms"], &rows);
}
