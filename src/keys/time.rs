//! Key time: wall time that never goes back and never leaps. Pure.
//!
//! Key states follow a persisted high-water mark of wall time, extended by the boot-time clock,
//! which nobody can set. A *line* starts at the mark (when the daemon starts) or at a wall time
//! that has proved itself, and advances with the boot-time clock. Wall time is judged against it:
//!
//! ```text
//! wall < mark - 60 s          behind: no token is signed until it catches up or is accepted
//! wall <= line + 5 min        steady: believed, the mark follows
//! wall >  line + 5 min        ahead: an alarm; believed after it has held for 10 minutes
//! wall >  line + a year       the same, and no token is signed until then
//! ```
//! Steps are summed against the line, so many small ones forward are judged as one large one.
//!
//! **Invariant:** key time never goes back but by [`TimeKeeper::accept`]; between two leaps that
//! held, it is never more than 5 minutes ahead of what the boot-time clock counted. A leap is
//! reported as such, so that no waiting key gains by it.

use std::time::Duration;

use crate::domain::{Lifetime, UnixSeconds};

/// How far wall time may lie behind the mark before it is not believed (`design.md`, Keys): twice
/// what NTP leaves of a clock that was ever right.
pub const BEHIND_MAX: Lifetime = Lifetime::from_seconds(60);

/// The largest step forward that is believed at once (`design.md`, Keys).
pub const STEP_MAX: Lifetime = Lifetime::from_minutes(5);

/// How long a larger step must hold before it is believed (`design.md`, Keys): a clock that was
/// wrong at boot is corrected by NTP well within it.
pub const STEP_HOLD: Lifetime = Lifetime::from_minutes(10);

/// The largest step forward at which tokens are signed before it has held. A daemon that was stopped for a
/// year is rare, and a token that a clock of the year 2100 dated would be valid for as long.
pub const FAR: Lifetime = Lifetime::from_days(366);

/// One look at the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Wall time.
    pub wall: UnixSeconds,
    /// Time since boot, suspension included.
    pub boot: Duration,
}

/// What wall time is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// It is believed.
    Steady,
    /// It lies behind the mark by this much: not ready, no token is signed.
    Behind {
        /// How far behind.
        by: Lifetime,
    },
    /// It leapt ahead, and has not held for [`STEP_HOLD`] yet: an alarm.
    Ahead {
        /// How far ahead of the line.
        by: Lifetime,
        /// Whether it was so when the daemon started: then it is most likely the time for which
        /// the daemon was stopped.
        since_start: bool,
    },
}

impl ClockState {
    /// Whether tokens may be signed.
    #[must_use]
    pub const fn signs(self) -> bool {
        match self {
            Self::Steady => true,
            Self::Behind { .. } => false,
            Self::Ahead { by, .. } => by.seconds() <= FAR.seconds(),
        }
    }

    /// The name in logs and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Behind { .. } => "behind",
            Self::Ahead { .. } => "ahead",
        }
    }
}

/// What one look at the clocks means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The time that key states follow; it is also the new mark.
    pub key_time: UnixSeconds,
    /// The wall time that was seen.
    pub wall: UnixSeconds,
    /// What wall time is worth.
    pub clock: ClockState,
    /// How far key time just leapt, because a step has held; else zero. Keys that wait for their
    /// lead have not been published for that long: they wait as much longer.
    pub leapt: Lifetime,
}

/// Judges wall time. One lives as long as the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeKeeper {
    mark: UnixSeconds,
    line: Line,
    ahead: Option<Ahead>,
    slow_since: Option<Duration>,
    starting: bool,
}

/// A moment, and what the boot-time clock read then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    wall: UnixSeconds,
    boot: Duration,
}

/// A step forward that has not held long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ahead {
    by: Lifetime,
    since: Duration,
}

impl Line {
    /// Where the line is now. A boot-time clock that went back, which it never does, stands still.
    fn at(self, boot: Duration) -> UnixSeconds {
        let run = boot.saturating_sub(self.boot).as_secs();
        self.wall.plus(Lifetime::from_seconds(run))
    }
}

impl TimeKeeper {
    /// Starts from the mark that was kept, or from wall time where none was.
    ///
    /// What the boot-time clock read before is of no use: after a reboot it counts anew, and a
    /// state directory may have been moved to another machine. So time passed while the daemon
    /// was stopped looks like a step forward.
    #[must_use]
    pub fn start(mark: Option<UnixSeconds>, reading: Reading) -> Self {
        let mark = mark.unwrap_or(reading.wall);
        Self {
            mark,
            line: Line {
                wall: mark,
                boot: reading.boot,
            },
            ahead: None,
            slow_since: None,
            starting: true,
        }
    }

    /// The mark: what must be kept across restarts.
    #[must_use]
    pub const fn mark(&self) -> UnixSeconds {
        self.mark
    }

    /// Judges one look at the clocks.
    pub fn observe(&mut self, reading: Reading) -> Observation {
        let line = self.line.at(reading.boot);
        let before = self.mark.max(line);
        self.mark = before;
        let (clock, leapt) = if reading.wall > line.plus(STEP_MAX) {
            self.judge_ahead(reading, line)
        } else {
            self.ahead = None;
            (self.judge_near(reading, line), Lifetime::ZERO)
        };
        if clock == ClockState::Steady {
            self.starting = false;
        }
        Observation {
            key_time: self.mark,
            wall: reading.wall,
            clock,
            leapt,
        }
    }

    /// An operator says that wall time is right though it lies behind the mark: the mark is set back
    /// to it. Whether it did lie behind; forward, nothing is accepted that has not held.
    pub fn accept(&mut self, reading: Reading) -> bool {
        let line = self.line.at(reading.boot);
        let behind = reading.wall.plus(BEHIND_MAX) < self.mark.max(line);
        if behind {
            self.mark = reading.wall;
            self.believe(reading);
        }
        behind
    }

    fn believe(&mut self, reading: Reading) {
        self.line = Line {
            wall: reading.wall,
            boot: reading.boot,
        };
        self.ahead = None;
        self.slow_since = None;
    }

    fn judge_ahead(&mut self, reading: Reading, line: UnixSeconds) -> (ClockState, Lifetime) {
        let by = reading.wall.since(line);
        // Another step while one is being watched starts the watch again.
        let since = match self.ahead {
            Some(ahead) if near(ahead.by, by) => ahead.since,
            _ => reading.boot,
        };
        self.slow_since = None;
        if reading.boot.saturating_sub(since) >= STEP_HOLD.to_duration() {
            let leapt = reading.wall.since(self.mark);
            self.mark = self.mark.max(reading.wall);
            self.believe(reading);
            return (ClockState::Steady, leapt);
        }
        let by_then = self.ahead.filter(|ahead| near(ahead.by, by));
        self.ahead = Some(by_then.unwrap_or(Ahead { by, since }));
        let since_start = self.starting;
        (ClockState::Ahead { by, since_start }, Lifetime::ZERO)
    }

    fn judge_near(&mut self, reading: Reading, line: UnixSeconds) -> ClockState {
        if reading.wall.plus(BEHIND_MAX) < self.mark {
            self.slow_since = None;
            let by = self.mark.since(reading.wall);
            return ClockState::Behind { by };
        }
        self.mark = self.mark.max(reading.wall);
        // A clock that is a little slow for long is right, and the line is not: lower the line, so
        // that years of such corrections never sum up to `behind`. The mark waits for it.
        if reading.wall >= line {
            self.slow_since = None;
        } else {
            let since = *self.slow_since.get_or_insert(reading.boot);
            if reading.boot.saturating_sub(since) >= STEP_HOLD.to_duration() {
                self.believe(reading);
            }
        }
        ClockState::Steady
    }
}

/// Whether two offsets are those of one step: the clock that stepped may be slewed meanwhile.
fn near(one: Lifetime, other: Lifetime) -> bool {
    one.seconds().abs_diff(other.seconds()) <= BEHIND_MAX.seconds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: u64 = 1_800_000_000;

    fn reading(wall: u64, boot: u64) -> Reading {
        Reading {
            wall: UnixSeconds::new(wall),
            boot: Duration::from_secs(boot),
        }
    }

    fn keeper() -> TimeKeeper {
        TimeKeeper::start(Some(UnixSeconds::new(START)), reading(START, 100))
    }

    #[test]
    fn a_steady_clock_is_followed() {
        let mut keeper = keeper();
        for second in 0..10_000 {
            let seen = keeper.observe(reading(START + second, 100 + second));
            assert_eq!(seen.key_time.get(), START + second);
            assert_eq!(seen.clock, ClockState::Steady);
        }
    }

    #[test]
    fn a_step_back_is_behind_until_it_catches_up_or_is_accepted() {
        let mut keeper = keeper();
        let seen = keeper.observe(reading(START - 61, 100));
        let by = Lifetime::from_seconds(61);
        assert_eq!(seen.clock, ClockState::Behind { by });
        assert_eq!(seen.key_time.get(), START);
        // Key time goes on with the boot-time clock.
        let seen = keeper.observe(reading(START - 51, 110));
        assert_eq!(seen.key_time.get(), START + 10);
        assert!(!seen.clock.signs());
        let mut caught_up = keeper.clone();
        let seen = caught_up.observe(reading(START - 40, 120));
        assert_eq!(seen.clock, ClockState::Steady);
        assert_eq!(seen.key_time.get(), START + 20);
        assert!(!keeper.accept(reading(START + 40_000, 120)));
        assert!(keeper.accept(reading(START - 40_000, 120)));
        let seen = keeper.observe(reading(START - 39_999, 121));
        assert_eq!(seen.clock, ClockState::Steady);
        assert_eq!(seen.key_time.get(), START - 39_999);
    }

    #[test]
    fn a_step_forward_must_hold_ten_minutes() {
        let mut keeper = keeper();
        keeper.observe(reading(START, 100));
        for second in 0..600 {
            let seen = keeper.observe(reading(START + 86_400 + second, 100 + second));
            assert_eq!(seen.key_time.get(), START + second);
            let by = Lifetime::from_hours(24);
            let since_start = false;
            assert_eq!(seen.clock, ClockState::Ahead { by, since_start });
        }
        let seen = keeper.observe(reading(START + 87_000, 700));
        assert_eq!(seen.clock, ClockState::Steady);
        assert_eq!(seen.key_time.get(), START + 87_000);
        assert_eq!(seen.leapt, Lifetime::from_hours(24));
    }

    #[test]
    fn a_step_forward_that_does_not_hold_leaves_no_trace() {
        let mut keeper = keeper();
        for second in 0..599 {
            keeper.observe(reading(START + 86_400 + second, 100 + second));
        }
        let seen = keeper.observe(reading(START + 599, 699));
        assert_eq!(seen.clock, ClockState::Steady);
        assert_eq!(seen.key_time.get(), START + 599);
        // And the next one has to hold from its own beginning.
        let seen = keeper.observe(reading(START + 87_001, 701));
        assert!(matches!(seen.clock, ClockState::Ahead { .. }));
    }

    #[test]
    fn small_steps_forward_are_judged_by_their_sum() {
        let mut keeper = keeper();
        let mut wall = START;
        for boot in 0..10 {
            wall += 60;
            let seen = keeper.observe(reading(wall, 100 + boot));
            assert!(seen.key_time.get() <= START + boot + STEP_MAX.seconds());
        }
    }

    #[test]
    fn a_clock_that_is_always_a_little_slow_is_never_behind() {
        let mut keeper = keeper();
        let (mut wall, mut boot) = (START, 100);
        for _ in 0..1000 {
            wall -= 1;
            for _ in 0..700 {
                wall += 1;
                boot += 1;
                let seen = keeper.observe(reading(wall, boot));
                assert_eq!(seen.clock, ClockState::Steady);
                assert!(seen.key_time.get() - wall <= BEHIND_MAX.seconds());
            }
        }
    }

    #[test]
    fn a_clock_that_is_years_ahead_signs_only_once_it_has_held() {
        let far = START + FAR.seconds() + 86_400;
        let mut keeper = TimeKeeper::start(Some(UnixSeconds::new(START)), reading(far, 5));
        for second in 0..600 {
            assert!(
                !keeper
                    .observe(reading(far + second, 5 + second))
                    .clock
                    .signs()
            );
        }
        assert!(keeper.observe(reading(far + 600, 605)).clock.signs());
    }

    #[test]
    fn a_night_without_the_daemon_is_ahead_since_the_start() {
        let mut keeper =
            TimeKeeper::start(Some(UnixSeconds::new(START)), reading(START + 28_800, 5));
        let seen = keeper.observe(reading(START + 28_800, 5));
        assert!(matches!(
            seen.clock,
            ClockState::Ahead {
                since_start: true,
                ..
            }
        ));
        assert!(seen.clock.signs());
    }

    proptest! {
        #[test]
        fn key_time_never_goes_back_and_leaps_only_as_said(
            moves in prop::collection::vec((1u64..400, -5000i64..5000, 0u8..10), 1..200)
        ) {
            let (mut wall, mut boot) = (START, 100);
            let mut keeper = keeper();
            let mut last = keeper.observe(reading(wall, boot));
            let mut bound = START;
            for (run, step, restart) in moves {
                boot += run;
                wall = (wall + run).checked_add_signed(if step.abs() > 4000 { step } else { 0 }).unwrap_or(wall);
                bound += run;
                if restart == 0 {
                    boot = 3;
                    keeper = TimeKeeper::start(Some(keeper.mark()), reading(wall, boot));
                    bound = last.key_time.get();
                }
                let seen = keeper.observe(reading(wall, boot));
                prop_assert!(seen.key_time >= last.key_time);
                if seen.leapt > Lifetime::ZERO {
                    bound = seen.key_time.get();
                }
                prop_assert!(seen.key_time.get() <= bound + STEP_MAX.seconds());
                prop_assert_eq!(seen.clock.signs(), wall + BEHIND_MAX.seconds() >= seen.key_time.get());
                last = seen;
            }
        }
    }
}
