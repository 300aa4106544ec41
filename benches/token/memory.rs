//! Resident memory with a thousand clients: idle, under load, with idle connections, and after all that.

use std::time::Duration;

use super::Plan;
use super::support::client::Connector;
use super::support::closed::{self, Spread, runtime};
use super::support::daemon::{Daemon, Options};
use super::support::table;

/// Clients of the registry.
const CLIENTS: usize = 1000;

/// Connections that are open and idle.
const IDLE: usize = 1000;

/// How long the daemon is left alone before it counts as idle.
const QUIET: Duration = Duration::from_secs(3);

/// Measures once (memory is no matter of luck), and prints the table.
pub fn run(plan: &Plan) {
    let folder = Plan::disk();
    let options = Options {
        clients: CLIENTS,
        nats: None,
    };
    let daemon = Daemon::start(folder.path(), options);
    let mut rows = Vec::new();
    let mut note = |name: &str| {
        let mebibytes = |line| format!("{:.1}", daemon.process().mebibytes(line));
        rows.push(vec![
            name.to_owned(),
            mebibytes("VmRSS:"),
            mebibytes("RssAnon:"),
            mebibytes("RssFile:"),
            mebibytes("VmHWM:"),
        ]);
    };
    std::thread::sleep(QUIET);
    note("idle, 1,000 clients (aim: under 30)");
    let connector = Connector::http1(&daemon);
    let ask = Daemon::token("ES256");
    for connections in [32, 256] {
        let spread = Spread::Kept(connections);
        closed::run(&daemon, &connector, &ask, spread, plan.length);
        note(&format!("right after a load of {connections} connections"));
    }
    runtime().block_on(async {
        let mut open = Vec::with_capacity(IDLE);
        for _ in 0..IDLE {
            open.push(connector.connect().await);
        }
        note("1,000 idle connections besides");
    });
    std::thread::sleep(QUIET);
    note("3 s after all connections have ended");
    table::heading(
        "Memory",
        "`/proc/PID/status`, MiB, of one process that goes through all of these; five rings of keys. A part of \
         what is resident of files is the program itself, shared and given back at need.",
    );
    table::print(
        &[
            "",
            "resident",
            "of it anonymous",
            "of it files",
            "highest so far",
        ],
        &rows,
    );
}
