//! What happens to each key next, for people and metrics. Pure.

use super::ring::{KeyRecord, KeyState, Ring};
use super::schedule::{ScheduleSettings, gone_at, ready_at, relief_at};
use crate::domain::UnixSeconds;

/// What a key does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// A new key gets into the JWKS that is handed out.
    Publish,
    /// A waiting key begins to sign.
    Sign,
    /// A signing key is relieved.
    Retire,
    /// A key leaves the JWKS, with its file.
    Go,
}

impl NextStep {
    /// Every step, in the order of a key's life.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Sign, Self::Retire, Self::Go];

    /// The step in a sentence whose subject is the key.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Publish => "is published",
            Self::Sign => "signs",
            Self::Retire => "retires",
            Self::Go => "goes",
        }
    }

    /// The step as a metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Sign => "sign",
            Self::Retire => "retire",
            Self::Go => "go",
        }
    }
}

/// What happens to a key of this ring next, and when, if that is known.
#[must_use]
pub fn next_step(
    ring: &Ring,
    key: &KeyRecord,
    settings: &ScheduleSettings,
) -> (NextStep, Option<UnixSeconds>) {
    match key.state {
        KeyState::Next => {
            let relief = relief_at(ring, settings);
            let signs =
                ready_at(key, settings).map(|at| relief.map_or(at, |relief| relief.max(at)));
            match signs {
                Some(at) => (NextStep::Sign, Some(at)),
                None => (NextStep::Publish, None),
            }
        }
        KeyState::Active => (NextStep::Retire, relief_at(ring, settings)),
        KeyState::Retiring | KeyState::Withdrawn => (NextStep::Go, gone_at(key, settings)),
    }
}

/// Since when a key has been in its state.
#[must_use]
pub fn since(key: &KeyRecord) -> UnixSeconds {
    match key.state {
        KeyState::Next => key.published,
        KeyState::Active => key.activated,
        KeyState::Retiring => key.retired,
        KeyState::Withdrawn => key.withdrawn,
    }
    .unwrap_or(key.created)
}

/// The keys of a ring as people look for them: the one that signs, the one that comes next, those that are
/// still published, those that were taken out; the oldest first.
#[must_use]
pub fn in_order(ring: &Ring) -> Vec<&KeyRecord> {
    let place = |state| match state {
        KeyState::Active => 0,
        KeyState::Next => 1,
        KeyState::Retiring => 2,
        KeyState::Withdrawn => 3,
    };
    let mut keys: Vec<&KeyRecord> = ring.keys().iter().collect();
    keys.sort_by_key(|key| (place(key.state), key.created));
    keys
}
