//! When the writer should begin its next commit, so that a group can form. Pure.
//!
//! A commit costs two changes of thread, a write and an `fdatasync`, whatever it holds. So it waits for
//! company as long as the runtime is busy with what may become company, and no longer: once a worker has
//! nothing left to do, whoever was to come has come.
//!
//! **Invariant:** an entry that comes to an idle writer is committed at once, and none is held back for
//! longer than [`LONGEST`].

use std::time::Duration;

/// No commit starts sooner than this after the one before, also when nobody is busy: else each entry would
/// be a commit of its own where the disk is fast. Measured in `docs/performance.md`.
const LEAST: Duration = Duration::from_micros(200);

/// How long a busy runtime is waited for where the disk costs nothing: 15 events at 15,000 a second. Twice
/// that gained little more (tmpfs).
const BUSY: Duration = Duration::from_millis(1);

/// How long a busy runtime is waited for at most: less than a slow `fdatasync` takes.
const LONGEST: Duration = Duration::from_millis(4);

/// A group is waited for in proportion to what its commit costs: about half of the time of an `fdatasync`
/// is the processor's.
const SYNCS: u32 = 8;

/// The wait for one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    started: Duration,
    longest: Duration,
}

/// What the writer does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing can shorten this wait but a full commit.
    For(Duration),
    /// As long as the runtime is busy, at most this long.
    WhileBusy(Duration),
    /// Begin.
    Over,
}

impl Pace {
    /// The wait behind a commit that started then, and whose `fdatasync` took so long.
    pub(super) fn after(started: Duration, sync: Duration) -> Self {
        Self {
            started,
            longest: (sync * SYNCS).clamp(BUSY, LONGEST),
        }
    }

    /// How long to hold back still.
    pub(super) fn hold(self, busy: bool, now: Duration) -> Hold {
        let since = now.saturating_sub(self.started);
        if since < LEAST {
            Hold::For(LEAST - since)
        } else if busy && since < self.longest {
            Hold::WhileBusy(self.longest - since)
        } else {
            Hold::Over
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(number: u64) -> Duration {
        Duration::from_micros(number)
    }

    #[test]
    fn an_idle_writer_begins_at_once() {
        let pace = Pace::after(micros(0), micros(100));
        assert_eq!(pace.hold(true, micros(5000)), Hold::Over);
        assert_eq!(pace.hold(false, micros(200)), Hold::Over);
    }

    #[test]
    fn a_busy_runtime_is_waited_for_as_long_as_the_commit_is_worth() {
        for (sync, longest) in [(0, 1000), (250, 2000), (100_000, 4000)] {
            let pace = Pace::after(micros(70), micros(sync));
            let held = pace.hold(true, micros(80));
            assert_eq!(held, Hold::For(micros(190)));
            let held = pace.hold(true, micros(270));
            assert_eq!(held, Hold::WhileBusy(micros(longest - 200)));
            assert_eq!(pace.hold(true, micros(70 + longest)), Hold::Over);
        }
    }
}
