//! One algorithm's keys and where each is in its life. Pure.
//!
//! A key's life: `next` (published, not signing) → `active` → `retiring` (published, not signing)
//! → gone. `withdrawn` is the emergency exit from any of them.
//!
//! **Invariant:** [`Ring::active`] is at most one key, whatever a crash left: of several in state
//! `active` the one that was activated last signs, and the schedule retires the others.

use crate::domain::{Algorithm, KeyId, UnixSeconds};

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyState {
    /// Published, so that verifiers know it before it signs.
    Next,
    /// Published and signing.
    Active,
    /// Published, so that verifiers know it until its last token has expired.
    Retiring,
    /// Taken away by an operator: not published, not signing, its file about to go.
    Withdrawn,
}

impl KeyState {
    /// Every state, in the order of a key's life.
    pub const ALL: [Self; 4] = [Self::Next, Self::Active, Self::Retiring, Self::Withdrawn];

    /// The name in files, events and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What is known of a key but the key itself. All times are key time (see [`super::time`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key's id: its thumbprint.
    pub id: KeyId,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created: UnixSeconds,
    /// From when on every JWKS that was handed out had it; `None` until that has been seen.
    pub published: Option<UnixSeconds>,
    /// The first moment at which it may sign, by the lead in force when it was made and published;
    /// a longer lead set later counts too.
    pub not_before: Option<UnixSeconds>,
    /// When it began to sign.
    pub activated: Option<UnixSeconds>,
    /// When it ceased to sign; `None` for one that was withdrawn while it signed.
    pub retired: Option<UnixSeconds>,
    /// When an operator took it away.
    pub withdrawn: Option<UnixSeconds>,
    /// No token that it signed expires later: raised on disk before `mint` may go beyond.
    pub tokens_until: Option<UnixSeconds>,
}

impl KeyRecord {
    /// A key just made: `next`, not yet published.
    #[must_use]
    pub const fn fresh(id: KeyId, algorithm: Algorithm, created: UnixSeconds) -> Self {
        Self {
            id,
            algorithm,
            state: KeyState::Next,
            created,
            published: None,
            not_before: None,
            activated: None,
            retired: None,
            withdrawn: None,
            tokens_until: None,
        }
    }
}

/// A change to one key: what one write of one file does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key's record becomes this; the key may be new.
    Write(KeyRecord),
    /// The key is gone.
    Remove(KeyId),
}

impl Change {
    /// The key that it touches.
    #[must_use]
    pub const fn key(&self) -> &KeyId {
        match self {
            Self::Write(record) => &record.id,
            Self::Remove(id) => id,
        }
    }
}

/// The keys of one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    algorithm: Algorithm,
    keys: Vec<KeyRecord>,
}

impl Ring {
    /// The ring of these keys. Those of another algorithm are left out.
    #[must_use]
    pub fn new(algorithm: Algorithm, keys: impl IntoIterator<Item = KeyRecord>) -> Self {
        let mut keys: Vec<KeyRecord> = keys
            .into_iter()
            .filter(|key| key.algorithm == algorithm)
            .collect();
        keys.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Self { algorithm, keys }
    }

    /// The algorithm of all its keys.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// All keys, the oldest first.
    #[must_use]
    pub fn keys(&self) -> &[KeyRecord] {
        &self.keys
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, id: &KeyId) -> Option<&KeyRecord> {
        self.keys.iter().find(|key| key.id == *id)
    }

    /// The keys in this state, the oldest first.
    pub fn in_state(&self, state: KeyState) -> impl Iterator<Item = &KeyRecord> {
        self.keys.iter().filter(move |key| key.state == state)
    }

    /// The key that signs: of several the one that was activated last.
    #[must_use]
    pub fn active(&self) -> Option<&KeyRecord> {
        self.in_state(KeyState::Active)
            .max_by(|a, b| (a.activated, &a.id).cmp(&(b.activated, &b.id)))
    }

    /// The key that signs next: of several the one that was published first.
    #[must_use]
    pub fn next(&self) -> Option<&KeyRecord> {
        let rank = |key: &KeyRecord| (key.published.is_none(), key.published, key.created);
        self.in_state(KeyState::Next)
            .min_by(|a, b| rank(a).cmp(&rank(b)))
    }

    /// The keys that verifiers must find in the JWKS, the oldest first.
    pub fn published(&self) -> impl Iterator<Item = &KeyRecord> {
        self.keys
            .iter()
            .filter(|key| key.state != KeyState::Withdrawn)
    }

    /// The ring after a change.
    #[must_use]
    pub fn with(&self, change: &Change) -> Self {
        let kept = self.keys.iter().filter(|key| key.id != *change.key());
        let written = match change {
            Change::Write(record) => Some(record.clone()),
            Change::Remove(_) => None,
        };
        Self::new(self.algorithm, kept.cloned().chain(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    fn key(name: u8, state: KeyState, at: u64) -> KeyRecord {
        let id = KeyId::from_thumbprint(Digest::of(&[name]));
        let at = UnixSeconds::new(at);
        KeyRecord {
            state,
            published: Some(at),
            activated: Some(at),
            ..KeyRecord::fresh(id, Algorithm::Es256, at)
        }
    }

    #[test]
    fn of_two_active_keys_the_later_one_signs_and_of_two_next_ones_the_earlier_is_first() {
        let ring = Ring::new(
            Algorithm::Es256,
            [
                key(1, KeyState::Active, 10),
                key(2, KeyState::Active, 20),
                key(3, KeyState::Next, 40),
                key(4, KeyState::Next, 30),
            ],
        );
        let at = |key: Option<&KeyRecord>| key.and_then(|key| key.activated).map(UnixSeconds::get);
        assert_eq!(at(ring.active()), Some(20));
        assert_eq!(at(ring.next()), Some(30));
        assert_eq!(ring.published().count(), 4);
    }

    #[test]
    fn names_of_states_read_back() {
        for state in KeyState::ALL {
            assert_eq!(KeyState::from_name(state.name()), Some(state));
        }
        assert_eq!(KeyState::from_name("gone"), None);
    }

    #[test]
    fn a_change_replaces_adds_or_removes_one_key() {
        let one = key(1, KeyState::Active, 10);
        let ring = Ring::new(Algorithm::Es256, [one.clone()]);
        let retired = KeyRecord {
            state: KeyState::Retiring,
            ..one.clone()
        };
        assert_eq!(ring.with(&Change::Write(retired)).keys().len(), 1);
        let two = ring.with(&Change::Write(key(2, KeyState::Next, 11)));
        assert_eq!(two.keys().len(), 2);
        assert_eq!(two.with(&Change::Remove(one.id)).keys().len(), 1);
    }
}
