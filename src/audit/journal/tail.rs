//! The durable end of the journal, as the shipper and the command line read it. Touches: fs.
//!
//! **Invariant:** nothing is read beyond what is durable; what is read from disk is parsed again,
//! with its hash checked.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use super::files::FileError;
use super::index::Place;
use super::shared::Shared;
use crate::audit::chain::{Line, LineFault, MAX_LINE};

/// Bytes that one call to the disk reads.
const CHUNK: usize = 256 << 10;

/// Reads what is on disk, and learns what the stream holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tail(pub(super) Arc<Shared>);

/// Why lines can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The journal keeps them no longer.
    #[error("line {from} is not in the journal any more: its oldest is {oldest}")]
    Retired {
        /// The sequence that was asked for.
        from: u64,
        /// The first sequence still there.
        oldest: u64,
    },
    /// A segment can't be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// A segment holds something else than it did.
    #[error("{} is damaged at byte {offset}: {fault}", path.display())]
    Damaged {
        /// The segment.
        path: std::path::PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        fault: LineFault,
    },
}

impl Tail {
    /// Tells of the highest sequence on disk, whenever it grows; the first `changed()` is ready at
    /// once, so that what was there before is not overlooked.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        let mut durable = self.0.durable.subscribe();
        durable.mark_changed();
        durable
    }

    /// The lines from `from` on, in order: at most `max_lines` and `max_bytes` (of the lines, without
    /// line feeds), but at least one where one is there. A commit is split only when it is longer
    /// than the limits by itself. Nothing when `from` lies beyond what is durable.
    ///
    /// Blocks on the disk for lines that are no longer in memory.
    ///
    /// # Errors
    /// [`TailError`].
    pub fn read(
        &self,
        from: u64,
        max_lines: usize,
        max_bytes: usize,
    ) -> Result<Vec<Line>, TailError> {
        let from = from.max(1);
        let limits = Limits {
            lines: max_lines.max(1),
            bytes: max_bytes,
        };
        let place = {
            let index = self.0.index();
            if from > index.tip.sequence {
                return Ok(Vec::new());
            }
            let oldest = index.oldest();
            if from < oldest {
                return Err(TailError::Retired { from, oldest });
            }
            // One line more shows whether the last commit goes on.
            if let Some(lines) = index.remembered(from, limits.lines.saturating_add(1)) {
                drop(index);
                return Ok(limits.cut(lines));
            }
            index
                .place(from)
                .ok_or(TailError::Retired { from, oldest })?
        };
        self.read_from_disk(from, place, limits)
    }

    fn read_from_disk(
        &self,
        from: u64,
        place: Place,
        limits: Limits,
    ) -> Result<Vec<Line>, TailError> {
        let file = match self.0.folder.open_file(&place.name) {
            Ok(file) => file,
            Err(error) => {
                let oldest = self.oldest();
                return Err(if oldest > from {
                    TailError::Retired { from, oldest }
                } else {
                    error.into()
                });
            }
        };
        let mut reader = Reader::new(self, &file, place);
        let lines = reader.collect(from, &limits)?;
        let lines = limits.cut(lines);
        if let Some(next) = lines.last().map(|line| line.sequence + 1) {
            self.0.index().remember(reader.place_of(next, &lines));
        }
        Ok(lines)
    }

    /// Says that the stream holds everything up to and with this sequence. A smaller one than before
    /// changes nothing. In memory only: the shipper keeps its mark.
    pub fn confirmed(&self, sequence: u64) {
        let sequence = sequence.min(*self.0.durable.borrow());
        let grew = self.0.confirmed.send_if_modified(|confirmed| {
            let more = sequence > *confirmed;
            *confirmed = sequence.max(*confirmed);
            more
        });
        if grew {
            let index = self.0.index();
            self.0.measure(&index);
        }
    }

    /// The first sequence still in the journal; one past the last when it is empty.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.0.index().oldest()
    }
}

/// How much one read gives.
#[derive(Clone, Copy)]
struct Limits {
    lines: usize,
    bytes: usize,
}

impl Limits {
    /// Cuts to the limits, at the end of a commit where one lies within them.
    fn cut(&self, mut lines: Vec<Line>) -> Vec<Line> {
        let mut bytes = 0;
        let fitting = lines
            .iter()
            .take(self.lines)
            .take_while(|line| {
                bytes += line.bytes().len();
                bytes <= self.bytes
            })
            .count()
            .max(1);
        let split = match (lines.get(fitting - 1), lines.get(fitting)) {
            (Some(last), Some(next)) if next.batch == last.batch => Some(last.batch),
            _ => None,
        };
        lines.truncate(fitting);
        let whole = split.and_then(|batch| lines.iter().position(|line| line.batch == batch));
        match whole {
            Some(whole) if whole > 0 => lines.truncate(whole),
            _ => {}
        }
        lines
    }
}

/// Reads lines of one segment, from a known place on.
struct Reader<'a> {
    tail: &'a Tail,
    file: &'a File,
    place: Place,
    /// Where the next chunk begins.
    next: u64,
    buffer: BytesMut,
    /// Offset of the first line that was wanted.
    start: u64,
}

impl<'a> Reader<'a> {
    fn new(tail: &'a Tail, file: &'a File, place: Place) -> Self {
        Self {
            tail,
            file,
            next: place.offset,
            start: place.offset,
            place,
            buffer: BytesMut::new(),
        }
    }

    /// The lines from `from` on, one more than fits the limits where there is one.
    fn collect(&mut self, from: u64, limits: &Limits) -> Result<Vec<Line>, TailError> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        let mut sequence = self.place.sequence;
        let mut offset = self.place.offset;
        while lines.len() <= limits.lines && bytes <= limits.bytes {
            let Some(raw) = self.next_line(offset)? else {
                break;
            };
            let length = raw.len() as u64 + 1;
            if sequence < from {
                self.start = offset + length;
            } else {
                bytes += raw.len();
                let line = Line::parse(raw).map_err(|fault| self.damaged(offset, fault))?;
                if line.sequence != sequence {
                    return Err(self.damaged(offset, LineFault::Form("sequence")));
                }
                lines.push(line);
            }
            sequence += 1;
            offset += length;
        }
        Ok(lines)
    }

    /// The bytes up to the next line feed; nothing at the durable end.
    fn next_line(&mut self, offset: u64) -> Result<Option<Bytes>, TailError> {
        let mut searched = 0;
        loop {
            let unseen = self.buffer.get(searched..).unwrap_or_default();
            if let Some(end) = unseen.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + end).freeze();
                bytes::Buf::advance(&mut self.buffer, 1);
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            if searched > MAX_LINE {
                return Err(self.damaged(offset, LineFault::TooLong));
            }
            if self.next >= self.place.end {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), TailError> {
        let left = usize::try_from(self.place.end - self.next).unwrap_or(CHUNK);
        let old = self.buffer.len();
        self.buffer.resize(old + left.min(CHUNK), 0);
        let space = self.buffer.get_mut(old..).unwrap_or_default();
        let read = self.file.read_exact_at(space, self.next);
        read.map_err(|source| self.tail.0.folder.odd("read", &self.place.name, source))?;
        self.next += (self.buffer.len() - old) as u64;
        Ok(())
    }

    /// Where the line after these begins, for the next read.
    fn place_of(&self, sequence: u64, lines: &[Line]) -> Place {
        let bytes = lines.iter().map(|line| line.bytes().len() as u64 + 1);
        Place {
            sequence,
            offset: self.start + bytes.sum::<u64>(),
            ..self.place.clone()
        }
    }

    fn damaged(&self, offset: u64, fault: LineFault) -> TailError {
        TailError::Damaged {
            path: self.tail.0.folder.path(&self.place.name),
            offset,
            fault,
        }
    }
}
