//! The places for connections: how many there are, who holds them, who gives way. Touches: memory.
//!
//! **Invariant:** no more connections are open than there are places, and no more of one source than its
//! part. When the last places are taken, each new connection takes that of one that does nothing: a
//! place is for those who ask, so idle connections can't lock anybody out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Source;
use super::connection::ListenerCounters;
use super::pulse::{Pulse, Rank};
use crate::clock::Clock;

/// Most places that are kept free for those who come: an eviction takes effect a moment later, and the
/// acceptor should not wait for it.
const KEPT_FREE: usize = 64;

/// Connections that are looked at to find the one that gives way. The hand goes round, so all are looked
/// at in turn; the best of 32 is among the longest idle 3 % nearly always, at a cost that does not grow
/// with the table.
const LOOKED_AT: usize = 32;

/// How long the acceptor waits before it looks again for a place, when nobody could give way.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// All places of one listener.
pub(super) struct Places {
    free: Arc<Semaphore>,
    kept_free: usize,
    per_source: usize,
    table: Mutex<Table>,
    counters: Arc<ListenerCounters>,
    clock: Clock,
}

#[derive(Default)]
struct Table {
    seats: Vec<Option<Arc<Pulse>>>,
    empty: Vec<usize>,
    sources: HashMap<Source, Held>,
    hand: usize,
}

/// What one source holds.
#[derive(Default)]
struct Held {
    places: usize,
    /// Its requests under way, on all its connections.
    requests: Arc<AtomicUsize>,
}

/// A place that is held. Dropped, it is free again.
pub(super) struct Seat {
    places: Arc<Places>,
    number: usize,
    source: Source,
    /// The life signs of the connection on it.
    pub(super) pulse: Arc<Pulse>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many places, and so many of them for one source.
    pub(super) fn new(
        places: usize,
        per_source: usize,
        counters: &Arc<ListenerCounters>,
    ) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(places)),
            kept_free: KEPT_FREE.min(places / 8),
            per_source,
            table: Mutex::default(),
            counters: Arc::clone(counters),
            clock: Clock::of_this_machine(),
        })
    }

    /// A place for a connection of this source; `None` when the source holds all of its part. Waits while
    /// every place is held by somebody who is being served.
    pub(super) async fn take(self: &Arc<Self>, source: Source) -> Option<Seat> {
        if self.held_by(source) >= self.per_source {
            return None;
        }
        if self.free.available_permits() <= self.kept_free {
            self.make_room();
        }
        let permit = loop {
            let waiting = Arc::clone(&self.free).acquire_owned();
            match tokio::time::timeout(LOOK_AGAIN, waiting).await {
                Ok(permit) => break permit.ok()?,
                Err(_) => self.make_room(),
            }
        };
        let now = self.clock.monotonic();
        let (number, pulse) = self.table.lock().ok()?.sit(source, now);
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        Some(Seat {
            places: Arc::clone(self),
            number,
            source,
            pulse,
            _permit: permit,
        })
    }

    /// Ends one connection that does nothing, if there is one.
    pub(super) fn make_room(&self) {
        let now = self.clock.monotonic();
        let found = self
            .table
            .lock()
            .ok()
            .and_then(|mut table| table.idlest(now));
        if let Some(pulse) = found {
            self.counters.evicted.fetch_add(1, Ordering::Relaxed);
            pulse.evict();
        }
    }

    fn held_by(&self, source: Source) -> usize {
        let table = self.table.lock();
        table.map_or(0, |table| {
            table.sources.get(&source).map_or(0, |held| held.places)
        })
    }
}

impl Table {
    fn sit(&mut self, source: Source, now: Duration) -> (usize, Arc<Pulse>) {
        let held = self.sources.entry(source).or_default();
        held.places += 1;
        let pulse = Arc::new(Pulse::new(now, Arc::clone(&held.requests)));
        let number = self.empty.pop().unwrap_or(self.seats.len());
        match self.seats.get_mut(number) {
            Some(seat) => *seat = Some(Arc::clone(&pulse)),
            None => self.seats.push(Some(Arc::clone(&pulse))),
        }
        (number, pulse)
    }

    fn leave(&mut self, number: usize, source: Source) {
        if let Some(seat) = self.seats.get_mut(number) {
            *seat = None;
            self.empty.push(number);
        }
        if let Some(held) = self.sources.get_mut(&source) {
            held.places -= 1;
            if held.places == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// Of the next few connections the one of the lowest rank, and of those the longest idle. It is told
    /// once: its seat forgets it, so that the next look finds another.
    fn idlest(&mut self, now: Duration) -> Option<Arc<Pulse>> {
        let count = self.seats.len();
        let mut best: Option<(Rank, u64, usize)> = None;
        let mut looked = 0;
        for _ in 0..count {
            self.hand = (self.hand + 1) % count;
            let Some(Some(pulse)) = self.seats.get(self.hand) else {
                continue;
            };
            looked += 1;
            if let Some((rank, idle)) = pulse.standing(now) {
                let better = best.is_none_or(|(other, longest, _)| {
                    rank < other || (rank == other && idle > longest)
                });
                if better {
                    best = Some((rank, idle, self.hand));
                }
            }
            if looked >= LOOKED_AT && best.is_some() {
                break;
            }
        }
        let (_, _, number) = best?;
        self.seats.get_mut(number)?.take()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Ok(mut table) = self.places.table.lock() {
            table.leave(self.number, self.source);
        }
        self.places.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn source(number: u8) -> Source {
        Source::V4([192, 0, 2, number])
    }

    fn places(count: usize, per_source: usize) -> Arc<Places> {
        Places::new(count, per_source, &Arc::new(ListenerCounters::default()))
    }

    #[tokio::test]
    async fn a_source_gets_its_part_and_no_more() {
        let places = places(100, 2);
        let first = places.take(source(1)).await.unwrap();
        let _second = places.take(source(1)).await.unwrap();
        assert!(places.take(source(1)).await.is_none());
        assert!(places.take(source(2)).await.is_some());
        drop(first);
        assert!(places.take(source(1)).await.is_some());
    }

    #[tokio::test]
    async fn requests_of_all_connections_of_a_source_are_counted_and_given_back() {
        let places = places(100, 4);
        let now = Duration::from_secs(1);
        let [one, two] = [1, 1].map(source).map(|source| places.take(source));
        let (one, two) = (one.await.unwrap(), two.await.unwrap());
        let other = places.take(source(2)).await.unwrap();
        one.pulse.begin(now, 1);
        two.pulse.begin(now, 1);
        let under_way = || [&one, &two, &other].map(|seat| seat.pulse.under_way_at_source());
        assert_eq!(under_way(), [2, 2, 0]);
        one.pulse.end(now, true);
        two.pulse.end(now, false);
        assert_eq!(under_way(), [0, 0, 0]);
    }

    #[tokio::test]
    async fn nothing_of_a_source_is_left_when_it_is_gone() {
        let places = places(100, 2);
        for number in 0..=255 {
            drop(places.take(source(number)).await);
        }
        let table = places.table.lock().unwrap();
        assert_eq!((table.sources.len(), table.seats.len()), (0, 1));
    }

    #[tokio::test]
    async fn who_never_got_a_token_gives_way_first_and_who_is_served_never() {
        let places = places(4, 4);
        let now = Clock::of_this_machine().monotonic();
        let proved = places.take(source(1)).await.unwrap();
        proved.pulse.prove(now);
        let served = places.take(source(2)).await.unwrap();
        served.pulse.prove(now);
        served.pulse.begin(now, 1);
        let asking = places.take(source(3)).await.unwrap();
        asking.pulse.begin(now, 1);
        let silent = places.take(source(4)).await.unwrap();
        for seat in [&silent, &asking, &proved] {
            places.make_room();
            let evicted = tokio::time::timeout(Duration::from_secs(5), seat.pulse.evicted());
            evicted.await.unwrap();
        }
        places.make_room();
        let spared = tokio::time::timeout(Duration::from_millis(10), served.pulse.evicted());
        assert!(spared.await.is_err());
    }
}
