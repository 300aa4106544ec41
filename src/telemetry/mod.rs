//! Logs and metrics. Touches: process, by stderr.
//!
//! **Invariant:** a stage counts in plain atomics of its own; what is shown is read from them when it is
//! asked for. No label has more values than the source code names.

mod logs;
mod metrics;
mod observations;

pub use logs::{LogError, start as start_logs};
pub use metrics::{Gauges, render};
pub use observations::Observations;

/// An error with its sources, on one line: `cannot listen on 127.0.0.1:443: permission denied`.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
