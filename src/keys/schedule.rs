//! When each key changes its state: a function of (ring, moment, settings). Pure.
//!
//! [`due`] names one step at a time, and each step writes one file, so a crash between any two
//! leaves a ring from which the same rules go on. The order of a rotation is: the next key becomes
//! active, the older active one retires, a new next one is made. None of it is seen by anyone
//! before the last step is on disk.
//!
//! **Invariant:** [`due`] never activates a key before its lead has passed (see [`ready_at`]) but
//! after a withdrawal, and never removes one from the JWKS before its last token has expired.

use super::ring::{Change, KeyRecord, KeyState, Ring};
use super::time::{ClockState, Observation, STEP_MAX};
use crate::domain::{Algorithm, KeyId, Lifetime, UnixSeconds};

/// How long verifiers may use a JWKS that they have fetched: a day, the longest that common JWT
/// libraries and proxies keep one without asking.
pub const VERIFIER_CACHE_MAX: Lifetime = Lifetime::from_hours(24);

/// How long a key is published before it may sign: the cache of verifiers, and an hour for a
/// clock that is corrected meanwhile and for a verifier whose fetch fails and is tried again.
pub const PUBLISH_LEAD: Lifetime = Lifetime::from_hours(25);

/// How long a key signs: 30 days, as NIST SP 800-57 asks for no more and operators see it happen.
pub const ACTIVE_FOR: Lifetime = Lifetime::from_days(30);

/// The longest lifetime of a token, until the registry's policy says another.
pub const LONGEST_TOKEN: Lifetime = Lifetime::from_hours(1);

/// How long a key stays published after its last token has expired: verifiers' clock leeway, and
/// our own clock's largest step that is believed at once.
pub const PRUNE_MARGIN: Lifetime = Lifetime::from_hours(1);

/// The least `prune_margin`: twice the largest clock step that is believed at once.
pub const PRUNE_MARGIN_MIN: Lifetime = Lifetime::from_minutes(10);

/// How far `tokens_until` is raised beyond what is needed: one write of a key file in about an
/// hour.
const TOKENS_AHEAD: Lifetime = Lifetime::from_minutes(70);

/// `tokens_until` is raised when less than this is left beyond the longest token: so the mint
/// never has to cut a token's life, though a disk were stuck for minutes.
const TOKENS_LEFT: Lifetime = Lifetime::from_minutes(10);

/// What the schedule goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// The rings that are kept warm; the first is the default.
    pub algorithms: Vec<Algorithm>,
    /// How long verifiers may use a JWKS that they have fetched.
    pub verifier_cache_max: Lifetime,
    /// How long a key is published before it may sign.
    pub publish_lead: Lifetime,
    /// How long a key signs.
    pub active_for: Lifetime,
    /// The longest lifetime of a token; the registry's policy changes it while running.
    pub longest_token: Lifetime,
    /// How long a key stays published after its last token has expired.
    pub prune_margin: Lifetime,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            algorithms: vec![Algorithm::Es256],
            verifier_cache_max: VERIFIER_CACHE_MAX,
            publish_lead: PUBLISH_LEAD,
            active_for: ACTIVE_FOR,
            longest_token: LONGEST_TOKEN,
            prune_margin: PRUNE_MARGIN,
        }
    }
}

/// Why settings are refused: they would break promise 3, or can't be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleFault {
    /// No algorithm.
    #[error("keys.algorithms is empty: name one at least, such as \"ES256\"")]
    NoAlgorithm,
    /// An algorithm twice.
    #[error("keys.algorithms names {0} twice")]
    Twice(Algorithm),
    /// A key would sign before every verifier knows it.
    #[error(
        "publish_lead {lead} must be longer than verifier_cache_max {cache} by {STEP_MAX} or more: a verifier may use a JWKS for {cache}, and a clock step of up to {STEP_MAX} is believed at once, so a key that signs earlier than {cache} + {STEP_MAX} = {least} after it was published may be unknown to it"
    )]
    Lead {
        /// The setting.
        lead: Lifetime,
        /// The other.
        cache: Lifetime,
        /// Their least sum.
        least: Lifetime,
    },
    /// The next key could not be ready when the active one's time is over.
    #[error(
        "active_for {active} must not be shorter than publish_lead {lead}: the next key is published when the active one begins to sign, and may sign {lead} later at the earliest"
    )]
    Active {
        /// The setting.
        active: Lifetime,
        /// The lead that it has to cover.
        lead: Lifetime,
    },
    /// A key would go while verifiers with leeway still accept its tokens.
    #[error(
        "prune_margin {margin} must be {PRUNE_MARGIN_MIN} or more: a clock step of up to {STEP_MAX} is believed at once, and verifiers allow tokens some leeway"
    )]
    Margin {
        /// The setting.
        margin: Lifetime,
    },
}

impl ScheduleSettings {
    /// What breaks promise 3, with the arithmetic; empty when nothing does.
    #[must_use]
    pub fn faults(&self) -> Vec<ScheduleFault> {
        let mut faults = Vec::new();
        if self.algorithms.is_empty() {
            faults.push(ScheduleFault::NoAlgorithm);
        }
        for algorithm in Algorithm::ALL {
            if self.algorithms.iter().filter(|a| **a == algorithm).count() > 1 {
                faults.push(ScheduleFault::Twice(algorithm));
            }
        }
        let (lead, cache) = (self.publish_lead, self.verifier_cache_max);
        let least = cache.plus(STEP_MAX);
        if lead < least {
            faults.push(ScheduleFault::Lead { lead, cache, least });
        }
        let active = self.active_for;
        if active < lead {
            faults.push(ScheduleFault::Active { active, lead });
        }
        let margin = self.prune_margin;
        if margin < PRUNE_MARGIN_MIN {
            faults.push(ScheduleFault::Margin { margin });
        }
        faults
    }

    /// Whether the algorithm's ring is to be kept warm.
    #[must_use]
    pub fn lists(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

/// One step of a ring: one key, one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new `next` is to be made.
    Create,
    /// The key has been seen in the JWKS that is handed out: its lead begins.
    Publish(KeyId),
    /// The key begins to sign.
    Activate(KeyId),
    /// The key ceases to sign.
    Retire(KeyId),
    /// An operator takes the key away.
    Withdraw(KeyId),
    /// Tokens that the key signs may expire later than so far.
    Extend(KeyId),
    /// The key's lead did not pass while time leapt, nor its last token age: it waits as much longer.
    Postpone(KeyId, Lifetime),
    /// The key goes, with its file.
    Remove(KeyId),
}

/// The step that is due in this ring, if one is. Apply it, and ask again.
#[must_use]
pub fn due(ring: &Ring, now: &Observation, settings: &ScheduleSettings) -> Option<Step> {
    let signing = ring.active().map(|key| &key.id);
    let superseded = ring
        .in_state(KeyState::Active)
        .find(|key| Some(&key.id) != signing)
        .map(|key| Step::Retire(key.id.clone()));
    superseded
        .or_else(|| {
            if settings.lists(ring.algorithm()) {
                keep_warm(ring, now, settings)
            } else {
                wind_down(ring)
            }
        })
        .or_else(|| extend(ring, now, settings))
        .or_else(|| remove(ring, now, settings))
}

/// The step that begins a key's lead, once it is in the JWKS that is handed out.
#[must_use]
pub fn publication(ring: &Ring, shown: impl Fn(&KeyId) -> bool) -> Option<Step> {
    ring.in_state(KeyState::Next)
        .find(|key| key.published.is_none() && shown(&key.id))
        .map(|key| Step::Publish(key.id.clone()))
}

/// The steps that keep keys as far from their next state as they are when key time leaps. The time
/// that was leapt over may not have passed at all (a wrong clock), or not for verifiers (the daemon
/// was stopped): no waiting key was in the JWKS for it, and no token has aged by it.
pub fn postponements(ring: &Ring, leapt: Lifetime) -> impl Iterator<Item = Step> {
    ring.published()
        .filter(|key| key.published.is_some())
        .map(move |key| Step::Postpone(key.id.clone(), leapt))
}

/// The first moment at which a `next` key may sign; `None` while it is not published.
///
/// The lead that was in force when it was published counts, and the lead in force now.
#[must_use]
pub fn ready_at(key: &KeyRecord, settings: &ScheduleSettings) -> Option<UnixSeconds> {
    let published = key.published?;
    let by_settings = published.plus(settings.publish_lead);
    Some(key.not_before.map_or(by_settings, |at| at.max(by_settings)))
}

/// From when on a retiring key need not be published; `None` while it signs or waits.
#[must_use]
pub fn gone_at(key: &KeyRecord, settings: &ScheduleSettings) -> Option<UnixSeconds> {
    match key.state {
        KeyState::Next | KeyState::Active => None,
        KeyState::Retiring => {
            let last_token = key.tokens_until.or(key.retired).unwrap_or(key.created);
            Some(last_token.plus(settings.prune_margin))
        }
        KeyState::Withdrawn => key.withdrawn,
    }
}

/// When the active key is to be relieved; `None` without one.
#[must_use]
pub fn relief_at(ring: &Ring, settings: &ScheduleSettings) -> Option<UnixSeconds> {
    let activated = ring.active()?.activated?;
    Some(activated.plus(settings.active_for))
}

/// What a step does to its key. `None` for [`Step::Create`], whose key is not there yet, and for a
/// key that the ring does not have.
#[must_use]
pub fn change(
    ring: &Ring,
    step: &Step,
    now: &Observation,
    settings: &ScheduleSettings,
) -> Option<Change> {
    let at = now.key_time;
    let write = |id: &KeyId, edit: &dyn Fn(&mut KeyRecord)| {
        let mut record = ring.find(id)?.clone();
        edit(&mut record);
        Some(Change::Write(record))
    };
    match step {
        Step::Create => None,
        Step::Publish(id) => write(id, &|key| {
            // A longer lead that was in force when the key was made counts on.
            let lead = key
                .not_before
                .map_or(Lifetime::ZERO, |then| then.since(key.created));
            key.published = Some(at);
            key.not_before = Some(at.plus(lead.max(settings.publish_lead)));
        }),
        Step::Activate(id) => write(id, &|key| {
            key.state = KeyState::Active;
            key.activated = Some(at);
            key.published = key.published.or(Some(at));
            key.tokens_until = Some(raised(key, now, settings));
        }),
        Step::Retire(id) => write(id, &|key| {
            key.state = KeyState::Retiring;
            key.retired = Some(at);
        }),
        Step::Withdraw(id) => write(id, &|key| {
            key.state = KeyState::Withdrawn;
            key.withdrawn = Some(at);
        }),
        Step::Extend(id) => write(id, &|key| {
            key.tokens_until = Some(raised(key, now, settings));
        }),
        Step::Postpone(id, span) => write(id, &|key| {
            if key.state == KeyState::Next {
                key.published = key.published.map(|at| at.plus(*span));
                key.not_before = key.not_before.map(|at| at.plus(*span));
            }
            key.tokens_until = key.tokens_until.map(|at| at.plus(*span));
        }),
        Step::Remove(id) => ring.find(id).map(|key| Change::Remove(key.id.clone())),
    }
}

/// The first key of an algorithm for which no verifier has ever fetched a JWKS: active at once.
/// Nobody can hold a JWKS without it, so there is nothing to wait for.
#[must_use]
pub fn first_active(id: KeyId, algorithm: Algorithm, at: UnixSeconds) -> KeyRecord {
    KeyRecord {
        state: KeyState::Active,
        published: Some(at),
        not_before: Some(at),
        activated: Some(at),
        ..KeyRecord::fresh(id, algorithm, at)
    }
}

/// A key just made: `next`, to be published.
#[must_use]
pub fn fresh(
    id: KeyId,
    algorithm: Algorithm,
    at: UnixSeconds,
    settings: &ScheduleSettings,
) -> KeyRecord {
    KeyRecord {
        not_before: Some(at.plus(settings.publish_lead)),
        ..KeyRecord::fresh(id, algorithm, at)
    }
}

fn keep_warm(ring: &Ring, now: &Observation, settings: &ScheduleSettings) -> Option<Step> {
    let Some(next) = ring.next() else {
        return Some(Step::Create);
    };
    let activate = || Some(Step::Activate(next.id.clone()));
    let ready = ready_at(next, settings).is_some_and(|at| at <= now.key_time);
    let trusted = now.clock.signs();
    match relief_at(ring, settings) {
        None => {
            let emergency = ring.in_state(KeyState::Withdrawn).any(was_signing);
            if emergency || (ready && trusted) {
                return activate();
            }
        }
        Some(relief) => {
            if ready && trusted && relief <= now.key_time {
                return activate();
            }
        }
    }
    None
}

/// An algorithm that is no longer listed: it signs no more, and its keys go when they may.
fn wind_down(ring: &Ring) -> Option<Step> {
    let active = ring.active().map(|key| Step::Retire(key.id.clone()));
    active.or_else(|| ring.next().map(|key| Step::Remove(key.id.clone())))
}

fn extend(ring: &Ring, now: &Observation, settings: &ScheduleSettings) -> Option<Step> {
    let key = ring.active()?;
    let needed = now
        .key_time
        .max(now.wall)
        .plus(settings.longest_token)
        .plus(TOKENS_LEFT);
    let enough = key.tokens_until.is_some_and(|until| until >= needed);
    (!enough).then(|| Step::Extend(key.id.clone()))
}

fn remove(ring: &Ring, now: &Observation, settings: &ScheduleSettings) -> Option<Step> {
    // Of key time and wall time the earlier counts: verifiers may go by either. A clock that
    // leapt or fell back prunes nothing.
    let earlier = now.key_time.min(now.wall);
    let steady = now.clock == ClockState::Steady;
    let over = |key: &&KeyRecord| gone_at(key, settings).is_some_and(|at| at <= earlier);
    let retired = ring
        .in_state(KeyState::Retiring)
        .find(|key| steady && over(key));
    let relieved = ring.active().is_some() || !settings.lists(ring.algorithm());
    let withdrawn = ring
        .in_state(KeyState::Withdrawn)
        .find(|key| relieved || !was_signing(key));
    withdrawn
        .or(retired)
        .map(|key| Step::Remove(key.id.clone()))
}

fn raised(key: &KeyRecord, now: &Observation, settings: &ScheduleSettings) -> UnixSeconds {
    let until = now
        .key_time
        .max(now.wall)
        .plus(settings.longest_token)
        .plus(TOKENS_AHEAD);
    key.tokens_until.map_or(until, |before| before.max(until))
}

/// Whether a withdrawn key was the active one: then `next` has to step in at once.
fn was_signing(key: &KeyRecord) -> bool {
    key.activated.is_some() && key.retired.is_none()
}

#[cfg(test)]
mod tests;
