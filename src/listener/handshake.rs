//! One TLS handshake, within its time and in its turn. Touches: net, clock.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// The lane in which handshakes of unknown peers do their cryptography, one after the other.
///
/// It is the most expensive thing that an unknown peer can ask for, several tokens' worth. In the lane
/// everybody else who is ready gets a turn between two handshakes, so a flood of them delays a token by
/// one handshake at a time and not by all.
#[derive(Clone, Debug)]
pub(super) struct Lane(Arc<Semaphore>);

impl Lane {
    /// A lane as wide as half of the workers: the others are left to those who have their connection.
    pub(super) fn new(workers: usize) -> Self {
        Self(Arc::new(Semaphore::new((workers / 2).max(1))))
    }
}

/// Shakes hands. The first message is read before anything is computed: who says nothing costs nothing.
///
/// # Errors
/// What TLS or the network says.
pub(super) async fn shake(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    lane: Option<&Lane>,
) -> io::Result<TlsStream<TcpStream>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let turn = match lane {
        Some(Lane(turns)) => Some(turns.acquire().await.map_err(io::Error::other)?),
        None => None,
    };
    if turn.is_some() {
        tokio::task::yield_now().await;
    }
    let mut accept = start.into_stream(tls);
    // The first poll does the cryptography; what comes after it waits for the peer.
    let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut accept).poll(cx))).await;
    drop(turn);
    match first {
        Poll::Ready(shaken) => shaken,
        Poll::Pending => accept.await,
    }
}
