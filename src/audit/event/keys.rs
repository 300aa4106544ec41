//! The events of signing keys and of the clock that their times go by. Pure.

use super::EventKind;
use super::json::Object;
use crate::domain::{Algorithm, KeyId, UnixSeconds};

/// A step in a signing key's life, and the key as it is after it. All times are key time.
#[derive(Clone, Debug)]
pub struct KeyEvent {
    /// What happened.
    pub step: KeyStep,
    /// The key.
    pub key: KeyId,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// When it was made.
    pub created: UnixSeconds,
    /// From when on it was in each key set that was handed out.
    pub published: Option<UnixSeconds>,
    /// The first moment at which it may sign without an emergency: one that signs earlier was needed
    /// before verifiers that cache could know it.
    pub signs_from: Option<UnixSeconds>,
    /// When it began to sign.
    pub activated: Option<UnixSeconds>,
    /// When it ceased to sign.
    pub retired: Option<UnixSeconds>,
    /// No token that it signed expires later.
    pub tokens_until: Option<UnixSeconds>,
}

/// The steps of a key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStep {
    /// `key.created`: made, and published from now on.
    Created,
    /// `key.activated`: signs from now on.
    Activated,
    /// `key.retired`: signs no longer, and is published on.
    Retired,
    /// `key.withdrawn`: an operator took it out of the published key set at once.
    Withdrawn,
    /// `key.removed`: its last token has expired.
    Removed,
}

/// What wall time is worth, compared with the highest moment that was seen before.
#[derive(Clone, Copy, Debug)]
pub struct ClockChange {
    /// What it was worth.
    pub before: &'static str,
    /// What it is worth.
    pub now: &'static str,
    /// Wall time.
    pub wall: UnixSeconds,
    /// The time that key states follow, which never goes back.
    pub key_time: UnixSeconds,
    /// Whether an operator accepted it.
    pub accepted: bool,
}

impl KeyStep {
    /// Which event it is.
    pub(super) const fn kind(self) -> EventKind {
        match self {
            Self::Created => EventKind::KeyCreated,
            Self::Activated => EventKind::KeyActivated,
            Self::Retired => EventKind::KeyRetired,
            Self::Withdrawn => EventKind::KeyWithdrawn,
            Self::Removed => EventKind::KeyRemoved,
        }
    }
}

impl KeyEvent {
    pub(super) fn fill(&self, data: &mut Object<'_>) {
        data.text("kid", self.key.as_str());
        data.plain("alg", self.algorithm.name().as_bytes());
        data.seconds("created_at", self.created);
        let times = [
            ("published_at", self.published),
            ("signs_from", self.signs_from),
            ("activated_at", self.activated),
            ("retired_at", self.retired),
            ("tokens_until", self.tokens_until),
        ];
        for (name, moment) in times {
            if let Some(moment) = moment {
                data.seconds(name, moment);
            }
        }
    }
}

impl ClockChange {
    pub(super) fn fill(&self, data: &mut Object<'_>) {
        data.plain("before", self.before.as_bytes());
        data.plain("now", self.now.as_bytes());
        data.seconds("wall_time", self.wall);
        data.seconds("key_time", self.key_time);
        data.truth("accepted", self.accepted);
    }
}
