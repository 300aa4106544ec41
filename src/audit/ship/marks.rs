//! What the shipper must know after a restart, behind a small port. Pure.

use crate::audit::chain::Lineage;
use crate::domain::UnixMillis;

/// How far the stream has confirmed. It may be older than the truth, never newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShipMark {
    /// When the stream was made: another moment is another stream.
    pub stream_created: UnixMillis,
    /// The stream's own sequence of the line that was confirmed last.
    pub stream_sequence: u64,
    /// The journal's sequence of that line.
    pub sequence: u64,
    /// The lineage of that line.
    pub lineage: Lineage,
}

/// The mark could not be stored. Nothing is lost: the next start looks further back in the stream.
#[derive(Debug, thiserror::Error)]
#[error("cannot store how far the stream has confirmed")]
pub struct UnsavedMark(#[source] Box<dyn std::error::Error + Send + Sync>);

impl UnsavedMark {
    /// For this reason.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Where the mark is kept: in the store of small state.
pub trait ShipMarks: Send + Sync {
    /// The mark of the last time, if there was one.
    fn load(&self) -> Option<ShipMark>;

    /// Stores the mark durably. May block on the disk.
    ///
    /// # Errors
    /// [`UnsavedMark`].
    fn save(&self, mark: ShipMark) -> Result<(), UnsavedMark>;
}
