//! The command line: one file a subcommand. Touches: process.
//!
//! Results go to stdout, words for people to stderr. Exit codes are stable: see [`Exit`].

mod access;
mod audit;
mod check;
mod client;
mod completions;
mod dev;
mod discovery;
mod explain;
mod folder;
mod help;
mod https;
mod init;
mod json;
mod keys;
mod man;
mod overlay;
mod plan;
mod reach;
mod registry;
mod schema;
mod secret;
mod serve;
mod status;
mod table;
mod tell;
mod token;
mod verify;

use std::ffi::OsString;
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
    /// Says what a change of the registry means, and who must agree.
    Plan(plan::Args),
    /// Makes clients, and programs that get tokens for them.
    #[command(subcommand)]
    Client(client::Command),
    /// Makes secrets.
    #[command(subcommand)]
    Secret(secret::Command),
    /// Lists and rotates signing keys.
    Keys(keys::Args),
    /// Reads, searches and verifies the audit events.
    Audit(Box<audit::Args>),
    /// Shows how a live daemon stands.
    Status(status::Args),
    /// Gets an access token, for a script or a cron job.
    Token(token::Args),
    /// Checks an access token, and says which rule it breaks.
    Verify(verify::Args),
    /// Explains why a request would be granted or refused.
    Explain(explain::Args),
    /// Lists who can do what.
    Access(access::Args),
    /// Prints the JSON Schema of the registry's files, for editors.
    Schema(schema::Args),
    /// Lists and clears what operators took away above the registry.
    #[command(subcommand)]
    Overlay(overlay::Command),
    /// Makes tokens void that were issued already.
    Revoke(overlay::RevokeArgs),
    /// Releases changes of the registry that are held back.
    #[command(subcommand)]
    Registry(registry::Command),
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
pub enum Exit {
    /// Done.
    Done,
    /// Failed: the message on stderr says why. What could pass by itself may be tried again.
    Failed,
    /// The arguments are wrong.
    Usage,
    /// `plan`: there are changes.
    Changes,
    /// Refused: a registry by `check`, a change by `plan`, a client by the token server, a token by `verify`, a
    /// request by `explain`. Trying again gets the same.
    Refused,
    /// The daemon that was asked runs, and is not ready, or does not serve the commit that it should.
    NotReady,
}

impl Exit {
    /// The process's exit code. Two are 2: no command ends in both.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage | Self::Changes => 2,
            Self::Refused => 3,
            Self::NotReady => 4,
        }
    }
}

/// Where a command prints to.
pub struct Io<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Words for people.
    pub err: &'a mut dyn Write,
}

/// Parses the arguments, the program's name first. What is wrong with them, or the help that was asked
/// for, is printed.
///
/// # Errors
/// How the process ends where there is nothing to run.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Exit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    Cli::try_parse_from(&arguments).map_err(|error| {
        // Where nothing can be printed, the exit code alone has to do.
        let _gone = error.print();
        let is_plan = arguments.get(1).is_some_and(|word| word == "plan");
        match error.use_stderr() {
            false => Exit::Done,
            // There, 2 says that there are changes.
            true if is_plan => Exit::Failed,
            true => Exit::Usage,
        }
    })
}

/// Runs what the arguments say.
pub fn run(cli: &Cli, io: &mut Io<'_>) -> Exit {
    match &cli.command {
        Command::Init(args) => init::run(args, io),
        Command::Serve(args) => serve::run(args, io),
        Command::Dev(args) => dev::run(args, io),
        Command::Check(args) => check::run(args, io),
        Command::Plan(args) => plan::run(args, io),
        Command::Client(command) => client::run(command, io),
        Command::Secret(command) => secret::run(command, io),
        Command::Keys(args) => keys::run(args, io),
        Command::Audit(args) => audit::run(args, io),
        Command::Status(args) => status::run(args, io),
        Command::Token(args) => token::run(args, io),
        Command::Verify(args) => verify::run(args, io),
        Command::Explain(args) => explain::run(args, io),
        Command::Access(args) => access::run(args, io),
        Command::Schema(args) => schema::run(args, io),
        Command::Overlay(command) => overlay::run(command, io),
        Command::Revoke(args) => overlay::revoke(args, io),
        Command::Registry(command) => registry::run(command, io),
        Command::Completions(args) => completions::run(args, io),
        Command::Man(args) => man::run(args, io),
    }
}
