//! The form that names must have: `[policy.names]`. Pure.

use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// Longest pattern in bytes: eight times the longest name of a client.
const MAX_PATTERN: usize = 512;

/// Most bytes of a compiled pattern: `[a-z0-9-]{1,63}` takes 9 KB and `\w+-\w+`, of all letters that
/// there are, 98; what takes more multiplies repetitions.
const MAX_COMPILED: usize = 256 * 1024;

/// A regular expression that a whole name must match. Two are the same when they are spelt so.
#[derive(Clone)]
pub struct NamePattern {
    text: Arc<str>,
    whole: Regex,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Nothing there.
    #[error("it is empty: no name could match")]
    Empty,
    /// Longer than [`MAX_PATTERN`].
    #[error("it is longer than {MAX_PATTERN} bytes")]
    TooLong,
    /// Compiled it is larger than [`MAX_COMPILED`].
    #[error("it is too large: its repetitions multiply")]
    TooLarge,
    /// Not of the syntax.
    #[error("{0}")]
    Syntax(String),
}

impl NamePattern {
    /// A pattern in the syntax of the crate `regex`: no look-around, no references back, so that
    /// matching never takes longer than the name's length allows.
    ///
    /// # Errors
    /// [`InvalidPattern`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if text.len() > MAX_PATTERN {
            return Err(InvalidPattern::TooLong);
        }
        // Alone first: `a)|(b` would mean something else within the brackets below.
        compile(text)?;
        Ok(Self {
            whole: compile(&format!(r"\A(?:{text})\z"))?,
            text: Arc::from(text),
        })
    }

    /// Whether a name, from its first to its last letter, has this form.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.whole.is_match(name)
    }

    /// The pattern as the policy spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn compile(text: &str) -> Result<Regex, InvalidPattern> {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(MAX_COMPILED).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => InvalidPattern::TooLarge,
            // Several lines with a drawing; the last one says what is wrong.
            error => {
                let told = error.to_string();
                let last = told.lines().last().unwrap_or_default();
                InvalidPattern::Syntax(last.trim_start_matches("error: ").to_owned())
            }
        }
    })
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NamePattern {}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `[policy.names]`: the form of each kind of name; `None` for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePatterns {
    /// Of clients.
    pub client: Option<NamePattern>,
    /// Of resources.
    pub resource: Option<NamePattern>,
    /// Of scopes.
    pub scope: Option<NamePattern>,
    /// Of owners.
    pub owner: Option<NamePattern>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_whole_name_is_matched() {
        let pattern = NamePattern::parse("a|ab|team-[a-z]+").unwrap();
        for name in ["a", "ab", "team-billing"] {
            assert!(pattern.matches(name), "{name}");
        }
        for name in ["", "abc", "team-", "xteam-a", "team-a\n", "\nteam-a"] {
            assert!(!pattern.matches(name), "{name:?}");
        }
    }

    #[test]
    fn what_does_not_compile_says_why() {
        let why = |text: &str| NamePattern::parse(text).unwrap_err().to_string();
        assert_eq!(why("team-("), "unclosed group");
        assert_eq!(why("a)|(b"), "unopened group");
        assert_eq!(why(""), "it is empty: no name could match");
        assert!(why("(?=a)").starts_with("look-around"), "{}", why("(?=a)"));
        assert_eq!(
            NamePattern::parse(&"a".repeat(513)),
            Err(InvalidPattern::TooLong)
        );
        assert_eq!(
            NamePattern::parse(r"(?:\w{100}){100}"),
            Err(InvalidPattern::TooLarge)
        );
        for long in [r"\w+-\w+", "[a-z0-9-]{1,63}", "(?i)[a-z0-9-]{1,63}"] {
            assert!(NamePattern::parse(long).is_ok(), "{long}");
        }
    }
}
