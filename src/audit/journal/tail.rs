//! The durable end of the journal, as the shipper and the command line read it. Touches: fs.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::audit::chain::{Line, LineFault};

/// Reads what is on disk, and learns what the stream holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tail(Arc<()>);

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
    #[error("cannot read {}", path.display())]
    Read {
        /// The segment.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A segment holds something else than it did.
    #[error("{} is damaged at byte {offset}: {fault}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        fault: LineFault,
    },
}

impl Tail {
    /// Tells of the highest sequence on disk, whenever it grows.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        let _ = &self.0;
        watch::channel(0).1
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
        let _ = (from, max_lines, max_bytes);
        Ok(Vec::new())
    }

    /// Says that the stream holds everything up to and with this sequence. A smaller one than before
    /// changes nothing. In memory only: the shipper keeps its mark.
    pub fn confirmed(&self, sequence: u64) {
        let _ = sequence;
    }

    /// The first sequence still in the journal; one past the last when it is empty.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        1
    }
}
