//! Every key of the store, with its layout. Pure.
//!
//! ```text
//! key                          value
//! 00                           schema    u32, big-endian
//! 01                           time mark  version 1, u64 seconds, big-endian
//! 02                           ship mark  version 1, bytes of audit/ship
//! 03                           registry generation  version 1, u64, big-endian
//! 04 algorithm(1) kid(43)      ring key   version 1, JSON of a key record
//! 05                           commits    version 1, u64, big-endian: see `witness.rs`
//! 10 00                        last overlay entry  version 1, u64, big-endian
//! 10 01 number(8)              overlay entry       version 1, JSON of it: see `overlay.rs`
//! 14                           kept registry  version 1, u64 number, u64 seconds, big-endian
//! 15                           released change  version 1, 32 bytes of SHA-256
//! 20 shard(2) part(1)          last use   version 1, marks and seconds: see `last_use.rs`
//! 21                           expiry day  version 1, u64, big-endian: days since 1970-01-01
//! ```
//! **Invariant:** an ordinal, once given, is never given to anything else. A value but the schema
//! begins with one byte of version; an unknown one is refused.

use crate::domain::{Algorithm, KeyId};
use crate::registry::overlay::EntryId;

/// The version of this layout.
pub(super) const SCHEMA: u32 = 1;

/// A key of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The version of the layout.
    Schema,
    /// The high-water mark of time.
    TimeMark,
    /// How far the stream has confirmed the journal.
    ShipMark,
    /// How many registries this state directory has served.
    RegistryGeneration,
    /// A signing key as it was last put on record.
    RingMember(Algorithm, KeyId),
    /// How many commits were made.
    Commits,
    /// A part of the last uses of a shard of credentials.
    LastUse(u16, u8),
    /// The day whose event says what expires.
    ExpiryDay,
    /// The highest number that an entry of the overlay has had.
    LastOverlayEntry,
    /// Something that an operator took away.
    OverlayEntry(EntryId),
    /// Which kept registry was served last, and when the folder last held it.
    KeptRegistry,
    /// The change that an operator released, until it is applied.
    ReleasedChange,
}

impl Key {
    /// The key's bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Schema => vec![0],
            Self::TimeMark => vec![1],
            Self::ShipMark => vec![2],
            Self::RegistryGeneration => vec![3],
            Self::RingMember(algorithm, id) => {
                let mut bytes = ring_prefix(*algorithm).to_vec();
                bytes.extend_from_slice(id.as_str().as_bytes());
                bytes
            }
            Self::Commits => vec![5],
            Self::LastUse(shard, part) => {
                let mut bytes = last_use_prefix(Some(*shard));
                bytes.push(*part);
                bytes
            }
            Self::ExpiryDay => vec![0x21],
            Self::LastOverlayEntry => vec![0x10, 0],
            Self::OverlayEntry(id) => {
                let mut bytes = OVERLAY_PREFIX.to_vec();
                bytes.extend_from_slice(&id.get().to_be_bytes());
                bytes
            }
            Self::KeptRegistry => vec![0x14],
            Self::ReleasedChange => vec![0x15],
        }
    }

    /// The version of the values of this key.
    pub(super) const fn version(&self) -> u8 {
        match self {
            Self::Schema
            | Self::TimeMark
            | Self::ShipMark
            | Self::RegistryGeneration
            | Self::RingMember(..)
            | Self::Commits
            | Self::LastOverlayEntry
            | Self::OverlayEntry(_) => 1,
            Self::KeptRegistry | Self::ReleasedChange => 1,
            Self::LastUse(..) | Self::ExpiryDay => 1,
        }
    }

    /// What it is called in errors.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::TimeMark => "time mark",
            Self::ShipMark => "ship mark",
            Self::RegistryGeneration => "registry generation",
            Self::RingMember(..) => "ring key",
            Self::Commits => "commits",
            Self::LastUse(..) => "last use",
            Self::ExpiryDay => "expiry day",
            Self::LastOverlayEntry => "last overlay entry",
            Self::OverlayEntry(_) => "overlay entry",
            Self::KeptRegistry => "kept registry",
            Self::ReleasedChange => "released change",
        }
    }
}

/// What the keys of the overlay's entries begin with.
pub(super) const OVERLAY_PREFIX: [u8; 2] = [0x10, 1];

/// What the keys of an algorithm's ring begin with.
pub(super) const fn ring_prefix(algorithm: Algorithm) -> [u8; 2] {
    let ordinal = match algorithm {
        Algorithm::Es256 => 0,
        Algorithm::Es384 => 1,
        Algorithm::EdDsa => 2,
        Algorithm::Rs256 => 3,
        Algorithm::Ps256 => 4,
    };
    [4, ordinal]
}

/// What the keys of last uses begin with: of one shard, or of all.
pub(super) fn last_use_prefix(shard: Option<u16>) -> Vec<u8> {
    let mut bytes = vec![0x20];
    bytes.extend(shard.map(u16::to_be_bytes).into_iter().flatten());
    bytes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::domain::Digest;

    #[test]
    fn the_layout_is_stable() {
        let id = KeyId::from_thumbprint(Digest::ZERO);
        assert_eq!(Key::Schema.to_bytes(), [0]);
        assert_eq!(Key::TimeMark.to_bytes(), [1]);
        assert_eq!(Key::ShipMark.to_bytes(), [2]);
        assert_eq!(Key::RegistryGeneration.to_bytes(), [3]);
        assert_eq!(Key::Commits.to_bytes(), [5]);
        assert_eq!(Key::LastUse(0x0102, 3).to_bytes(), [0x20, 1, 2, 3]);
        assert_eq!(Key::ExpiryDay.to_bytes(), [0x21]);
        assert_eq!(Key::LastOverlayEntry.to_bytes(), [0x10, 0]);
        let entry = Key::OverlayEntry(EntryId::new(258)).to_bytes();
        assert_eq!(entry, [0x10, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Key::KeptRegistry.to_bytes(), [0x14]);
        assert_eq!(Key::ReleasedChange.to_bytes(), [0x15]);
        let ring: Vec<u8> = Algorithm::ALL
            .into_iter()
            .map(|algorithm| Key::RingMember(algorithm, id.clone()).to_bytes()[1])
            .collect();
        assert_eq!(ring, [0, 1, 2, 3, 4]);
        let whole = Key::RingMember(Algorithm::EdDsa, id.clone()).to_bytes();
        assert_eq!(whole[..2], [4, 2]);
        assert_eq!(whole[2..], *id.as_str().as_bytes());
    }
}
