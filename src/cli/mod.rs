//! The command line: one file a subcommand. Touches: process.
//!
//! Results go to stdout, words for people to stderr. Exit codes are stable: 0 done, 1 failed,
//! 2 wrong usage, 3 refused by `check`, 4 the daemon is not ready.

mod audit;
mod check;
mod client;
mod dev;
mod init;
mod keys;
mod secret;
mod serve;
mod status;

use std::io::Write;

use clap::{Parser, Subcommand, ValueEnum};

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
    /// Makes a new deployment: its folders, its grantd.toml, its first signing keys.
    Init(init::Args),
    /// Serves tokens until it is told to stop.
    Serve(serve::Args),
    /// Starts a complete daemon to try things with.
    Dev(dev::Args),
    /// Checks a registry folder.
    Check(check::Args),
    /// Makes clients.
    #[command(subcommand)]
    Client(client::Command),
    /// Makes secrets.
    #[command(subcommand)]
    Secret(secret::Command),
    /// Lists and rotates signing keys.
    Keys(keys::Args),
    /// Reads, searches and verifies the audit events.
    Audit(audit::Args),
    /// Shows how a live daemon stands.
    ///
    /// What it serves and since when, its keys and their next steps, its journal and its stream, and what
    /// expires soon. It asks through the admin socket in the state directory, as root or as the daemon's own
    /// user. Exit codes: 0 ready, 1 no daemon runs or none could be asked, 2 wrong usage, 4 not ready.
    Status(status::Args),
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
    /// The daemon that was asked runs, and is not ready.
    NotReady = 4,
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
        Command::Serve(args) => serve::run(args, io),
        Command::Dev(args) => dev::run(args, io),
        Command::Check(args) => check::run(args, io),
        Command::Client(command) => client::run(command, io),
        Command::Secret(command) => secret::run(command, io),
        Command::Keys(args) => keys::run(args, io),
        Command::Audit(args) => audit::run(args, io),
        Command::Status(args) => status::run(args, io),
    }
}
