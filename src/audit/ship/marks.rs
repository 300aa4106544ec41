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

impl ShipMark {
    /// The mark as the store keeps it: three numbers and the lineage, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = [
            self.stream_created.get(),
            self.stream_sequence,
            self.sequence,
        ];
        let mut bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect();
        bytes.extend(self.lineage.to_bits().to_be_bytes());
        bytes
    }

    /// The mark that the store kept. `None` for what is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, lineage) = bytes.split_at_checked(24)?;
        let mut numbers = numbers
            .chunks_exact(8)
            .filter_map(|chunk| chunk.try_into().ok().map(u64::from_be_bytes));
        Some(Self {
            stream_created: UnixMillis::new(numbers.next()?),
            stream_sequence: numbers.next()?,
            sequence: numbers.next()?,
            lineage: Lineage::from_bits(u128::from_be_bytes(lineage.try_into().ok()?)),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_kept_whole_and_nothing_else_is_taken_for_one() {
        let mark = ShipMark {
            stream_created: UnixMillis::new(1),
            stream_sequence: 2,
            sequence: u64::MAX,
            lineage: Lineage::from_bits(4),
        };
        let bytes = mark.to_bytes();
        assert_eq!(ShipMark::from_bytes(&bytes), Some(mark));
        for length in 0..bytes.len() {
            let cut = bytes.get(..length).unwrap_or_default();
            assert_eq!(ShipMark::from_bytes(cut), None);
        }
    }
}
