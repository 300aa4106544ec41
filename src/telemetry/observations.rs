//! What is counted of token requests. Touches: memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::audit::{Outcome, Unrecorded};
use crate::domain::Denial;

/// Upper bounds of the buckets of request times, in microseconds: from a token of a warm connection to the
/// longest request.
pub(super) const BUCKETS_MICROS: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000,
];

/// Counters of token requests. One writer a request, no lock.
#[derive(Debug)]
pub struct Observations {
    pub(super) issued: AtomicU64,
    pub(super) denied: [AtomicU64; Denial::ALL.len()],
    pub(super) unrecorded: AtomicU64,
    pub(super) micros: AtomicU64,
    pub(super) buckets: [AtomicU64; BUCKETS_MICROS.len()],
    pub(super) slower: AtomicU64,
}

impl Default for Observations {
    fn default() -> Self {
        Self {
            issued: AtomicU64::default(),
            denied: std::array::from_fn(|_| AtomicU64::default()),
            unrecorded: AtomicU64::default(),
            micros: AtomicU64::default(),
            buckets: Default::default(),
            slower: AtomicU64::default(),
        }
    }
}

impl Observations {
    /// Counts a decision and the time that it took.
    pub fn decided(&self, outcome: &Result<Outcome, Unrecorded>, took: Duration) {
        match outcome {
            Ok(Outcome::Token { .. }) => &self.issued,
            Ok(Outcome::Refusal(denial)) => self.of(*denial),
            Err(_) => &self.unrecorded,
        }
        .fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        BUCKETS_MICROS
            .iter()
            .zip(&self.buckets)
            .find(|(bound, _)| micros <= **bound)
            .map_or(&self.slower, |(_, bucket)| bucket)
            .fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, denial: Denial) -> &AtomicU64 {
        self.denied.get(denial as usize).unwrap_or(&self.unrecorded)
    }
}
