//! The first ring of an algorithm, as `grantd init` makes it. Touches: process, fs.

use super::super::generate::generate;
use super::super::material::PrivateKey;
use super::super::ports::Vault;
use super::super::ring::{KeyRecord, Ring};
use super::super::schedule::{ScheduleSettings, Step, first_active, fresh};
use super::fault::KeysError;
use super::keeper::Keeper;
use crate::domain::{Algorithm, UnixSeconds};

/// Makes an active key and a next one.
///
/// The active key may sign at once, though promise 3 asks for a lead: no verifier has ever fetched
/// a JWKS of this issuer, so none can hold one without it. Where that is not so, because the keys
/// of a deployment are lost, promise 3 can't be kept, and whoever asks for it must say so.
///
/// # Errors
/// [`KeysError`]; a crash leaves a ring that the schedule completes, or no active key, for which
/// the caller asks again.
pub fn make_first_ring(
    vault: &dyn Vault,
    algorithm: Algorithm,
    settings: &ScheduleSettings,
    at: UnixSeconds,
    self_test: fn(&PrivateKey) -> bool,
) -> Result<[KeyRecord; 2], KeysError> {
    let made = |active: bool| {
        let made = generate(algorithm)?;
        let id = made.key.id().clone();
        if !self_test(&made.key) {
            return Err(KeysError::SelfTest(id));
        }
        let record = if active {
            first_active(id, algorithm, at)
        } else {
            fresh(id, algorithm, at, settings)
        };
        vault.create(&record, &made.pkcs8)?;
        Ok(record)
    };
    Ok([made(true)?, made(false)?])
}

impl Keeper {
    /// Puts new keys where an operator says that keys are lost for good, and forgets the lost
    /// ones: of each listed ring that lost a key and has none that signs, `next` signs at once, or
    /// a new first ring is made. Verifiers that cache may not know what signs then: promise 3 is
    /// broken already by the loss.
    ///
    /// To be called once, on a keeper that was opened with [`OnMissing::Accept`], of a stopped
    /// daemon.
    ///
    /// # Errors
    /// [`KeysError`]; asked again, it goes on.
    ///
    /// [`OnMissing::Accept`]: super::OnMissing::Accept
    pub fn replace_lost(&mut self) -> Result<Vec<KeyRecord>, KeysError> {
        let nothing_left = self.rings().iter().all(|ring| ring.keys().is_empty());
        let mut signing = Vec::new();
        for algorithm in self.parts.settings.algorithms.clone() {
            let Some(ring) = self.ring(algorithm).cloned() else {
                continue;
            };
            let recorded = self.parts.store.recorded(algorithm)?;
            let lost = recorded.iter().any(|key| ring.find(&key.id).is_none());
            if ring.active().is_some() || !(lost || nothing_left) {
                continue;
            }
            if let Some(next) = ring.next() {
                self.apply(algorithm, &Step::Activate(next.id.clone()))?;
                signing.extend(self.ring(algorithm).and_then(Ring::active).cloned());
            } else {
                let (settings, test) = (&self.parts.settings, self.parts.self_test);
                let vault = self.parts.vault.as_ref();
                let at = self.seen.key_time;
                let [first, _] = make_first_ring(vault, algorithm, settings, at, test)?;
                signing.push(first);
            }
        }
        for ring in self.rings() {
            let mut recorded = self.parts.store.recorded(ring.algorithm())?;
            recorded.retain(|key| ring.find(&key.id).is_some());
            let store = &self.parts.store;
            store.set_recorded(ring.algorithm(), &recorded)?;
        }
        Ok(signing)
    }
}
