//! What a token costs: CPU, time and memory of the release binary, beside what it can't cost less than.
//!
//! `cargo bench --bench token -- [MODE] [--rounds N] [--seconds N]`; docs/performance.md has the figures. The
//! daemon has one core, the load another; rounds of all kinds take turns in one run.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a benchmark prints its result, ends where it can't run, and measures time itself"
)]

mod algorithms;
mod connections;
mod journal;
mod latency;
mod memory;
mod pipe;
mod protocols;
mod ratio;
mod start;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

use support::arguments::Arguments;
use support::client::Connector;
use support::closed::{self, Spread};
use support::daemon::Daemon;
use support::{LOAD_CORE, machine, process};

/// A round that does not count, before the first: caches, connections, the first segments.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures, and prints what it found.
type Mode = fn(&Plan);

/// What is measured by which name, in the order of `all`.
const MODES: [(&str, Mode); 9] = [
    ("ratio", ratio::run),
    ("algorithms", algorithms::run),
    ("protocols", protocols::run),
    ("connections", connections::run),
    ("memory", memory::run),
    ("start", start::run),
    ("latency", latency::run),
    ("journal", journal::run),
    ("pipe", pipe::run),
];

/// How long, and where.
pub struct Plan {
    rounds: usize,
    length: Duration,
}

impl Plan {
    /// A folder on the disk that the target directory lies on; `/tmp` is often none.
    fn disk() -> TempDir {
        tempfile::tempdir_in(disk_root()).expect("a folder on disk")
    }

    /// A folder in memory.
    fn tmpfs() -> TempDir {
        tempfile::tempdir_in(tmpfs_root()).expect("a folder on tmpfs")
    }
}

fn disk_root() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn tmpfs_root() -> &'static Path {
    Path::new("/dev/shm")
}

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("benches/token: nothing to test");
            return ExitCode::SUCCESS;
        }
        Err(fault) => return usage(&fault),
    };
    let mode = arguments.mode.as_deref().unwrap_or("ratio");
    let chosen: Vec<_> = MODES
        .into_iter()
        .filter(|(name, _)| mode == "all" || *name == mode)
        .collect();
    if chosen.is_empty() {
        return usage(&format!("there is no mode {mode}"));
    }
    process::pin_self(LOAD_CORE);
    machine::print(&[("disk", &disk_root()), ("tmpfs", tmpfs_root())]);
    let plan = Plan {
        rounds: arguments.rounds,
        length: arguments.length,
    };
    println!(
        "{} rounds of {:?}, kinds in turn; median (least to most)\n",
        plan.rounds, plan.length
    );
    for (_, run) in chosen {
        run(&plan);
    }
    ExitCode::SUCCESS
}

fn usage(fault: &str) -> ExitCode {
    let modes: Vec<&str> = MODES.into_iter().map(|(name, _)| name).collect();
    println!(
        "{fault}\nusage: cargo bench --bench token -- [{}|all] [--rounds N] [--seconds N]",
        modes.join("|")
    );
    ExitCode::FAILURE
}

/// A round of tokens that does not count.
fn warm(daemon: &Daemon) {
    let ask = Daemon::token("ES256");
    let connector = Connector::http1(daemon);
    closed::run(
        daemon,
        &connector,
        &ask,
        Spread::Kept(support::USUAL),
        WARM_UP,
    );
}
