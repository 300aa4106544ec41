//! What is wrong with a registry, for people: where, what, and what to write instead. Pure.
//!
//! **Invariant:** no text in a [`Problem`] shows a secret: messages are scrubbed here, lines are
//! masked by [`Source::place`](super::source::Source::place).

mod render;

use std::ops::Range;

use serde::Serialize;

pub use render::{Renderer, to_json};

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

    /// Notes an error at these bytes; without advice where `advice` is empty.
    pub(super) fn error(&mut self, span: Range<usize>, message: &str, advice: &str) {
        self.error_also(span, message, advice, None);
    }

    /// Notes an error with a second place in the same file.
    pub(super) fn error_also(
        &mut self,
        span: Range<usize>,
        message: &str,
        advice: &str,
        also: Option<(Range<usize>, &str)>,
    ) {
        if self.problems.len() >= MAX_PER_FILE {
            self.more += 1;
            return;
        }
        let mut problem = Problem::error(self.source.place(span), message);
        if !advice.is_empty() {
            problem = problem.advise(advice);
        }
        if let Some((span, label)) = also {
            problem = problem.also(self.source.place(span), label);
        }
        self.problems.push(problem);
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
