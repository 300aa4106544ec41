//! Sockets, TLS, connections, drain. Touches: net, clock.
//!
//! Stage of the request flow, at both ends: `listener → http → issue → http → listener`.
//!
//! **Invariant:** each wait for a request has an end, and so has the number of connections. It knows nothing of
//! what is asked: it hands requests to a service and bytes to a peer.

mod accept;
mod connection;
mod descriptors;
mod h2_limits;
mod handshake;
mod lag;
mod metered;
mod peer;
mod places;
mod pulse;
mod regulars;
mod served;
mod source;
mod tls;

use std::time::Duration;

pub use accept::{BindError, Bound, Heartbeat, InheritError, bind, serve_plain, serve_tls};
pub use connection::{Answering, ListenerCounters};
pub use descriptors::{RESERVED, connections_below, raise_limit};
pub use lag::{Lag, Pressure, watch as watch_lag};
pub use peer::Peer;
pub use regulars::Regulars;
pub use served::ServedCertificate;
pub use source::Source;
pub use tls::{CertificateFacts, CertificateFiles, Pair, TlsError, config as tls_config};

/// The limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Most connections at once. When they are reached, a new one takes the place of one that does nothing.
    pub connections: usize,
    /// Most of them from one address ([`Source`]); one more is closed at once.
    pub per_address: usize,
    /// Longest time for a TLS handshake.
    pub handshake_time: Duration,
    /// Longest time for the head of an HTTP/1.1 request, from its first byte.
    pub header_time: Duration,
    /// Most bytes of the head of a request.
    pub header_bytes: usize,
    /// Most header fields of a request.
    pub header_fields: usize,
    /// Most bytes of a body: what a peer may send is measured by it.
    pub body_bytes: usize,
    /// Longest time without a request.
    pub idle_time: Duration,
    /// Longest life of a connection; what is under way then is finished.
    pub max_age: Duration,
    /// Longest time until a peer has taken an answer.
    pub write_time: Duration,
    /// Longest time that a connection gets to finish what it has begun when its age or its silence ends it.
    pub linger: Duration,
    /// Most requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// Longest time that connections get to finish what they have begun when the daemon stops.
    pub drain_time: Duration,
}

/// Most connections of the second listener: some collectors, some probes, an operator.
const MONITOR_CONNECTIONS: usize = 64;

impl ConnectionLimits {
    /// The limits of the second listener. It is asked by few, and does not share the public one's places.
    #[must_use]
    pub fn of_monitor(self) -> Self {
        Self {
            connections: monitor_connections(self.connections),
            per_address: MONITOR_CONNECTIONS,
            ..self
        }
    }

    /// The same with no more connections than fit, together with those of the second listener.
    #[must_use]
    pub fn fitting(self, most: usize) -> Self {
        if self
            .connections
            .saturating_add(monitor_connections(self.connections))
            <= most
        {
            return self;
        }
        let connections = most.saturating_sub(monitor_connections(most)).max(1);
        // One address keeps the part that it had of all, so that it still can't fill every place.
        let part = self.per_address.saturating_mul(connections) / self.connections.max(1);
        Self {
            connections,
            per_address: part.max(1),
            ..self
        }
    }
}

/// An eighth where there is room for few.
fn monitor_connections(public: usize) -> usize {
    MONITOR_CONNECTIONS.min((public / 8).max(2))
}
