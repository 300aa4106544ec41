//! Binds, accepts, backs off. Touches: net, clock.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::connection::{self, Answering, Line, ListenerCounters};
use super::handshake::{self, Lane};
use super::peer::Peer;
use super::places::{Places, Seat};
use super::{ConnectionLimits, Regulars, Source};
use crate::tasks::Tasks;

/// How long `accept` pauses after a failure such as too many open files: it must neither spin nor give up
/// (checklist 71). Long enough for other connections to end, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// So many connections in a row may fail by themselves. More are a failure of `accept` itself: a firewall's
/// or a security module's `EPERM` that lasts must not make the loop spin.
const MAX_GONE: u32 = 64;

/// How many connections may wait in the kernel: its own default maximum (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// How long a handshake that has begun is still served when the daemon stops: its client would take an end
/// for a failure. Two round trips around the world, on a machine that has much to do.
const LAST_HANDSHAKE: Duration = Duration::from_secs(1);

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

/// What connections of one listener share.
struct Hall {
    limits: ConnectionLimits,
    counters: Arc<ListenerCounters>,
    places: Arc<Places>,
    regulars: Arc<Regulars>,
    /// Cancelled when nothing new is accepted, and what there is ends.
    stop: CancellationToken,
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
    let hall = Hall::new(limits, counters, tasks.draining());
    let lane = Lane::new(tokio::runtime::Handle::current().metrics().num_workers());
    hall.accept_all(bound, |stream, seat, line| {
        let (tls, service, lane) = (Arc::clone(&tls), Arc::clone(&service), lane.clone());
        tasks.spawn_connection(async move {
            let shaken = shake_in_time(stream, tls, &lane, &line).await;
            if let Some(stream) = shaken {
                connection::drive(stream, service, line).await;
            }
            drop(seat);
        });
    })
    .await;
}

/// Serves plain HTTP/1.1 on a socket for metrics and health, also while the daemon drains: it ends when the
/// rest of the daemon does.
pub async fn serve_plain<A: Answering>(
    bound: Bound,
    service: Arc<A>,
    limits: ConnectionLimits,
    tasks: Tasks,
    counters: Arc<ListenerCounters>,
) {
    let hall = Hall::new(limits, counters, tasks.stopping());
    hall.accept_all(bound, |stream, seat, line| {
        let service = Arc::clone(&service);
        tasks.spawn_short(async move {
            connection::drive_http1(stream, service, line).await;
            drop(seat);
        });
    })
    .await;
}

async fn moment_after(draining: &CancellationToken) {
    draining.cancelled().await;
    tokio::time::sleep(LAST_HANDSHAKE).await;
}

/// A handshake, unless it fails, takes too long, or its place is needed.
async fn shake_in_time(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    lane: &Lane,
    line: &Line,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let (remote, pulse) = (line.remote, line.peer.pulse());
    let handshake = handshake::shake(stream, tls, (!line.peer.is_known()).then_some(lane));
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(line.limits.handshake_time, handshake) => shaken,
        // Nothing was asked yet: a silent peer must not hold up a stop for long.
        () = moment_after(&line.stop) => return None,
        () = pulse.evicted() => {
            debug!(%remote, "TLS handshake given up: its place is needed");
            return None;
        }
    };
    match shaken {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => debug!(%remote, %error, "TLS handshake failed"),
        Err(_) => debug!(%remote, "TLS handshake timed out"),
    }
    line.counters
        .failed_handshakes
        .fetch_add(1, Ordering::Relaxed);
    None
}

impl Hall {
    fn new(
        limits: ConnectionLimits,
        counters: Arc<ListenerCounters>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            limits,
            places: Places::new(limits.connections, limits.per_address, &counters),
            counters,
            regulars: Arc::default(),
            stop,
        }
    }

    /// Accepts until the end, and hands each connection that has its place to `begin`. It beats meanwhile,
    /// also while it waits for a place.
    async fn accept_all(&self, bound: Bound, begin: impl Fn(TcpStream, Seat, Line)) {
        let listener = match TcpListener::from_std(bound.listener) {
            Ok(listener) => listener,
            Err(error) => return error!(%error, "the runtime does not take the socket"),
        };
        tokio::select! {
            () = self.accept_each(listener, begin) => {}
            () = beat(bound.heartbeat) => {}
        }
    }

    async fn accept_each(&self, listener: TcpListener, begin: impl Fn(TcpStream, Seat, Line)) {
        let mut failing = false;
        let mut gone = 0_u32;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => {
                    (failing, gone) = (false, 0);
                    // Who was accepted is served, also when the stop comes at this moment; only one for whom
                    // there is no place is not waited for.
                    tokio::select! {
                        biased;
                        () = self.welcome(stream, remote, &begin) => {}
                        () = self.stop.cancelled() => return,
                    }
                }
                Err(error) if is_of_the_peer(&error) && gone < MAX_GONE => {
                    gone += 1;
                    debug!(%error, "a connection was gone before it was accepted");
                }
                Err(error) => {
                    self.back_off(&error, &mut failing).await;
                }
            }
        }
    }

    async fn welcome(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
        begin: &impl Fn(TcpStream, Seat, Line),
    ) {
        let Some(seat) = self.places.take(Source::of(remote.ip())).await else {
            self.counters.over_source.fetch_add(1, Ordering::Relaxed);
            return debug!(%remote, "connection closed: its address holds all of its part");
        };
        // Answers are small and whole: waiting to fill a segment would only delay them.
        let _unsupported = stream.set_nodelay(true);
        let line = Line {
            peer: Peer::new(remote.ip(), &seat.pulse, &self.regulars),
            remote,
            limits: self.limits,
            counters: Arc::clone(&self.counters),
            stop: self.stop.clone(),
        };
        begin(stream, seat, line);
    }

    /// Pauses, and lets one idle connection go: it may hold the descriptor that is missing.
    async fn back_off(&self, error: &io::Error, failing: &mut bool) {
        self.counters.failed_accepts.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(failing, true) {
            warn!(%error, "accept failed: pausing, and closing idle connections, until it succeeds");
        }
        self.places.make_room();
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(ACCEPT_PAUSE) => {}
        }
    }
}

/// Whether only this connection failed, as `accept(2)` says of Linux: an error that waited on it.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::Interrupted
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::PermissionDenied
    )
}

/// Beats for ever, from the acceptor's own task: it is silent once that task is not polled any more.
async fn beat(heartbeat: Option<Heartbeat>) {
    let Some(heartbeat) = heartbeat else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(heartbeat.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        (heartbeat.beat)();
    }
}
