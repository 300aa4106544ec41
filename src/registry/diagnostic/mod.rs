//! What is wrong with a registry, for people: where, what, and what to write instead. Pure.
//!
//! **Invariant:** no text in a [`Problem`] shows a secret: messages are scrubbed here, lines are
//! masked by [`Source::place`](super::source::Source::place).

mod render;
mod rule;

use std::ops::Range;

use serde::Serialize;

pub use render::{Renderer, to_json};
pub use rule::Rule;

use super::mask;
use super::source::{Place, Source};
use crate::domain::Digest;

/// Most problems that are kept of one file: enough for a morning, and a bound for garbage.
const MAX_PER_FILE: usize = 100;

/// Whether a problem refuses the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The registry is refused.
    Error,
    /// Served, but somebody should look.
    Warning,
}

/// One problem of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it refuses the registry.
    pub severity: Severity,
    /// What kind of problem it is.
    pub rule: Rule,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Another place that belongs to it, such as the first of two definitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also: Option<Also>,
}

/// The second place of a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Also {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What stands there, for example "first defined here".
    pub label: String,
}

impl Problem {
    /// A problem that refuses the registry.
    #[must_use]
    pub fn error(place: Place, message: &str) -> Self {
        Self {
            severity: Severity::Error,
            rule: Rule::InvalidValue,
            place,
            message: mask::scrub(message),
            advice: None,
            also: None,
        }
    }

    /// A problem that is only told.
    #[must_use]
    pub fn warning(place: Place, message: &str) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, message)
        }
    }

    /// The same of another rule; a value that may not be what it is where none is named.
    #[must_use]
    pub fn rule(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }

    /// The same with advice.
    #[must_use]
    pub fn advise(self, advice: &str) -> Self {
        Self {
            advice: Some(mask::scrub(advice)),
            ..self
        }
    }

    /// The same with a second place.
    #[must_use]
    pub fn also(self, place: Place, label: &str) -> Self {
        Self {
            also: Some(Also {
                place,
                label: label.to_owned(),
            }),
            ..self
        }
    }
}

/// Sorts problems as people read them: by file, line and column.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| {
        let order = a.place.order().cmp(&b.place.order());
        order
            .then_with(|| a.severity.cmp(&b.severity))
            .then_with(|| a.message.cmp(&b.message))
    });
}

/// The digest of a set of problems: the same problems are told once.
#[must_use]
pub fn digest(problems: &[Problem]) -> Digest {
    Digest::of(to_json(problems).as_bytes())
}

/// Collects the problems of one file, at most [`MAX_PER_FILE`] of them, and counts the rest.
#[derive(Debug)]
pub(super) struct Collector<'s> {
    source: &'s Source,
    problems: Vec<Problem>,
    more: usize,
}

impl<'s> Collector<'s> {
    /// A collector for this file.
    pub(super) const fn new(source: &'s Source) -> Self {
        Self {
            source,
            problems: Vec::new(),
            more: 0,
        }
    }

    /// The file.
    pub(super) const fn source(&self) -> &'s Source {
        self.source
    }

    /// Whether further problems are only counted: nothing more need be found out of them.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PER_FILE
    }

    /// Notes a value that may not be what it is; without advice where `advice` is empty.
    pub(super) fn error(&mut self, span: Range<usize>, message: &str, advice: &str) {
        self.error_of(Rule::InvalidValue, span, message, advice);
    }

    /// Notes an error by another rule.
    pub(super) fn error_of(&mut self, rule: Rule, span: Range<usize>, message: &str, advice: &str) {
        self.note(|source| with_advice(source.place(span), message, advice).rule(rule));
    }

    /// Notes an error with a second place in the same file.
    pub(super) fn error_also(
        &mut self,
        span: Range<usize>,
        message: &str,
        advice: &str,
        also: Option<(Range<usize>, &str)>,
    ) {
        self.note(|source| {
            let problem = with_advice(source.place(span), message, advice);
            match also {
                Some((span, label)) => problem.also(source.place(span), label),
                None => problem,
            }
        });
    }

    /// Notes what is there twice, with the first of the two.
    pub(super) fn duplicate(
        &mut self,
        span: Range<usize>,
        message: &str,
        advice: &str,
        first: Option<(Range<usize>, &str)>,
    ) {
        let before = self.problems.len();
        self.error_also(span, message, advice, first);
        if let Some(problem) = self.problems.get_mut(before) {
            problem.rule = Rule::Duplicate;
        }
    }

    fn note(&mut self, problem: impl FnOnce(&Source) -> Problem) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.problems.push(problem(self.source));
        }
    }

    /// Everything that was noted.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        if self.more > 0 {
            let message = format!("{} more problems in this file", self.more);
            self.problems
                .push(Problem::error(Place::file(self.source.path()), &message));
        }
        self.problems
    }
}

/// An error; without advice where `advice` is empty.
fn with_advice(place: Place, message: &str, advice: &str) -> Problem {
    let problem = Problem::error(place, message);
    if advice.is_empty() {
        problem
    } else {
        problem.advise(advice)
    }
}
