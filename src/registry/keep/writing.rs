//! A batch of records in the making, and where each will stand. Pure.

use super::record::{self, Chain, Seal, u64_of};
use super::replay::{Part, Spot};
use super::{KeepError, Place};
use crate::domain::Digest;
use crate::registry::source::Source;

/// A batch that is being written.
pub(super) struct Writing {
    part: Part,
    start: u64,
    gathered: Vec<u8>,
    chain: Chain,
}

impl Writing {
    /// An empty one, that begins there in its file.
    pub(super) const fn new(part: Part, start: u64) -> Self {
        Self {
            part,
            start,
            gathered: Vec::new(),
            chain: Chain::EMPTY,
        }
    }

    /// What a file says.
    pub(super) fn file(&mut self, file: &Source) -> Place {
        let before = self.gathered.len();
        let bytes = file.text().as_bytes();
        let checksum = record::write_file(file.path(), bytes, &mut self.gathered);
        self.chain = self.chain.with(&checksum);
        Place {
            digest: *file.digest(),
            spot: Spot {
                part: self.part,
                start: self.start + u64_of(before),
                length: u64_of(self.gathered.len() - before),
            },
        }
    }

    /// That a file is gone.
    pub(super) fn gone(&mut self, path: &str) {
        let checksum = record::write_gone(path, &mut self.gathered);
        self.chain = self.chain.with(&checksum);
    }

    /// A record as it stands elsewhere.
    pub(super) fn raw(&mut self, record: &[u8], checksum: &Digest) -> Spot {
        let start = self.start + u64_of(self.gathered.len());
        self.gathered.extend_from_slice(record);
        self.chain = self.chain.with(checksum);
        Spot {
            part: self.part,
            start,
            length: u64_of(record.len()),
        }
    }

    /// The end of the batch.
    pub(super) fn seal(&mut self, seal: &Seal) {
        record::write_seal(seal, &self.chain, &mut self.gathered);
    }

    /// Writes what is gathered, when it is more than this.
    pub(super) fn flush(
        &mut self,
        most: usize,
        write: impl FnOnce(&[u8]) -> Result<(), KeepError>,
    ) -> Result<(), KeepError> {
        if self.gathered.len() <= most {
            return Ok(());
        }
        write(&self.gathered)?;
        self.start += u64_of(self.gathered.len());
        self.gathered.clear();
        Ok(())
    }
}
