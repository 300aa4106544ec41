//! The words that every stage shares: names, times, scopes, secrets, denials. Pure.
//!
//! `domain` stands below everything else: it imports nothing of the crate.
//!
//! **Invariant:** a value of a type here is always well-formed; each is made by a `parse` that says
//! what is wrong with bad input. Nothing here reads a clock, a file or the network.

mod algorithm;
mod auth_method;
mod caller;
mod chain;
mod denial;
mod digest;
mod ids;
mod resource;
mod scope;
mod secret;
mod time;
mod visible;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use auth_method::AuthMethod;
pub use caller::Caller;
pub use chain::chain;
pub use denial::{Answer, Denial, OAuthError, TOO_MANY_FAILURES};
pub use digest::{Digest, InvalidDigest};
pub use ids::{
    ClientId, CommitId, CredentialId, InstanceName, InvalidName, KeyId, MAX_NAME, Owner, RequestId,
    ResourceName, TokenId,
};
pub use resource::{InvalidIdentifier, Issuer, MAX_IDENTIFIER, ResourceIdentifier};
pub use scope::{InvalidScope, MAX_SCOPE, MAX_SCOPES, ScopeName, split_scope};
pub use secret::{
    ClientSecret, GeneratedSecret, InvalidVerifier, SECRET_PREFIX, Secret, SecretVerifier,
    looks_like_secret,
};
pub use time::{InvalidLifetime, InvalidMoment, Lifetime, UnixMillis, UnixSeconds};
pub use visible::{is_hidden, visible};
