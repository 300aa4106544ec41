//! When clients and their secrets expire, sorted once for each snapshot. Pure.
//!
//! Metrics ask at every scrape how many expire soon: with 100,000 clients that must not be a walk
//! over all of them.

use super::snapshot::Client;
use crate::domain::{Lifetime, UnixSeconds};

/// The moments of one kind, the earliest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moments(Vec<UnixSeconds>);

/// When what is in a registry expires. Disabled clients are left out: nobody waits for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// Of the clients.
    pub clients: Moments,
    /// Of their secrets.
    pub secrets: Moments,
}

impl Deadlines {
    /// The deadlines of these clients.
    #[must_use]
    pub fn of<'a>(clients: impl Iterator<Item = &'a Client> + Clone) -> Self {
        let enabled = clients.filter(|client| !client.disabled);
        let secrets = enabled.clone().flat_map(|client| &client.secrets);
        Self {
            clients: Moments::of(enabled.filter_map(|client| client.expires)),
            secrets: Moments::of(secrets.filter_map(|secret| secret.expires)),
        }
    }
}

impl Moments {
    /// These moments.
    #[must_use]
    pub fn of(moments: impl IntoIterator<Item = UnixSeconds>) -> Self {
        let mut moments: Vec<UnixSeconds> = moments.into_iter().collect();
        moments.sort_unstable();
        Self(moments)
    }

    /// How many have passed at `now`.
    #[must_use]
    pub fn passed(&self, now: UnixSeconds) -> usize {
        self.0.partition_point(|at| *at <= now)
    }

    /// How many have not passed yet, but will within `window`.
    #[must_use]
    pub fn within(&self, now: UnixSeconds, window: Lifetime) -> usize {
        self.passed(now.plus(window)) - self.passed(now)
    }

    /// How many have passed, but had not `window` ago.
    #[must_use]
    pub fn lately(&self, now: UnixSeconds, window: Lifetime) -> usize {
        self.passed(now) - self.passed(now.minus(window))
    }

    /// The first that has not passed.
    #[must_use]
    pub fn next(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        self.0.get(self.passed(now)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_by_what_has_passed() {
        let at = UnixSeconds::new;
        let moments = Moments::of([at(300), at(100), at(200), at(200)]);
        let window = Lifetime::from_seconds(100);
        for (now, passed, within, lately, next) in [
            (0, 0, 1, 0, Some(100)),
            (99, 0, 1, 0, Some(100)),
            (100, 1, 2, 1, Some(200)),
            (200, 3, 1, 2, Some(300)),
            (300, 4, 0, 1, None),
            (401, 4, 0, 0, None),
        ] {
            let now = at(now);
            assert_eq!(moments.passed(now), passed, "{now}");
            assert_eq!(moments.within(now, window), within, "{now}");
            assert_eq!(moments.lately(now, window), lately, "{now}");
            assert_eq!(moments.next(now), next.map(at), "{now}");
        }
    }
}
