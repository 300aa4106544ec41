//! What happened to keys, for the record: the difference between two rings. Pure.
//!
//! The store keeps each ring as it was last recorded. What the files say and the store does not
//! yet is what is to be recorded: so a crash between a write and its record loses no event.

use super::ring::{KeyRecord, KeyState};
use super::time::ClockState;
use crate::domain::UnixSeconds;

/// Something happened to a key. One audit event, `dev.grantd.key.<kind>.v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// What happened.
    pub kind: KeyEventKind,
    /// The key as it is now; as it was last, for one that is gone.
    pub key: KeyRecord,
}

/// What can happen to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyEventKind {
    /// It was made, and is published from now on.
    Created,
    /// It signs from now on.
    Activated,
    /// It signs no more, and stays published.
    Retired,
    /// An operator took it away: out of the JWKS at once.
    Withdrawn,
    /// Its last token has expired: it and its file are gone.
    Removed,
}

impl KeyEventKind {
    /// The last part of the event's type: `dev.grantd.key.activated.v1`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Activated => "activated",
            Self::Retired => "retired",
            Self::Withdrawn => "withdrawn",
            Self::Removed => "removed",
        }
    }
}

/// Wall time is worth another thing than before: an alarm, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEvent {
    /// What it was worth.
    pub before: ClockState,
    /// What it is worth.
    pub now: ClockState,
    /// Wall time.
    pub wall: UnixSeconds,
    /// Key time.
    pub key_time: UnixSeconds,
    /// Whether an operator said so.
    pub accepted: bool,
}

/// What the keys' task puts on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysEvent {
    /// Of a key.
    Key(KeyEvent),
    /// Of the clock.
    Clock(ClockEvent),
}

/// What happened between two states of an algorithm's keys, in the order in which it did.
#[must_use]
pub fn differences(recorded: &[KeyRecord], now: &[KeyRecord]) -> Vec<KeyEvent> {
    let find = |keys: &[KeyRecord], key: &KeyRecord| keys.iter().find(|k| k.id == key.id).cloned();
    let changed = now.iter().flat_map(|key| {
        let before = find(recorded, key).map(|key| key.state);
        steps_between(before, key).into_iter().map(|kind| KeyEvent {
            kind,
            key: key.clone(),
        })
    });
    let gone = recorded.iter().filter(|key| find(now, key).is_none());
    let mut events: Vec<KeyEvent> = changed.collect();
    events.extend(gone.map(|key| KeyEvent {
        kind: KeyEventKind::Removed,
        key: key.clone(),
    }));
    // What takes away comes first, then what begins to sign, then what is new.
    events.sort_by_key(|event| match event.kind {
        KeyEventKind::Withdrawn => 0,
        KeyEventKind::Activated => 2,
        KeyEventKind::Retired => 3,
        KeyEventKind::Created if event.key.state != KeyState::Next => 1,
        KeyEventKind::Created => 4,
        KeyEventKind::Removed => 5,
    });
    events
}

fn steps_between(before: Option<KeyState>, key: &KeyRecord) -> Vec<KeyEventKind> {
    let mut steps = Vec::new();
    if before.is_none() {
        steps.push(KeyEventKind::Created);
    }
    let waited = matches!(before, None | Some(KeyState::Next));
    if waited && key.activated.is_some() {
        steps.push(KeyEventKind::Activated);
    }
    let was = |state| before == Some(state);
    if key.state == KeyState::Retiring && !was(KeyState::Retiring) {
        steps.push(KeyEventKind::Retired);
    }
    if key.state == KeyState::Withdrawn && !was(KeyState::Withdrawn) {
        steps.push(KeyEventKind::Withdrawn);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Algorithm, Digest, KeyId};

    fn key(name: u8, state: KeyState) -> KeyRecord {
        let id = KeyId::from_thumbprint(Digest::of(&[name]));
        let at = UnixSeconds::new(100);
        KeyRecord {
            state,
            activated: (state != KeyState::Next).then_some(at),
            ..KeyRecord::fresh(id, Algorithm::Es256, at)
        }
    }

    fn kinds(recorded: &[KeyRecord], now: &[KeyRecord]) -> Vec<&'static str> {
        let events = differences(recorded, now);
        events.iter().map(|event| event.kind.name()).collect()
    }

    #[test]
    fn a_rotation_is_told_in_order() {
        let (next, active) = (key(1, KeyState::Next), key(2, KeyState::Active));
        let recorded = [next, active];
        let now = [
            key(1, KeyState::Active),
            key(2, KeyState::Retiring),
            key(3, KeyState::Next),
        ];
        assert_eq!(kinds(&recorded, &now), ["activated", "retired", "created"]);
        assert!(kinds(&now, &now).is_empty());
    }

    #[test]
    fn a_first_ring_a_withdrawal_and_an_end_are_told() {
        assert_eq!(
            kinds(&[], &[key(1, KeyState::Active), key(2, KeyState::Next)]),
            ["created", "activated", "created"]
        );
        let before = [key(1, KeyState::Active), key(2, KeyState::Next)];
        let now = [
            key(1, KeyState::Withdrawn),
            key(2, KeyState::Active),
            key(3, KeyState::Next),
        ];
        assert_eq!(kinds(&before, &now), ["withdrawn", "activated", "created"]);
        assert_eq!(kinds(&before, &before[1..]), ["removed"]);
    }
}
