//! What an operator may ask of the overlay, and whether it may be done. Pure.
//!
//! Taking away is always done, and at once. Giving back is refused where it would bring a leaked client or
//! token back to life, unless the operator says that this is meant.

use std::sync::Arc;

use super::entry::{Entry, EntryId, Revocation, What};
use super::{MAX_ENTRIES, Overlay, Tokens};
use crate::domain::{ClientId, Lifetime, UnixSeconds};
use crate::registry::snapshot::Snapshot;

/// What an operator may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Something is taken away.
    Take(Taking),
    /// An entry is dropped.
    Clear {
        /// Which.
        which: Which,
        /// Also where that brings something back to life.
        force: bool,
    },
}

/// What an operator may take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taking {
    /// No token for this client any more.
    Disable(ClientId),
    /// Tokens that were issued before a moment are void; before now, where none is given.
    Revoke(Tokens, Option<UnixSeconds>),
}

/// Which entry is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this number.
    Entry(EntryId),
    /// The one that disables this client.
    Client(ClientId),
}

/// What the registry that is served says of a client by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It may get tokens.
    Enabled,
    /// It is disabled there too.
    Disabled,
    /// It is not there.
    Absent,
    /// No registry is served.
    Nothing,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overruled {
    /// No more entries fit.
    #[error(
        "the overlay has {MAX_ENTRIES} entries, and holds no more: clear what the registry says by now, or void tokens by a moment with `grantd revoke --before`"
    )]
    Full,
    /// Tokens that nobody has yet.
    #[error(
        "{before} has not come: it would void tokens that are still to be issued; it is {now} here"
    )]
    Future {
        /// The moment that was given.
        before: UnixSeconds,
        /// The daemon's wall time.
        now: UnixSeconds,
    },
    /// No such entry.
    #[error("there is no entry {0}: `grantd overlay list` shows what there is")]
    NoEntry(EntryId),
    /// Nothing disables this client.
    #[error("no entry disables the client {0}: `grantd overlay list` shows what there is")]
    NotDisabled(ClientId),
    /// The client would be alive again.
    #[error(
        "the registry has the client {0} enabled: without entry {1} it gets tokens again; merge what is needed first, or say --force where this is meant"
    )]
    Alive(ClientId, EntryId),
    /// Nobody knows whether the client would be alive again.
    #[error(
        "no registry is served, so nobody knows whether the client {0} would get tokens without entry {1}: mend the registry first, or say --force where this is meant"
    )]
    Unknown(ClientId, EntryId),
    /// The tokens would be good again.
    #[error(
        "entry {0} voids tokens of which the last expires at {1}: without it they are good again; it ends by itself then, or say --force where this is meant"
    )]
    Unexpired(EntryId, UnixSeconds),
    /// The event could not be written, and nothing is given back without one.
    #[error(
        "it cannot be recorded ({0}), and nothing is given back without a record: see why the audit journal refuses"
    )]
    NotRecorded(String),
    /// The event is written, and the entry could not be taken off the disk.
    #[error("it is recorded, but still in force: {0}; try again")]
    NotDropped(String),
    /// The daemon is stopping, or too many commands wait.
    #[error("the daemon is stopping, or busy with other commands")]
    Stopping,
}

/// An entry that may be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The entry.
    pub entry: Arc<Entry>,
    /// What the registry says of its client.
    pub says: Option<Says>,
}

impl Says {
    /// What a registry says of a client.
    #[must_use]
    pub fn of(registry: Option<&Snapshot>, client: &ClientId) -> Self {
        let Some(registry) = registry else {
            return Self::Nothing;
        };
        match registry.clients.get(client) {
            None => Self::Absent,
            Some(client) if client.disabled => Self::Disabled,
            Some(_) => Self::Enabled,
        }
    }

    /// As events and JSON spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Absent => "absent",
            Self::Nothing => "no_registry",
        }
    }
}

impl Taking {
    /// What it takes away at this moment. `last_expiry`: no token that was issued so far expires later.
    ///
    /// # Errors
    /// [`Overruled::Future`]: what was never issued can't be taken away.
    pub fn what(self, now: UnixSeconds, last_expiry: UnixSeconds) -> Result<What, Overruled> {
        let (tokens, before) = match self {
            Self::Disable(client) => return Ok(What::Disabled(client)),
            Self::Revoke(tokens, before) => (tokens, before),
        };
        // A token of this very second is void too.
        let next = now.plus(Lifetime::from_seconds(1));
        let before = match tokens {
            Tokens::One(_) => next,
            Tokens::OfClient(_) | Tokens::All => before.unwrap_or(next),
        };
        if before > next {
            return Err(Overruled::Future { before, now });
        }
        Ok(What::Revoked(Revocation {
            tokens,
            before,
            until: last_expiry.max(before),
        }))
    }
}

impl Overlay {
    /// Whether one entry more fits.
    ///
    /// # Errors
    /// [`Overruled::Full`].
    pub fn has_room(&self) -> Result<(), Overruled> {
        if self.len() >= MAX_ENTRIES {
            return Err(Overruled::Full);
        }
        Ok(())
    }

    /// The entry that may be dropped.
    ///
    /// # Errors
    /// [`Overruled`]: there is none, or it still holds something back, and `force` is not said.
    pub fn clear(
        &self,
        which: &Which,
        force: bool,
        registry: Option<&Snapshot>,
        now: UnixSeconds,
    ) -> Result<Cleared, Overruled> {
        let entry = match which {
            Which::Entry(id) => self.find(*id).ok_or(Overruled::NoEntry(*id))?,
            Which::Client(client) => self
                .disables(client)
                .ok_or_else(|| Overruled::NotDisabled(client.clone()))?,
        };
        let says = entry.what.client().map(|it| Says::of(registry, it));
        let cleared = Cleared {
            entry: Arc::clone(entry),
            says,
        };
        let id = entry.id;
        match (&entry.what, says) {
            _ if force => Ok(cleared),
            (What::Disabled(client), Some(Says::Enabled)) => {
                Err(Overruled::Alive(client.clone(), id))
            }
            (What::Disabled(client), Some(Says::Nothing)) => {
                Err(Overruled::Unknown(client.clone(), id))
            }
            (What::Revoked(revocation), _) if now < revocation.until => {
                Err(Overruled::Unexpired(id, revocation.until))
            }
            _ => Ok(cleared),
        }
    }
}
