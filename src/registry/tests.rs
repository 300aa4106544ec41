//! The registry as a whole: fixtures with their diagnostics, and properties. Touches: fs, process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod fixtures;
mod incremental;
mod properties;
mod watching;
