#![expect(clippy::unwrap_used, reason = "tests")]
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::domain::{CredentialId, GeneratedSecret};
use crate::registry::sample;
use crate::registry::snapshot::StoredSecret;

const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
const ALL: (usize, usize) = (1, usize::MAX);

fn stored(number: u8) -> StoredSecret {
    let client = sample::client(&[]);
    let secret = GeneratedSecret::from_entropy(&Zeroizing::new([number; 32]));
    let verifier = secret.verifier(&client.id);
    StoredSecret {
        id: CredentialId::of_secret(&verifier),
        verifier,
        ..client.secrets.first().unwrap().clone()
    }
}

/// A registry of one client with these secrets, not bound yet.
fn registry(secrets: &[u8]) -> Snapshot {
    let mut client = sample::client(&[]);
    client.secrets = secrets.iter().map(|number| stored(*number)).collect();
    sample::snapshot(Vec::new(), client)
}

fn uses(snapshot: &Snapshot) -> Vec<Option<UnixSeconds>> {
    let secrets = snapshot.clients.values().flat_map(|client| &client.secrets);
    secrets.map(|secret| secret.last_use.at()).collect()
}

fn note(snapshot: &Snapshot, place: usize, at: UnixSeconds) {
    let client = snapshot.clients.values().next().unwrap();
    client.secrets.get(place).unwrap().last_use.note(at);
}

#[test]
fn a_reload_keeps_the_cells_and_old_snapshots_still_count() {
    let ledger = Ledger::default();
    let before = registry(&[1, 2]);
    ledger.bind(&before);
    note(&before, 0, NOW);
    let after = registry(&[3, 1]);
    ledger.bind(&after);
    assert_eq!(uses(&after), [None, Some(NOW)]);
    // A request that began before the change ends after it.
    let later = NOW.plus(Lifetime::from_seconds(1));
    note(&before, 0, later);
    assert_eq!(uses(&after), [None, Some(later)]);
    assert_eq!(ledger.len(), 3);
}

#[test]
fn what_is_stored_is_known_again_and_written_only_when_it_changed() {
    let mark = CredentialMark::of(&stored(1));
    let ledger = Ledger::of([(mark, NOW)]);
    assert_eq!(ledger.unsaved(0, ALL), Batch::default());
    let snapshot = registry(&[1, 2]);
    ledger.bind(&snapshot);
    assert_eq!(uses(&snapshot), [Some(NOW), None]);
    assert_eq!(ledger.unsaved(0, ALL), Batch::default());
    note(&snapshot, 1, NOW);
    let batch = ledger.unsaved(0, ALL);
    let second = CredentialMark::of(&stored(2));
    let expected = ShardUses {
        shard: shard_of(second),
        uses: vec![(second, NOW)],
    };
    assert_eq!(batch.shards, [expected]);
    // Used again before it was known to be on disk: it is written once more.
    let later = NOW.plus(Lifetime::from_seconds(60));
    note(&snapshot, 1, later);
    ledger.saved(&batch.shards);
    assert_eq!(ledger.unsaved(0, ALL).shards.len(), 1);
    ledger.saved(&ledger.unsaved(0, ALL).shards);
    assert_eq!(ledger.unsaved(0, ALL), Batch::default());
}

#[test]
fn batches_are_bounded_and_cover_all() {
    let marks: Vec<CredentialMark> = (0..200)
        .map(|number| CredentialMark::of(&stored(number)))
        .collect();
    let ledger = Ledger::default();
    let snapshot = registry(&(0..200).collect::<Vec<u8>>());
    ledger.bind(&snapshot);
    for place in 0..200 {
        note(&snapshot, place, NOW);
    }
    let (mut from, mut found, mut batches) = (0, Vec::new(), 0);
    loop {
        let batch = ledger.unsaved(from, (10, 300));
        let shards = batch.shards.iter();
        let all: Vec<CredentialMark> = shards
            .flat_map(|it| it.uses.iter().map(|it| it.0))
            .collect();
        assert!(all.len() <= 30, "{}", all.len());
        found.extend(all);
        ledger.saved(&batch.shards);
        batches += 1;
        match batch.next {
            Some(next) => from = next,
            None => break,
        }
    }
    found.sort_unstable();
    let mut marks = marks;
    marks.sort_unstable();
    assert_eq!(found, marks);
    assert!(batches > 6, "{batches}");
}

#[test]
fn what_left_the_registry_is_forgotten_after_a_while_and_not_before() {
    let mark = CredentialMark::of(&stored(1));
    let used = NOW.minus(KEPT_FOR);
    let ledger = Ledger::of([(mark, used)]);
    let (with, without) = (registry(&[1]), registry(&[2]));
    ledger.bind(&without);
    ledger.forget(&without, NOW);
    assert_eq!(ledger.len(), 2, "gone since now");
    // It comes back: the time begins anew. The other one is out of the registry since now.
    ledger.forget(&with, NOW.plus(GONE_FOR));
    assert_eq!(ledger.len(), 2);
    ledger.forget(&without, NOW.plus(GONE_FOR));
    assert_eq!(ledger.len(), 2);
    let day_after = NOW.plus(GONE_FOR).plus(GONE_FOR);
    ledger.forget(&without, day_after);
    assert_eq!(
        ledger.len(),
        1,
        "what is in the registry stays, used or not"
    );
    // The store learns it.
    let emptied = ShardUses {
        shard: shard_of(mark),
        uses: Vec::new(),
    };
    assert_eq!(ledger.unsaved(0, ALL).shards, [emptied]);
    // What was used lately stays, however long it is gone.
    let ledger = Ledger::of([(mark, NOW)]);
    ledger.forget(&without, NOW);
    ledger.forget(&without, NOW.plus(GONE_FOR));
    assert_eq!(ledger.len(), 1);
}

#[test]
fn beyond_the_most_that_is_kept_the_oldest_go_first() {
    let mark = |number: usize| {
        let mut bytes = [0; CredentialMark::BYTES];
        let (low, _) = bytes.split_first_chunk_mut::<8>().unwrap();
        *low = (number as u64)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .to_be_bytes();
        CredentialMark::from_bytes(bytes)
    };
    let used = |number: usize| UnixSeconds::new(1_700_000_000 + number as u64);
    let ledger = Ledger::of((0..MOST_GONE + 500).map(|number| (mark(number), used(number))));
    assert_eq!(ledger.len(), MOST_GONE + 500);
    let later = used(MOST_GONE);
    ledger.forget(&registry(&[]), later);
    assert_eq!(
        ledger.len(),
        MOST_GONE + 500,
        "gone since now: perhaps just being applied"
    );
    ledger.forget(&registry(&[]), later.plus(Lifetime::from_seconds(1)));
    assert_eq!(ledger.len(), MOST_GONE);
    let kept = ledger.unsaved(0, ALL).shards;
    let gone: HashSet<_> = (0..500).map(mark).collect();
    assert!(!kept.is_empty());
    assert!(
        kept.iter()
            .flat_map(|it| &it.uses)
            .all(|(mark, _)| !gone.contains(mark))
    );
}

/// A registry that is applied while the one before is tidied by.
#[test]
fn what_is_new_is_not_forgotten_before_it_is_served() {
    let ledger = Ledger::default();
    let (served, next) = (registry(&[1]), registry(&[1, 2]));
    ledger.bind(&served);
    ledger.bind(&next);
    ledger.forget(&served, NOW);
    note(&next, 1, NOW);
    assert_eq!(ledger.unsaved(0, ALL).shards.len(), 1, "its use is written");
}

proptest! {
    #[test]
    fn each_mark_has_a_shard(bytes: [u8; CredentialMark::BYTES]) {
        prop_assert!(usize::from(shard_of(CredentialMark::from_bytes(bytes))) < SHARDS);
    }
}
