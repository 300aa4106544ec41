//! What the shipper says of itself: status and counters. Touches: memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Finding;
use crate::domain::UnixMillis;

/// What the shipper is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShipState {
    /// Not started: no NATS is configured, or the daemon is starting.
    #[default]
    Off,
    /// Trying to reach a server.
    Connecting,
    /// Connected; comparing the stream with the journal.
    Locating,
    /// Shipping, or waiting for new lines.
    Shipping,
    /// The stream refuses; trying again later.
    Refused,
    /// Ended with the daemon.
    Stopped,
}

impl ShipState {
    /// One lower-case word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connecting => "connecting",
            Self::Locating => "locating",
            Self::Shipping => "shipping",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
        }
    }
}

/// A failure and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: UnixMillis,
    /// In words, without a secret.
    pub message: String,
}

/// How shipping goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShipStatus {
    /// What the shipper is doing.
    pub state: ShipState,
    /// Whether a server is connected.
    pub connected: bool,
    /// The server's name and version, once one was connected.
    pub server: Option<String>,
    /// Whether lines go in atomic batches; `None` before it is known.
    pub batches: Option<bool>,
    /// The highest sequence that the stream is known to hold, with all before it; 0: none.
    pub confirmed: u64,
    /// The highest sequence on disk when the status was written.
    pub durable: u64,
    /// Lines confirmed in the last second.
    pub rate: u64,
    /// The last failure, until the shipper has caught up after it.
    pub last_error: Option<LastError>,
    /// What is unsafe about the stream's configuration.
    pub findings: Vec<Finding>,
}

impl ShipStatus {
    /// Lines on disk that the stream is not known to hold.
    #[must_use]
    pub const fn lag(&self) -> u64 {
        self.durable.saturating_sub(self.confirmed)
    }
}

/// Where the shipper writes its status and others read it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<ShipStatus>>);

impl StatusBoard {
    /// The status now.
    #[must_use]
    pub fn read(&self) -> ShipStatus {
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        status.clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut ShipStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn failed(&self, at: UnixMillis, message: String) {
        self.change(|status| status.last_error = Some(LastError { at, message }));
    }
}

/// What telemetry reads of the shipper. All but the gauges only grow.
#[derive(Debug, Default)]
pub struct ShipCounters {
    /// 1 while a server is connected (a gauge).
    pub connected: AtomicU64,
    /// Connections made.
    pub connects: AtomicU64,
    /// Attempts to connect that failed.
    pub connect_failures: AtomicU64,
    /// Attempts that failed because a server's name did not resolve.
    pub resolve_failures: AtomicU64,
    /// Lines confirmed by the stream.
    pub shipped: AtomicU64,
    /// Units (batches or single messages) published.
    pub units: AtomicU64,
    /// Units of which it was not known what became of them.
    pub doubts: AtomicU64,
    /// Units that the stream refused.
    pub refusals: AtomicU64,
    /// Foreign messages found last on our subjects.
    pub foreign: AtomicU64,
    /// Times that the stream went backwards.
    pub backwards: AtomicU64,
    /// Lines sent once more because the stream had forgotten them.
    pub refilled: AtomicU64,
    /// Lines that neither the journal nor the stream holds.
    pub missing: AtomicU64,
    /// Lines on disk that the stream is not known to hold (a gauge).
    pub lag: AtomicU64,
    /// Findings about the stream's configuration (a gauge).
    pub findings: AtomicU64,
}

impl ShipCounters {
    pub(super) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn set(gauge: &AtomicU64, to: u64) {
        gauge.store(to, Ordering::Relaxed);
    }
}
