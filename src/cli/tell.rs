//! What every command says the same way: that it failed, and warnings. Touches: process, by stderr.

use std::error::Error;
use std::fmt::Display;

use super::{Exit, Io};
use crate::domain::chain;

/// Says why a command failed, with all causes, each once.
pub(super) fn failed(io: &mut Io<'_>, error: &dyn Error) -> Exit {
    // Nothing more can be said where stderr is gone: the exit code alone has to do.
    let _gone = writeln!(io.err, "error: {}", chain(error));
    Exit::Failed
}

/// Says what is not as it should be, though the command goes on.
pub(super) fn warn(io: &mut Io<'_>, what: &dyn Display) {
    let _gone = writeln!(io.err, "warning: {what}");
}
