//! The only place that reads a clock. Touches: clock.
//!
//! Everything else takes a moment as an argument, so that tests of rotation never wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::{UnixMillis, UnixSeconds};

/// The machine's clocks. Cheap to copy; a value of it is the permission to read them.
#[derive(Clone, Copy, Debug)]
pub struct Clock(());

impl Clock {
    /// The clocks of this machine.
    #[must_use]
    pub const fn of_this_machine() -> Self {
        Self(())
    }

    /// Wall time, to the millisecond; before 1970 it reads as 1970.
    #[must_use]
    pub fn now(self) -> UnixMillis {
        // By libc, so that a test can set it with libfaketime; the other clocks here nobody can set.
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Wall time in whole seconds.
    #[must_use]
    pub fn now_seconds(self) -> UnixSeconds {
        self.now().seconds()
    }

    /// Time since boot, suspension included (`CLOCK_BOOTTIME`): nobody can set it.
    #[must_use]
    pub fn boot(self) -> Duration {
        span(clock_gettime(ClockId::Boottime))
    }

    /// Time that processors spent on this process (`CLOCK_PROCESS_CPUTIME_ID`).
    #[must_use]
    pub fn processor(self) -> Duration {
        span(clock_gettime(ClockId::ProcessCPUTime))
    }

    /// Time for measuring spans within this process (`CLOCK_MONOTONIC`).
    #[must_use]
    pub fn monotonic(self) -> Duration {
        span(clock_gettime(ClockId::Monotonic))
    }
}

fn span(time: rustix::time::Timespec) -> Duration {
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
