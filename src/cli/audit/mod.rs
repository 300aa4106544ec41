//! `grantd audit`: reads, searches and verifies the record of every decision. Touches: fs, net.
//!
//! The events come from a state directory (of a live daemon through its admin socket, of a stopped
//! one from its files) or from a stream. Nothing here writes anything.

mod export;
mod files;
mod find;
mod nats;
mod row;
mod source;
mod span;
mod tail;
mod verify;

use clap::Subcommand;

use super::tell::failed;
use super::{Exit, Format, Io, help};

/// Reads, searches and verifies the audit events.
///
/// They come from a daemon on this machine, live or stopped, or from the stream that it ships them to.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::AUDIT)]
pub(super) struct Args {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the last events, and with --follow those to come
    Tail(tail::Args),
    /// Prints all events as JSON lines, byte for byte as they were recorded
    Export(export::Args),
    /// Finds the events of a request, a token or a client
    Find(find::Args),
    /// Checks that no event is missing or altered
    Verify(verify::Args),
}

/// Runs one of them.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let format = args.format;
    let done = match &args.command {
        Command::Tail(args) => tail::run(args, format, io),
        Command::Export(args) => export::run(args, io),
        Command::Find(args) => find::run(args, format, io),
        Command::Verify(args) => verify::run(args, format, io),
    };
    match done {
        Ok(exit) => exit,
        // `grantd audit export | head` is no failure.
        Err(Fault::Print(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(fault) => {
            let _told = failed(io, &fault);
            fault.exit()
        }
    }
}

/// Why a command can't do what it was asked.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The arguments don't fit together.
    #[error("{0}")]
    Usage(String),
    /// The events can't be read.
    #[error(transparent)]
    Source(#[from] source::SourceFault),
    /// The result can't be printed.
    #[error("cannot print the result")]
    Print(#[from] std::io::Error),
}

impl Fault {
    const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Source(_) | Self::Print(_) => Exit::Failed,
        }
    }
}
