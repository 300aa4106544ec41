//! The record of every decision. Touches: fs, net, clock.

mod receipt;

pub use receipt::Receipt;
