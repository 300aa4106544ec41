//! `grantd registry`: what an operator says to changes of the registry. Touches: fs, net.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::admin::{AcceptedRegistry, AdminClient, ClientFault};
use crate::domain::Digest;
use crate::settings::{self, SettingsError};
use crate::store::StateDir;

/// What to do.
#[derive(Debug, Subcommand)]
#[command(after_long_help = help::REGISTRY)]
pub(super) enum Command {
    /// Releases a change that is held back.
    ///
    /// A change that takes away more clients than the policy allows waits, and the registry before it is
    /// served on. This lets through exactly the change with this hash: `grantd status` shows it, and what
    /// goes away. Who did it is recorded.
    #[command(after_long_help = help::REGISTRY_ACCEPT)]
    Accept {
        /// The hash of what goes away, as `grantd status` shows it.
        #[arg(value_name = "HASH", value_parser = hash)]
        change: Digest,
        #[command(flatten)]
        at: At,
    },
}

/// Which daemon.
#[derive(Debug, clap::Args)]
pub(super) struct At {
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
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Why nothing was released.
#[derive(Debug, thiserror::Error)]
enum RegistryError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Nobody is there.
    #[error(
        "no daemon runs on {}: a change is held back by a daemon that runs; start it, and see `grantd status`",
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
    #[error("cannot print the result")]
    Print(#[from] io::Error),
}

fn hash(text: &str) -> Result<Digest, String> {
    Digest::parse(text.as_bytes()).map_err(|_| {
        "a hash is 64 lower-case hexadecimal digits, as `grantd status` shows it".to_owned()
    })
}

/// Asks the daemon, and prints.
pub(super) fn run(command: &Command, io: &mut Io<'_>) -> Exit {
    let Command::Accept { change, at } = command;
    match accept(change, at).and_then(|accepted| tell(&accepted, at.format, io)) {
        Ok(()) => Exit::Done,
        Err(error) => failed(io, &error),
    }
}

fn accept(change: &Digest, at: &At) -> Result<AcceptedRegistry, RegistryError> {
    let state = match &at.state {
        Some(state) => state.clone(),
        None => settings::load(&at.config)?.state,
    };
    Ok(connect(&state)?.accept_registry(&change.to_string())?)
}

fn connect(state: &Path) -> Result<AdminClient, RegistryError> {
    let socket = StateDir::admin_socket_of(state);
    AdminClient::connect(&socket).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            RegistryError::NotRunning(state.to_owned())
        }
        _ => RegistryError::Unreachable { socket, source },
    })
}

fn tell(accepted: &AcceptedRegistry, format: Format, io: &mut Io<'_>) -> Result<(), RegistryError> {
    if format == Format::Json {
        let line = serde_json::to_string(accepted).map_err(io::Error::from)?;
        return Ok(writeln!(io.out, "{line}")?);
    }
    let change = &accepted.change;
    match (accepted.generation, &accepted.digest) {
        (Some(generation), Some(digest)) => writeln!(
            io.out,
            "released {change}\nserved as generation {generation}, digest {digest}"
        )?,
        _ => writeln!(
            io.out,
            "released {change}\nit is not served yet: `grantd status` says when it is"
        )?,
    }
    Ok(())
}
