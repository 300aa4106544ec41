//! The command line: one file a subcommand. Touches: process.
//!
//! Results go to stdout, words for people to stderr. Exit codes are stable: 0 done, 1 failed,
//! 2 wrong usage, 3 refused by `check`.

use std::io::Write;

use clap::{Parser, Subcommand, ValueEnum};

pub mod init;
pub mod keys;

/// grantd: an OAuth 2.0 token daemon for machines.
#[derive(Debug, Parser)]
#[command(name = "grantd", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Keys(keys::Args),
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON value, or one a line.
    Json,
}

/// How a command ended: the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed: the message on stderr says why.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// The registry was refused by `check`.
    Refused = 3,
}

/// Where a command prints to.
pub struct Io<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Words for people.
    pub err: &'a mut dyn Write,
}

/// Runs what the arguments say.
pub fn run(cli: &Cli, io: &mut Io<'_>) -> Exit {
    match &cli.command {
        Command::Init(args) => init::run(args, io),
        Command::Keys(args) => keys::run(args, io),
    }
}

/// An error with its causes, in one line: what `grantd: …` on stderr says.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
