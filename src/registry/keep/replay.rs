//! From records to the files that they leave. Pure.
//!
//! **Invariant:** what comes out are the files at the end of a whole batch, and each batch of the log
//! follows on the one before without a gap. A batch that is not whole is none.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::record::{Chain, Reader, Record, Seal, Unreadable};

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All files at one moment.
    Base,
    /// What changed since.
    Log,
}

/// Where a file's record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) part: Part,
    pub(super) start: u64,
    pub(super) length: u64,
}

/// A file as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) bytes: Vec<u8>,
    pub(super) spot: Spot,
}

/// What the records leave.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The files by their paths.
    pub(super) files: BTreeMap<Arc<str>, Live>,
    /// The seal of the last batch.
    pub(super) seal: Seal,
    /// Where the last batch that counts ends in the log.
    pub(super) log_end: u64,
    /// Why the log was not read to its end.
    pub(super) stopped: Option<Stopped>,
}

/// Why a log is not read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    /// No whole record, or no seal behind the last ones.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A batch is missing.
    #[error("batch {found} follows on batch {last}")]
    Gap {
        /// The number that is there.
        found: u64,
        /// The number before.
        last: u64,
    },
    /// A batch that was never served.
    #[error("batch {0} was never served")]
    Unserved(u64),
}

/// One batch.
struct Batch {
    changes: Vec<(Arc<str>, Option<Live>)>,
    seal: Seal,
}

/// Reads a base: one batch, and nothing behind it.
pub(super) fn base(from: impl Read) -> Result<Replayed, Unreadable> {
    let mut reader = Reader::open(from)?;
    let batch = batch(&mut reader, Part::Base)?;
    let batch = batch.ok_or(Unreadable::Torn { at: reader.at() })?;
    let end = reader.at();
    if reader.next()?.is_some() {
        return Err(Unreadable::Unknown { at: end });
    }
    let mut replayed = Replayed {
        files: BTreeMap::new(),
        seal: batch.seal.clone(),
        log_end: 0,
        stopped: None,
    };
    replayed.apply(batch);
    Ok(replayed)
}

impl Replayed {
    /// Applies a log as far as it is whole, and no further than batch `until`.
    pub(super) fn log(&mut self, from: impl Read, until: Option<u64>) -> Result<(), Unreadable> {
        let mut reader = Reader::open(from)?;
        self.log_end = reader.at();
        self.stopped = loop {
            let batch = match batch(&mut reader, Part::Log) {
                Ok(None) => break None,
                Ok(Some(batch)) => batch,
                Err(unreadable) => break Some(unreadable.into()),
            };
            let (found, last) = (batch.seal.number, self.seal.number);
            // What the base holds already: a compaction ended between its two steps.
            if found > last {
                if found != last.saturating_add(1) {
                    break Some(Stopped::Gap { found, last });
                }
                if until.is_some_and(|until| found > until) {
                    break Some(Stopped::Unserved(found));
                }
                self.apply(batch);
            }
            self.log_end = reader.at();
        };
        Ok(())
    }

    fn apply(&mut self, batch: Batch) {
        for (path, live) in batch.changes {
            match live {
                Some(live) => self.files.insert(path, live),
                None => self.files.remove(&path),
            };
        }
        self.seal = batch.seal;
    }
}

/// The next batch; `None` at the end.
fn batch<R: Read>(reader: &mut Reader<R>, part: Part) -> Result<Option<Batch>, Unreadable> {
    let begin = reader.at();
    let mut changes = Vec::new();
    let mut chain = Chain::EMPTY;
    while let Some(placed) = reader.next()? {
        match placed.record {
            Record::File { path, bytes } => {
                let spot = Spot {
                    part,
                    start: placed.start,
                    length: placed.end - placed.start,
                };
                changes.push((path, Some(Live { bytes, spot })));
            }
            Record::Gone { path } => changes.push((path, None)),
            Record::Seal(seal, sealed) if sealed == chain => {
                return Ok(Some(Batch { changes, seal }));
            }
            Record::Seal(..) => return Err(Unreadable::Damaged { at: placed.start }),
        }
        chain = chain.with(&placed.checksum);
    }
    if changes.is_empty() {
        return Ok(None);
    }
    Err(Unreadable::Torn { at: begin })
}
