//! A signed token that nobody can read yet. Pure.

use std::sync::Arc;

use crate::audit::Receipt;
use crate::domain::{Algorithm, ClientId, KeyId, ResourceIdentifier, TokenId, UnixSeconds};

/// A signed access token (RFC 9068). It has neither `Debug` nor `Display` nor `Serialize`: its bytes
/// leave by [`SignedToken::reveal`] alone.
///
/// ```compile_fail,E0616
/// fn leak(token: grantd::mint::SignedToken) -> String { token.compact }
/// ```
pub struct SignedToken {
    compact: String,
    facts: TokenFacts,
}

/// What the audit event says of a token: everything but the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// `jti`.
    pub id: TokenId,
    /// `kid` of the key that signed.
    pub key: KeyId,
    /// `alg`.
    pub algorithm: Algorithm,
    /// `client_id` and `sub`.
    pub client: ClientId,
    /// `aud`.
    pub audience: ResourceIdentifier,
    /// `scope`, names separated by single spaces; may be empty.
    pub scope: Arc<str>,
    /// `iat`.
    pub issued: UnixSeconds,
    /// `exp`.
    pub expires: UnixSeconds,
}

impl SignedToken {
    /// A token as `jws` signed it.
    pub(super) const fn new(compact: String, facts: TokenFacts) -> Self {
        Self { compact, facts }
    }

    /// A token that nobody signed, for tests of the stages behind `mint`.
    #[cfg(test)]
    pub(crate) fn unsigned(facts: TokenFacts) -> Self {
        Self::new(format!("unsigned.{}", facts.id), facts)
    }

    /// What may be known of the token.
    #[must_use]
    pub const fn facts(&self) -> &TokenFacts {
        &self.facts
    }

    /// The token in JWS compact serialization (RFC 7515 section 7.1), now that its record is durable.
    /// `None` when the receipt is another token's, which no caller can bring about by accident.
    #[must_use]
    pub fn reveal(self, receipt: &Receipt) -> Option<String> {
        (receipt.token() == Some(self.facts.id)).then_some(self.compact)
    }
}
