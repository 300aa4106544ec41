//! The events of the last good registry: taken up at a start, a change held back, and released. Pure.

use super::json::Object;
use super::token::{fill_registry, registry};
use super::{Envelope, EventKind, Outside, head};
use crate::audit::decision::RegistryRef;
use crate::domain::{Caller, CommitId, Digest, UnixSeconds};

/// Most reasons that an event names; it counts the rest.
const MAX_REASONS: usize = 16;

/// `registry.restored`: the folder held no good registry when the daemon started.
#[derive(Clone, Debug)]
pub struct RegistryRestored {
    /// What is served.
    pub registry: RegistryRef,
    /// When it was accepted.
    pub accepted: UnixSeconds,
    /// When the folder was last seen to hold it.
    pub seen: UnixSeconds,
}

/// `registry.held`: a change waits for an operator.
#[derive(Clone, Debug)]
pub struct RegistryHeld {
    /// What it takes away, as a hash: what `grantd registry accept` is told.
    pub change: Digest,
    /// The commit that it came with.
    pub commit: Option<CommitId>,
    /// Whether the folder differed from it, where that is known.
    pub dirty: Option<bool>,
    /// What is served on.
    pub serving: Option<RegistryRef>,
    /// Why, in words.
    pub reasons: Vec<Outside>,
}

/// `admin.registry_accepted`: an operator releases a change.
#[derive(Clone, Copy, Debug)]
pub struct RegistryAccepted {
    /// The change.
    pub change: Digest,
    /// Who asked for it.
    pub caller: Caller,
}

impl RegistryRestored {
    pub(super) fn head(&self, envelope: &Envelope<'_>) -> Vec<u8> {
        head(envelope, EventKind::RegistryRestored, None, |data| {
            data.object("registry", |object| fill_registry(object, &self.registry));
            data.seconds("accepted_at", self.accepted);
            data.seconds("seen_until", self.seen);
        })
    }
}

impl RegistryHeld {
    pub(super) fn head(&self, envelope: &Envelope<'_>) -> Vec<u8> {
        head(envelope, EventKind::RegistryHeld, None, |data| {
            data.shown("change", self.change);
            data.optional("commit", self.commit.as_ref().map(CommitId::as_str));
            if let Some(dirty) = self.dirty {
                data.truth("dirty", dirty);
            }
            let total = u64::try_from(self.reasons.len()).unwrap_or(u64::MAX);
            data.number("reasons_total", total);
            let first = self.reasons.iter().take(MAX_REASONS);
            data.list("reasons", first, |object: &mut Object<'_>, reason| {
                object.text("what", reason.as_str());
            });
            registry(data, self.serving.as_ref());
        })
    }
}

impl RegistryAccepted {
    pub(super) fn head(&self, envelope: &Envelope<'_>) -> Vec<u8> {
        head(envelope, EventKind::AdminRegistryAccepted, None, |data| {
            data.number("uid", self.caller.uid.into());
            data.number("gid", self.caller.gid.into());
            data.number("pid", self.caller.pid.into());
            data.shown("change", self.change);
        })
    }
}
