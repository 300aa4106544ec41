//! What operators took away above the registry: clients that are disabled, tokens that are void. Pure.
//!
//! An emergency does not wait for git. The overlay stands above whatever registry is served, the one that
//! is kept of before too: it only ever takes away. It is part of the [world](crate::world) that a request
//! sees; a change makes another one, the store keeps each entry, and each has an event.
//!
//! **Invariant:** what an overlay takes away, one with one entry more takes away too. Only an operator gives
//! something back; a revocation ends by itself once the last token that it voids has expired.

mod decide;
mod entry;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use decide::{Cleared, Command, Overruled, Says, Taking, Which};
pub use entry::{
    Entry, EntryId, InvalidEntryId, InvalidReason, MAX_REASON, Reason, Revocation, Tokens, What,
};

use crate::domain::{ClientId, Lifetime, TokenId, UnixSeconds};

/// Most entries. An emergency names a handful of clients; where hundreds must go, a moment (`--before`) or
/// a change of the registry is the right tool. All of them fit one answer of the admin socket (1 MiB).
pub const MAX_ENTRIES: usize = 1000;

/// How much longer a revocation is kept than the last token that it voids: as long as keys are published
/// after theirs, for verifiers whose clocks are behind.
pub const KEPT_LONGER: Lifetime = Lifetime::from_hours(1);

/// What operators took away. Immutable.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    disabled: BTreeMap<ClientId, Arc<Entry>>,
    /// At most one a client, a token, and for all: the others are dropped when it says more.
    of_client: BTreeMap<ClientId, Arc<Entry>>,
    of_token: BTreeMap<TokenId, Arc<Entry>>,
    of_all: Option<Arc<Entry>>,
    /// Those that another replaced before their events were on record: kept until they are.
    replaced: Vec<Arc<Entry>>,
}

impl Overlay {
    /// An overlay with these entries.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut overlay = Self::default();
        for entry in entries {
            overlay.put(Arc::new(entry));
        }
        overlay
    }

    /// Whether nothing was taken away.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.disabled.len()
            + self.of_client.len()
            + self.of_token.len()
            + usize::from(self.of_all.is_some())
            + self.replaced.len()
    }

    /// What is taken away of a client: by its name, or of all.
    #[must_use]
    pub fn about(&self, client: &ClientId) -> Vec<&Arc<Entry>> {
        let about = |entry: &&Arc<Entry>| match entry.what.client() {
            Some(named) => named == client,
            None => entry.what.token().is_none(),
        };
        self.entries().into_iter().filter(about).collect()
    }

    /// The entry that disables a client. What every request asks: without entries it is one comparison.
    #[must_use]
    pub fn disables(&self, client: &ClientId) -> Option<&Arc<Entry>> {
        self.disabled.get(client)
    }

    /// Why a token is void, if it is: the client that it was issued to, its `jti`, and its `iat`.
    #[must_use]
    pub fn revoked(
        &self,
        client: &ClientId,
        jti: Option<TokenId>,
        issued_at: UnixSeconds,
    ) -> Option<&Arc<Entry>> {
        let voids = |entry: &&Arc<Entry>| {
            let revocation = entry.revocation();
            revocation.is_some_and(|revocation| revocation.voids(issued_at))
        };
        jti.and_then(|jti| self.of_token.get(&jti))
            .or_else(|| self.of_client.get(client).filter(voids))
            .or_else(|| self.of_all.as_ref().filter(voids))
    }

    /// The entries in the order in which they were made.
    #[must_use]
    pub fn entries(&self) -> Vec<&Arc<Entry>> {
        let mut entries: Vec<_> = (self.disabled.values())
            .chain(self.of_client.values())
            .chain(self.of_token.values())
            .chain(&self.of_all)
            .chain(&self.replaced)
            .collect();
        entries.sort_by_key(|entry| entry.id);
        entries
    }

    /// How many clients are disabled.
    #[must_use]
    pub fn disabled_count(&self) -> usize {
        self.disabled.len()
    }

    /// The entry with this number.
    #[must_use]
    pub fn find(&self, id: EntryId) -> Option<&Arc<Entry>> {
        self.entries().into_iter().find(|entry| entry.id == id)
    }

    /// The entry that takes all of this away already.
    #[must_use]
    pub fn covers(&self, what: &What) -> Option<&Arc<Entry>> {
        let held = self.place(what)?;
        match (&held.what, what) {
            (What::Disabled(_), What::Disabled(_)) => Some(held),
            (What::Revoked(held_one), What::Revoked(wanted)) => {
                // A token is void whenever it was issued.
                let enough = match wanted.tokens {
                    Tokens::One(_) => true,
                    Tokens::OfClient(_) | Tokens::All => held_one.before >= wanted.before,
                };
                enough.then_some(held)
            }
            _ => None,
        }
    }

    /// The same with one entry more. It replaces one that says less of the same, which stays until it is on
    /// record; where one says as much, nothing changes.
    #[must_use]
    pub fn with(&self, entry: Entry) -> Self {
        let mut overlay = self.clone();
        overlay.put(Arc::new(entry));
        overlay
    }

    /// The same without the entry with this number.
    #[must_use]
    pub fn without(&self, id: EntryId) -> Self {
        let rest = self.entries().into_iter().filter(|entry| entry.id != id);
        let mut overlay = Self::default();
        for entry in rest {
            overlay.put(Arc::clone(entry));
        }
        overlay
    }

    /// The same with changed entries; nothing of what they take away may be changed.
    #[must_use]
    pub fn noting(&self, note: impl Fn(&mut Entry)) -> Self {
        Self::of(self.entries().into_iter().map(|entry| {
            let mut noted = Entry::clone(entry);
            note(&mut noted);
            noted
        }))
    }

    /// The revocations whose last token has expired long enough ago.
    #[must_use]
    pub fn over(&self, now: UnixSeconds) -> Vec<EntryId> {
        let over = |entry: &&Arc<Entry>| {
            let until = entry.revocation().map(|it| it.until);
            until.is_some_and(|until| now >= until.plus(KEPT_LONGER))
        };
        let entries = self.entries();
        entries.into_iter().filter(over).map(|it| it.id).collect()
    }

    fn place(&self, what: &What) -> Option<&Arc<Entry>> {
        match what {
            What::Disabled(client) => self.disabled.get(client),
            What::Revoked(revocation) => match &revocation.tokens {
                Tokens::OfClient(client) => self.of_client.get(client),
                Tokens::One(token) => self.of_token.get(token),
                Tokens::All => self.of_all.as_ref(),
            },
        }
    }

    fn put(&mut self, entry: Arc<Entry>) {
        if self.covers(&entry.what).is_some() {
            return;
        }
        let less = self.place(&entry.what).filter(|less| !less.recorded);
        if let Some(less) = less.cloned() {
            self.replaced.push(less);
        }
        match &entry.what {
            What::Disabled(client) => {
                self.disabled.insert(client.clone(), entry);
            }
            What::Revoked(revocation) => match &revocation.tokens {
                Tokens::OfClient(client) => {
                    self.of_client.insert(client.clone(), Arc::clone(&entry));
                }
                Tokens::One(token) => {
                    self.of_token.insert(*token, Arc::clone(&entry));
                }
                Tokens::All => self.of_all = Some(entry),
            },
        }
    }
}

#[cfg(test)]
mod tests;
