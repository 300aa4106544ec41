//! Turns a grant into a signed token (RFC 9068). Pure.
//!
//! Stage of the request flow: `grant → mint → audit`.
//!
//! **Invariant:** a [`SignedToken`] has no way to bytes but [`SignedToken::reveal`], which takes the
//! receipt that the journal made for this token. `jws` is the only file that signs.

mod claims;
pub mod jws;
mod token;

use crate::domain::{Denial, Issuer, Lifetime, TokenId, UnixSeconds};
use crate::grant::Grant;
use crate::keys::rings::{NoSigner, Rings, Signer};

pub use token::{SignedToken, TokenFacts};

/// Signs a grant with the active key of its ring.
///
/// # Errors
/// [`Denial::NoSigningKey`] when that ring has no key that may sign now, [`Denial::ClockBehind`],
/// [`Denial::ClockAhead`], or
/// [`Denial::SigningFailed`] when the key or this machine's memory is broken.
pub fn sign(
    grant: &Grant,
    issuer: &Issuer,
    rings: &Rings,
    id: TokenId,
    now: UnixSeconds,
) -> Result<SignedToken, Denial> {
    let algorithm = grant
        .algorithm()
        .or_else(|| rings.default_algorithm())
        .ok_or(Denial::NoSigningKey)?;
    let signer = rings.signer(algorithm).map_err(|reason| match reason {
        NoSigner::ClockBehind => Denial::ClockBehind,
        NoSigner::ClockAhead => Denial::ClockAhead,
        NoSigner::NotListed(_) | NoSigner::Warming { .. } => Denial::NoSigningKey,
    })?;
    let facts = TokenFacts {
        id,
        key: signer.kid.clone(),
        algorithm,
        client: grant.client().id.clone(),
        audience: grant.resource().identifier.clone(),
        scope: grant.scope().clone(),
        issued: now,
        expires: now.plus(lifetime(grant, signer, now)?),
    };
    let input = claims::signing_input(&facts, issuer, grant);
    let compact = jws::compact(&signer.key, input, is_sampled(id));
    compact
        .map(|compact| SignedToken::new(compact, facts))
        .map_err(|jws::CannotSign| Denial::SigningFailed)
}

/// One token in two to this power, 256, is verified before it leaves (checklist 59): a broken key or
/// memory shows within seconds of load, at a hundredth of the cost of verifying each.
const SAMPLE_BITS: u32 = 8;

/// Whether a token is among those that are verified: by its random id, so that nothing is counted.
fn is_sampled(id: TokenId) -> bool {
    id.bits().trailing_zeros() >= SAMPLE_BITS
}

/// A token never outlives the publication of the key that signed it (checklist 57).
fn lifetime(grant: &Grant, signer: &Signer, now: UnixSeconds) -> Result<Lifetime, Denial> {
    let lifetime = signer.published_until.since(now).min(grant.lifetime());
    if lifetime == Lifetime::ZERO {
        return Err(Denial::NoSigningKey);
    }
    Ok(lifetime)
}
