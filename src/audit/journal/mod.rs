//! The journal: append-only segments, group commit, recovery. Touches: fs, clock.

mod tail;

pub use tail::{Tail, TailError};
