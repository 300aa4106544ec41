//! Logs, metrics, and how the daemon stands. Touches: process, by stderr.
//!
//! **Invariant:** a stage counts in plain atomics of its own; what is shown is read from them when it is
//! asked for. No label has more values than the source code names, but for the facts of `_info`.

mod alarms;
mod logs;
mod metrics;
mod observations;
mod process;
pub mod status;

pub use alarms::Alarms;
pub use logs::{LogError, start as start_logs};
pub use metrics::{Gauges, render};
pub use observations::Observations;
