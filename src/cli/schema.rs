//! `grantd schema`: what editors know of the registry's files. Touches: process, by stdout.

use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::registry::file;

/// Prints the JSON Schema of the registry's files.
///
/// For editors: they complete keys, show what each means, and mark what is wrong while somebody types. It is
/// generated from what this version of grantd reads. `grantd check` has the last word: it sees all files
/// together.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::SCHEMA)]
pub(super) struct Args {
    /// How to print: over many lines, or as one JSON object on one line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints it.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let schema = file::schema();
    let printed = match args.format {
        Format::Text => writeln!(io.out, "{schema:#}"),
        Format::Json => writeln!(io.out, "{schema}"),
    };
    match printed {
        Ok(()) => Exit::Done,
        Err(error) => failed(io, &error),
    }
}
