//! The registry: what the files of `registry.d` say. Touches: fs, clock.
//!
//! The second of the two flows, in one direction:
//!
//! ```text
//! watch → load → file → check → diff → guard → publish
//! ```
//!
//! - [`load`] reads a folder, twice if need be, until it holds still
//! - [`file`] turns one file into tables, [`check`] turns all of them into a [`snapshot`], or tells
//!   every problem at once as a [`diagnostic`]
//! - [`diff`] says what a new snapshot means beside the one before, [`guard`] whether that may
//!   happen by itself; [`policy`] has the words of the rules
//! - [`last_use`] is the one thing of a snapshot that changes: when a credential was last used, which
//!   [`ledger`] carries from one snapshot to the next
//! - [`publish`] runs these once; [`watch`] runs it again whenever the folder may have changed
//! - [`overlay`] stands above all of it: what operators took away in an emergency
//! - [`keep`] has the last good one on disk before it is served
//!
//! **Invariant:** whatever lands in the folder, the snapshot that was accepted last stands until
//! another one is accepted whole. An empty or missing folder is an error, never a registry without
//! clients.

pub mod approval;
pub mod check;
pub mod deadlines;
pub mod diagnostic;
pub mod diff;
pub mod file;
pub mod guard;
pub mod held;
pub mod keep;
pub mod last_use;
pub mod ledger;
pub mod load;
pub mod meaning;
pub mod object;
pub mod overlay;
pub mod policy;
pub mod publish;
pub mod snapshot;
pub mod source;
pub mod watch;

mod digest;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod mask;
pub(crate) mod suggest;

#[cfg(test)]
#[expect(clippy::expect_used, reason = "constants of tests")]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
