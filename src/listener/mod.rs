//! Sockets, TLS, connections, drain. Touches: net, clock.
//!
//! Stage of the request flow, at both ends: `listener → http → issue → http → listener`.
//!
//! **Invariant:** each wait for a request has an end, and so has the number of connections. It knows nothing of
//! what is asked: it hands requests to a service and bytes to a peer.

mod accept;
mod connection;
mod served;
mod tls;

use std::time::Duration;

pub use accept::{BindError, Bound, Heartbeat, InheritError, bind, serve_plain, serve_tls};
pub use connection::{Answering, ListenerCounters};
pub use served::ServedCertificate;
pub use tls::{CertificateFacts, CertificateFiles, Pair, TlsError, config as tls_config};

/// The limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Most connections at once; the next one waits to be accepted.
    pub connections: usize,
    /// Longest time for a TLS handshake.
    pub handshake_time: Duration,
    /// Longest time for the head of a request to arrive, idle time before it included.
    pub header_time: Duration,
    /// Most bytes of the head of a request.
    pub header_bytes: usize,
    /// Most header fields of a request.
    pub header_fields: usize,
    /// Most requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// Longest time that connections get to finish what they have begun when the daemon stops.
    pub drain_time: Duration,
}
