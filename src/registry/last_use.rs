//! When a credential was last used: a cell that all snapshots share. Touches: memory.
//!
//! A snapshot is replaced at each change of the registry, the cell is not: [`super::ledger`] puts the same
//! one into each snapshot before it is served.
//!
//! **Invariant:** noting a use takes no lock and allocates nothing; what is noted is no part of what a
//! registry says: not of its digest, its differences or its equality.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::snapshot::StoredSecret;
use crate::domain::UnixSeconds;

/// The moment of a credential's last use. A clone shares the cell, once there is one.
#[derive(Clone, Debug, Default)]
pub struct LastUse(OnceLock<Arc<Cell>>);

/// The moment itself, in seconds; 0 while no use is known.
#[derive(Debug, Default)]
pub(super) struct Cell(AtomicU64);

/// Which credential, for good: 16 bytes of its verifier. They are public, and hold for one client alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialMark([u8; Self::BYTES]);

impl LastUse {
    /// Notes a use. One relaxed store; none where this second is noted already, so that the cores that
    /// serve one busy client do not take the line from each other.
    pub fn note(&self, now: UnixSeconds) {
        if let Some(cell) = self.0.get()
            && cell.0.load(Ordering::Relaxed) != now.get()
        {
            cell.0.store(now.get(), Ordering::Relaxed);
        }
    }

    /// The last use, if one is known.
    #[must_use]
    pub fn at(&self) -> Option<UnixSeconds> {
        self.0.get().and_then(|cell| cell.at())
    }

    /// Whether there is a cell already.
    pub(super) fn is_bound(&self) -> bool {
        self.0.get().is_some()
    }

    /// Gives it its cell, once for the life of its snapshot.
    pub(super) fn bind(&self, cell: &Arc<Cell>) {
        let _bound_before = self.0.set(Arc::clone(cell));
    }
}

/// What was used when is no part of what a registry says.
impl PartialEq for LastUse {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Cell {
    /// A cell with a use that is known from before.
    pub(super) fn of(at: UnixSeconds) -> Self {
        Self(AtomicU64::new(at.get()))
    }

    pub(super) fn at(&self) -> Option<UnixSeconds> {
        let at = self.0.load(Ordering::Relaxed);
        (at > 0).then(|| UnixSeconds::new(at))
    }
}

impl CredentialMark {
    /// How many bytes it has: no two credentials ever share so many of a SHA-256.
    pub const BYTES: usize = 16;

    /// The credential with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The mark of a secret.
    #[must_use]
    pub fn of(secret: &StoredSecret) -> Self {
        let digest = secret.verifier.digest();
        let first = digest.as_bytes().first_chunk();
        Self(first.copied().unwrap_or_default())
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_seen_by_all_who_share_the_cell_and_changes_no_equality() {
        let (one, two) = (LastUse::default(), LastUse::default());
        one.note(UnixSeconds::new(5));
        assert_eq!(one.at(), None, "without a cell nobody can tell it later");
        let cell = Arc::new(Cell::default());
        one.bind(&cell);
        two.bind(&cell);
        assert_eq!(two.at(), None);
        one.note(UnixSeconds::new(7));
        one.note(UnixSeconds::new(7));
        assert_eq!(two.at(), Some(UnixSeconds::new(7)));
        two.bind(&Arc::new(Cell::default()));
        assert_eq!(two.at(), Some(UnixSeconds::new(7)), "bound once");
        assert_eq!(LastUse::default(), one);
    }
}
