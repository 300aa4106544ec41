//! The other end of a connection, as a service sees it. Touches: clock, memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::pulse::Pulse;
use super::{Regulars, Source};
use crate::clock::Clock;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: IpAddr,
    pulse: Arc<Pulse>,
    regulars: Arc<Regulars>,
    clock: Clock,
}

impl Peer {
    pub(super) fn new(address: IpAddr, pulse: &Arc<Pulse>, regulars: &Arc<Regulars>) -> Self {
        Self {
            address: address.to_canonical(),
            pulse: Arc::clone(pulse),
            regulars: Arc::clone(regulars),
            clock: Clock::of_this_machine(),
        }
    }

    /// Its address; an IPv4 address in IPv6 form (RFC 4291 section 2.5.5.2) is IPv4.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// What it is counted by.
    #[must_use]
    pub fn source(&self) -> Source {
        Source::of(self.address)
    }

    /// Whether it got a token on this connection, or somebody at its source lately.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.pulse.is_proved() || self.regulars.knows(self.source(), self.now())
    }

    /// How many requests are under way at its source, this one among them.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.pulse.under_way_at_source()
    }

    /// It got a token.
    pub fn proved(&self) {
        let now = self.now();
        if self.pulse.prove(now) {
            self.regulars.note(self.source(), now);
        }
    }

    /// Counts an answer that is held back; how many were on this connection before.
    #[must_use]
    pub fn held_before(&self) -> u32 {
        self.pulse.hold()
    }

    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }
}

/// One request from its head to its answer.
pub(super) struct Turn<'a> {
    peer: &'a Peer,
    answered: bool,
}

impl<'a> Turn<'a> {
    /// A request begins, for which so many bytes may come.
    pub(super) fn begin(peer: &'a Peer, bytes: usize) -> Self {
        peer.pulse.begin(peer.now(), bytes);
        Self {
            peer,
            answered: false,
        }
    }

    /// It has its answer. `unread` says that bytes of its body may still come.
    pub(super) fn answered(&mut self, unread: bool) {
        self.answered = true;
        self.peer.pulse.leave_unread(unread);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.peer.pulse.end(self.peer.now(), self.answered);
    }
}
