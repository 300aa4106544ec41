//! The command line: one file a subcommand. Touches: process.
//!
//! Results go to stdout, words for people to stderr. Exit codes are stable: see [`Exit`].

mod audit;
mod check;
mod client;
mod completions;
mod dev;
mod discovery;
mod help;
mod https;
mod init;
mod json;
mod keys;
mod man;
mod secret;
mod serve;
mod status;
mod tell;
mod token;
mod verify;

use std::io::Write;

use clap::{Parser, Subcommand, ValueEnum};

/// grantd: an OAuth 2.0 token daemon for machines.
#[derive(Debug, Parser)]
#[command(name = "grantd", version, about, max_term_width = 100, after_long_help = help::GRANTD)]
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
    /// Makes clients, and programs that get tokens for them.
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
    Status(status::Args),
    /// Gets an access token, for a script or a cron job.
    Token(token::Args),
    /// Checks an access token, and says which rule it breaks.
    Verify(verify::Args),
    /// Prints the completions of a shell.
    Completions(completions::Args),
    /// Writes the manual pages.
    Man(man::Args),
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
    /// Failed: the message on stderr says why. What could pass by itself may be tried again.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// Refused: a registry by `check`, a client by the token server, a token by `verify`. Trying again
    /// gets the same.
    Refused = 3,
    /// The daemon that was asked runs, and is not ready, or does not serve the commit that it should.
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
        Command::Token(args) => token::run(args, io),
        Command::Verify(args) => verify::run(args, io),
        Command::Completions(args) => completions::run(args, io),
        Command::Man(args) => man::run(args, io),
    }
}
