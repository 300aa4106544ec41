//! `grantd status`: how a live daemon stands. Touches: fs, net.

use std::io::{self, IsTerminal};

use super::reach::{Need, Reach, ReachError};
use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::admin::StatusReport;
use crate::domain::Lifetime;

mod print;

/// How far ahead expiry dates are told: a month is time enough to make a new secret.
const DEFAULT_WINDOW: &str = "30d";

/// Shows how a live daemon stands.
///
/// What it serves and since when, its keys and their next steps, its journal and its stream, and what
/// expires soon. It asks through the socket that only looks, or else through the admin socket: as root, as
/// the daemon's own user, or in a group that grantd.toml lets in.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::STATUS)]
pub(super) struct Args {
    #[command(flatten)]
    reach: Reach,
    /// Tell what expires within this time.
    #[arg(long, value_name = "TIME", default_value = DEFAULT_WINDOW, value_parser = Lifetime::parse)]
    expiring: Lifetime,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Asks, and prints.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    match ask(args).and_then(|report| tell(args, &report, io)) {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::NotReady,
        Err(error) => failed(io, &error),
    }
}

fn ask(args: &Args) -> Result<StatusReport, ReachError> {
    Ok(args.reach.connect(Need::Look)?.status(args.expiring)?)
}

/// Prints; whether the daemon is ready.
fn tell(args: &Args, report: &StatusReport, io: &mut Io<'_>) -> Result<bool, ReachError> {
    match args.format {
        Format::Json => {
            let line = serde_json::to_string(report).map_err(io::Error::from)?;
            writeln!(io.out, "{line}")?;
        }
        Format::Text => print::text(report, io::stdout().is_terminal(), io)?,
    }
    Ok(report.ready)
}
