//! What the keys' rotation needs of the store. Touches: fs.

use super::db::{Store, StoreError, unversioned, versioned};
use super::key::{Key, ring_prefix};
use crate::domain::{Algorithm, UnixSeconds};
use crate::keys::ports::{RingStore, StateFault};
use crate::keys::ring::KeyRecord;
use crate::keys::{record_from_json, record_to_json};

impl From<StoreError> for StateFault {
    fn from(error: StoreError) -> Self {
        match error {
            error @ StoreError::NoRoom { .. } => Self::NoRoom(Box::new(error)),
            error => Self::Failed(Box::new(error)),
        }
    }
}

impl RingStore for Store {
    fn recorded(&self, algorithm: Algorithm) -> Result<Vec<KeyRecord>, StateFault> {
        let entries = self.scan(&ring_prefix(algorithm))?;
        let records: Result<Vec<KeyRecord>, StoreError> = entries
            .iter()
            .map(|entry| record_of(algorithm, &entry.value))
            .collect();
        Ok(records?)
    }

    fn set_recorded(&self, algorithm: Algorithm, keys: &[KeyRecord]) -> Result<(), StateFault> {
        let what = "ring key";
        let before = self.scan(&ring_prefix(algorithm))?;
        let mut changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for record in keys {
            let key = Key::RingMember(algorithm, record.id.clone());
            let json = record_to_json(record).map_err(|_| StoreError::Record { what })?;
            changes.push((key.to_bytes(), Some(versioned(&key, &json))));
        }
        for entry in before {
            if changes.iter().all(|(written, _)| *written != entry.key) {
                changes.push((entry.key, None));
            }
        }
        Ok(self.commit(&changes)?)
    }

    fn time_mark(&self) -> Result<Option<UnixSeconds>, StateFault> {
        Ok(Store::time_mark(self)?)
    }

    fn set_time_mark(&self, mark: UnixSeconds) -> Result<(), StateFault> {
        Ok(Store::set_time_mark(self, mark)?)
    }
}

pub(super) fn record_of(algorithm: Algorithm, value: &[u8]) -> Result<KeyRecord, StoreError> {
    let what = "ring key";
    let zero = crate::domain::KeyId::from_thumbprint(crate::domain::Digest::ZERO);
    let json = unversioned(&Key::RingMember(algorithm, zero), value)?;
    record_from_json(&json).map_err(|_| StoreError::Record { what })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::domain::{Digest, KeyId};
    use crate::store::OnCorruption;

    #[test]
    fn rings_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), OnCorruption::Refuse).unwrap();
        let record = |name: u8, algorithm| {
            let id = KeyId::from_thumbprint(Digest::of(&[name]));
            KeyRecord::fresh(id, algorithm, UnixSeconds::new(1_800_000_000))
        };
        let one = record(1, Algorithm::Es256);
        let two = record(2, Algorithm::Es256);
        let other = record(3, Algorithm::EdDsa);
        store
            .set_recorded(Algorithm::Es256, &[one, two.clone()])
            .unwrap();
        store
            .set_recorded(Algorithm::EdDsa, std::slice::from_ref(&other))
            .unwrap();
        assert_eq!(store.recorded(Algorithm::Es256).unwrap().len(), 2);
        store
            .set_recorded(Algorithm::Es256, std::slice::from_ref(&two))
            .unwrap();
        assert_eq!(store.recorded(Algorithm::Es256).unwrap(), [two]);
        assert_eq!(store.recorded(Algorithm::EdDsa).unwrap(), [other]);
    }
}
