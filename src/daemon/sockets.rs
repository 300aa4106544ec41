//! The sockets that a service manager keeps for the daemon. Touches: net, process.
//!
//! They outlive the daemon: a client that connects while it restarts waits in the kernel's queue, and is
//! accepted by the next one. `systemd/grantd.socket` names them `public` and `monitor`.

use listenfd::ListenFd;

use crate::listener::{Bound, InheritError};
use crate::settings::service_manager;

/// What tokens are asked for on (`FileDescriptorName=`).
const PUBLIC: &str = "public";

/// What metrics and health are shown on.
const MONITOR: &str = "monitor";

/// Sockets that are bound before the daemon is built.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Where tokens are asked for.
    pub public: Option<Bound>,
    /// Where metrics and health are shown.
    pub monitor: Option<Bound>,
}

/// What was passed can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// Not a TCP socket, or not there.
    #[error("the socket {name:?} that was passed is no TCP socket")]
    NotTcp {
        /// Its name.
        name: String,
        /// What is wrong.
        source: std::io::Error,
    },
    /// It does not listen.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// A name that means nothing.
    #[error(
        "a socket with the name {0:?} was passed: write FileDescriptorName=public or FileDescriptorName=monitor"
    )]
    Unknown(String),
    /// Two of one name.
    #[error("two sockets with the name {0:?} were passed: the daemon listens on one of each name")]
    Twice(&'static str),
}

impl Sockets {
    /// Takes what was passed to this process; a socket that came alone is the public one, whatever it is
    /// called. To be called once, before there is a second thread.
    ///
    /// # Errors
    /// [`SocketsError`]
    pub fn inherited() -> Result<Self, SocketsError> {
        let names = service_manager::passed_sockets();
        let mut sockets = Self::default();
        if names.is_empty() {
            return Ok(sockets);
        }
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        let mut passed = ListenFd::from_env();
        let alone = names.len() == 1;
        for (at, name) in names.into_iter().enumerate() {
            let listener = passed.take_tcp_listener(at);
            let listener = listener.and_then(|it| {
                it.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
            });
            let listener = listener.map_err(|source| SocketsError::NotTcp {
                name: name.clone(),
                source,
            })?;
            let bound = Bound::inherited(listener, &name)?;
            let (place, known) = match name.as_str() {
                MONITOR => (&mut sockets.monitor, MONITOR),
                PUBLIC => (&mut sockets.public, PUBLIC),
                _ if alone => (&mut sockets.public, PUBLIC),
                _ => return Err(SocketsError::Unknown(name)),
            };
            if place.replace(bound).is_some() {
                return Err(SocketsError::Twice(known));
            }
        }
        Ok(sockets)
    }
}
