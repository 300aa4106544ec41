//! How long to wait before another try. Pure.

use std::time::Duration;

/// Waits that double from the shortest to the longest, each with up to a quarter taken off at random.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) const fn new((shortest, longest): (Duration, Duration)) -> Self {
        Self {
            shortest,
            longest,
            next: shortest,
        }
    }

    /// The next wait; `random` spreads daemons that lost the same server.
    pub(super) fn wait(&mut self, random: u8) -> Duration {
        let now = self.next.min(self.longest);
        self.next = now.saturating_mul(2).min(self.longest);
        now.saturating_sub(now / 4 * u32::from(random) / 255)
    }

    /// Something went well.
    pub(super) const fn reset(&mut self) {
        self.next = self.shortest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let bounds = (Duration::from_millis(100), Duration::from_millis(500));
        let mut backoff = Backoff::new(bounds);
        let waits: Vec<u128> = (0..5).map(|_| backoff.wait(0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 500, 500]);
        backoff.reset();
        assert_eq!(backoff.wait(255).as_millis(), 75);
    }
}
