//! The record of every decision. Touches: fs, net, clock.

pub mod chain;
pub mod journal;
mod receipt;

pub use receipt::Receipt;
