//! What the journal tells of itself: status and counters. Pure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::unrecorded::Unrecorded;
use crate::audit::chain::Tip;

/// Upper bounds of the buckets that commits are sorted into by the time of their `fdatasync`, in
/// microseconds; one more takes the rest. From a fast disk's 100 µs to a deadline.
pub const SYNC_BUCKETS: [u64; 11] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000, 10_000_000,
];

/// How the journal stands, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalStatus {
    /// The last line on disk.
    pub tip: Tip,
    /// The highest sequence that the stream has confirmed; 0 for none.
    pub confirmed: u64,
    /// The first sequence still there.
    pub oldest: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// How many segments there are.
    pub segments: usize,
    /// Bytes that the stream has not confirmed, to 256 KiB; 0 without a stream.
    pub unshipped_bytes: u64,
    /// Age of the oldest line that the stream has not confirmed, to a minute; zero without a stream.
    pub unshipped_age: Duration,
    /// How full the bound is at which tokens are refused, in bytes or in age, whichever is more: 1 is
    /// full, and `None` where nothing is refused because the oldest is dropped.
    pub fill: Option<f64>,
    /// Whether the next token finds no room, or may find none.
    pub full: bool,
    /// When it is full at the rate of the last minute; `None` when it does not fill.
    pub time_to_full: Option<Duration>,
    /// How full `keep` is, in bytes.
    pub keep_fill: f64,
    /// Events that wait for the disk.
    pub queued: usize,
    /// Why nothing is taken in any more.
    pub closed: Option<Unrecorded>,
    /// Whether the last commit found the disk full, or the disk has less space than is left free.
    pub disk_full: bool,
}

/// Counts since the start. Read them with [`Ordering::Relaxed`].
#[derive(Debug, Default)]
pub struct JournalCounters {
    /// Lines that were made durable.
    pub events: AtomicU64,
    /// Commits: writes with one `fdatasync` each.
    pub commits: AtomicU64,
    /// Bytes that were made durable.
    pub bytes: AtomicU64,
    /// Microseconds that `fdatasync` took in all.
    pub sync_micros: AtomicU64,
    /// Microseconds of the longest `fdatasync`.
    pub sync_micros_max: AtomicU64,
    /// Commits by the time of their `fdatasync`: see [`SYNC_BUCKETS`].
    pub sync_buckets: [AtomicU64; SYNC_BUCKETS.len() + 1],
    /// Commits that found the disk full and were taken back.
    pub disk_full: AtomicU64,
    /// Segments that were begun.
    pub segments_begun: AtomicU64,
    /// Segments that were retired.
    pub segments_retired: AtomicU64,
    /// Commits to a segment that was due for a change when the next was not ready.
    pub segments_late: AtomicU64,
    /// Refusals before a proof that were recorded one by one.
    pub refusals_recorded: AtomicU64,
    /// Refusals before a proof that were counted for a summary.
    pub refusals_counted: AtomicU64,
    /// Decisions that were not recorded, in the order of [`Unrecorded::ALL`].
    pub unrecorded: [AtomicU64; Unrecorded::ALL.len()],
}

impl JournalCounters {
    /// Counts a commit that is durable.
    pub(super) fn committed(&self, events: u64, bytes: u64, sync: Duration) {
        let micros = u64::try_from(sync.as_micros()).unwrap_or(u64::MAX);
        add(&self.events, events);
        add(&self.commits, 1);
        add(&self.bytes, bytes);
        add(&self.sync_micros, micros);
        self.sync_micros_max.fetch_max(micros, Ordering::Relaxed);
        let bucket = SYNC_BUCKETS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.sync_buckets.get(bucket) {
            add(bucket, 1);
        }
    }

    /// Counts a decision that was not recorded.
    pub(super) fn failed(&self, reason: Unrecorded) {
        let at = Unrecorded::ALL.iter().position(|other| *other == reason);
        if let Some(counter) = at.and_then(|at| self.unrecorded.get(at)) {
            add(counter, 1);
        }
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
