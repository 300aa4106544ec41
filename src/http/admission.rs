//! Who is let in when there is too much to do, and how failures are slowed down. Touches: clock, memory.
//!
//! Three things protect good clients, none of which can lock one out:
//! - When work has waited too long for its turn ([`Lag`]), those who did not get a token lately are answered
//!   with 503 before anything is parsed.
//! - Requests under way and the memory of their bodies are bounded; half of each is for those who are known,
//!   and of the other half one source gets half at most.
//! - A peer that fails too often gets its refusals late, and with 429. What is counted is failures, so
//!   whoever proves itself is never held up, also not beside somebody who fails in its name.
//!
//! **Invariant:** all tables are bounded, whatever peers send.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::HttpLimits;
use crate::audit::budget::Bucket;
use crate::clock::Clock;
use crate::domain::{Denial, OAuthError};
use crate::listener::{Lag, Peer, Pressure, Source};

/// How many minutes' worth of failures may come at once: a misconfigured client that retries each second is
/// answered at once for five minutes.
const BURST_MINUTES: u32 = 5;

/// Failures of one source, for whatever clients, are slowed down from so many times one client's part on: a
/// gateway with five misconfigured clients behind it is answered like one. Made-up names so gain nothing.
const ALL_CLIENTS: u32 = 5;

/// Failures of all sources together are slowed down from so many times one client's part on: a fleet of a
/// hundred hosts that comes up with an old secret is answered like one.
const ALL_SOURCES: u32 = 100;

/// Sources and clients that are told apart, about 50 bytes each; the longest unseen are forgotten.
const MAX_BUCKETS: usize = 8192;

/// How long the first late refusal of a connection is held back; each further one twice as long.
const HOLD: Duration = Duration::from_secs(1);

/// So often the time is doubled: eight seconds are less than what clients wait for an answer.
const DOUBLINGS: u32 = 3;

/// Answers that are held back at once, as a part of the requests under way: they keep a stream or a
/// connection, and must not take the place of those who ask for the first time.
const HELD_PART: usize = 8;

/// Memory of bodies that are being read, for each of the two classes: 32 MiB hold the largest bodies of 500
/// requests, and those of any number of usual ones, which fit into their first page.
const BODY_PAGES: usize = 8192;

/// Bytes that a body takes at a time. The first page of each is bounded by the requests under way.
pub(super) const PAGE: usize = 4096;

/// What admission counts.
#[derive(Debug, Default)]
pub struct AdmissionCounters {
    /// Token requests refused unread because work waited too long.
    pub shed_queue: AtomicU64,
    /// Token requests refused unread because too many were under way.
    pub shed_in_flight: AtomicU64,
    /// Token requests refused because bodies took too much memory.
    pub shed_memory: AtomicU64,
    /// Failures that were answered late, with 429.
    pub throttled: AtomicU64,
    /// Answers that are held back now.
    pub held: AtomicU64,
}

/// Lets requests in.
#[derive(Debug)]
pub struct Admission {
    lag: Arc<Lag>,
    known: Share,
    unknown: Share,
    /// Most requests of one source that is not known.
    per_source: usize,
    /// Places for answers that are held back.
    holds: Semaphore,
    failures: Mutex<Failures>,
    hasher: RandomState,
    draining: CancellationToken,
    counters: Arc<AdmissionCounters>,
    clock: Clock,
}

/// What one class of peers may use.
#[derive(Debug)]
struct Share {
    requests: Arc<Semaphore>,
    pages: Arc<Semaphore>,
}

impl Share {
    fn new(requests: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests.max(1))),
            pages: Arc::new(Semaphore::new(BODY_PAGES)),
        }
    }
}

/// A request that was let in. Dropped, its place is free again.
#[derive(Debug)]
pub(super) struct Admitted {
    pages: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    _place: OwnedSemaphorePermit,
}

/// What a failure is counted by.
#[derive(Clone, Copy, Debug)]
struct Keys {
    source: u64,
    client: u64,
}

/// The buckets of those who fail.
#[derive(Debug)]
struct Failures {
    per_minute: u32,
    all: Bucket,
    /// As in the budget of refusals: two halves of one table, so that the longest unseen are forgotten.
    young: HashMap<u64, Bucket>,
    old: HashMap<u64, Bucket>,
}

impl Admission {
    /// Admission by these limits. `draining` ends what is held back.
    #[must_use]
    pub fn new(
        limits: &HttpLimits,
        lag: Arc<Lag>,
        draining: CancellationToken,
        counters: Arc<AdmissionCounters>,
    ) -> Self {
        let clock = Clock::of_this_machine();
        Self {
            lag,
            known: Share::new(limits.in_flight / 2),
            unknown: Share::new(limits.in_flight / 2),
            per_source: (limits.in_flight / 4).max(1),
            holds: Semaphore::new(limits.in_flight / HELD_PART),
            failures: Mutex::new(Failures::new(limits.failures_per_minute, clock.monotonic())),
            hasher: RandomState::new(),
            draining,
            counters,
            clock,
        }
    }

    /// Lets a request in, before anything of it is read.
    ///
    /// # Errors
    /// [`Denial::Overloaded`] when there is too much to do for one of this peer.
    pub(super) fn enter(&self, peer: &Peer) -> Result<Admitted, Denial> {
        let pressure = self.lag.pressure();
        let known = peer.is_known();
        if pressure == Pressure::Extreme || (pressure == Pressure::High && !known) {
            self.counters.shed_queue.fetch_add(1, Ordering::Relaxed);
            return Err(Denial::Overloaded);
        }
        let share = if known { &self.known } else { &self.unknown };
        // One host with many streams must not take the places of all others.
        let place = if known || peer.under_way() <= self.per_source {
            Arc::clone(&share.requests).try_acquire_owned().ok()
        } else {
            None
        };
        let Some(place) = place else {
            self.counters.shed_in_flight.fetch_add(1, Ordering::Relaxed);
            return Err(Denial::Overloaded);
        };
        Ok(Admitted {
            pages: Arc::clone(&share.pages),
            held: None,
            _place: place,
        })
    }

    /// Memory for one more page of a body.
    ///
    /// # Errors
    /// [`Denial::Overloaded`] when bodies take too much of it.
    pub(super) fn page(&self, admitted: &mut Admitted) -> Result<(), Denial> {
        let Ok(page) = Arc::clone(&admitted.pages).try_acquire_owned() else {
            self.counters.shed_memory.fetch_add(1, Ordering::Relaxed);
            return Err(Denial::Overloaded);
        };
        match &mut admitted.held {
            Some(held) => held.merge(page),
            None => admitted.held = Some(page),
        }
        Ok(())
    }

    /// A short name for a client id that was sent, so that it need not be kept.
    pub(super) fn name(&self, client_id: Option<&str>) -> u64 {
        self.hasher.hash_one(client_id)
    }

    /// Whether this refusal is answered like any other, or late and with 429.
    pub(super) fn answers_at_once(&self, denial: Denial, peer: &Peer, client: u64) -> bool {
        if !is_failure(denial) {
            return true;
        }
        let keys = self.keys(peer.source(), client);
        let now = self.clock.monotonic();
        let Ok(mut failures) = self.failures.lock() else {
            return true;
        };
        let at_once = failures.permit(keys, now);
        if !at_once {
            self.counters.throttled.fetch_add(1, Ordering::Relaxed);
        }
        at_once
    }

    /// Waits as long as a late refusal waits, unless the daemon stops. It gives its place among the requests
    /// back first; where too many are held already, it goes at once.
    pub(super) async fn hold_back(&self, peer: &Peer, admitted: Result<Admitted, Denial>) {
        drop(admitted);
        let Ok(_place) = self.holds.try_acquire() else {
            return;
        };
        let doublings = peer.held_before().min(DOUBLINGS);
        let _held = Held::new(&self.counters);
        tokio::select! {
            () = tokio::time::sleep(HOLD * 2_u32.pow(doublings)) => {}
            () = self.draining.cancelled() => {}
        }
    }

    /// The buckets of a source, and of a client's name at it. Whether anybody is registered under that name
    /// makes no difference: an answer at once or late must not tell it (checklist 21).
    fn keys(&self, source: Source, client: u64) -> Keys {
        Keys {
            source: self.hasher.hash_one(source),
            client: self.hasher.hash_one((source, client)),
        }
    }
}

/// Whether a refusal is a failure of a peer that proved nothing. What a client asks for after its proof is
/// its own affair, and on record.
fn is_failure(denial: Denial) -> bool {
    matches!(
        denial.answer().error,
        OAuthError::InvalidRequest | OAuthError::InvalidClient | OAuthError::UnsupportedGrantType
    )
}

impl Failures {
    fn new(per_minute: u32, now: Duration) -> Self {
        let burst = per_minute
            .saturating_mul(BURST_MINUTES)
            .saturating_mul(ALL_SOURCES);
        Self {
            per_minute,
            all: Bucket::full(burst, now),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    fn permit(&mut self, keys: Keys, now: Duration) -> bool {
        let (mut source, of_source) = self.filled(keys.source, ALL_CLIENTS, now);
        let (mut client, of_client) = self.filled(keys.client, 1, now);
        let all = self.all.refill(
            self.burst(ALL_SOURCES),
            self.per_minute.saturating_mul(ALL_SOURCES),
            now,
        );
        let at_once = of_source && of_client && all;
        if at_once {
            source.take();
            client.take();
            self.all.take();
        }
        self.keep(keys.source, source);
        // A source that is slowed down by itself fills no table with names.
        if of_source {
            self.keep(keys.client, client);
        }
        at_once
    }

    fn burst(&self, parts: u32) -> u32 {
        let minutes = self.per_minute.saturating_mul(BURST_MINUTES);
        minutes.saturating_mul(parts)
    }

    /// A bucket of so many clients' parts, filled up to this moment, and whether there is a permit in it.
    fn filled(&self, key: u64, parts: u32, now: Duration) -> (Bucket, bool) {
        let burst = self.burst(parts);
        let known = self.young.get(&key).or_else(|| self.old.get(&key)).copied();
        let mut bucket = known.unwrap_or_else(|| Bucket::full(burst, now));
        let permits = bucket.refill(burst, self.per_minute.saturating_mul(parts), now);
        (bucket, permits)
    }

    fn keep(&mut self, key: u64, bucket: Bucket) {
        if self.young.len() >= MAX_BUCKETS / 2 && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, bucket);
    }
}

struct Held<'a>(&'a AdmissionCounters);

impl<'a> Held<'a> {
    fn new(counters: &'a AdmissionCounters) -> Self {
        counters.held.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(source: u64, client: u64) -> Keys {
        Keys {
            source,
            client: 1_000_000 * (source + 1) + client,
        }
    }

    #[test]
    fn one_who_fails_is_slowed_down_and_nobody_else() {
        let mut failures = Failures::new(60, Duration::ZERO);
        let at_once = (0..1000)
            .filter(|_| failures.permit(keys(1, 1), Duration::ZERO))
            .count();
        assert_eq!(at_once, 300);
        assert!(failures.permit(keys(1, 2), Duration::ZERO));
        assert!(failures.permit(keys(2, 1), Duration::ZERO));
        assert!(!failures.permit(keys(1, 1), Duration::from_millis(900)));
        assert!(
            failures.permit(keys(1, 1), Duration::from_secs(2)),
            "one a second"
        );
    }

    #[test]
    fn made_up_names_gain_nothing() {
        let mut failures = Failures::new(60, Duration::ZERO);
        let at_once = (0..100_000)
            .filter(|name| failures.permit(keys(1, *name), Duration::ZERO))
            .count();
        assert_eq!(at_once, 1500);
        assert_eq!(failures.young.len(), 1501, "of the others nothing is kept");
        assert!(failures.permit(keys(2, 1), Duration::ZERO));
    }

    #[test]
    fn all_together_are_slowed_down_and_the_table_is_bounded() {
        let mut failures = Failures::new(60, Duration::ZERO);
        let at_once = (0..100_000)
            .filter(|source| failures.permit(keys(*source, 1), Duration::ZERO))
            .count();
        assert_eq!(at_once, 30_000);
        assert!(failures.young.len() + failures.old.len() <= MAX_BUCKETS);
    }

    #[test]
    fn a_refusal_after_a_proof_is_no_failure() {
        assert!(is_failure(Denial::WrongSecret));
        assert!(is_failure(Denial::MalformedBody));
        assert!(!is_failure(Denial::ScopeNotGranted));
        assert!(!is_failure(Denial::Overloaded));
    }
}
