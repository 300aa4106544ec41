//! An error with its sources, on one line. Pure.

use std::error::Error;

/// What the error says, and why, and why that: `cannot listen on 127.0.0.1:443: permission denied`. A
/// cause whose words stand there already, as some crates repeat them, is left out.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    #[test]
    fn each_cause_is_said_once() {
        let deep = Said("refused", None);
        let middle = Said("no answer: refused", Some(Box::new(deep)));
        let error = Said("cannot connect", Some(Box::new(middle)));
        assert_eq!(chain(&error), "cannot connect: no answer: refused");
    }
}
