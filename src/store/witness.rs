//! How many commits the store has made, kept beside it. Touches: fs.
//!
//! Of a file with flipped or missing bytes sled 0.34.7 opens what lies before them and says nothing:
//! the state silently goes back. So each commit counts itself in sled and, once that is on disk, in
//! this file. A sled that counts less than its witness has lost commits that were acknowledged.
//!
//! Two slots, written in turn: a power cut in one leaves the other.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::domain::Digest;

/// Bytes of a slot: the count, and as many of its SHA-256.
const SLOT: usize = 16;

/// The file, open for as long as the store is.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    count: u64,
}

impl Witness {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let slot = |number: u64| {
            let mut slot = [0; SLOT];
            let offset = number * SLOT as u64;
            file.read_exact_at(&mut slot, offset).ok()?;
            counted(&slot)
        };
        let count = slot(0).max(slot(1)).unwrap_or(0);
        Ok(Self { file, count })
    }

    /// How many commits were on disk at least.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Says that so many are on disk; done when that is on disk itself.
    pub(super) fn set(&mut self, count: u64) -> std::io::Result<()> {
        let offset = (count % 2) * SLOT as u64;
        self.file.write_all_at(&slot_of(count), offset)?;
        self.file.sync_data()?;
        self.count = count;
        Ok(())
    }
}

pub(super) fn slot_of(count: u64) -> [u8; SLOT] {
    let bytes = count.to_be_bytes();
    let digest = Digest::of(&bytes);
    let mut slot = [0; SLOT];
    let parts = bytes.iter().chain(digest.as_bytes());
    for (to, from) in slot.iter_mut().zip(parts) {
        *to = *from;
    }
    slot
}

pub(super) fn counted(slot: &[u8; SLOT]) -> Option<u64> {
    let (count, _) = slot.split_first_chunk::<8>()?;
    let count = u64::from_be_bytes(*count);
    (slot_of(count) == *slot).then_some(count)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_count_survives_and_so_does_one_torn_slot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let mut witness = Witness::open(&path).unwrap();
        assert_eq!(witness.count(), 0);
        for count in 1..=5 {
            witness.set(count).unwrap();
        }
        assert_eq!(Witness::open(&path).unwrap().count(), 5);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.get_mut(SLOT + 3).unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Witness::open(&path).unwrap().count(), 4);
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(Witness::open(&path).unwrap().count(), 0);
    }
}
