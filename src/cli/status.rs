//! `grantd status`: how a live daemon stands. Touches: fs, net, clock.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::reach::{Need, Reach, ReachError};
use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::admin::{ClientFault, StatusReport};
use crate::domain::Lifetime;

mod client;
mod credentials;
mod expect;
mod export;
mod print;

/// Shows how a live daemon stands.
///
/// What it serves and since when, its keys and their next steps, its journal and its stream, what expires
/// soon, and which of several secrets are still in use. Or one client; or all last uses, for `grantd plan`; or
/// whether a commit is live. It asks through the socket that only looks, or else through the admin socket: as
/// root, as the daemon's own user, or in a group that grantd.toml lets in.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::STATUS)]
pub(super) struct Args {
    #[command(flatten)]
    reach: Reach,
    /// Tell what expires within this time; within registry.expiry_window of the daemon's settings where
    /// left out.
    #[arg(long, value_name = "TIME", value_parser = Lifetime::parse)]
    expiring: Option<Lifetime>,
    /// Show this client alone: its secrets, and when each was last used.
    #[arg(
        long,
        value_name = "ID",
        group = "instead",
        conflicts_with = "expiring"
    )]
    client: Option<String>,
    /// Write the last use of each credential to this file, for `grantd plan --last-use`; "-" is stdout.
    ///
    /// It holds no secret, but says who works when: its mode is 0600.
    #[arg(
        long,
        value_name = "FILE",
        group = "instead",
        conflicts_with = "expiring"
    )]
    export: Option<PathBuf>,
    /// Say whether this git commit is live: its id, or the first 7 digits of it or more.
    #[arg(
        long,
        value_name = "SHA",
        group = "instead",
        conflicts_with = "expiring",
        value_parser = expect::Expected::parse
    )]
    expect_commit: Option<expect::Expected>,
    /// Wait this long for the commit to be live.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "0s",
        requires = "expect_commit",
        value_parser = Lifetime::parse
    )]
    wait: Lifetime,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    /// No daemon was asked, or it refused.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The export.
    #[error("cannot write {}", path.display())]
    Export {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Printing failed.
    #[error("cannot print the status")]
    Print(#[from] io::Error),
}

impl From<ClientFault> for StatusError {
    fn from(fault: ClientFault) -> Self {
        Self::Reach(ReachError::Daemon(fault))
    }
}

/// Asks, and prints.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    match answer(args, io) {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::NotReady,
        Err(error) => failed(io, &error),
    }
}

/// Does what was asked for; whether it is as it should be.
fn answer(args: &Args, io: &mut Io<'_>) -> Result<bool, StatusError> {
    if let Some(expected) = &args.expect_commit {
        return expect::run(expected, args.wait, (&args.reach, args.format), io);
    }
    let mut daemon = args.reach.connect(Need::Look)?;
    match (&args.client, &args.export) {
        (Some(id), _) => {
            let report = daemon.client(id)?;
            client::tell(&report, args.format, io)?;
            Ok(true)
        }
        (None, Some(file)) => {
            export::run(&mut daemon, file, args.format, io)?;
            Ok(true)
        }
        (None, None) => tell(args, &daemon.status(args.expiring)?, io),
    }
}

/// Prints; whether the daemon is ready.
fn tell(args: &Args, report: &StatusReport, io: &mut Io<'_>) -> Result<bool, StatusError> {
    match args.format {
        Format::Json => {
            let line = serde_json::to_string(report).map_err(io::Error::from)?;
            writeln!(io.out, "{line}")?;
        }
        Format::Text => print::text(report, io::stdout().is_terminal(), io)?,
    }
    Ok(report.ready)
}
