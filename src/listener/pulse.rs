//! The life signs of one connection, and when it must end. Touches: memory.
//!
//! **Invariant:** the judgement is pure: it takes the moment as an argument. Whoever changes a sign does it
//! with one atomic store, so that a request costs no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::ConnectionLimits;
use super::h2_limits::CONNECTION_WINDOW;

/// Bytes that an HTTP/2 peer may send beyond what its requests account for: frames that ask for nothing
/// (PING, SETTINGS, PRIORITY, WINDOW_UPDATE). A thousand pings and more; a client that sends one every ten
/// seconds needs a day for it. And what flow control lets it send ahead: on a busy machine bodies are read
/// before their requests begin.
pub(super) const SPARE_BYTES: i64 = 64 * 1024 + CONNECTION_WINDOW as i64;

/// Most that a peer may have left of what its requests allow: 128 streams with the largest head and body by
/// default take 10 MiB. Bytes of a body come also after its request was refused, so nothing is taken away at its
/// end. Requests cost far more than what can be sent beside them.
const MOST_BYTES: i64 = 16 * 1024 * 1024;

/// Requests that an HTTP/2 peer may take back before they are answered, whatever it does otherwise: half of
/// what one connection may have open by default. Beyond it a peer that takes back most of what it asks
/// is cut off (rapid reset, CVE-2023-44487, where the streams were already begun).
pub(super) const MAX_TAKEN_BACK: u32 = 64;

/// Since when something lasts, in milliseconds of the clock, or 0.
type Since = AtomicU64;

/// The life signs of one connection.
#[derive(Debug)]
pub(super) struct Pulse {
    born: u64,
    /// When a request last began or ended.
    last: Since,
    /// When the first bytes of a head came, while no request was under way.
    head: Since,
    busy: AtomicU32,
    /// Requests under way on all connections of its source.
    at_source: Arc<AtomicUsize>,
    begun: AtomicU32,
    taken_back: AtomicU32,
    /// What may still be read.
    spare: AtomicI64,
    /// Whether a token went out on it, and when that was last noted elsewhere.
    proved: AtomicBool,
    noted: Since,
    /// Answers that were held back on it so far.
    held: AtomicU32,
    /// Whether the last answer was an error to a request with a body, of which bytes may still come.
    unread: AtomicBool,
    evicted: Notify,
}

/// Who goes first when a place is needed. The lower ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Nothing is under way on it, and it never got a token: a handshake, a slow head, silence.
    Idle,
    /// A request is under way on it, and it never got a token.
    Unproved,
    /// It got a token, and is idle.
    Proved,
}

/// What is to be done about a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing before this much time has passed.
    Wait(Duration),
    /// A head did not arrive in time.
    LateHead,
    /// Nothing was asked for too long.
    Idle,
    /// It has lived long enough.
    Old,
}

fn millis(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Pulse {
    /// A connection that was accepted now, from a source whose requests under way are counted there.
    pub(super) fn new(now: Duration, at_source: Arc<AtomicUsize>) -> Self {
        Self {
            born: millis(now),
            last: AtomicU64::new(millis(now)),
            head: AtomicU64::new(0),
            busy: AtomicU32::new(0),
            at_source,
            begun: AtomicU32::new(0),
            taken_back: AtomicU32::new(0),
            spare: AtomicI64::new(SPARE_BYTES),
            proved: AtomicBool::new(false),
            noted: AtomicU64::new(0),
            held: AtomicU32::new(0),
            unread: AtomicBool::new(false),
            evicted: Notify::new(),
        }
    }

    /// A request begins; for it so many bytes may come.
    pub(super) fn begin(&self, now: Duration, bytes: usize) {
        self.head.store(0, Ordering::Relaxed);
        self.last.store(millis(now), Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.at_source.fetch_add(1, Ordering::Relaxed);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.spare.fetch_add(bytes, Ordering::Relaxed);
        self.spare.fetch_min(MOST_BYTES, Ordering::Relaxed);
    }

    /// A request ends, with its answer or taken back by the peer.
    pub(super) fn end(&self, now: Duration, answered: bool) {
        self.last.store(millis(now), Ordering::Relaxed);
        if !answered {
            self.taken_back.fetch_add(1, Ordering::Relaxed);
        }
        self.busy.fetch_sub(1, Ordering::Relaxed);
        self.at_source.fetch_sub(1, Ordering::Relaxed);
    }

    /// What was last answered leaves bytes of its request unread, or not.
    pub(super) fn leave_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    /// Whether bytes of a request that has its answer may still come.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Bytes came. Whether more may come.
    pub(super) fn read(&self, bytes: usize, now: Duration) -> bool {
        if self.busy.load(Ordering::Relaxed) == 0 && self.head.load(Ordering::Relaxed) == 0 {
            self.head.store(millis(now), Ordering::Relaxed);
        }
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let left = self.spare.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        left >= 0 && !self.takes_back()
    }

    /// Whether the peer takes back most of what it asks.
    fn takes_back(&self) -> bool {
        let taken_back = self.taken_back.load(Ordering::Relaxed);
        taken_back > MAX_TAKEN_BACK && taken_back > self.begun.load(Ordering::Relaxed) / 2
    }

    /// A token went out. Whether its source should be noted again: each minute is enough.
    pub(super) fn prove(&self, now: Duration) -> bool {
        self.proved.store(true, Ordering::Relaxed);
        let noted = self.noted.load(Ordering::Relaxed);
        let due = noted == 0 || millis(now).saturating_sub(noted) > 60_000;
        if due {
            self.noted.store(millis(now), Ordering::Relaxed);
        }
        due
    }

    /// Whether a token went out on it.
    pub(super) fn is_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed)
    }

    /// How many requests are under way on all connections of its source.
    pub(super) fn under_way_at_source(&self) -> usize {
        self.at_source.load(Ordering::Relaxed)
    }

    /// How many answers were held back on it before this one.
    pub(super) fn hold(&self) -> u32 {
        self.held.fetch_add(1, Ordering::Relaxed)
    }

    /// Its rank, and how long it has done nothing; `None` when it must stay.
    pub(super) fn standing(&self, now: Duration) -> Option<(Rank, u64)> {
        let rank = match (self.is_proved(), self.busy.load(Ordering::Relaxed) > 0) {
            (false, false) => Rank::Idle,
            (false, true) => Rank::Unproved,
            (true, false) => Rank::Proved,
            (true, true) => return None,
        };
        let idle = millis(now).saturating_sub(self.last.load(Ordering::Relaxed));
        Some((rank, idle))
    }

    /// Ends it, for another needs its place.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Waits until it is to end.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// What is to be done. `heads` says whether bytes between requests are a head (HTTP/1.1) or may be
    /// anything (HTTP/2); `age` is how old this connection may become.
    pub(super) fn judge(
        &self,
        now: Duration,
        limits: &ConnectionLimits,
        (heads, age): (bool, Duration),
    ) -> Verdict {
        let now = millis(now);
        let left = |since: u64, limit: Duration| {
            let passed = Duration::from_millis(now.saturating_sub(since));
            limit.checked_sub(passed).filter(|left| !left.is_zero())
        };
        let Some(mut wait) = left(self.born, age) else {
            return Verdict::Old;
        };
        let head = self.head.load(Ordering::Relaxed);
        if heads && head > 0 {
            match left(head, limits.header_time) {
                Some(left) => wait = wait.min(left),
                None => return Verdict::LateHead,
            }
        }
        if self.busy.load(Ordering::Relaxed) > 0 {
            return Verdict::Wait(wait.min(limits.idle_time));
        }
        match left(self.last.load(Ordering::Relaxed), limits.idle_time) {
            // A head may begin at any time: it is looked for as often as it may take.
            Some(left) if heads => Verdict::Wait(wait.min(left).min(limits.header_time)),
            Some(left) => Verdict::Wait(wait.min(left)),
            None => Verdict::Idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_come_before_its_request_begins() {
        let pulse = Pulse::new(Duration::ZERO, Arc::default());
        let (head, frames) = (100, 4 * 9);
        assert!(pulse.read(head + frames + 65_535, Duration::ZERO));
        assert!(pulse.read(CONNECTION_WINDOW as usize - 65_535, Duration::ZERO));
        let pings = 4096;
        let flood = (0..pings).all(|_| pulse.read(17, Duration::ZERO));
        assert!(!flood, "{pings} pings behind a full window");
    }
}
