//! The first ring of an algorithm, as `grantd init` makes it. Touches: process, fs.

use super::super::generate::generate;
use super::super::material::PrivateKey;
use super::super::ports::Vault;
use super::super::ring::KeyRecord;
use super::super::schedule::{ScheduleSettings, first_active, fresh};
use super::fault::KeysError;
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
