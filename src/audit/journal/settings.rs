//! What can be set of the journal. Pure.

use crate::audit::budget::BudgetSettings;
use crate::audit::chain::MAX_LINE;
use crate::domain::{InstanceName, Issuer, Lifetime};

/// How much, and how old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of lines.
    pub bytes: u64,
    /// Age of the oldest line.
    pub age: Lifetime,
}

/// What a token waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitFor {
    /// Its event is on this host's disk.
    #[default]
    Disk,
    /// Its event is in the stream too: for hosts whose disk may be lost.
    Stream,
}

/// The settings of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// Whether events are shipped to a stream. Without one `keep` rules alone.
    pub stream: bool,
    /// Most that may wait for the stream. It is never deleted; at the bound the answer is 503.
    pub unshipped_max: Bound,
    /// What is kept after the stream confirmed it, or, without a stream, at all.
    pub keep: Bound,
    /// Without a stream, at the bound of `keep`: drop the oldest instead of refusing.
    pub drop_oldest: bool,
    /// Bytes from which on a segment is followed by a new one.
    pub segment_bytes: u64,
    /// Free bytes of the file system below which no token is issued, so that the state next to the
    /// journal can still be written; at most a sixteenth of the file system.
    pub min_free_bytes: u64,
    /// What a token waits for.
    pub wait_for: WaitFor,
    /// What refusals before a proof may cost.
    pub budget: BudgetSettings,
}

/// 5 million events of 800 bytes: an hour at 1,500 a second.
const UNSHIPPED_BYTES: u64 = 4 << 30;
/// A stream that is down over a long weekend is found before this.
const UNSHIPPED_AGE: Lifetime = Lifetime::from_days(7);
/// Twice what may wait: a stream that forgot an outage's worth can be refilled.
const KEEP_BYTES: u64 = 8 << 30;
/// NATS forgets minutes at the most; a month serves operators who look back.
const KEEP_AGE: Lifetime = Lifetime::from_days(30);
/// Recovery reads and copies one segment: a fraction of a second.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Room for some thousand writes of sled and of the registry's log.
const MIN_FREE_BYTES: u64 = 64 << 20;

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            stream: false,
            unshipped_max: Bound {
                bytes: UNSHIPPED_BYTES,
                age: UNSHIPPED_AGE,
            },
            keep: Bound {
                bytes: KEEP_BYTES,
                age: KEEP_AGE,
            },
            drop_oldest: false,
            segment_bytes: SEGMENT_BYTES,
            min_free_bytes: MIN_FREE_BYTES,
            wait_for: WaitFor::Disk,
            budget: BudgetSettings::default(),
        }
    }
}

impl JournalSettings {
    /// The bound at which tokens are refused; `None` where the oldest is dropped instead.
    pub(super) const fn limit(&self) -> Option<u64> {
        match (self.stream, self.drop_oldest) {
            (true, _) => Some(self.unshipped_max.bytes),
            (false, false) => Some(self.keep.bytes),
            (false, true) => None,
        }
    }

    /// The bytes of which unproven refusals may take a fifth.
    pub(super) const fn capacity(&self) -> u64 {
        if self.stream {
            self.unshipped_max.bytes
        } else {
            self.keep.bytes
        }
    }

    /// The size at which a segment is followed by the next: an eighth of the smallest bound at the
    /// most, for a segment is retired as a whole.
    pub(super) fn segment(&self) -> u64 {
        let bound = self.capacity().min(self.keep.bytes);
        self.segment_bytes.min(bound / 8).max(MAX_LINE as u64)
    }
}

/// Who opens the journal, and what is known of its past from elsewhere.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The issuer: with the instance the `source` of each event.
    pub issuer: Issuer,
    /// The name of this daemon among those of the issuer.
    pub instance: InstanceName,
    /// The program's version, for `daemon.started`.
    pub version: &'static str,
    /// The highest sequence that the stream has confirmed, as the shipper's mark says; `None` when it
    /// never did, or when an operator accepted that the journal is lost (`--accept-lost-journal`).
    pub confirmed: Option<u64>,
}
