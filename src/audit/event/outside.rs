//! Text that came from outside, as an event may hold it. Pure.

use crate::domain::looks_like_secret;

/// Longest text from outside in an event, in bytes (`design.md`).
pub const MAX_OUTSIDE: usize = 128;

/// What stands in an event instead of a text that may be a secret or a token.
const WITHHELD: &str = "(withheld: it has the look of a secret)";

/// Text from outside: cut at [`MAX_OUTSIDE`] bytes, never within a character, and withheld when it has
/// the look of a secret or a token, for somebody may have typed one into the wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside(Box<str>);

impl Outside {
    /// What an event may hold of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if looks_like_secret(text) {
            return Self(Box::from(WITHHELD));
        }
        Self::cut(text)
    }

    /// As [`Outside::new`], for text that can't be a secret: a path, a person's words in the registry.
    pub(super) fn cut(text: &str) -> Self {
        let end = text.floor_char_boundary(MAX_OUTSIDE);
        Self(Box::from(text.get(..end).unwrap_or_default()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(Outside::new("billing").as_str(), "billing");
        let long = format!("{}é", "-".repeat(127));
        assert_eq!(Outside::new(&long).as_str(), "-".repeat(127));
        assert_eq!(Outside::new(&" ".repeat(1 << 20)).as_str().len(), 128);
    }

    #[test]
    fn what_may_be_a_secret_is_withheld() {
        let jwt = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL2F1dGgifQ.c2ln";
        let late = format!("{} {jwt}", "a ".repeat(200));
        for text in [jwt, "grantd_secret_abc", &late] {
            assert_eq!(Outside::new(text).as_str(), WITHHELD);
        }
    }
}
