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

/// How many connections may wait in the kernel: its own default maximum (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub struct Bound {
    listener: std::net::TcpListener,
    /// The address, with the port that was picked where 0 was asked for.
    pub address: SocketAddr,
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
        Ok(Bound { listener, address })
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
    hall.accept_all(bound.listener, |stream, seat, line| {
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
    hall.accept_all(bound.listener, |stream, seat, line| {
        let service = Arc::clone(&service);
        tasks.spawn_short(async move {
            connection::drive_http1(stream, service, line).await;
            drop(seat);
        });
    })
    .await;
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
        // Nothing was asked yet: a silent peer must not hold up a stop.
        () = line.stop.cancelled() => return None,
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

    /// Accepts until the end, and hands each connection that has its place to `begin`.
    async fn accept_all(
        &self,
        listener: std::net::TcpListener,
        begin: impl Fn(TcpStream, Seat, Line),
    ) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return error!(%error, "the runtime does not take the socket"),
        };
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => {
                    failing = false;
                    tokio::select! {
                        biased;
                        () = self.stop.cancelled() => return,
                        () = self.welcome(stream, remote, &begin) => {}
                    }
                }
                Err(error) if is_of_the_peer(&error) => {
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
