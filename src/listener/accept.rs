//! Binds, accepts, backs off. Touches: net, clock.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::ConnectionLimits;
use super::connection::{self, Answering, ListenerCounters};
use crate::tasks::Tasks;

/// How long `accept` pauses after a failure such as too many open files: it must neither spin nor give up
/// (checklist 71). Long enough for other connections to end, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections may wait in the kernel: its own default maximum (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// How long a handshake that has begun is still served when the daemon stops: its client would take an end
/// for a failure. As long as a request that is on its way gets ([`super::connection`]).
const LAST_HANDSHAKE: Duration = Duration::from_millis(250);

/// A socket that listens.
#[derive(Debug)]
pub struct Bound {
    listener: std::net::TcpListener,
    /// The address, with the port that was picked where 0 was asked for.
    pub address: SocketAddr,
    heartbeat: Option<Heartbeat>,
}

/// What an acceptor calls for as long as it accepts, whether anybody connects or not. It must not block.
pub struct Heartbeat {
    /// How often.
    pub every: Duration,
    /// What is called.
    pub beat: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heartbeat")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// A socket that a service manager passed can't be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// It does not listen.
    #[error("the socket {name:?} that was passed does not listen")]
    Silent {
        /// Its name.
        name: String,
    },
    /// The system says no.
    #[error("cannot use the socket {name:?} that was passed")]
    Unusable {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Bound {
    /// A socket that listens already, inherited from a service manager. What waits in it is accepted;
    /// what waits when the daemon stops waits for the next one.
    ///
    /// # Errors
    /// [`InheritError`] when it does not listen.
    pub fn inherited(listener: std::net::TcpListener, name: &str) -> Result<Self, InheritError> {
        let unusable = |source| InheritError::Unusable {
            name: name.to_owned(),
            source,
        };
        let listens = sockopt::socket_acceptconn(&listener);
        if !listens.map_err(|errno| unusable(errno.into()))? {
            let name = name.to_owned();
            return Err(InheritError::Silent { name });
        }
        // The runtime waits by epoll: a call that blocked would stop a worker.
        listener.set_nonblocking(true).map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        Ok(Self {
            listener,
            address,
            heartbeat: None,
        })
    }

    /// The same, whose acceptor shows that it lives.
    #[must_use]
    pub fn beating(self, heartbeat: Option<Heartbeat>) -> Self {
        Self { heartbeat, ..self }
    }
}

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// Listens on an address. An IPv6 address takes IPv4 too, where the system is set so.
///
/// # Errors
/// [`BindError`] when the port is in use, reserved, or the address is not this machine's.
pub fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    let listen = || -> io::Result<Bound> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        net::bind(&socket, &address)?;
        net::listen(&socket, BACKLOG)?;
        let listener = std::net::TcpListener::from(socket);
        let address = listener.local_addr()?;
        Ok(Bound {
            listener,
            address,
            heartbeat: None,
        })
    };
    listen().map_err(|source| BindError { address, source })
}

/// Serves TLS on a socket until the daemon stops. Returns when nothing more is accepted; connections go on
/// until they are drained.
pub async fn serve_tls<A: Answering>(
    bound: Bound,
    tls: Arc<ServerConfig>,
    service: Arc<A>,
    limits: ConnectionLimits,
    (tasks, counters): (Tasks, Arc<ListenerCounters>),
) {
    let acceptor = TlsAcceptor::from(tls);
    accept_loop(bound, limits, &tasks, &counters, |stream, remote| {
        let (acceptor, service, draining) =
            (acceptor.clone(), Arc::clone(&service), tasks.draining());
        let counters = Arc::clone(&counters);
        async move {
            let handshake = acceptor.accept(stream);
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(limits.handshake_time, handshake) => shaken,
                // Nothing was asked yet: a silent peer must not hold up a stop.
                () = moment_after(&draining) => return,
            };
            match shaken {
                Ok(Ok(stream)) => {
                    connection::drive(stream, remote, service, limits, draining).await;
                }
                Ok(Err(error)) => {
                    counters.failed_handshakes.fetch_add(1, Ordering::Relaxed);
                    debug!(%remote, %error, "TLS handshake failed");
                }
                Err(_) => {
                    counters.failed_handshakes.fetch_add(1, Ordering::Relaxed);
                    debug!(%remote, "TLS handshake timed out");
                }
            }
        }
    })
    .await;
}

/// Serves plain HTTP/1.1 on a socket until the daemon stops: metrics and health.
pub async fn serve_plain<A: Answering>(
    bound: Bound,
    service: Arc<A>,
    limits: ConnectionLimits,
    tasks: Tasks,
    counters: Arc<ListenerCounters>,
) {
    accept_loop(bound, limits, &tasks, &counters, |stream, remote| {
        let (service, draining) = (Arc::clone(&service), tasks.draining());
        connection::drive_http1(stream, remote, service, limits, draining)
    })
    .await;
}

async fn moment_after(draining: &CancellationToken) {
    draining.cancelled().await;
    tokio::time::sleep(LAST_HANDSHAKE).await;
}

async fn accept_loop<F>(
    bound: Bound,
    limits: ConnectionLimits,
    tasks: &Tasks,
    counters: &Arc<ListenerCounters>,
    connection: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = match TcpListener::from_std(bound.listener) {
        Ok(listener) => listener,
        Err(error) => return error!(%error, "the runtime does not take the socket"),
    };
    let places = Arc::new(Semaphore::new(limits.connections));
    let draining = tasks.draining();
    let (heartbeat, mut ticks) = ticking(bound.heartbeat);
    loop {
        let accepted = tokio::select! {
            biased;
            () = draining.cancelled() => return,
            _ = ticks.tick() => {
                if let Some(heartbeat) = &heartbeat {
                    (heartbeat.beat)();
                }
                continue;
            }
            accepted = accept_one(&listener, &places) => accepted,
        };
        match accepted {
            Ok((place, stream, remote)) => {
                // Answers are small and whole: waiting to fill a segment would only delay them.
                let _unsupported = stream.set_nodelay(true);
                let open = connection::Open::new(counters);
                let connection = connection(stream, remote);
                tasks.spawn_connection(async move {
                    connection.await;
                    drop((place, open));
                });
            }
            Err(error) => {
                counters.failed_accepts.fetch_add(1, Ordering::Relaxed);
                warn!(%error, "accept failed: pausing");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// When to beat; without a heartbeat hardly ever.
fn ticking(heartbeat: Option<Heartbeat>) -> (Option<Heartbeat>, tokio::time::Interval) {
    const HARDLY_EVER: Duration = Duration::from_secs(3600);
    let every = heartbeat.as_ref().map_or(HARDLY_EVER, |it| it.every);
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    (heartbeat, ticks)
}

async fn accept_one(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(tokio::sync::OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, remote) = listener.accept().await?;
    Ok((place, stream, remote))
}
