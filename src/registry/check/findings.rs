//! Problems between files, as they are collected. Pure.

use std::ops::Range;

use super::define::Definitions;
use crate::registry::diagnostic::Problem;
use crate::registry::source::Place;

/// Most problems and most warnings that are kept between files: a screenful of screens.
pub(super) const MAX_FINDINGS: usize = 1000;

/// A definition with the file that it stands in.
pub(super) struct Found<'a, T> {
    pub(super) file: &'a Definitions,
    pub(super) def: &'a T,
}

impl<T> Clone for Found<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Found<'_, T> {}

impl<T> Found<'_, T> {
    /// The place of these bytes of the definition's file.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        self.file.source().place(span)
    }
}

/// What was found wrong between files.
#[derive(Default)]
pub(super) struct Findings {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    more: usize,
}

impl Findings {
    /// Notes an error; the place is worked out only while there is room.
    pub(super) fn error(&mut self, problem: impl FnOnce() -> Problem) {
        if self.errors.len() < MAX_FINDINGS {
            self.errors.push(problem());
        } else {
            self.more += 1;
        }
    }

    /// Notes a warning.
    pub(super) fn warning(&mut self, problem: impl FnOnce() -> Problem) {
        if self.warnings.len() < MAX_FINDINGS {
            self.warnings.push(problem());
        }
    }

    /// All errors.
    pub(super) fn errors(&mut self) -> Vec<Problem> {
        let mut errors = std::mem::take(&mut self.errors);
        if self.more > 0 {
            let message = format!("{} more problems between files", self.more);
            errors.push(Problem::error(Place::file("."), &message));
        }
        errors
    }

    /// All warnings.
    pub(super) fn warnings(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.warnings)
    }
}
