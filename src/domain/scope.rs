//! Scope tokens and the list that a request sends (RFC 6749 section 3.3). Pure.

use std::fmt;
use std::sync::Arc;

/// Longest scope token in bytes: four times the longest that we have seen in public APIs.
pub const MAX_SCOPE: usize = 256;

/// Most scope tokens in one request or grant: a token that carries more does not fit a header.
pub const MAX_SCOPES: usize = 128;

/// One scope token: one or more of `%x21 / %x23-5B / %x5D-7E` (RFC 6749 section 3.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeName(Arc<str>);

/// What is wrong with a scope token or a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// Nothing between two spaces, or at an end.
    #[error("an empty scope: names are separated by single spaces")]
    Empty,
    /// Longer than [`MAX_SCOPE`].
    #[error("a scope longer than {MAX_SCOPE} bytes")]
    TooLong,
    /// More than [`MAX_SCOPES`].
    #[error("more than {MAX_SCOPES} scopes")]
    TooMany,
    /// A byte that RFC 6749 section 3.3 does not allow.
    #[error("a character that a scope may not have: printable ASCII without space, \" and \\")]
    Character,
}

impl ScopeName {
    /// A scope token.
    ///
    /// # Errors
    /// [`InvalidScope`] when it is empty, too long or has a byte outside of the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        check_token(text).map(|()| Self(Arc::from(text)))
    }

    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for ScopeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Splits a request's `scope` at single spaces and checks each token; repeats are kept.
///
/// # Errors
/// [`InvalidScope`] for the first token that is not well-formed.
pub fn split_scope(list: &str) -> Result<Vec<&str>, InvalidScope> {
    let mut names = Vec::new();
    for token in list.split(' ') {
        if names.len() == MAX_SCOPES {
            return Err(InvalidScope::TooMany);
        }
        check_token(token)?;
        names.push(token);
    }
    Ok(names)
}

fn check_token(text: &str) -> Result<(), InvalidScope> {
    if text.is_empty() {
        return Err(InvalidScope::Empty);
    }
    if text.len() > MAX_SCOPE {
        return Err(InvalidScope::TooLong);
    }
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    if text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(InvalidScope::Character)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_of_rfc_6749_section_3_3() {
        assert_eq!(split_scope("a b:c"), Ok(vec!["a", "b:c"]));
        assert_eq!(split_scope("a  b"), Err(InvalidScope::Empty));
        assert_eq!(split_scope(" a"), Err(InvalidScope::Empty));
        assert_eq!(split_scope("a "), Err(InvalidScope::Empty));
        assert_eq!(split_scope("a\tb"), Err(InvalidScope::Character));
        assert_eq!(split_scope("a\"b"), Err(InvalidScope::Character));
        assert_eq!(split_scope("a\\b"), Err(InvalidScope::Character));
        assert_eq!(split_scope("é"), Err(InvalidScope::Character));
        assert_eq!(split_scope(&"a".repeat(257)), Err(InvalidScope::TooLong));
        assert_eq!(
            split_scope(&["a"; 129].join(" ")),
            Err(InvalidScope::TooMany)
        );
    }
}
