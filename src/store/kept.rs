//! What the store knows of the last good registry, which is kept beside it. Touches: fs.
//!
//! The kept registry's own files can't tell whether their end was ever served, nor whether an end is
//! missing that was: this mark can.

use std::sync::PoisonError;

use super::db::versioned;
use super::key::Key;
use super::{Store, StoreError};
use crate::domain::{Digest, UnixSeconds};

/// Which kept registry was served last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptMark {
    /// The number of its batch.
    pub number: u64,
    /// When the folder was last seen to hold it.
    pub seen: UnixSeconds,
}

impl Store {
    /// Which kept registry was served last, if any was.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn kept_mark(&self) -> Result<Option<KeptMark>, StoreError> {
        let key = Key::KeptRegistry;
        let Some(bytes) = self.record(&key)? else {
            return Ok(None);
        };
        let what = key.name();
        let parts = bytes.split_first_chunk::<8>();
        let (number, seen) = parts.ok_or(StoreError::Record { what })?;
        let seen = <[u8; 8]>::try_from(seen).map_err(|_| StoreError::Record { what })?;
        Ok(Some(KeptMark {
            number: u64::from_be_bytes(*number),
            seen: UnixSeconds::new(u64::from_be_bytes(seen)),
        }))
    }

    /// Notes when the folder was last seen. Where a later registry was applied meanwhile, the mark stays at
    /// its number: a start would take that one for never served.
    ///
    /// # Errors
    /// [`StoreError`]: the daemon must stop, unless it [may be tried again](StoreError::NoRoom).
    pub fn note_seen(&self, mark: KeptMark) -> Result<(), StoreError> {
        let _alone = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.kept_mark()?.map_or(0, |last| last.number);
        self.commit(&[marked(KeptMark {
            number: mark.number.max(last),
            ..mark
        })])
    }

    /// Notes that a registry was applied: no released change waits any more.
    ///
    /// # Errors
    /// As [`Store::note_seen`].
    pub fn registry_applied(&self, mark: KeptMark) -> Result<(), StoreError> {
        let _alone = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.commit(&[marked(mark), (Key::ReleasedChange.to_bytes(), None)])
    }

    /// The change that an operator released and that was not applied yet.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn released_change(&self) -> Result<Option<Digest>, StoreError> {
        let key = Key::ReleasedChange;
        let what = key.name();
        let digest = |bytes: Vec<u8>| {
            let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| StoreError::Record { what })?;
            Ok(Digest::from_bytes(bytes))
        };
        self.record(&key)?.map(digest).transpose()
    }

    /// Remembers that an operator released this change.
    ///
    /// # Errors
    /// As [`Store::note_seen`].
    pub fn release_change(&self, change: Digest) -> Result<(), StoreError> {
        let key = Key::ReleasedChange;
        let value = versioned(&key, change.as_bytes());
        self.commit(&[(key.to_bytes(), Some(value))])
    }

    /// Forgets a release: its change waits no more.
    ///
    /// # Errors
    /// As [`Store::note_seen`].
    pub fn forget_release(&self) -> Result<(), StoreError> {
        self.commit(&[(Key::ReleasedChange.to_bytes(), None)])
    }
}

fn marked(mark: KeptMark) -> (Vec<u8>, Option<Vec<u8>>) {
    let key = Key::KeptRegistry;
    let number = mark.number.to_be_bytes();
    let value = [number, mark.seen.get().to_be_bytes()].concat();
    (key.to_bytes(), Some(versioned(&key, &value)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::OnCorruption;

    #[test]
    fn the_mark_stays_and_a_release_ends_with_what_is_applied() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), OnCorruption::Refuse).unwrap();
        assert_eq!(store.kept_mark().unwrap(), None);
        assert_eq!(store.released_change().unwrap(), None);
        let change = Digest::of(b"a change");
        store.release_change(change).unwrap();
        let mark = |number| KeptMark {
            number,
            seen: UnixSeconds::new(1_800_000_000),
        };
        store.forget_release().unwrap();
        assert_eq!(store.released_change().unwrap(), None);
        store.release_change(change).unwrap();
        store.note_seen(mark(1)).unwrap();
        assert_eq!(store.released_change().unwrap(), Some(change));
        store.registry_applied(mark(2)).unwrap();
        assert_eq!(store.kept_mark().unwrap(), Some(mark(2)));
        assert_eq!(store.released_change().unwrap(), None);
    }

    #[test]
    fn what_is_noted_late_never_takes_the_mark_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), OnCorruption::Refuse).unwrap();
        let mark = |number, seen| KeptMark {
            number,
            seen: UnixSeconds::new(seen),
        };
        store.registry_applied(mark(2, 10)).unwrap();
        // Whoever notes this read the number before the second was applied.
        store.note_seen(mark(1, 20)).unwrap();
        assert_eq!(store.kept_mark().unwrap(), Some(mark(2, 20)));
        std::thread::scope(|threads| {
            threads.spawn(|| (1..40).for_each(|_| store.note_seen(mark(2, 30)).unwrap()));
            for number in 3..40 {
                store.registry_applied(mark(number, 30)).unwrap();
                let found = store.kept_mark().unwrap().map(|found| found.number);
                assert_eq!(found, Some(number));
            }
        });
        assert_eq!(store.kept_mark().unwrap(), Some(mark(39, 30)));
    }
}
