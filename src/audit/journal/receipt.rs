//! The proof that a record is on disk. Pure.

use crate::domain::TokenId;

/// Made by the journal alone, after `fdatasync`, for one record.
///
/// ```compile_fail,E0451
/// let forged = grantd::audit::Receipt { sequence: 1, token: None };
/// ```
/// ```compile_fail,E0624
/// let forged = grantd::audit::Receipt::new(1, None);
/// ```
/// A receipt can't be kept and used for another token:
/// ```compile_fail,E0599
/// fn copy(receipt: &grantd::audit::Receipt) -> grantd::audit::Receipt { receipt.clone() }
/// ```
#[derive(Debug)]
pub struct Receipt {
    sequence: u64,
    token: Option<TokenId>,
}

impl Receipt {
    /// A receipt for the line with this sequence, which is on disk.
    pub(super) const fn new(sequence: u64, token: Option<TokenId>) -> Self {
        Self { sequence, token }
    }

    /// The sequence of the line in the journal.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The token whose issuance the line records, if it records one.
    #[must_use]
    pub const fn token(&self) -> Option<TokenId> {
        self.token
    }
}
