//! How long work waits for its turn on a processor. Touches: clock.
//!
//! A request's queue is the runtime's own: it is ready when its bytes are there, and begins when a worker
//! polls it. A probe stands in the same queue: it sleeps for 10 ms, and what it wakes too late is
//! what every request waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Between two probes: 50 in an [`INTERVAL`], for a ten-thousandth of a processor.
const PROBE: Duration = Duration::from_millis(10);

/// From this wait on, unknown peers are refused: ten times what a token should take at the worst, a tenth
/// of the shortest time-out that clients use.
const TARGET: Duration = Duration::from_millis(100);

/// From this wait on, known peers are refused too: a client that waits longer asks again, and makes it worse.
const LIMIT: Duration = Duration::from_secs(1);

/// How long every probe must have been above a bound: a burst is served, a standing queue is not. As in
/// CoDel (RFC 8289 section 4.3), the interval is several times what is waited for.
const INTERVAL: Duration = Duration::from_millis(500);

/// Most of one wait that counts: less than half of an [`INTERVAL`], so that at least three in a row are needed.
const STALL: Duration = Duration::from_millis(200);

/// How hard it is to keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// All are served.
    None,
    /// The wait has stood above 100 ms: those who are known go first.
    High,
    /// The wait has stood above a second: nobody new is taken in.
    Extreme,
}

/// What the probe has found. Written by its task, read by every request.
#[derive(Debug, Default)]
pub struct Lag {
    micros: AtomicU64,
    pressure: AtomicU8,
}

impl Lag {
    /// The last wait.
    #[must_use]
    pub fn last(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// How hard it is to keep up.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        match self.pressure.load(Ordering::Relaxed) {
            0 => Pressure::None,
            1 => Pressure::High,
            _ => Pressure::Extreme,
        }
    }

    fn set(&self, wait: Duration, pressure: Pressure) {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.micros.store(micros, Ordering::Relaxed);
        self.pressure.store(pressure as u8, Ordering::Relaxed);
    }
}

/// Judges one wait after the other.
#[derive(Debug, Default)]
struct Judge {
    above_target: Duration,
    above_limit: Duration,
}

impl Judge {
    /// Takes in a wait. What was waited counts as time above the bound, but no single stall is enough: a
    /// machine that stood still for a second has no queue that stands.
    fn take(&mut self, wait: Duration) -> Pressure {
        let passed = wait.min(STALL) + PROBE;
        let sustained = |above: &mut Duration, bound: Duration| {
            *above = if wait > bound {
                above.saturating_add(passed)
            } else {
                Duration::ZERO
            };
            *above >= INTERVAL
        };
        let high = sustained(&mut self.above_target, TARGET);
        let extreme = sustained(&mut self.above_limit, LIMIT);
        match (extreme, high) {
            (true, _) => Pressure::Extreme,
            (false, true) => Pressure::High,
            (false, false) => Pressure::None,
        }
    }
}

/// Probes until the daemon stops.
pub async fn watch(lag: Arc<Lag>, clock: Clock, stopping: CancellationToken) {
    let mut judge = Judge::default();
    loop {
        let before = clock.monotonic();
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(PROBE) => {}
        }
        let wait = clock.monotonic().saturating_sub(before + PROBE);
        lag.set(wait, judge.take(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_served_and_a_standing_queue_is_not() {
        let mut judge = Judge::default();
        let wait = Duration::from_millis(150);
        assert_eq!(judge.take(wait), Pressure::None);
        assert_eq!(judge.take(wait), Pressure::None);
        assert_eq!(judge.take(wait), Pressure::None);
        assert_eq!(judge.take(wait), Pressure::High, "640 ms above the target");
        assert_eq!(judge.take(TARGET), Pressure::None, "over at once");
    }

    #[test]
    fn a_machine_that_stood_still_once_refuses_nobody() {
        let mut judge = Judge::default();
        assert_eq!(judge.take(Duration::from_secs(60)), Pressure::None);
        assert_eq!(judge.take(Duration::from_millis(5)), Pressure::None);
        let long = Duration::from_secs(2);
        assert_eq!(
            [(); 3].map(|()| judge.take(long)),
            [Pressure::None, Pressure::None, Pressure::Extreme]
        );
        assert_eq!(judge.take(Duration::from_millis(900)), Pressure::High);
    }
}
