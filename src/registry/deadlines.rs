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

impl Deadlines {
    /// The same without those of some clients and with those of others.
    #[must_use]
    pub(super) fn replaced<'a>(
        &self,
        gone: impl Iterator<Item = &'a Client> + Clone,
        come: impl Iterator<Item = &'a Client> + Clone,
    ) -> Self {
        let (gone, come) = (Self::of(gone), Self::of(come));
        Self {
            clients: self.clients.replaced(&gone.clients, &come.clients),
            secrets: self.secrets.replaced(&gone.secrets, &come.secrets),
        }
    }
}

impl Moments {
    fn replaced(&self, gone: &Self, come: &Self) -> Self {
        let mut gone = gone.0.iter().peekable();
        let stays = self.0.iter().filter(|at| {
            while gone.next_if(|gone| gone < at).is_some() {}
            gone.next_if(|gone| gone == at).is_none()
        });
        // Two runs in order: sorting them is one merge.
        Self::of(stays.chain(&come.0).copied())
    }

    /// These moments.
    #[must_use]
    pub fn of(moments: impl IntoIterator<Item = UnixSeconds>) -> Self {
        let mut moments: Vec<UnixSeconds> = moments.into_iter().collect();
        // Runs in order are merged by it.
        moments.sort();
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
    fn some_moments_are_replaced_by_others() {
        let moments = |all: &[u64]| Moments::of(all.iter().copied().map(UnixSeconds::new));
        let before = moments(&[3, 1, 2, 2, 9]);
        let after = before.replaced(&moments(&[2, 9]), &moments(&[5, 0]));
        assert_eq!(after, moments(&[0, 1, 2, 3, 5]));
    }

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
