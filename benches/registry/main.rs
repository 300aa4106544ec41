//! What a large registry costs: 100,000 clients in 1,000 files and in 100,000.
//!
//! `cargo bench --bench registry -- [MODE] [--rounds N] [--seconds N]`; docs/performance.md has the figures.
//! Whatever has an aim is a ratio: both sides of it take turns in one run.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a benchmark prints its result, ends where it can't run, and measures time itself"
)]
#![expect(
    dead_code,
    reason = "what the benchmarks share is not all of use to each"
)]

mod baseline;
mod change;
mod cold;
mod layout;
mod lookup;
mod memory;
mod requests;
mod stages;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

use support::arguments::Arguments;
use support::machine;

/// Measures, and prints what it found.
type Mode = fn(&Plan);

/// What is measured by which name, in the order of `all`.
const MODES: [(&str, Mode); 5] = [
    ("cold", cold::run),
    ("change", change::run),
    ("memory", memory::run),
    ("lookup", lookup::run),
    ("requests", requests::run),
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
}

fn disk_root() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("benches/registry: nothing to test");
            return ExitCode::SUCCESS;
        }
        Err(fault) => return usage(&fault),
    };
    let mode = arguments.mode.as_deref().unwrap_or("cold");
    let chosen: Vec<_> = MODES
        .into_iter()
        .filter(|(name, _)| mode == "all" || *name == mode)
        .collect();
    if chosen.is_empty() {
        return usage(&format!("there is no mode {mode}"));
    }
    machine::print(&[("disk", &disk_root())]);
    let plan = Plan {
        rounds: arguments.rounds,
        length: arguments.length,
    };
    println!(
        "{} rounds, kinds in turn; median (least to most)\n",
        plan.rounds
    );
    for (_, run) in chosen {
        run(&plan);
    }
    ExitCode::SUCCESS
}

fn usage(fault: &str) -> ExitCode {
    let modes: Vec<&str> = MODES.into_iter().map(|(name, _)| name).collect();
    println!(
        "{fault}\nusage: cargo bench --bench registry -- [{}|all] [--rounds N] [--seconds N]",
        modes.join("|")
    );
    ExitCode::FAILURE
}
