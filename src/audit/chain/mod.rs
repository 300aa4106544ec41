//! The chain of lines: what a line is, how one is made, how many are verified. Pure.
//!
//! One event is one line, the same bytes in the journal and in the stream. The request's side makes
//! the head of the line (see [`super::event`]); the journal's writer appends the rest by [`splice`]:
//!
//! ```text
//! {"specversion":"1.0",…,"data":{…}  ,"lineage":"<32 hex>","sequence":"<20 digits>",
//!        the head                     "batch":"<20 digits>","prev":"<64 hex>","hash":"<64 hex>"}
//! ```
//!
//! **Invariant:** `hash` is the SHA-256 of the line's bytes before `,"hash"`; `prev` is the `hash` of
//! the line before, or 64 zeros in a journal's first line; sequences begin at 1 and have no gap, also
//! across a change of the lineage; `batch` is the first sequence of the commit that wrote the line.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod line;
mod lineage;
mod standing;
mod verifier;

pub use line::{Line, LineFault, Link, MAX_HEAD, MAX_LINE, TAIL, splice};
pub use lineage::{InvalidLineage, Lineage};
pub use standing::{Damage, Known, Standing, Why, examine};
pub use verifier::{Finding, Step, Tip, Verifier};

#[cfg(test)]
mod standing_tests;
#[cfg(test)]
mod tests;
