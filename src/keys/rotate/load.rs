//! What is loaded at the start, and what must be there. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::material::PrivateKey;
use super::super::ports::Stored;
use super::super::ring::{KeyRecord, KeyState};
use super::super::schedule::{ScheduleSettings, gone_at};
use super::fault::KeysError;
use crate::domain::{KeyId, UnixSeconds};

/// The records, and the keys, each of which has signed and verified once (checklist 59).
#[expect(
    clippy::type_complexity,
    reason = "two halves of one list, taken apart at once"
)]
pub(super) fn tested(
    stored: Vec<Stored>,
    self_test: fn(&PrivateKey) -> bool,
) -> Result<(Vec<KeyRecord>, HashMap<KeyId, Arc<PrivateKey>>), KeysError> {
    let mut records = Vec::new();
    let mut keys = HashMap::new();
    for Stored { record, key } in stored {
        if !self_test(&key) {
            return Err(KeysError::SelfTest(record.id));
        }
        keys.insert(record.id.clone(), Arc::new(key));
        records.push(record);
    }
    Ok((records, keys))
}

/// The newest moment that the files know of: the mark, where the store has lost it.
pub(super) fn newest(records: &[KeyRecord]) -> Option<UnixSeconds> {
    let times = |key: &KeyRecord| {
        [key.activated, key.retired, key.withdrawn]
            .into_iter()
            .flatten()
            .chain([key.created])
            .max()
    };
    records.iter().filter_map(times).max()
}

/// The keys on record whose files are gone, though they were not to go yet.
pub(super) fn missing<'a>(
    recorded: impl Iterator<Item = &'a KeyRecord>,
    keys: &HashMap<KeyId, Arc<PrivateKey>>,
    settings: &ScheduleSettings,
    mark: Option<UnixSeconds>,
) -> Vec<KeyRecord> {
    let explained = |key: &KeyRecord| match key.state {
        KeyState::Active => false,
        KeyState::Next => !settings.lists(key.algorithm),
        KeyState::Retiring => {
            let over = gone_at(key, settings);
            over.is_some_and(|at| mark.is_some_and(|mark| at <= mark))
        }
        KeyState::Withdrawn => true,
    };
    recorded
        .filter(|key| !keys.contains_key(&key.id) && !explained(key))
        .cloned()
        .collect()
}
