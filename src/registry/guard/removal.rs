//! The removal guard: how many clients a change takes away. Pure.

use std::fmt;

use super::{Judge, Reason};
use crate::domain::ClientId;
use crate::registry::snapshot::Snapshot;

/// A client that could ask for tokens before a change and can't behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gone {
    /// The client.
    pub client: ClientId,
    /// What becomes of it.
    pub how: Leaving,
}

/// How a client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaving {
    /// Its table is gone.
    Removed,
    /// It is switched off.
    Disabled,
}

impl Leaving {
    /// As in "the client was …".
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

/// More clients gone than the stricter of the two policies allows. A share is one of the clients
/// that were enabled before; a client that was disabled then can't go away any more. Where both
/// allow as many, the new one judges: mostly they are the same.
pub(super) fn beyond_limit(old: &Snapshot, new: &Snapshot) -> Option<Reason> {
    let old_limit = old.policy.max_removed_clients.map(|it| (it, Judge::Old));
    let new_limit = new.policy.max_removed_clients.map(|it| (it, Judge::New));
    if old_limit.is_none() && new_limit.is_none() {
        return None;
    }
    let enabled = old.clients.values().filter(|it| !it.disabled).count();
    let limits = new_limit.into_iter().chain(old_limit);
    let (allowed, limit, judge) = limits
        .map(|(limit, judge)| (limit.of(enabled), limit, judge))
        .min_by_key(|(allowed, _, _)| *allowed)?;
    let mut gone: Vec<Gone> = old
        .clients
        .values()
        .filter(|client| !client.disabled)
        .filter_map(|client| {
            let how = match new.clients.get(&client.id) {
                None => Leaving::Removed,
                Some(now) if now.disabled => Leaving::Disabled,
                Some(_) => return None,
            };
            let client = client.id.clone();
            Some(Gone { client, how })
        })
        .collect();
    if gone.len() <= allowed {
        return None;
    }
    gone.sort_unstable();
    Some(Reason::Removal {
        gone,
        enabled,
        allowed,
        limit,
        judge,
    })
}
