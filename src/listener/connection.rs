//! One connection: HTTP/1.1 or HTTP/2 as ALPN chose, its limits, its drain. Touches: net, clock.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::ConnectionLimits;

/// Most streams that a peer may have reset before they were looked at: hyper's own default against rapid
/// reset (CVE-2023-44487), named here so that it can't change unseen.
const MAX_RESET_STREAMS: usize = 20;

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
}

/// A service that answers every request.
pub trait Answering: Send + Sync + 'static {
    /// Answers one request of this peer.
    fn answer(
        &self,
        request: Request<Incoming>,
        remote: IpAddr,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send;
}

/// Counts a connection as open while it lives.
pub(super) struct Open(Arc<ListenerCounters>);

impl Open {
    pub(super) fn new(counters: &Arc<ListenerCounters>) -> Self {
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        counters.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a TLS connection until the peer closes it, a limit ends it, or the daemon has drained it.
pub(super) async fn drive<A: Answering>(
    stream: TlsStream<TcpStream>,
    remote: SocketAddr,
    service: Arc<A>,
    limits: ConnectionLimits,
    draining: CancellationToken,
) {
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return drive_http1(stream, remote, service, limits, draining).await;
    }
    let peer = remote.ip().to_canonical();
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .keep_alive_interval(limits.header_time)
        .keep_alive_timeout(limits.header_time)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let service = Arc::clone(&service);
                async move { service.answer(request, peer).await }
            }),
        );
    until_drained(pin!(connection), remote, limits, draining).await;
}

/// Serves a connection with HTTP/1.1.
pub(super) async fn drive_http1<A: Answering>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    remote: SocketAddr,
    service: Arc<A>,
    limits: ConnectionLimits,
    draining: CancellationToken,
) {
    let peer = remote.ip().to_canonical();
    let closing = AtomicBool::new(false);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes.max(MIN_HEADER_BYTES))
        .max_headers(limits.header_fields)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| async {
                let mut response = service.answer(request, peer).await?;
                if closing.load(Ordering::Relaxed) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }),
        );
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return note_end(remote, ended),
        () = draining.cancelled() => closing.store(true, Ordering::Relaxed),
    }
    match tokio::time::timeout(LAST_REQUEST, connection.as_mut()).await {
        Ok(ended) => note_end(remote, ended),
        Err(_) => until_drained(connection, remote, limits, draining).await,
    }
}

/// Drives a connection; once the daemon stops, it may finish what it has begun, within a limit.
async fn until_drained<E: std::fmt::Display>(
    mut connection: Pin<&mut impl GracefulConnection<Error = E>>,
    remote: SocketAddr,
    limits: ConnectionLimits,
    draining: CancellationToken,
) {
    tokio::select! {
        ended = connection.as_mut() => return note_end(remote, ended),
        () = draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    match tokio::time::timeout(limits.drain_time, connection).await {
        Ok(ended) => note_end(remote, ended),
        Err(_) => debug!(%remote, "connection was not drained in time"),
    }
}

fn note_end<E: std::fmt::Display>(remote: SocketAddr, ended: Result<(), E>) {
    if let Err(error) = ended {
        debug!(%remote, %error, "connection ended");
    }
}
