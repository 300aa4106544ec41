//! The state directory and the small state that changes in place. Touches: fs, process.
//!
//! `<state>/lock` keeps a second daemon out, `<state>/db` is sled, and every key in it is named in
//! `key.rs`. The audit journal and the key files lie beside it and depend on nothing in it.
//!
//! **Invariant:** a change is on disk when its call returns. After a failure nothing is tried
//! again: the daemon must stop, for nobody knows what the disk holds. A full disk is found before anything is
//! written, and is no failure.

mod db;
mod dir;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod kept;
mod key;
mod last_use;
mod overlay;
mod rings;
mod room;
mod witness;

pub use db::{MAX_RECORD, OnCorruption, Store, StoreError};
pub use dir::{StateDir, StateDirError};
pub use kept::KeptMark;
pub use last_use::LAST_USE_BYTES;
