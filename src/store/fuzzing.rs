//! What must hold of the values that sled keeps, for any bytes. Pure.

use super::db::{number_of, unversioned, versioned};
use super::key::Key;
use super::last_use::{pack, unpack};
use super::overlay::{entry_of, value_of};
use super::rings::record_of;
use super::witness::{counted, slot_of};
use crate::audit::ship::ShipMark;
use crate::domain::{Algorithm, Digest, KeyId, UnixSeconds};
use crate::keys::ring::{KeyRecord, KeyState};
use crate::keys::{record_from_json, record_to_json};
use crate::registry::overlay::EntryId;

/// The last second that a record can spell: the end of jiff's `Timestamp`, a day before the year 10000.
const LAST: u64 = 253_402_207_200;

/// A stored value: read as each record that there is, and used to make one of each.
///
/// # Panics
/// Where a value that is taken is not the same when written anew; where a made record is not read
/// back; where a changed byte is taken under a checksum.
pub fn stored_record(data: &[u8]) {
    let digest = Digest::of(data);
    let id = KeyId::from_thumbprint(digest);
    for key in [
        Key::TimeMark,
        Key::ShipMark,
        Key::RegistryGeneration,
        Key::Commits,
        Key::LastUse(0, 0),
        Key::ExpiryDay,
        Key::LastOverlayEntry,
        Key::OverlayEntry(EntryId::new(1)),
        Key::RingMember(Algorithm::Es256, id),
    ] {
        if let Ok(value) = unversioned(&key, data) {
            assert_eq!(versioned(&key, &value), data);
        }
        let written = versioned(&key, data);
        assert!(unversioned(&key, &written).is_ok_and(|value| value == data));
        if let Ok(number) = number_of(&key, data) {
            assert_eq!(number.to_be_bytes(), data);
        }
    }
    if let Some(mark) = ShipMark::from_bytes(data) {
        assert_eq!(mark.to_bytes(), data);
    }
    if let Ok(uses) = unpack(data) {
        assert_eq!(versioned(&Key::LastUse(0, 0), &pack(&uses).concat()), data);
    }
    ring_member(data);
    overlay_entry(data);
    made(data, &digest);
    slots(data, &digest);
}

/// A ring's key as it is stored; the bytes with a version before them as well.
fn ring_member(data: &[u8]) {
    let read = [
        record_from_json(data).ok(),
        record_of(Algorithm::Es256, data).ok(),
    ];
    for record in read.into_iter().flatten() {
        let written = record_to_json(&record).unwrap_or_default();
        assert_eq!(record_from_json(&written).as_ref(), Ok(&record));
        // A record says since when it is in its state: a schedule without that would guess.
        let since = match record.state {
            KeyState::Next => Some(record.created),
            KeyState::Active => record.activated,
            KeyState::Retiring => record.retired,
            KeyState::Withdrawn => record.withdrawn,
        };
        assert!(since.is_some());
    }
}

/// What an operator took away; the bytes with a version before them as well.
fn overlay_entry(data: &[u8]) {
    let id = EntryId::new(7);
    let stored = versioned(&Key::OverlayEntry(id), data);
    for bytes in [data, &stored] {
        if let Ok(entry) = entry_of(id, bytes) {
            let written = value_of(&entry);
            assert!(written.is_ok_and(|it| entry_of(id, &it).is_ok_and(|read| read == entry)));
        }
    }
}

/// A record with times out of these bytes.
fn made(data: &[u8], digest: &Digest) {
    let number = |at: usize| -> Option<u64> {
        let bytes = data.get(at * 8..)?.first_chunk::<8>()?;
        Some(u64::from_be_bytes(*bytes) % (LAST + 1))
    };
    let moment = |at: usize| number(at).map(UnixSeconds::new);
    let pick = |of: usize| usize::from(data.first().copied().unwrap_or(0)) % of;
    let (algorithm, state) = (
        Algorithm::ALL.get(pick(Algorithm::ALL.len())),
        KeyState::ALL.get(pick(KeyState::ALL.len())),
    );
    let (Some(algorithm), Some(state), Some(created)) = (algorithm, state, moment(0)) else {
        return;
    };
    let begun = Some(created);
    let record = KeyRecord {
        state: *state,
        published: begun,
        not_before: moment(1),
        activated: begun,
        retired: begun,
        withdrawn: begun,
        tokens_until: moment(2),
        ..KeyRecord::fresh(KeyId::from_thumbprint(*digest), *algorithm, created)
    };
    let json = record_to_json(&record).unwrap_or_default();
    let stored = versioned(&Key::RingMember(*algorithm, record.id.clone()), &json);
    assert!(record_of(*algorithm, &stored).is_ok_and(|read| read == record));
    let mark = ShipMark {
        stream_created: crate::domain::UnixMillis::new(created.get()),
        stream_sequence: number(1).unwrap_or(u64::MAX),
        sequence: number(2).unwrap_or(0),
        lineage: crate::audit::chain::Lineage::from_bits(u128::from(created.get())),
    };
    assert_eq!(ShipMark::from_bytes(&mark.to_bytes()), Some(mark));
}

/// The witness of the store's commits, which has a checksum.
fn slots(data: &[u8], digest: &Digest) {
    if let Some(slot) = data.first_chunk() {
        assert!(counted(slot).is_none_or(|count| slot_of(count) == *slot));
    }
    let count = data
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let slot = slot_of(count);
    assert_eq!(counted(&slot), Some(count));
    for (at, change) in (0..slot.len()).zip(digest.as_bytes()) {
        let mut damaged = slot;
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= (*change).max(1);
        }
        assert_eq!(counted(&damaged), None, "byte {at} damaged, unseen");
    }
}
