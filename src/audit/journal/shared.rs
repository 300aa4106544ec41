//! What the journal's handles, its writer, its keeper and its readers share. Touches: clock.
//!
//! Its locks, all short and none held over an await or a call to the disk: the queue, the index, the
//! budget of refusals, the slot of the next segment, the keeper's bell.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::files::{Appendable, Folder};
use super::index::Index;
use super::queue::{Class, Entry, Fate, Queue};
use super::settings::JournalSettings;
use super::status::{JournalCounters, JournalStatus, add};
use super::unrecorded::Unrecorded;
use crate::audit::budget::Budget;
use crate::audit::chain::MAX_HEAD;
use crate::audit::event::{Envelope, Origin, denied_summary};
use crate::clock::Clock;
use crate::domain::UnixMillis;

/// The part of the bound that is kept for control events: key changes, registries, summaries.
const RESERVE_PART: u64 = 32;
/// The part that refusals before a proof may fill (`design.md`: a fifth).
const UNPROVEN_PART: u64 = 5;
/// The free space of the file system that tokens leave is at most this part of its size.
const FREE_PART: u64 = 16;

/// Room below which the journal is shown as full: more than the event of any token, whose fields from
/// outside are cut at 128 bytes. Admission itself looks at each event's own length.
const TOKEN_ROOM: u64 = 4 * 1024;

/// The next segment's file, once it is made.
pub(super) type Prepared = Box<dyn Appendable>;

/// How full the journal is, as admission sees it without a lock.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Bytes that count against the bound.
    used: AtomicU64,
    /// Bytes of unproven refusals among them.
    refusals: AtomicU64,
    /// Whether the oldest unshipped line is older than it may be.
    aged: AtomicBool,
    /// Whether the file system has less space than is left free.
    low: AtomicBool,
    /// Whether the last commit found the disk full.
    pub full: AtomicBool,
    /// Bytes per 1000 seconds by which `used` has grown lately.
    rate: AtomicU64,
}

/// What all parts of one journal share.
pub(super) struct Shared {
    pub folder: Folder,
    pub settings: JournalSettings,
    pub origin: Origin,
    pub clock: Clock,
    pub queue: Queue,
    pub gate: Gate,
    pub counters: JournalCounters,
    pub durable: watch::Sender<u64>,
    pub confirmed: watch::Sender<u64>,
    index: Mutex<Index>,
    budget: Mutex<Budget>,
    prepared: Mutex<Option<Prepared>>,
    bell: Mutex<bool>,
    rung: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// What a journal stands on.
pub(super) struct Ground {
    pub folder: Folder,
    pub settings: JournalSettings,
    pub origin: Origin,
    pub clock: Clock,
}

impl Shared {
    /// The shared part of a journal with this index.
    pub(super) fn new(ground: Ground, index: Index, confirmed: u64) -> Self {
        let budget = Budget::new(ground.settings.budget, ground.clock.monotonic());
        Self {
            folder: ground.folder,
            settings: ground.settings,
            origin: ground.origin,
            clock: ground.clock,
            queue: Queue::default(),
            gate: Gate::default(),
            counters: JournalCounters::default(),
            durable: watch::Sender::new(index.tip.sequence),
            confirmed: watch::Sender::new(confirmed),
            index: Mutex::new(index),
            budget: Mutex::new(budget),
            prepared: Mutex::new(None),
            bell: Mutex::new(false),
            rung: Condvar::new(),
        }
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn prepared(&self) -> MutexGuard<'_, Option<Prepared>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an entry into the queue, if there is room for it on the disk and in the journal.
    pub(super) fn push(&self, entry: Entry, len: usize) -> Result<(), (Unrecorded, Entry)> {
        if len > MAX_HEAD {
            return Err((Unrecorded::TooLong, entry));
        }
        let class = entry.class;
        self.queue.push(entry, |bytes| self.admits(class, bytes))
    }

    /// Whether this many more bytes fit, of which the last are of this class.
    fn admits(&self, class: Class, bytes: u64) -> Result<(), Unrecorded> {
        let gate = &self.gate;
        if class != Class::Control && gate.low.load(Ordering::Relaxed) {
            return Err(Unrecorded::DiskFull);
        }
        let capacity = self.settings.capacity();
        let refusals = gate.refusals.load(Ordering::Relaxed);
        if class == Class::Unproven && refusals + bytes > capacity / UNPROVEN_PART {
            return Err(Unrecorded::Full);
        }
        let Some(limit) = self.settings.limit() else {
            return Ok(());
        };
        if class != Class::Control && gate.aged.load(Ordering::Relaxed) {
            return Err(Unrecorded::Full);
        }
        let reserve = match class {
            Class::Control => 0,
            Class::Proven | Class::Unproven => limit / RESERVE_PART,
        };
        if gate.used.load(Ordering::Relaxed) + bytes > limit - reserve {
            return Err(Unrecorded::Full);
        }
        Ok(())
    }

    /// Tells entries that they were not written. Refusals are counted instead, summaries kept.
    pub(super) fn give_up(&self, entries: impl IntoIterator<Item = Entry>, reason: Unrecorded) {
        for entry in entries {
            match entry.fate {
                Fate::Waiter(waiter) => {
                    // Whoever does not wait any more has its answer.
                    let _gone = waiter.send(Err(reason));
                }
                Fate::Refusal {
                    reason,
                    method,
                    prefix,
                    at,
                } => {
                    add(&self.counters.refusals_counted, 1);
                    self.budget().count(reason, method, prefix, at);
                }
                Fate::Summary(summary) => self.budget().give_back(summary),
            }
        }
    }

    /// The journal has failed: nothing is taken in any more, and everything that waits is told.
    pub(super) fn fail(&self) {
        let waiting = self.queue.fail();
        self.give_up(waiting, Unrecorded::Failed);
        self.ring();
    }

    /// Writes what was counted since the last summary; what can't be written is kept.
    pub(super) fn summarise(&self, now: UnixMillis, id: [u8; 32]) {
        let Some(summary) = self.budget().take_summary(now) else {
            return;
        };
        let envelope = Envelope {
            origin: &self.origin,
            id,
            at: now,
        };
        let head = denied_summary(&envelope, &summary);
        let len = head.len();
        let entry = Entry {
            what: super::queue::What::Head(head),
            class: Class::Control,
            fate: Fate::Summary(summary),
        };
        if let Err((reason, entry)) = self.push(entry, len) {
            self.give_up([entry], reason);
        }
    }

    /// Looks again at how full the journal is. `index` is locked by the caller.
    pub(super) fn measure(&self, index: &Index) {
        let confirmed = self.shipped();
        self.gate
            .used
            .store(index.bytes_after(confirmed), Ordering::Relaxed);
        self.gate
            .refusals
            .store(index.refusals_after(confirmed), Ordering::Relaxed);
    }

    /// What may be left out of account: the highest sequence that the stream holds, or nothing where
    /// there is no stream.
    pub(super) fn shipped(&self) -> u64 {
        if self.settings.stream {
            *self.confirmed.borrow()
        } else {
            0
        }
    }

    /// Looks at the age of what waits for the stream.
    pub(super) fn measure_age(&self, now: UnixMillis) {
        let aged = self.settings.stream
            && self.unshipped_age(now).as_secs() > self.settings.unshipped_max.age.seconds();
        self.gate.aged.store(aged, Ordering::Relaxed);
    }

    fn unshipped_age(&self, now: UnixMillis) -> Duration {
        if !self.settings.stream {
            return Duration::ZERO;
        }
        let confirmed = self.shipped();
        let made = self.index().made_after(confirmed);
        let millis = made.map_or(0, |made| now.get().saturating_sub(made.get()));
        Duration::from_millis(millis)
    }

    /// Notes the free space of the file system, and its size.
    pub(super) fn measure_disk(&self, free: u64, size: u64) {
        let least = self.settings.min_free_bytes.min(size / FREE_PART);
        self.gate.low.store(free < least, Ordering::Relaxed);
    }

    /// Notes by how much the journal has grown over a span, for the time to full.
    pub(super) fn measure_rate(&self, before: u64, span: Duration) -> u64 {
        let used = self.gate.used.load(Ordering::Relaxed);
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = used.saturating_sub(before).saturating_mul(1_000_000) / millis;
        let old = self.gate.rate.load(Ordering::Relaxed);
        // A minute's memory at one sample a second.
        let new = old - old / 60 + rate / 60;
        self.gate.rate.store(new, Ordering::Relaxed);
        used
    }

    /// Wakes the keeper.
    pub(super) fn ring(&self) {
        *self.bell.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_one();
    }

    /// The keeper's rest: until it is woken, at most this long.
    pub(super) fn rest(&self, limit: Duration) {
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut bell, _) = self
            .rung
            .wait_timeout_while(bell, limit, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *bell = false;
    }

    /// How the journal stands.
    pub(super) fn status(&self) -> JournalStatus {
        let now = self.clock.now();
        let unshipped_age = self.unshipped_age(now);
        let used = self.gate.used.load(Ordering::Relaxed);
        let rate = self.gate.rate.load(Ordering::Relaxed);
        let limit = self.settings.limit();
        let by_age = ratio(
            unshipped_age.as_secs(),
            self.settings.unshipped_max.age.seconds(),
        );
        let room = limit.map(|limit| (limit - limit / RESERVE_PART).saturating_sub(used));
        let index = self.index();
        JournalStatus {
            tip: index.tip,
            confirmed: *self.confirmed.borrow(),
            oldest: index.oldest(),
            bytes: index.bytes(),
            segments: index.count(),
            unshipped_bytes: if self.settings.stream { used } else { 0 },
            unshipped_age,
            fill: limit.map(|limit| ratio(used, limit - limit / RESERVE_PART).max(by_age)),
            full: room.is_some_and(|room| room < TOKEN_ROOM)
                || self.gate.aged.load(Ordering::Relaxed),
            time_to_full: room
                .and_then(|room| room.saturating_mul(1000).checked_div(rate))
                .map(Duration::from_secs),
            keep_fill: ratio(index.bytes(), self.settings.keep.bytes),
            queued: self.queue.len(),
            closed: self.queue.closed(),
            disk_full: self.gate.full.load(Ordering::Relaxed)
                || self.gate.low.load(Ordering::Relaxed),
        }
    }
}

/// A part of a whole; a whole of nothing is full.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 1.0;
    }
    part as f64 / whole as f64
}
