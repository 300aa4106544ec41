//! The certificate that is served, which changes without a dropped connection. Touches: memory.
//!
//! **Invariant:** a handshake takes certificate and key together, from one pair; connections that are open
//! keep what they began with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::tls::{CertificateFacts, Pair};

/// What every handshake is answered with.
#[derive(Debug)]
pub struct ServedCertificate {
    pair: ArcSwap<Pair>,
    /// Other pairs that were taken since the start.
    pub loaded: AtomicU64,
    /// Pairs that were refused since the start.
    pub refused: AtomicU64,
    /// Whether the files hold a pair that is refused now.
    pub refusing: AtomicBool,
}

impl ServedCertificate {
    /// Serves this pair.
    #[must_use]
    pub fn new(pair: Pair) -> Arc<Self> {
        Arc::new(Self {
            pair: ArcSwap::from_pointee(pair),
            loaded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        })
    }

    /// Serves this pair from the next handshake on.
    pub fn replace(&self, pair: Pair) {
        self.pair.store(Arc::new(pair));
        self.loaded.fetch_add(1, Ordering::Relaxed);
    }

    /// Which one is served.
    #[must_use]
    pub fn facts(&self) -> CertificateFacts {
        self.pair.load().facts.clone()
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.pair.load().key)
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}
