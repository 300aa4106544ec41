//! Which live daemon a command asks, and by which of its sockets. Touches: fs, net.

use std::io;
use std::path::{Path, PathBuf};

use crate::admin::{AdminClient, ClientFault};
use crate::settings::{self, SettingsError};
use crate::store::StateDir;

/// Which daemon.
#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    /// The settings of the daemon.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/grantd/grantd.toml",
        conflicts_with_all = ["state", "socket"]
    )]
    config: PathBuf,
    /// The state directory, where there is no settings file at hand.
    #[arg(long, value_name = "DIR", conflicts_with = "socket")]
    state: Option<PathBuf>,
    /// The daemon's socket itself, where neither can be read.
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
}

/// Why there is no daemon to ask.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReachError {
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
    #[error(
        "cannot ask the daemon at {}: run this as root, as the daemon's user, or in the group of [admin]",
        socket.display()
    )]
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

/// What a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A look: the socket that only looks does, and is tried first.
    Look,
    /// A change.
    Change,
}

/// Where a daemon's sockets are, and where its state is.
struct Sockets {
    state: PathBuf,
    admin: PathBuf,
    status: PathBuf,
}

impl Reach {
    /// Connects to the daemon.
    ///
    /// # Errors
    /// [`ReachError`]: none runs, or nobody is let in.
    pub(super) fn connect(&self, need: Need) -> Result<AdminClient, ReachError> {
        if let Some(socket) = &self.socket {
            return AdminClient::connect(socket).map_err(|source| refused(socket, socket, source));
        }
        let sockets = self.sockets()?;
        if need == Need::Look
            && let Ok(client) = AdminClient::connect(&sockets.status)
        {
            return Ok(client);
        }
        AdminClient::connect(&sockets.admin)
            .map_err(|source| refused(&sockets.admin, &sockets.state, source))
    }

    fn sockets(&self) -> Result<Sockets, ReachError> {
        Ok(match &self.state {
            // Links lead from there where the sockets lie elsewhere.
            Some(state) => Sockets {
                admin: StateDir::admin_socket_of(state),
                status: StateDir::status_socket_of(state),
                state: state.clone(),
            },
            None => {
                let settings = settings::load(&self.config)?;
                Sockets {
                    admin: settings.admin.admin.path,
                    status: settings.admin.status.path,
                    state: settings.state,
                }
            }
        })
    }
}

fn refused(socket: &Path, place: &Path, source: io::Error) -> ReachError {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ReachError::NotRunning(place.to_owned())
        }
        _ => ReachError::Unreachable {
            socket: socket.to_owned(),
            source,
        },
    }
}
