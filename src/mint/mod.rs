//! Turns a grant into a signed token. Pure.
//!
//! Stage of the request flow: `grant → mint → audit`.
//!
//! **Invariant:** a [`SignedToken`] has no way to bytes but [`SignedToken::reveal`], which takes the
//! receipt that the journal made for this token.

pub mod jws;
mod token;

pub use token::{SignedToken, TokenFacts};
