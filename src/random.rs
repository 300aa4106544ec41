//! The only place that draws randomness: from aws-lc-rs. Touches: process.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::domain::{RequestId, TokenId};

/// `N` random bytes. Zeroed when dropped, for they may become a secret.
#[must_use]
pub fn bytes<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    let filled = rand::fill(bytes.as_mut_slice());
    #[expect(
        clippy::expect_used,
        reason = "without randomness no token and no key may be made"
    )]
    filled.expect("aws-lc's generator answers once it is seeded");
    bytes
}

/// 128 random bits as a number.
#[must_use]
pub fn bits() -> u128 {
    u128::from_be_bytes(*bytes::<16>())
}

/// A new `jti`.
#[must_use]
pub fn token_id() -> TokenId {
    TokenId::from_bits(bits())
}

/// A new request id.
#[must_use]
pub fn request_id() -> RequestId {
    RequestId::from_bits(bits())
}
