//! The journal: append-only segments, group commit, recovery. Touches: fs, clock.

mod receipt;
mod tail;

pub use receipt::Receipt;
pub use tail::{Tail, TailError};
