//! Keeps secrets in the process: no core, no debugger of the same user, no data in a panic's words
//! (checklist 75). Touches: process.

use std::io::Write;
use std::panic::PanicHookInfo;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing::warn;

/// Hardens this process, for its life. To be called before any secret is read.
///
/// A part that the system refuses is logged: a daemon without it is better than none.
pub fn harden() {
    std::panic::set_hook(Box::new(on_panic));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        warn!(%error, "the size of a core can't be set to nothing");
    }
    // Also makes /proc/PID/mem and the like root's alone, and keeps ptrace of the same user out.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(%error, "the process can't be made undumpable");
    }
}

/// Says where, and not with what: a panic's message may hold what a request or a file said.
fn on_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let words = words(
        info.location().map(|at| (at.file(), at.line())),
        thread.name(),
    );
    // Nobody is left to tell when stderr is closed.
    let _closed = writeln!(std::io::stderr(), "{words}");
}

fn words(at: Option<(&str, u32)>, thread: Option<&str>) -> String {
    let thread = thread.unwrap_or("unnamed");
    let (file, line) = at.unwrap_or(("an unknown place", 0));
    format!(
        "grantd: a broken invariant at {file}:{line} in the thread {thread}: this is a bug, please report this line"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_where_and_nothing_else() {
        let said = words(Some(("src/x.rs", 7)), Some("journal"));
        assert!(said.contains("src/x.rs:7 in the thread journal"));
        assert!(words(None, None).contains("an unknown place:0 in the thread unnamed"));
    }
}
