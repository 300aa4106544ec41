//! The last use of credentials, many to a record. Touches: fs.
//!
//! ```text
//! key                          value
//! 20 shard(2) part(1)          version 1, then for each credential: mark(16) seconds(8, big-endian)
//! ```
//! A shard is written whole: what it held before and does not hold now is removed by the same commit.

use super::db::{Store, StoreError, unversioned, versioned};
use super::key::{Key, last_use_prefix};
use crate::domain::UnixSeconds;
use crate::registry::last_use::CredentialMark;
use crate::registry::ledger::ShardUses;

/// Bytes of one credential in a record.
pub const LAST_USE_BYTES: usize = CredentialMark::BYTES + 8;

/// Credentials of one record: 3,960 bytes with key and version, below the most that is kept safely.
const PER_RECORD: usize = 164;

/// Most records of one shard, for their number is a byte: with a thousand times the credentials of a large
/// registry the rest would not be kept.
const MOST_PARTS: usize = 256;

impl Store {
    /// The last uses that were kept, in no order.
    ///
    /// # Errors
    /// [`StoreError`] when they can't be read.
    pub fn last_uses(&self) -> Result<Vec<(CredentialMark, UnixSeconds)>, StoreError> {
        let mut uses = Vec::new();
        for entry in self.scan(&last_use_prefix(None))? {
            uses.extend(unpack(&entry.value)?);
        }
        Ok(uses)
    }

    /// Keeps the last uses of these shards, in the place of what was kept of them.
    ///
    /// # Errors
    /// [`StoreError`]: the daemon must stop, unless it [may be tried again](StoreError::NoRoom).
    pub fn set_last_uses(&self, shards: &[ShardUses]) -> Result<(), StoreError> {
        let mut changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for ShardUses { shard, uses } in shards {
            let parts = pack(uses);
            let records = parts.iter().zip(0_u8..);
            changes.extend(records.map(|(record, part)| {
                let key = Key::LastUse(*shard, part);
                (key.to_bytes(), Some(versioned(&key, record)))
            }));
            for before in self.scan(&last_use_prefix(Some(*shard)))? {
                let part = before.key.last().copied().map_or(0, usize::from);
                if part >= parts.len() {
                    changes.push((before.key, None));
                }
            }
        }
        self.commit(&changes)
    }
}

/// The records of a shard, without their version.
pub(super) fn pack(uses: &[(CredentialMark, UnixSeconds)]) -> Vec<Vec<u8>> {
    let records = uses.chunks(PER_RECORD).take(MOST_PARTS);
    records
        .map(|uses| {
            let entry = |(mark, at): &(CredentialMark, UnixSeconds)| {
                let seconds = at.get().to_be_bytes();
                (*mark.as_bytes()).into_iter().chain(seconds)
            };
            uses.iter().flat_map(entry).collect()
        })
        .collect()
}

/// What a record holds, its version before it.
pub(super) fn unpack(value: &[u8]) -> Result<Vec<(CredentialMark, UnixSeconds)>, StoreError> {
    let key = Key::LastUse(0, 0);
    let value = unversioned(&key, value)?;
    let (entries, []) = value.as_chunks::<LAST_USE_BYTES>() else {
        return Err(StoreError::Record { what: key.name() });
    };
    let read = |entry: &[u8; LAST_USE_BYTES]| {
        let (mark, rest) = entry.split_first_chunk()?;
        let seconds = u64::from_be_bytes(*rest.first_chunk()?);
        Some((CredentialMark::from_bytes(*mark), UnixSeconds::new(seconds)))
    };
    Ok(entries.iter().filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::store::{MAX_RECORD, OnCorruption};

    fn uses(count: usize, from: u64) -> Vec<(CredentialMark, UnixSeconds)> {
        let mark = |number: usize| {
            let bytes = (number as u128).to_be_bytes();
            CredentialMark::from_bytes(bytes)
        };
        let moments = (from..).map(UnixSeconds::new);
        (0..count).map(mark).zip(moments).collect()
    }

    #[test]
    fn a_shard_is_replaced_whole_however_large_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = Store::open(&path, OnCorruption::Refuse).unwrap();
        assert_eq!(store.last_uses().unwrap(), []);
        let of = |shard, uses| ShardUses { shard, uses };
        let (large, other) = (uses(1000, 7), uses(1, 9));
        store
            .set_last_uses(&[of(0, large.clone()), of(4095, other.clone())])
            .unwrap();
        let mut kept = store.last_uses().unwrap();
        kept.sort_unstable();
        let mut all = [large, other.clone()].concat();
        all.sort_unstable();
        assert_eq!(kept, all);
        let small = uses(2, 8);
        store.set_last_uses(&[of(0, small.clone())]).unwrap();
        assert_eq!(store.last_uses().unwrap(), [small, other.clone()].concat());
        store.set_last_uses(&[of(0, Vec::new())]).unwrap();
        assert_eq!(store.last_uses().unwrap(), other);
        assert!(
            !path.join("blobs").exists()
                || std::fs::read_dir(path.join("blobs"))
                    .unwrap()
                    .next()
                    .is_none()
        );
    }

    #[test]
    fn records_of_another_form_are_refused() {
        for value in [&[2][..], &[1, 0], &[1; 24], &[]] {
            assert!(
                matches!(unpack(value), Err(StoreError::Record { .. })),
                "{value:?}"
            );
        }
        assert_eq!(unpack(&[1]).unwrap(), []);
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_and_each_record_fits(count in 0_usize..2000, from: u32) {
            let key = Key::LastUse(1, 1);
            let uses = uses(count, u64::from(from));
            let mut read = Vec::new();
            for record in pack(&uses) {
                let stored = versioned(&key, &record);
                prop_assert!(stored.len() + key.to_bytes().len() <= MAX_RECORD);
                read.extend(unpack(&stored).unwrap());
            }
            prop_assert_eq!(read, uses);
        }

        #[test]
        fn no_bytes_are_read_as_something_else(value: Vec<u8>) {
            if let Ok(uses) = unpack(&value) {
                let again: Vec<u8> = pack(&uses).concat();
                prop_assert_eq!(versioned(&Key::LastUse(0, 0), &again), value);
            }
        }
    }
}
