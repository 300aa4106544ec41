//! How the daemon stands at one moment: what `/readyz`, `/metrics` and `grantd status` all show. Pure.
//!
//! **Invariant:** each number is taken from its part once, into a [`Seen`], and judged once, into a
//! [`Status`]. Whoever shows it renders that, and computes nothing of its own.

use std::sync::Arc;

use crate::audit::journal::JournalStatus;
use crate::audit::ship::ShipStatus;
use crate::domain::{Algorithm, CommitId, Digest, KeyId, Lifetime, UnixSeconds};
use crate::keys::outlook::{NextStep, next_step};
use crate::keys::rings::Rings;
use crate::keys::schedule::ScheduleSettings;
use crate::registry::overlay::Overlay;
use crate::registry::snapshot::Served;

/// How far ahead expiry dates are told where `registry.expiry_window` does not say otherwise: a month is time enough to make a
/// new secret.
pub const EXPIRY_WINDOW: Lifetime = Lifetime::from_days(30);

/// How full the journal is when each alarm is raised (`design.md`, Audit).
pub const FILL_ALARMS: [f64; 3] = [0.5, 0.8, 0.95];

/// What the parts say of themselves at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The program's version.
    pub version: &'static str,
    /// When the daemon started.
    pub started: UnixSeconds,
    /// This moment, in wall time.
    pub now: UnixSeconds,
    /// Whether it is stopping.
    pub stopping: bool,
    /// What is served; `None` until a registry was accepted.
    pub registry: Option<Arc<Served>>,
    /// What is wrong with the folder now; empty when it is what is served.
    pub problems: Vec<String>,
    /// How far ahead expiry dates are told.
    pub expiry_window: Lifetime,
    /// What operators took away above it.
    pub overlay: Arc<Overlay>,
    /// How the folder stands beside what is served.
    pub folder: FolderStanding,
    /// The rings; `None` until the first were recorded.
    pub rings: Option<Arc<Rings>>,
    /// What the rings' schedule goes by.
    pub schedule: ScheduleSettings,
    /// Whether the last write of a key file failed.
    pub keys_unwritable: bool,
    /// By how much wall time is behind its mark; zero when it is believed.
    pub clock_behind: Lifetime,
    /// By how much wall time leapt ahead while the daemon ran; zero once it has held.
    pub clock_ahead: Lifetime,
    /// The journal.
    pub journal: JournalStatus,
    /// The shipper; `None` where no stream is configured.
    pub ship: Option<ShipStatus>,
    /// Until when the certificate that is served is valid.
    pub certificate_not_after: UnixSeconds,
    /// What is wrong with the certificate's files, or with its time.
    pub certificate_problems: Vec<String>,
}

/// How the registry folder stands beside what is served, and what is kept of it.
#[derive(Clone, Debug, Default)]
pub struct FolderStanding {
    /// While the folder holds no good registry and the last good one is served.
    pub last_good: Option<LastGood>,
    /// A change that waits for an operator.
    pub held: Option<HeldChange>,
    /// Why a change waits that can't be kept.
    pub keep_waits: Option<String>,
    /// What is wrong with what was kept.
    pub kept_broken: Option<String>,
}

/// A registry that is served though the folder holds no good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastGood {
    /// When the folder was last seen to hold it.
    pub seen: UnixSeconds,
    /// Whether it was kept from a run before: the folder has held no good one since the start.
    pub restored: bool,
    /// For how long it may be served without an alarm.
    pub max_age: Lifetime,
    /// Whether no token is issued by it after that.
    pub refuse: bool,
}

impl LastGood {
    /// For how long the folder has not held it.
    #[must_use]
    pub const fn age(&self, now: UnixSeconds) -> Lifetime {
        now.since(self.seen)
    }

    /// Whether that is longer than it may be.
    #[must_use]
    pub fn is_too_old(&self, now: UnixSeconds) -> bool {
        now >= self.seen.plus(self.max_age)
    }
}

/// A change that is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldChange {
    /// What it takes away, as a hash.
    pub hash: Digest,
    /// The commit that it came with.
    pub commit: Option<CommitId>,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
}

/// Whether tokens are issued, and what is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether a well-formed request of a good client would get its token.
    pub ready: bool,
    /// Why not, a sentence each; empty when ready.
    pub reasons: Vec<String>,
    /// What is not as it should be though tokens are issued.
    pub degraded: Vec<String>,
}

/// What is seen, and what it means.
#[derive(Clone, Debug)]
pub struct Status {
    /// What the parts say.
    pub seen: Seen,
    /// What it means.
    pub standing: Standing,
}

/// What a key does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOutlook {
    /// Its ring.
    pub algorithm: Algorithm,
    /// The key.
    pub kid: KeyId,
    /// What it does.
    pub step: NextStep,
    /// When, if that is known. A moment that has passed is a step that is overdue, or that waits for
    /// another ring's key.
    pub at: Option<UnixSeconds>,
}

impl Seen {
    /// The next step of each key, in the order of the rings and of their keys.
    pub fn outlook(&self) -> impl Iterator<Item = KeyOutlook> {
        let rings = self.rings.iter().flat_map(|rings| rings.rings());
        rings.flat_map(|ring| {
            ring.keys().iter().map(|key| {
                let (step, at) = next_step(ring, key, &self.schedule);
                KeyOutlook {
                    algorithm: ring.algorithm(),
                    kid: key.id.clone(),
                    step,
                    at,
                }
            })
        })
    }

    /// The earliest moment of this step in a ring.
    #[must_use]
    pub fn next(&self, algorithm: Algorithm, step: NextStep) -> Option<UnixSeconds> {
        self.outlook()
            .filter(|key| key.algorithm == algorithm && key.step == step)
            .filter_map(|key| key.at)
            .min()
    }
}
