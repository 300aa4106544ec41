//! All rings as a request sees them: who signs, and what is published. Pure.
//!
//! **Invariant:** immutable, and whole: a request loads one `Rings` and signs with a key that the
//! JWKS of the same `Rings` has. Everything in it is on disk and on record.

use std::collections::HashMap;
use std::sync::Arc;

use super::jwks::Jwks;
use super::material::PrivateKey;
use super::ring::{KeyRecord, KeyState, Ring};
use super::schedule::{ScheduleSettings, ready_at};
use super::time::{ClockState, Observation};
use crate::domain::{Algorithm, KeyId, UnixSeconds};

/// The key that signs for an algorithm.
#[derive(Clone, Debug)]
pub struct Signer {
    /// `kid` of the tokens.
    pub kid: KeyId,
    /// `alg` of the tokens.
    pub algorithm: Algorithm,
    /// The key.
    pub key: Arc<PrivateKey>,
    /// The key stays published until then at least: no token may expire later (checklist 57). It
    /// moves on by itself about every hour, and is always further away than the longest token,
    /// but for the second after wall time leapt.
    pub published_until: UnixSeconds,
}

/// Why nothing can be signed with an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSigner {
    /// `keys.algorithms` does not list it.
    #[error("{0} is not listed in keys.algorithms")]
    NotListed(Algorithm),
    /// Its first key has not been published for long enough.
    #[error("the first key for {algorithm} may not sign yet{}", until(*.ready))]
    Warming {
        /// The algorithm.
        algorithm: Algorithm,
        /// When it may, if that is known.
        ready: Option<UnixSeconds>,
    },
    /// Wall time lies behind the mark.
    #[error("the clock is behind: nothing is signed until it catches up or is accepted")]
    ClockBehind,
    /// Wall time is years ahead of the mark.
    #[error(
        "the clock is more than a year ahead of the last time that was seen: nothing is signed until it is set right, or has held for 10 minutes"
    )]
    ClockAhead,
}

fn until(ready: Option<UnixSeconds>) -> String {
    ready.map_or_else(String::new, |at| format!(": it may from {at} on"))
}

/// The rings, as they are published: one value, swapped whole.
#[derive(Clone, Debug)]
pub struct Rings {
    rings: Vec<Ring>,
    signers: Vec<Signer>,
    warming: Vec<(Algorithm, Option<UnixSeconds>)>,
    listed: Vec<Algorithm>,
    jwks: Jwks,
    clock: ClockState,
}

impl Rings {
    /// What requests see of these rings. A key whose material is missing neither signs nor is
    /// published; custody sees to it that there is none.
    #[must_use]
    pub fn build<'a>(
        rings: &'a [Ring],
        keys: &'a HashMap<KeyId, Arc<PrivateKey>>,
        settings: &ScheduleSettings,
        now: &Observation,
    ) -> Self {
        let public = |id: &KeyId| keys.get(id).map(|key| key.public());
        let listed = settings.algorithms.clone();
        let of = |algorithm: &Algorithm| rings.iter().find(|ring| ring.algorithm() == *algorithm);
        let signer = |algorithm: &Algorithm| {
            let record = of(algorithm)?.active()?;
            Some(Signer {
                kid: record.id.clone(),
                algorithm: *algorithm,
                key: Arc::clone(keys.get(&record.id)?),
                published_until: record.tokens_until?,
            })
        };
        let signers: Vec<Signer> = listed.iter().filter_map(signer).collect();
        let signs = |algorithm: Algorithm| signers.iter().any(|s| s.algorithm == algorithm);
        let warming = listed.iter().filter(|algorithm| !signs(**algorithm));
        let ready = |algorithm: &Algorithm| {
            let next: Option<&KeyRecord> = of(algorithm).and_then(Ring::next);
            (*algorithm, next.and_then(|key| ready_at(key, settings)))
        };
        Self {
            rings: rings.to_vec(),
            warming: warming.map(ready).collect(),
            jwks: Jwks::build(rings, public, settings, now.key_time),
            clock: now.clock,
            signers,
            listed,
        }
    }

    /// The key that signs for this algorithm.
    ///
    /// # Errors
    /// [`NoSigner`] says why there is none.
    pub fn signer(&self, algorithm: Algorithm) -> Result<&Signer, NoSigner> {
        if !self.clock.signs() {
            return Err(match self.clock {
                ClockState::Ahead { .. } => NoSigner::ClockAhead,
                ClockState::Behind { .. } | ClockState::Steady => NoSigner::ClockBehind,
            });
        }
        let find = |signer: &&Signer| signer.algorithm == algorithm;
        if let Some(signer) = self.signers.iter().find(find) {
            return Ok(signer);
        }
        let warming = self.warming.iter().find(|(a, _)| *a == algorithm);
        match warming {
            Some((_, ready)) => Err(NoSigner::Warming {
                algorithm,
                ready: *ready,
            }),
            None => Err(NoSigner::NotListed(algorithm)),
        }
    }

    /// What a resource that names no algorithm is signed with: the first that is listed.
    #[must_use]
    pub fn default_algorithm(&self) -> Option<Algorithm> {
        self.listed.first().copied()
    }

    /// The algorithms of `keys.algorithms`, warm or not.
    #[must_use]
    pub fn listed(&self) -> &[Algorithm] {
        &self.listed
    }

    /// The published keys.
    #[must_use]
    pub const fn jwks(&self) -> &Jwks {
        &self.jwks
    }

    /// What wall time is worth.
    #[must_use]
    pub const fn clock(&self) -> ClockState {
        self.clock
    }

    /// The rings themselves, for status and metrics.
    #[must_use]
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// Whether a key that signed in these earlier rings was taken away since: then nothing may be
    /// signed with them.
    #[must_use]
    pub fn withdrawn_since(&self, earlier: &Self) -> bool {
        let stands = |signer: &Signer| {
            let found = self.rings.iter().find_map(|ring| ring.find(&signer.kid));
            found.is_some_and(|key| key.state != KeyState::Withdrawn)
        };
        !earlier.signers.iter().all(stands)
    }

    /// Whether the default algorithm signs: what `/readyz` asks.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.default_algorithm()
            .is_some_and(|algorithm| self.signer(algorithm).is_ok())
    }
}
