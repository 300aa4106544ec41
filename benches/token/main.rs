//! What a token costs: CPU and time per token of the release binary, beside what it can't cost less than.
//!
//! `cargo bench --bench token` starts `grantd dev` on one core and loads it from another, in interleaved
//! rounds of one run, so that a noisy machine is noisy for all. `-- --rounds N --seconds S` changes the length.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a benchmark prints its result, ends where it can't run, and measures time itself"
)]

mod daemon;
mod load;
mod stats;

use std::path::Path;
use std::time::Duration;

use daemon::Daemon;
use stats::{Round, Summary};

/// The core of the daemon, and the core of everything else.
const CORES: (&str, &str) = ("0", "1");

struct Plan {
    rounds: usize,
    length: Duration,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo bench --no-run` never comes here; `cargo test --benches` does, with --test.
    if arguments.iter().any(|argument| argument == "--test") {
        println!("benches/token: nothing to test");
        return;
    }
    let number = |name: &str, default| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let plan = Plan {
        rounds: number("--rounds", 5) as usize,
        length: Duration::from_secs(number("--seconds", 3)),
    };
    daemon::pin_self(CORES.1);
    let disk = tempfile::tempdir_in(target_dir()).expect("a directory on disk");
    let memory = tempfile::tempdir_in("/dev/shm").expect("a directory on tmpfs");
    let on_disk = Daemon::start(CORES.0, &disk.path().join("state"));
    let on_tmpfs = Daemon::start(CORES.0, &memory.path().join("state"));
    let rows = run(&plan, &on_disk, &on_tmpfs);
    report(&plan, &rows);
}

/// The target directory lies on a disk; `/tmp` often does not.
fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn run(plan: &Plan, on_disk: &Daemon, on_tmpfs: &Daemon) -> Vec<Summary> {
    let mut rows = vec![
        Summary::new("ES256 signature"),
        Summary::new("HTTPS GET, 32 connections"),
        Summary::new("HTTPS GET, 256 connections"),
        Summary::new("token, tmpfs, 32"),
        Summary::new("token, disk, 32"),
        Summary::new("token, tmpfs, 256"),
        Summary::new("token, disk, 256"),
    ];
    let get =
        |daemon: &Daemon, connections| load::run(daemon, load::Kind::Get, connections, plan.length);
    let token = |daemon: &Daemon, connections| {
        load::run(daemon, load::Kind::Token, connections, plan.length)
    };
    // One short round of each that does not count: caches, connections, the first segments.
    for warm in [on_disk, on_tmpfs] {
        load::run(warm, load::Kind::Token, 32, Duration::from_millis(500));
    }
    for _ in 0..plan.rounds {
        let measured: [Round; 7] = [
            load::signatures(plan.length),
            get(on_tmpfs, 32),
            get(on_tmpfs, 256),
            token(on_tmpfs, 32),
            token(on_disk, 32),
            token(on_tmpfs, 256),
            token(on_disk, 256),
        ];
        for (row, round) in rows.iter_mut().zip(measured) {
            row.push(round);
        }
    }
    rows
}

fn report(plan: &Plan, rows: &[Summary]) {
    println!(
        "{} rounds of {:?} each, medians; daemon on core {}, load on core {}",
        plan.rounds, plan.length, CORES.0, CORES.1
    );
    println!(
        "{:<28} {:>10} {:>12} {:>9} {:>9} {:>9} {:>12}",
        "", "per second", "CPU, µs each", "p50, ms", "p99, ms", "p99.9, ms", "fdatasync/ev"
    );
    for row in rows {
        println!("{row}");
    }
    let cpu = |at: usize| rows.get(at).map_or(f64::NAN, Summary::cpu_micros);
    println!(
        "\nCPU of a token / (CPU of a GET on as many connections + CPU of a signature), aim: at most 1.75"
    );
    let ratios = [
        (3, 1, "tmpfs, 32"),
        (4, 1, "disk, 32"),
        (5, 2, "tmpfs, 256"),
        (6, 2, "disk, 256"),
    ];
    for (token, get, name) in ratios {
        let base = cpu(get) + cpu(0);
        println!(
            "  {name:<10} {:.1} / ({:.1} + {:.1}) = {:.2}",
            cpu(token),
            cpu(get),
            cpu(0),
            cpu(token) / base
        );
    }
}
