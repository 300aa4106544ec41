//! The bytes of one connection: what came is counted, and what can't go out has a deadline.
//! Touches: net, clock.
//!
//! It lies between HTTP and TLS, so both versions of HTTP and the end of a connection are held to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connection::ListenerCounters;
use super::pulse::Pulse;
use crate::clock::Clock;

/// How long a peer whose request was refused before it was read whole may go on sending: a round trip round the
/// world, some times over.
const LINGER: Duration = Duration::from_secs(2);

/// Most bytes that are read and dropped of it: a body of the default size many times over, and what a
/// kernel buffers of one that is far larger.
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// Bytes dropped at a time: a TLS record.
const DROPPED: usize = 16 * 1024;

/// A stream that is watched.
pub(super) struct Metered<S> {
    inner: S,
    pulse: Arc<Pulse>,
    counters: Arc<ListenerCounters>,
    clock: Clock,
    write_time: Duration,
    /// Whether the peer may send no more than its requests account for.
    bounded: bool,
    /// Runs from the first byte that the peer does not take until all are gone.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Runs from the end of what is sent until the peer has seen it, where it may still be sending.
    linger: Option<Pin<Box<Sleep>>>,
    /// What was dropped meanwhile.
    dropped: usize,
}

impl<S> Metered<S> {
    /// Watches a stream. `bounded` holds the peer to what its requests account for (HTTP/2).
    pub(super) fn new(
        inner: S,
        (pulse, counters): (Arc<Pulse>, Arc<ListenerCounters>),
        write_time: Duration,
        bounded: bool,
    ) -> Self {
        Self {
            inner,
            pulse,
            counters,
            clock: Clock::of_this_machine(),
            write_time,
            bounded,
            stuck: None,
            linger: None,
            dropped: 0,
        }
    }

    /// What a write says once the peer has not read for too long.
    fn late<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limit = self.write_time;
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(stuck.as_mut().poll(cx));
        self.counters.late_writes.fetch_add(1, Ordering::Relaxed);
        let error = "the peer does not read its answers";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
    }
}

impl<S: AsyncRead + Unpin> Metered<S> {
    /// RFC 9112 section 9.6: a socket that is closed while bytes are coming resets the connection, and a
    /// peer that is reset may never read the answer. So they are read and dropped until the peer ends too.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let time = self
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if time.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut bytes = [0; DROPPED];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer));
            let count = buffer.filled().len();
            self.dropped += count;
            if read.is_err() || count == 0 || self.dropped > LINGER_BYTES {
                return Poll::Ready(());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let count = buffer.filled().len().saturating_sub(before);
        if count > 0 && !self.pulse.read(count, self.clock.monotonic()) && self.bounded {
            self.counters.floods.fetch_add(1, Ordering::Relaxed);
            let error = "the peer sends much and asks for nothing";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, error)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(cx, bytes) {
            Poll::Pending => self.late(cx),
            done @ Poll::Ready(_) => done,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write_vectored(cx, slices) {
            Poll::Pending => self.late(cx),
            done @ Poll::Ready(_) => done,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(cx) {
            Poll::Pending => self.late(cx),
            done @ Poll::Ready(_) => {
                self.stuck = None;
                done
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            match Pin::new(&mut self.inner).poll_shutdown(cx) {
                Poll::Pending => return self.late(cx),
                Poll::Ready(Ok(())) if !self.bounded && self.pulse.is_unread() => {}
                done @ Poll::Ready(_) => return done,
            }
        }
        self.linger(cx).map(Ok)
    }
}
