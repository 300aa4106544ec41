//! The last use of every credential that this daemon knows of, in the registry or not any more. Touches:
//! memory.
//!
//! Before a registry is served, [`Ledger::bind`] gives each of its credentials the cell that the same
//! credential had before, so a reload loses nothing. A background task writes what changed to the store,
//! shard by shard, and reads it at the start.
//!
//! **Invariant:** no request comes here: it has its cell. What a credential was last used at is forgotten
//! only once the credential has left the registry, see [`Ledger::forget`], so the ledger stays bounded.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::last_use::{Cell, CredentialMark};
use super::snapshot::Snapshot;
use crate::domain::{Lifetime, UnixSeconds};

/// Into how many shards the marks fall, by their first twelve bits. With 100,000 credentials each has
/// about 24, so that one use rewrites some 600 bytes and not all that there is.
pub const SHARDS: usize = 4096;

/// How long a credential must have been out of the registry before its last use may be forgotten: a
/// commit that is reverted by the next day loses nothing.
pub const GONE_FOR: Lifetime = Lifetime::from_days(1);

/// How long ago it must have been used last. A quarter: whoever asks later what an old secret did has the
/// audit events.
pub const KEPT_FOR: Lifetime = Lifetime::from_days(90);

/// Most credentials out of the registry whose last use is kept all the same: as many as a large registry
/// has, for a folder may be emptied by mistake and put back.
pub const MOST_GONE: usize = 100_000;

/// The last uses by credential.
#[derive(Debug)]
pub struct Ledger(Mutex<Vec<Shard>>);

/// What one shard holds, in the order of the marks.
#[derive(Debug, Default)]
struct Shard {
    entries: Vec<Entry>,
    /// Whether something that the store has was forgotten.
    forgot: bool,
}

#[derive(Debug)]
struct Entry {
    mark: CredentialMark,
    cell: Arc<Cell>,
    saved: Option<UnixSeconds>,
    /// Since when the credential is known to be out of the registry.
    gone: Option<UnixSeconds>,
}

/// All last uses of a shard, as the store keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardUses {
    /// Which shard, below [`SHARDS`].
    pub shard: u16,
    /// Credentials that were used, in the order of their marks.
    pub uses: Vec<(CredentialMark, UnixSeconds)>,
}

/// What is to be written next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Shards that differ from what was saved.
    pub shards: Vec<ShardUses>,
    /// Where to look on; `None` once all were looked at.
    pub next: Option<usize>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::of([])
    }
}

impl Ledger {
    /// A ledger of what the store has.
    #[must_use]
    pub fn of(stored: impl IntoIterator<Item = (CredentialMark, UnixSeconds)>) -> Self {
        let mut shards: Vec<Shard> = Vec::new();
        shards.resize_with(SHARDS, Shard::default);
        for (mark, at) in stored {
            let shard = shards.get_mut(usize::from(shard_of(mark)));
            let Some(shard) = shard else { continue };
            if let Err(place) = shard.find(mark) {
                let entry = Entry {
                    mark,
                    cell: Arc::new(Cell::of(at)),
                    saved: Some(at),
                    gone: None,
                };
                shard.entries.insert(place, entry);
            }
        }
        Self(Mutex::new(shards))
    }

    /// Gives each credential of this registry its cell, unless it has one.
    pub fn bind(&self, snapshot: &Snapshot) {
        let mut shards = self.lock();
        let secrets = snapshot.clients.values().flat_map(|client| &client.secrets);
        for secret in secrets.filter(|secret| !secret.last_use.is_bound()) {
            let mark = CredentialMark::of(secret);
            if let Some(shard) = shards.get_mut(usize::from(shard_of(mark))) {
                secret.last_use.bind(shard.cell(mark));
            }
        }
    }

    /// What differs from what was saved, from this shard on: whole shards, of which each counts `cost`
    /// for a credential, until `most` is reached.
    #[must_use]
    pub fn unsaved(&self, from: usize, (cost, most): (usize, usize)) -> Batch {
        let shards = self.lock();
        let mut batch = Batch::default();
        let mut spent = 0;
        for (number, shard) in shards.iter().enumerate().skip(from) {
            if !shard.differs() {
                continue;
            }
            let uses = shard.uses();
            spent += cost * uses.len().max(1);
            if spent > most && !batch.shards.is_empty() {
                batch.next = Some(number);
                break;
            }
            let shard = u16::try_from(number).unwrap_or(u16::MAX);
            batch.shards.push(ShardUses { shard, uses });
        }
        batch
    }

    /// Notes that these are on disk.
    pub fn saved(&self, written: &[ShardUses]) {
        let mut shards = self.lock();
        for ShardUses { shard, uses } in written {
            let Some(shard) = shards.get_mut(usize::from(*shard)) else {
                continue;
            };
            shard.forgot = false;
            for (mark, at) in uses {
                if let Ok(place) = shard.find(*mark)
                    && let Some(entry) = shard.entries.get_mut(place)
                {
                    entry.saved = Some(*at);
                }
            }
        }
    }

    /// Forgets credentials that have been out of the registry for [`GONE_FOR`] and were not used for
    /// [`KEPT_FOR`]; beyond [`MOST_GONE`] of them also those that were not used for the longest time.
    ///
    /// `snapshot` is what was served a moment ago. What a registry that is applied right now brings is only
    /// marked, and found in the registry the next time: its cell is in use.
    pub fn forget(&self, snapshot: &Snapshot, now: UnixSeconds) {
        let secrets = snapshot.clients.values().flat_map(|client| &client.secrets);
        let present: HashSet<CredentialMark> = secrets.map(CredentialMark::of).collect();
        let mut shards = self.lock();
        let mut kept = Vec::new();
        for shard in shards.iter_mut() {
            shard.forget(|entry| {
                if present.contains(&entry.mark) {
                    entry.gone = None;
                    return false;
                }
                let since = *entry.gone.get_or_insert(now);
                let unused = entry.cell.at().is_none_or(|at| now.since(at) >= KEPT_FOR);
                let goes = unused && now.since(since) >= GONE_FOR;
                if !goes && since < now {
                    kept.push(entry.cell.at());
                }
                goes
            });
        }
        let excess = kept.len().saturating_sub(MOST_GONE);
        kept.sort_unstable();
        // Those without a use come first.
        let Some(limit) = kept.get(excess).filter(|_| excess > 0) else {
            return;
        };
        for shard in shards.iter_mut() {
            shard.forget(|entry| {
                entry.gone.is_some_and(|since| since < now) && entry.cell.at() < *limit
            });
        }
    }

    /// How many credentials it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().iter().map(|shard| shard.entries.len()).sum()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A panic elsewhere leaves the entries as they are: each is whole at any time.
    fn lock(&self) -> MutexGuard<'_, Vec<Shard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn find(&self, mark: CredentialMark) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.mark.cmp(&mark))
    }

    fn cell(&mut self, mark: CredentialMark) -> &Arc<Cell> {
        let place = self.find(mark).unwrap_or_else(|place| {
            let entry = Entry {
                mark,
                cell: Arc::default(),
                saved: None,
                gone: None,
            };
            self.entries.insert(place, entry);
            place
        });
        #[expect(clippy::indexing_slicing, reason = "it was found or put there")]
        &self.entries[place].cell
    }

    fn differs(&self) -> bool {
        self.forgot
            || self
                .entries
                .iter()
                .any(|entry| entry.cell.at() != entry.saved)
    }

    fn uses(&self) -> Vec<(CredentialMark, UnixSeconds)> {
        let used = self.entries.iter();
        used.filter_map(|entry| Some((entry.mark, entry.cell.at()?)))
            .collect()
    }

    fn forget(&mut self, mut which: impl FnMut(&mut Entry) -> bool) {
        let forgot = &mut self.forgot;
        self.entries.retain_mut(|entry| {
            let goes = which(entry);
            *forgot |= goes && entry.saved.is_some();
            !goes
        });
    }
}

/// The shard of a mark: its first twelve bits.
#[must_use]
pub fn shard_of(mark: CredentialMark) -> u16 {
    let [first, second, ..] = *mark.as_bytes();
    u16::from_be_bytes([first, second]) >> 4
}

#[cfg(test)]
mod tests;
