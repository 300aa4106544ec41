//! Bounds: what may be kept, what may wait, what refusals may cost.

use std::sync::atomic::Ordering;

use super::*;
use crate::domain::{AuthMethod, Lifetime};

const KIB: u64 = 1024;

fn small(stream: bool) -> JournalSettings {
    let bound = |bytes| Bound {
        bytes,
        age: Lifetime::from_days(1),
    };
    JournalSettings {
        stream,
        unshipped_max: bound(2048 * KIB),
        keep: bound(1024 * KIB),
        ..JournalSettings::default()
    }
}

/// Issues until the journal refuses; why.
fn fill(house: &House, journal: &Journal) -> Unrecorded {
    for _ in 0..100 {
        let failed = house.runtime.block_on(async {
            let requests = (0..100).map(|number| issue(journal, number));
            let outcomes = futures_util::future::join_all(requests).await;
            outcomes.into_iter().find_map(Result::err)
        });
        if let Some(reason) = failed {
            return reason;
        }
    }
    panic!("the bound was never reached");
}

#[test]
fn what_waits_for_the_stream_has_a_bound_and_a_reserve_for_control_events() {
    let house = House::new();
    let journal = house.open(small(true), None).unwrap();
    assert_eq!(fill(&house, &journal), Unrecorded::Full);
    let status = journal.status();
    assert!(status.fill.unwrap() > 0.9, "{status:?}");
    assert!(status.unshipped_bytes <= 2048 * KIB);
    assert_eq!(status.oldest, 1, "nothing that was not shipped is deleted");
    house.control(&journal).unwrap();
    let tail = journal.tail();
    tail.confirmed(journal.status().tip.sequence);
    assert_eq!(journal.status().unshipped_bytes, 0);
    house.issue(&journal, 1).unwrap();
    house.stop(&journal);
}

#[test]
fn what_the_stream_confirmed_is_kept_up_to_a_bound_and_goes_by_whole_segments() {
    let house = House::new();
    let journal = house.open(small(true), None).unwrap();
    fill(&house, &journal);
    let tail = journal.tail();
    let segments = journal.status().segments;
    tail.confirmed(journal.status().tip.sequence);
    tail.0.ring();
    eventually("segments are retired", || {
        journal.status().segments < segments && journal.status().bytes <= 1024 * KIB
    });
    let oldest = tail.oldest();
    assert!(oldest > 1);
    assert!(matches!(
        tail.read(1, 1, 1),
        Err(TailError::Retired { from: 1, .. })
    ));
    assert_eq!(tail.read(oldest, 1, 1).unwrap()[0].sequence, oldest);
    house.stop(&journal);
    let house = House::at(house.dir);
    let journal = house.open(small(true), Some(oldest)).unwrap();
    house.stop(&journal);
}

#[test]
fn without_a_stream_nothing_is_deleted_unless_told() {
    let house = House::new();
    let journal = house.open(small(false), None).unwrap();
    assert_eq!(fill(&house, &journal), Unrecorded::Full);
    assert_eq!(journal.status().oldest, 1);
    house.stop(&journal);
    let house = House::at(house.dir);
    let settings = JournalSettings {
        drop_oldest: true,
        ..small(false)
    };
    let journal = house.open(settings, None).unwrap();
    for number in 0..2000 {
        house.issue(&journal, number).unwrap();
    }
    eventually("the oldest go", || journal.status().bytes <= 1024 * KIB);
    assert!(journal.status().oldest > 1);
    assert_eq!(journal.status().fill, None);
    house.stop(&journal);
}

#[test]
fn what_waits_too_long_for_the_stream_stops_issuance() {
    let house = House::new();
    let mut settings = small(true);
    settings.unshipped_max.age = Lifetime::ZERO;
    let journal = house.open(settings, None).unwrap();
    eventually("the age is noticed", || {
        journal.tail().0.ring();
        house.issue(&journal, 1) == Err(Unrecorded::Full)
    });
    journal.tail().confirmed(journal.status().tip.sequence);
    eventually("it goes on", || {
        journal.tail().0.ring();
        journal.tail().confirmed(journal.status().tip.sequence);
        house.issue(&journal, 1).is_ok()
    });
    house.stop(&journal);
}

fn refuse(house: &House, journal: &Journal, remote: &str) -> Result<Recorded, Unrecorded> {
    let mut trail = Trail::new(RequestId::from_bits(1), remote.parse().unwrap());
    trail.method = Some(AuthMethod::ClientSecretPost);
    let at = Clock::of_this_machine().now();
    let decision = Decision::Refused(Denial::UnknownClient);
    house
        .runtime
        .block_on(journal.record(decision, &trail, at, LONG))
}

#[test]
fn a_flood_of_refusals_is_counted_exactly_and_does_not_stop_issuance() {
    let house = House::new();
    let journal = house.open(small(true), None).unwrap();
    for number in 0..20_000 {
        let remote = format!("10.{}.{}.1", number % 7, number % 251);
        assert!(refuse(&house, &journal, &remote).is_ok());
        if number % 1000 == 0 {
            house.issue(&journal, number).unwrap();
        }
    }
    let recorded = journal.counters().refusals_counted.load(Ordering::Relaxed);
    assert!(recorded > 15_000);
    house.stop(&journal);
    let lines = lines(&house.journal());
    let one_by_one = lines
        .iter()
        .filter(|line| line.event_type() == "token.denied");
    let bytes: usize = one_by_one.clone().map(|line| line.bytes().len() + 1).sum();
    assert!(bytes as u64 <= 2048 * KIB / 5, "{bytes}");
    let one_by_one = one_by_one.count() as u64;
    let counted: u64 = lines
        .iter()
        .filter(|line| line.event_type() == "token.denied_summary")
        .map(|line| data(line)["total"].as_u64().unwrap())
        .sum();
    assert_eq!(one_by_one + counted, 20_000);
}

#[test]
fn refusals_from_before_a_start_are_counted_again() {
    let house = House::new();
    let journal = house.open(small(false), None).unwrap();
    for number in 0..200 {
        let remote = format!("10.0.{number}.1");
        assert!(refuse(&house, &journal, &remote).is_ok());
    }
    while journal.status().segments < 4 {
        house.issue(&journal, 1).unwrap();
    }
    let before = journal.tail().0.index().refusals_after(0);
    assert!(before > 0);
    house.stop(&journal);
    let house = House::at(house.dir);
    let journal = house.open(small(false), None).unwrap();
    eventually("all segments are counted", || {
        journal.tail().0.index().refusals_after(0) == before
    });
    house.stop(&journal);
}

#[test]
fn a_refusal_to_a_proven_client_is_recorded_like_a_token() {
    let house = House::new();
    let journal = house.start();
    let recorded = house.runtime.block_on(journal.record(
        Decision::Refused(Denial::ScopeNotGranted),
        &trail(5),
        UnixMillis::new(0),
        LONG,
    ));
    assert!(matches!(
        recorded.unwrap().outcome(),
        Outcome::Refusal(Denial::ScopeNotGranted)
    ));
    let lines = lines(&house.journal());
    assert_eq!(data(lines.last().unwrap())["reason"], "scope_not_granted");
    house.stop(&journal);
}

#[test]
fn a_token_can_wait_for_the_stream() {
    let house = House::new();
    let settings = JournalSettings {
        wait_for: WaitFor::Stream,
        ..small(true)
    };
    let journal = house.open(settings, None).unwrap();
    let tail = journal.tail();
    let at = UnixMillis::new(0);
    let soon = Duration::from_millis(50);
    let late =
        house
            .runtime
            .block_on(journal.record(Decision::Issued(token(1)), &trail(1), at, soon));
    assert_eq!(late.err(), Some(Unrecorded::DeadlinePassed));
    let shipper = tail.clone();
    house.tasks.spawn("shipper", async move {
        let mut durable = shipper.durable();
        while durable.changed().await.is_ok() {
            let sequence = *durable.borrow_and_update();
            shipper.confirmed(sequence);
        }
    });
    let sequence = house.issue(&journal, 2).unwrap();
    assert!(journal.status().confirmed >= sequence);
    house.stop(&journal);
}
