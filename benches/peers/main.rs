//! A token of grantd beside one of node-oidc-provider: the same load, the same run, as a ratio of CPU.
//!
//! `cargo bench --bench peers -- [--rounds N] [--seconds N]`; docs/performance.md has the figures. Each server has one
//! core, the load another; rounds of both take turns. The peer keeps nothing: what grantd does for its record, on disk
//! or in memory, is in grantd's figure alone.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a benchmark prints its result, ends where it can't run, and measures time itself"
)]

mod certificate;
mod provider;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what the other benchmark measures besides")]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use provider::Provider;
use support::arguments::Arguments;
use support::client::Connector;
use support::closed::{self, Spread};
use support::daemon::{Daemon, USUAL};
use support::stats::{Figure, Row};
use support::target::{Ask, Server};
use support::{LOAD_CORE, machine, process, signature, table};

/// A round that does not count, before the first: a just-in-time compiler needs some thousands of requests.
const WARM_UP: Duration = Duration::from_secs(3);

/// Connections of each load.
const CONNECTIONS: usize = 32;

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(Some(arguments)) if arguments.mode.is_none() => arguments,
        Ok(Some(_)) => return usage("there are no modes"),
        Ok(None) => {
            println!("benches/peers: nothing to test");
            return ExitCode::SUCCESS;
        }
        Err(fault) => return usage(&fault),
    };
    process::pin_self(LOAD_CORE);
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    machine::print(&[("disk", &disk)]);
    let on_disk = tempfile::tempdir_in(&disk).expect("a folder on disk");
    let in_memory = tempfile::tempdir_in("/dev/shm").expect("a folder on tmpfs");
    let on_disk = Daemon::start(on_disk.path(), USUAL);
    let on_tmpfs = Daemon::start(in_memory.path(), USUAL);
    let peer = Provider::start();
    println!("- node {}, oidc-provider {}\n", peer.node, peer.version);
    let (document, token) = (Daemon::floor(), Daemon::token("ES256"));
    let kinds: [(&str, &dyn Server, Ask); 5] = [
        ("grantd, metadata", &on_tmpfs, document),
        ("grantd, token, journal on disk", &on_disk, token.clone()),
        ("grantd, token, journal on tmpfs", &on_tmpfs, token),
        ("node-oidc-provider, metadata", &peer, Provider::floor()),
        ("node-oidc-provider, token", &peer, Provider::token()),
    ];
    let mut sign = Row::new("ES256 signature, one core");
    let mut rows = kinds.each_ref().map(|(name, ..)| Row::new(*name));
    for (_, server, ask) in &kinds {
        load(*server, ask, WARM_UP);
    }
    for _ in 0..arguments.rounds {
        sign.push(signature::run("ES256", arguments.length));
        for (row, (_, server, ask)) in rows.iter_mut().zip(&kinds) {
            row.push(load(*server, ask, arguments.length));
        }
    }
    report(&arguments, sign, rows);
    ExitCode::SUCCESS
}

fn load(server: &dyn Server, ask: &Ask, length: Duration) -> support::stats::Round {
    let connector = Connector::http1(server);
    closed::run(server, &connector, ask, Spread::Kept(CONNECTIONS), length)
}

fn report(arguments: &Arguments, sign: Row, rows: [Row; 5]) {
    table::heading(
        "Beside node-oidc-provider",
        &format!(
            "{} rounds of {:?}, kinds in turn; median (least to most). Closed loop, {CONNECTIONS} kept connections, \
             HTTP/1.1 over TLS, client credentials, JWT access tokens signed with ES256. The peer has its in-memory \
             adapter and records nothing.",
            arguments.rounds, arguments.length
        ),
    );
    let [document, disk, tmpfs, peer_document, peer] = &rows;
    let ratios = [
        ("a token, grantd's journal on disk", peer, disk),
        ("a token, grantd's journal on tmpfs", peer, tmpfs),
        ("the metadata", peer_document, document),
    ]
    .map(|(name, peer, own)| {
        let cpu = |row: &Row| row.spread(Figure::Cpu).median;
        vec![
            name.to_owned(),
            format!("{:.0} / {:.0}", cpu(peer), cpu(own)),
            peer.ratio(&[own]).text(1),
        ]
    });
    table::print(
        &[
            "",
            "CPU, µs: node-oidc-provider / grantd",
            "ratio, round by round",
        ],
        &ratios,
    );
    let all: Vec<Row> = std::iter::once(sign).chain(rows).collect();
    table::loads(&all);
}

fn usage(fault: &str) -> ExitCode {
    println!("{fault}\nusage: cargo bench --bench peers -- [--rounds N] [--seconds N]");
    ExitCode::FAILURE
}
