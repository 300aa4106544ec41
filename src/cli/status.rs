//! `grantd status`: how a live daemon stands. Touches: fs, net.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::admin::{AdminClient, ClientFault, StatusReport};
use crate::domain::Lifetime;
use crate::settings::{self, SettingsError};
use crate::store::StateDir;

mod print;

/// How far ahead expiry dates are told: a month is time enough to make a new secret.
const DEFAULT_WINDOW: &str = "30d";

/// Shows how a live daemon stands.
///
/// What it serves and since when, its keys and their next steps, its journal and its stream, and what
/// expires soon. It asks through the admin socket in the state directory, as root or as the daemon's own
/// user.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::STATUS)]
pub(super) struct Args {
    /// The settings of the daemon.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/grantd/grantd.toml",
        conflicts_with = "state"
    )]
    config: PathBuf,
    /// The state directory, where there is no settings file at hand.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Tell what expires within this time.
    #[arg(long, value_name = "TIME", default_value = DEFAULT_WINDOW, value_parser = Lifetime::parse)]
    expiring: Lifetime,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Nobody is there.
    #[error(
        "no daemon runs on {}: start it with `grantd serve`, or name another state directory",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// Somebody may be there.
    #[error("cannot ask the daemon at {}: run this as root or as the daemon's user", socket.display())]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The daemon.
    #[error(transparent)]
    Daemon(#[from] ClientFault),
    /// Printing failed.
    #[error("cannot print the status")]
    Print(#[from] io::Error),
}

/// Asks, and prints.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    match ask(args).and_then(|report| tell(args, &report, io)) {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::NotReady,
        Err(error) => failed(io, &error),
    }
}

fn ask(args: &Args) -> Result<StatusReport, StatusError> {
    let state = match &args.state {
        Some(state) => state.clone(),
        None => settings::load(&args.config)?.state,
    };
    Ok(connect(&state)?.status(args.expiring)?)
}

fn connect(state: &Path) -> Result<AdminClient, StatusError> {
    let socket = StateDir::admin_socket_of(state);
    AdminClient::connect(&socket).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            StatusError::NotRunning(state.to_owned())
        }
        _ => StatusError::Unreachable { socket, source },
    })
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
