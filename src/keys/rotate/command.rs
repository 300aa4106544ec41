//! What an operator may ask of the rings, and what the answer says. Pure.

use super::super::ring::Ring;
use super::super::schedule::{ScheduleSettings, Step, ready_at};
use super::super::time::Observation;
use crate::domain::{Algorithm, KeyId, Lifetime, UnixSeconds};

/// What an operator may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The next key signs now, if its lead has passed: of one algorithm, or of all.
    Rotate {
        /// Which; `None` for every one that is listed.
        algorithm: Option<Algorithm>,
    },
    /// A key is in wrong hands: it leaves the JWKS at once, and `next` signs at once.
    Compromised {
        /// The key.
        kid: KeyId,
    },
    /// Wall time is right though it lies behind the mark.
    AcceptClock,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The rings that changed.
    pub rotated: Vec<Rotated>,
    /// The rings whose next key's lead has not passed.
    pub waiting: Vec<Waiting>,
}

/// What changed in a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The ring.
    pub algorithm: Algorithm,
    /// The key that was taken away.
    pub withdrawn: Option<KeyId>,
    /// The key that signs now.
    pub signs: Option<KeyId>,
    /// Whether it began to sign just now.
    pub relieved: bool,
    /// For how long it was in the published JWKS before.
    pub published_for: Lifetime,
    /// Whether that is its whole lead: else verifiers that cache may not know it yet.
    pub lead_passed: bool,
    /// The key that comes next.
    pub next: Option<KeyId>,
}

/// A ring that can't be rotated yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The ring.
    pub algorithm: Algorithm,
    /// Its next key.
    pub next: Option<KeyId>,
    /// From when on it may sign, if that is known.
    pub ready: Option<UnixSeconds>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No ring of this algorithm.
    #[error("{0} is not listed in keys.algorithms")]
    NotListed(Algorithm),
    /// No such key.
    #[error("there is no key {0} here")]
    NoSuchKey(KeyId),
    /// The key was taken away before.
    #[error("the key {0} was withdrawn before")]
    Withdrawn(KeyId),
    /// Verifiers may not know the next key yet.
    #[error("{}", waits(.0))]
    NotReady(Vec<Waiting>),
    /// The clock is not behind.
    #[error("the clock is not behind: there is nothing to accept")]
    ClockNotBehind,
    /// Key files can't be written. What was written stands, and the rest is tried again.
    #[error("key files cannot be written: {0}; what is left to do is tried again each second")]
    Failed(String),
    /// The journal takes no event. The change is on disk, and shown once it is recorded.
    #[error(
        "the change is made but cannot be recorded, so it is not in effect yet: see why the audit journal refuses"
    )]
    NotRecorded,
    /// The daemon is stopping, or too many commands wait.
    #[error("the daemon is stopping, or busy with other commands")]
    Stopping,
}

fn waits(waiting: &[Waiting]) -> String {
    let lines: Vec<String> = waiting
        .iter()
        .map(|ring| {
            let algorithm = ring.algorithm;
            match ring.ready {
                Some(at) => format!("the next {algorithm} key may sign from {at} on: verifiers that cache do not know it before"),
                None => format!("the next {algorithm} key has not been published yet"),
            }
        })
        .collect();
    lines.join("; ")
}

/// What a rotation of this ring means now: the step, or why it has to wait.
pub(super) fn rotation(
    ring: &Ring,
    now: &Observation,
    settings: &ScheduleSettings,
) -> Result<Step, Waiting> {
    let next = ring.next();
    let ready = next.and_then(|key| ready_at(key, settings));
    match (next, ready) {
        (Some(key), Some(at)) if at <= now.key_time => Ok(Step::Activate(key.id.clone())),
        (next, ready) => Err(Waiting {
            algorithm: ring.algorithm(),
            next: next.map(|key| key.id.clone()),
            ready,
        }),
    }
}

/// What changed between two states of a ring.
pub(super) fn summary(
    before: &Ring,
    after: &Ring,
    withdrawn: Option<&KeyId>,
    now: &Observation,
    settings: &ScheduleSettings,
) -> Rotated {
    let signs = after.active();
    let id = |key: Option<&super::super::ring::KeyRecord>| key.map(|key| key.id.clone());
    let relieved = id(signs) != id(before.active());
    // How long it was published counts by what was known before it began to sign.
    let waited = signs.and_then(|key| before.find(&key.id));
    let ready = waited.and_then(|key| ready_at(key, settings));
    let published = waited.and_then(|key| key.published);
    Rotated {
        algorithm: after.algorithm(),
        withdrawn: withdrawn.cloned(),
        signs: id(signs),
        relieved,
        published_for: published.map_or(Lifetime::ZERO, |at| now.key_time.since(at)),
        lead_passed: !relieved || ready.is_some_and(|at| at <= now.key_time),
        next: id(after.next()),
    }
}
