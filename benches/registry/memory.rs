//! Resident memory of a daemon that serves 100,000 clients: at rest, and after changes.

use std::time::Duration;

use super::Plan;
use super::layout::LAYOUTS;
use super::requests::{applied, deploy};
use super::support::process::wait_for;
use super::support::table;

/// Changes that are made.
const CHANGES: usize = 10;

/// How long the daemon is left alone before it counts as idle.
const QUIET: Duration = Duration::from_secs(5);

/// Measures once (memory is no matter of luck), and prints the table.
pub fn run(_: &Plan) {
    let mut rows = Vec::new();
    for layout in LAYOUTS {
        let folder = Plan::disk();
        let daemon = deploy(folder.path(), layout);
        let mut note = |what: &str| {
            let mebibytes = |line| format!("{:.0}", daemon.process().mebibytes(line));
            rows.push(vec![
                format!("{}, {what}", layout.name),
                mebibytes("VmRSS:"),
                mebibytes("RssAnon:"),
                mebibytes("VmHWM:"),
            ]);
        };
        std::thread::sleep(QUIET);
        note("loaded and idle (aim: at most 250)");
        for edition in 1..=CHANGES {
            let before = applied(&daemon);
            layout.change(&folder.path().join("registry.d"), edition, edition);
            wait_for("a change", || (applied(&daemon) > before).then_some(()));
        }
        std::thread::sleep(QUIET);
        note("after 10 changes");
    }
    table::heading(
        "Memory of a daemon with 100,000 clients",
        "`/proc/PID/status`, MiB; five rings of keys besides. The highest so far is that of the load.",
    );
    table::print(
        &["", "resident", "of it anonymous", "highest so far"],
        &rows,
    );
}
