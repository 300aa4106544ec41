//! One connection: HTTP/1.1 or HTTP/2 as ALPN chose, its limits, its end. Touches: net, clock.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::metered::Metered;
use super::peer::{Peer, Turn};
use super::pulse::Verdict;
use super::{ConnectionLimits, h2_limits};
use crate::random;

/// Smallest read buffer that hyper takes.
const MIN_HEADER_BYTES: usize = 8192;

/// How long a kept-alive HTTP/1.1 connection is still served when the daemon stops. To close one at once
/// would reset a request that is on its way; its answer says `Connection: close` instead. A round trip
/// around the world.
const LAST_REQUEST: Duration = Duration::from_millis(250);

/// What a listener counts.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Connections that are open now.
    pub open: AtomicU64,
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// TLS handshakes that failed or timed out.
    pub failed_handshakes: AtomicU64,
    /// Calls of `accept` that failed.
    pub failed_accepts: AtomicU64,
    /// Connections closed at once, for their source held all of its part.
    pub over_source: AtomicU64,
    /// Connections that gave their place to another.
    pub evicted: AtomicU64,
    /// Connections ended because a request's head did not arrive in time.
    pub late_heads: AtomicU64,
    /// Connections ended because the peer did not read its answers in time.
    pub late_writes: AtomicU64,
    /// Connections ended because nothing was asked for too long.
    pub idle: AtomicU64,
    /// Connections ended because of their age.
    pub aged: AtomicU64,
    /// HTTP/2 connections ended because the peer sent frames that ask for nothing, or took back most of
    /// what it asked.
    pub floods: AtomicU64,
}

/// A service that answers every request.
pub trait Answering: Send + Sync + 'static {
    /// Answers one request of this peer.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send;
}

/// What one connection is driven with.
pub(super) struct Line {
    pub(super) peer: Peer,
    pub(super) remote: SocketAddr,
    pub(super) limits: ConnectionLimits,
    pub(super) counters: Arc<ListenerCounters>,
    /// Cancelled when it should finish what it has begun, and end.
    pub(super) stop: CancellationToken,
}

impl Line {
    /// How old this connection may become: up to a tenth less than the limit, so that clients that came
    /// together do not come back together.
    fn age(&self) -> Duration {
        let part = u32::try_from(random::bits() % 103).unwrap_or(0);
        self.limits.max_age - self.limits.max_age / 1024 * part
    }

    fn metered<S>(&self, stream: S, bounded: bool) -> Metered<S> {
        let signs = (self.peer.pulse(), Arc::clone(&self.counters));
        Metered::new(stream, signs, self.limits.write_time, bounded)
    }
}

/// Serves a TLS connection until the peer closes it, a limit ends it, or the daemon has drained it.
pub(super) async fn drive<A: Answering>(stream: TlsStream<TcpStream>, service: Arc<A>, line: Line) {
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return drive_http1(stream, service, line).await;
    }
    let peer = line.peer.clone();
    let limits = line.limits;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    h2_limits::apply(builder.timer(TokioTimer::new()), &limits);
    let connection = builder.serve_connection(
        TokioIo::new(line.metered(stream, true)),
        service_fn(move |request| {
            let (service, peer) = (Arc::clone(&service), peer.clone());
            async move { take_turn(request, &*service, &peer, &limits).await }
        }),
    );
    watch(pin!(connection), &line, None).await;
}

/// Serves a connection with HTTP/1.1.
pub(super) async fn drive_http1<A: Answering>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Arc<A>,
    line: Line,
) {
    let closing = AtomicBool::new(false);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `watch` does it, and tells a slow head from an idle connection.
        .header_read_timeout(None)
        .max_buf_size(line.limits.header_bytes.max(MIN_HEADER_BYTES))
        .max_headers(line.limits.header_fields)
        .serve_connection(
            TokioIo::new(line.metered(stream, false)),
            service_fn(|request| async {
                let mut response = take_turn(request, &*service, &line.peer, &line.limits).await?;
                if closing.load(Ordering::Relaxed) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }),
        );
    watch(pin!(connection), &line, Some(&closing)).await;
}

/// Answers one request. hyper counts the fields of HTTP/1.1 itself, and answers alike.
async fn take_turn<A: Answering>(
    request: Request<Incoming>,
    service: &A,
    peer: &Peer,
    limits: &ConnectionLimits,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut turn = Turn::begin(peer, limits.header_bytes + limits.body_bytes);
    let has_body = !request.body().is_end_stream();
    let response = if request.headers().len() > limits.header_fields {
        let mut response = Response::new(Full::default());
        // RFC 6585 section 5.
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Ok(response)
    } else {
        service.answer(request, peer).await
    };
    let refused = response.as_ref().is_ok_and(is_error);
    turn.answered(has_body && refused);
    response
}

fn is_error(response: &Response<Full<Bytes>>) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

/// Drives a connection to its end, which may be brought about by the peer, a limit, one who needs the place,
/// or the daemon's stop. `closing` is there for HTTP/1.1: set, the next answer says `Connection: close`.
async fn watch<E: std::fmt::Display>(
    mut connection: Pin<&mut impl GracefulConnection<Error = E>>,
    line: &Line,
    closing: Option<&AtomicBool>,
) {
    let (pulse, counters, remote) = (line.peer.pulse(), &line.counters, line.remote);
    let mut age = line.age();
    let ends_at_once = loop {
        let now = line.peer.now();
        let (wait, graceful) = match pulse.judge(now, &line.limits, (closing.is_some(), age)) {
            Verdict::Wait(wait) => (wait, false),
            Verdict::LateHead => {
                counters.late_heads.fetch_add(1, Ordering::Relaxed);
                return debug!(%remote, "connection ended: a head did not arrive in time");
            }
            Verdict::Idle => {
                counters.idle.fetch_add(1, Ordering::Relaxed);
                (Duration::ZERO, true)
            }
            Verdict::Old => {
                counters.aged.fetch_add(1, Ordering::Relaxed);
                // HTTP/1.1 ends with the next answer, or when it is idle.
                if let Some(closing) = closing {
                    closing.store(true, Ordering::Relaxed);
                    age = Duration::MAX;
                }
                (Duration::ZERO, closing.is_none())
            }
        };
        if graceful {
            break true;
        }
        tokio::select! {
            ended = connection.as_mut() => return note_end(remote, ended),
            () = line.stop.cancelled() => break false,
            () = pulse.evicted() => return debug!(%remote, "connection ended: its place is needed"),
            () = tokio::time::sleep(wait) => {}
        }
    };
    if let Some(closing) = closing.filter(|_| !ends_at_once) {
        closing.store(true, Ordering::Relaxed);
        if let Ok(ended) = tokio::time::timeout(LAST_REQUEST, connection.as_mut()).await {
            return note_end(remote, ended);
        }
    }
    connection.as_mut().graceful_shutdown();
    let limit = if ends_at_once {
        line.limits.linger
    } else {
        line.limits.drain_time
    };
    tokio::select! {
        ended = tokio::time::timeout(limit, connection) => match ended {
            Ok(ended) => note_end(remote, ended),
            Err(_) => debug!(%remote, "connection did not end in time"),
        },
        () = pulse.evicted() => debug!(%remote, "connection ended: its place is needed"),
    }
}

fn note_end<E: std::fmt::Display>(remote: SocketAddr, ended: Result<(), E>) {
    if let Err(error) = ended {
        debug!(%remote, %error, "connection ended");
    }
}
