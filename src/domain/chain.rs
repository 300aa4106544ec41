//! An error with its sources, on one line. Pure.

use std::error::Error;

/// What the error says, and why, and why that: `cannot listen on 127.0.0.1:443: permission denied`.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
