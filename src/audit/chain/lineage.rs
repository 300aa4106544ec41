//! The name of a chain. Pure.

use std::fmt;

use data_encoding::HEXLOWER;

/// 128 random bits that name a chain: drawn for an empty journal, renewed when a stream turns out to
/// be ahead of the journal (a restored or cloned disk). Shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lineage(u128);

/// Text that is no lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a lineage: 32 lower-case hexadecimal digits are needed")]
pub struct InvalidLineage;

impl Lineage {
    /// The lineage with these 128 random bits.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits themselves.
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        self.0
    }

    /// A lineage from its 32 digits.
    ///
    /// # Errors
    /// [`InvalidLineage`] for anything else, upper case included: one value has one spelling.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidLineage> {
        let bytes = HEXLOWER.decode(text).map_err(|_| InvalidLineage)?;
        let bytes = bytes.try_into().map_err(|_| InvalidLineage)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }

    /// The 32 digits, without an allocation.
    #[must_use]
    pub fn to_hex(self) -> [u8; 32] {
        let mut hex = [0; 32];
        HEXLOWER.encode_mut(&self.0.to_be_bytes(), &mut hex);
        hex
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_hex()).unwrap_or_default())
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
