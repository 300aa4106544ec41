//! Who is let in when there is too much to do, and how failures are slowed down. Touches: clock, memory.
//!
//! Three things protect good clients, none of which can lock one out:
//! - When work has waited too long for its turn ([`Lag`]), those who did not get a token lately are answered
//!   with 503 before anything is parsed.
//! - Requests under way and the memory of their bodies are bounded; half of each is for those who are known.
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
use crate::listener::{Lag, Peer, Pressure};

/// How many minutes' worth of failures may come at once: a misconfigured client that retries each second is
/// answered at once for five minutes.
const BURST_MINUTES: u32 = 5;

/// Failures of all sources together are slowed down from so many times one source's part on: a fleet of a
/// hundred hosts that comes up with an old secret is answered like one.
const ALL_SOURCES: u32 = 100;

/// Failures of one source are slowed down from so many times one client's part on, whatever names it sends:
/// a host with ten clients whose secrets are all old is answered like one.
const NAMES: u32 = 10;

/// Sources and clients that are told apart, about 50 bytes each; the longest unseen are forgotten.
const MAX_BUCKETS: usize = 8192;

/// How long the first late refusal of a connection is held back; each further one twice as long.
const HOLD: Duration = Duration::from_secs(1);

/// So often the time is doubled: eight seconds are less than what clients wait for an answer.
const DOUBLINGS: u32 = 3;

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
        match Arc::clone(&share.requests).try_acquire_owned() {
            Ok(place) => Ok(Admitted {
                pages: Arc::clone(&share.pages),
                held: None,
                _place: place,
            }),
            Err(_) => {
                self.counters.shed_in_flight.fetch_add(1, Ordering::Relaxed);
                Err(Denial::Overloaded)
            }
        }
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
        // By the name as it was sent, whether a client has it or not: the answer must not tell (checklist 21).
        let source = self.hasher.hash_one(peer.source());
        let named = self.hasher.hash_one((peer.source(), client));
        let now = self.clock.monotonic();
        let Ok(mut failures) = self.failures.lock() else {
            return true;
        };
        let at_once = failures.permit(source, named, now);
        if !at_once {
            self.counters.throttled.fetch_add(1, Ordering::Relaxed);
        }
        at_once
    }

    /// Waits as long as a late refusal waits, unless the daemon stops.
    pub(super) async fn hold_back(&self, peer: &Peer) {
        let doublings = peer.held_before().min(DOUBLINGS);
        let _held = Held::new(&self.counters);
        tokio::select! {
            () = tokio::time::sleep(HOLD * 2_u32.pow(doublings)) => {}
            () = self.draining.cancelled() => {}
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

    /// Whether one more failure of this source, in this name, is answered at once. It counts for the name, for
    /// the source and for all; one that is answered late counts for none.
    fn permit(&mut self, source: u64, named: u64, now: Duration) -> bool {
        let mut of_source = self.bucket(source, NAMES, now);
        let mut of_name = self.bucket(named, 1, now);
        let burst = self.burst(ALL_SOURCES);
        let rate = self.per_minute.saturating_mul(ALL_SOURCES);
        // Each is refilled, whatever the others say.
        let all = self.all.refill(burst, rate, now);
        let at_once = of_source.1 && of_name.1 && all;
        if at_once {
            of_source.0.take();
            of_name.0.take();
            self.all.take();
        }
        self.keep(named, of_name.0);
        self.keep(source, of_source.0);
        at_once
    }

    /// A bucket of so many clients' size, refilled, and whether there is something in it.
    fn bucket(&self, key: u64, clients: u32, now: Duration) -> (Bucket, bool) {
        let burst = self.burst(clients);
        let known = self.young.get(&key).or_else(|| self.old.get(&key)).copied();
        let mut bucket = known.unwrap_or_else(|| Bucket::full(burst, now));
        let filled = bucket.refill(burst, self.per_minute.saturating_mul(clients), now);
        (bucket, filled)
    }

    fn burst(&self, clients: u32) -> u32 {
        self.per_minute
            .saturating_mul(BURST_MINUTES)
            .saturating_mul(clients)
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

    /// How many of so many failures are answered at once; `keys` are source and name of each.
    fn at_once(failures: &mut Failures, keys: impl Iterator<Item = (u64, u64)>) -> usize {
        keys.filter(|(source, named)| failures.permit(*source, *named, Duration::ZERO))
            .count()
    }

    #[test]
    fn one_who_fails_is_slowed_down_and_nobody_else() {
        let mut failures = Failures::new(60, Duration::ZERO);
        let same = (0..1000).map(|_| (1, 100));
        assert_eq!(at_once(&mut failures, same), 300);
        assert!(failures.permit(1, 101, Duration::ZERO), "another name");
        assert!(failures.permit(2, 200, Duration::ZERO), "another source");
        assert!(!failures.permit(1, 100, Duration::from_millis(900)));
        let later = failures.permit(1, 100, Duration::from_secs(2));
        assert!(later, "one a second");
    }

    #[test]
    fn names_are_counted_alike_whether_a_client_has_them_or_not() {
        let mut failures = Failures::new(60, Duration::ZERO);
        let made_up = (0..10_000).map(|number| (1, 100 + number));
        assert_eq!(at_once(&mut failures, made_up), 3000);
        assert!(
            !failures.permit(1, 7, Duration::ZERO),
            "any name of this source"
        );
    }

    #[test]
    fn all_together_are_slowed_down_and_the_table_is_bounded() {
        let mut failures = Failures::new(60, Duration::ZERO);
        let many = (0..100_000).map(|number| (number, 1_000_000 + number));
        assert_eq!(at_once(&mut failures, many), 30_000);
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
