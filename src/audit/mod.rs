//! The record of every decision. Touches: fs, net, clock.
//!
//! Stage of both flows: `… → mint → audit → http` and `… → diff → audit → publish`. An event is
//! written as one line ([`event`]), chained to the line before ([`chain`]), made durable
//! ([`journal`]), and shipped to the stream. Refusals that cost nothing to provoke have a [`budget`].
//!
//! **Invariant:** no token without a record. A signed token has no bytes without a [`Receipt`], a
//! receipt is made by the journal alone, after `fdatasync`, and [`Recorded`] is the one way from
//! the one to the other.
//!
//! ```compile_fail,E0277
//! fn shown(token: grantd::mint::SignedToken) -> String { format!("{token:?}") }
//! ```
//! ```compile_fail,E0277
//! fn shown(token: grantd::mint::SignedToken) -> String { token.to_string() }
//! ```
//! ```compile_fail,E0277
//! fn written(token: &grantd::mint::SignedToken) -> String { serde_json::to_string(token).unwrap() }
//! ```
//! ```compile_fail,E0061
//! fn early(token: grantd::mint::SignedToken) -> Option<String> { token.reveal() }
//! ```
//! A token leaves only so:
//! ```
//! use grantd::audit::{Outcome, Recorded};
//! fn answer(recorded: Recorded) -> Option<String> {
//!     match recorded.outcome() {
//!         Outcome::Token { token, receipt } => token.reveal(&receipt),
//!         Outcome::Refusal(_) => None,
//!     }
//! }
//! ```

pub mod budget;
pub mod chain;
mod decision;
pub mod event;
pub mod journal;
pub mod ship;

pub use decision::{Decision, Outcome, Recorded, RegistryRef, Trail, UsedCredential};
pub use event::ControlEvent;
pub use journal::{Journal, Receipt, Tail, TailError, Unrecorded};
