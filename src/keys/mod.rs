//! Signing keys: their rings, their schedule, their files, their rotation. Touches: fs, clock, process.
//!
//! Beside the request flow: `rotate` hands each new [`rings::Rings`] to whoever publishes them, and
//! `mint` signs with what a request finds there.
//!
//! ```text
//! clock → time → schedule ⇄ ring → custody (files) → events → store (sled) → rings → jwks
//! ```
//!
//! Pure: [`ring`], [`schedule`], [`time`], [`jwks`], [`rings`], [`material`], [`event`], [`outlook`].
//! Edges: [`generate`], [`custody`], [`rotate`].
//!
//! **Invariant (promise 3):** a key signs only after it was in the published JWKS for longer than
//! `verifier_cache_max`, and stays there until the last token that it signed has expired. The one
//! exception is an operator's emergency, which says so. A change is on disk and on record before
//! anyone sees it. Nothing here signs: `mint/jws.rs` does.

pub mod custody;
pub mod event;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub(crate) use file::{record_from_json, record_to_json};
pub mod generate;
mod jwk;
pub mod jwks;
pub mod material;
pub mod outlook;
pub mod ports;
pub mod ring;
pub mod rings;
pub mod rotate;
pub mod schedule;
pub mod seal;
pub mod time;
