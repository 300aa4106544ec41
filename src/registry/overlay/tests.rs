//! What an overlay takes away, and that it only ever takes away.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::domain::Caller;
use crate::registry::sample;

const NOW: UnixSeconds = UnixSeconds::new(1_000_000);

fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

fn entry(id: u64, what: What) -> Entry {
    Entry {
        id: EntryId::new(id),
        what,
        by: Caller::default(),
        at: NOW,
        reason: None,
        kept: true,
        recorded: true,
    }
}

fn revoked(tokens: Tokens, before: u64) -> What {
    What::Revoked(Revocation {
        tokens,
        before: UnixSeconds::new(before),
        until: UnixSeconds::new(before + 900),
    })
}

fn ids(overlay: &Overlay) -> Vec<u64> {
    let entries = overlay.entries();
    entries.into_iter().map(|entry| entry.id.get()).collect()
}

#[test]
fn a_token_is_void_by_itself_by_its_client_or_by_its_time() {
    let token = TokenId::from_bits(7);
    let overlay = Overlay::of([
        entry(1, revoked(Tokens::OfClient(client("leaked")), 100)),
        entry(2, revoked(Tokens::One(token), 1)),
        entry(3, revoked(Tokens::All, 50)),
        entry(4, What::Disabled(client("other"))),
    ]);
    let table = [
        ("leaked", None, 99, Some(1)),
        ("leaked", None, 100, None),
        ("other", None, 49, Some(3)),
        ("other", None, 50, None),
        ("other", Some(8), 50, None),
        // Whenever it was issued, and whoever says that it has it.
        ("other", Some(7), 1_000, Some(2)),
    ];
    for (name, jti, issued, by) in table {
        let jti = jti.map(TokenId::from_bits);
        let found = overlay.revoked(&client(name), jti, UnixSeconds::new(issued));
        let found = found.map(|entry| entry.id.get());
        assert_eq!(found, by, "{name} {jti:?} {issued}");
    }
    assert!(overlay.disables(&client("leaked")).is_none());
    assert_eq!(overlay.disables(&client("other")).unwrap().id.get(), 4);
    assert!(Overlay::default().is_empty() && !overlay.is_empty());
}

#[test]
fn what_says_more_replaces_what_says_less() {
    let of = |before| revoked(Tokens::OfClient(client("a")), before);
    let overlay = Overlay::of([entry(1, of(100)), entry(2, of(200)), entry(3, of(150))]);
    assert_eq!(ids(&overlay), [2]);
    assert_eq!(overlay.covers(&of(200)).unwrap().id.get(), 2);
    assert!(overlay.covers(&of(201)).is_none());
    let disabled = overlay.with(entry(4, What::Disabled(client("a"))));
    let again = disabled.with(entry(5, What::Disabled(client("a"))));
    assert_eq!(ids(&again), [2, 4]);
    assert_eq!(ids(&again.without(EntryId::new(2))), [4]);
}

#[test]
fn an_unrecorded_revocation_that_is_replaced_stays_until_it_is_on_record() {
    let open = |id, before| Entry {
        recorded: false,
        ..entry(id, revoked(Tokens::OfClient(client("a")), before))
    };
    let overlay = Overlay::of([open(1, 100), open(2, 200)]).with(open(3, 300));
    assert_eq!(ids(&overlay), [1, 2, 3]);
    assert_eq!(overlay.len(), 3);
    let void = overlay.revoked(&client("a"), None, UnixSeconds::new(299));
    assert_eq!(void.unwrap().id.get(), 3);
    let first = overlay.noting(|entry| entry.recorded |= entry.id.get() == 1);
    assert_eq!(ids(&first), [2, 3]);
    assert_eq!(ids(&overlay.noting(|entry| entry.recorded = true)), [3]);
}

#[test]
fn nothing_comes_back_to_life_by_accident() {
    let resource = Arc::new(sample::resource("billing"));
    let registry = |change: fn(&mut crate::registry::snapshot::Client)| {
        let mut client = sample::client(&[Arc::clone(&resource)]);
        change(&mut client);
        sample::snapshot(vec![Arc::clone(&resource)], client)
    };
    let (enabled, disabled) = (registry(|_| ()), registry(|client| client.disabled = true));
    let overlay = Overlay::of([
        entry(1, What::Disabled(client("ledger"))),
        entry(2, What::Disabled(client("stranger"))),
        entry(3, revoked(Tokens::OfClient(client("ledger")), NOW.get())),
    ]);
    let clear = |number, force, registry| {
        let which = Which::Entry(EntryId::new(number));
        overlay.clear(&which, force, registry, NOW)
    };
    let alive = Overruled::Alive(client("ledger"), EntryId::new(1));
    assert_eq!(clear(1, false, Some(&enabled)), Err(alive));
    let unknown = Overruled::Unknown(client("ledger"), EntryId::new(1));
    assert_eq!(clear(1, false, None), Err(unknown));
    let cleared = clear(1, false, Some(&disabled)).unwrap();
    assert_eq!(cleared.says, Some(Says::Disabled));
    assert!(clear(1, true, Some(&enabled)).is_ok() && clear(1, true, None).is_ok());
    assert_eq!(
        clear(2, false, Some(&enabled)).unwrap().says,
        Some(Says::Absent)
    );
    assert!(matches!(
        clear(3, false, Some(&enabled)),
        Err(Overruled::Unexpired(..))
    ));
    assert!(clear(3, true, Some(&enabled)).is_ok());
    let late = NOW.plus(Lifetime::from_seconds(900));
    let which = Which::Entry(EntryId::new(3));
    assert!(overlay.clear(&which, false, None, late).is_ok());
    assert_eq!(
        clear(9, true, None),
        Err(Overruled::NoEntry(EntryId::new(9)))
    );
    let which = Which::Client(client("nobody"));
    let none = overlay.clear(&which, true, None, NOW);
    assert_eq!(none, Err(Overruled::NotDisabled(client("nobody"))));
}

#[test]
fn a_revocation_is_over_some_time_after_its_last_token() {
    let overlay = Overlay::of([
        entry(1, revoked(Tokens::All, 100)),
        entry(2, What::Disabled(client("a"))),
    ]);
    let until = UnixSeconds::new(1000).plus(KEPT_LONGER);
    assert!(
        overlay
            .over(until.minus(Lifetime::from_seconds(1)))
            .is_empty()
    );
    assert_eq!(overlay.over(until), [EntryId::new(1)]);
    let end_of_time = UnixSeconds::new(u64::MAX);
    assert_eq!(overlay.over(end_of_time), [EntryId::new(1)]);
}

#[test]
fn what_a_command_takes_away() {
    let last = UnixSeconds::new(NOW.get() + 900);
    let next = NOW.get() + 1;
    let taken = |tokens, before: Option<u64>| {
        let before = before.map(UnixSeconds::new);
        Taking::Revoke(tokens, before).what(NOW, last)
    };
    let void = |tokens, before| {
        Ok(What::Revoked(Revocation {
            tokens,
            before: UnixSeconds::new(before),
            until: last,
        }))
    };
    let of_client = || Tokens::OfClient(client("a"));
    let one = || Tokens::One(TokenId::from_bits(1));
    // A token of this very second is void too, one that is still to come is not.
    assert_eq!(taken(of_client(), None), void(of_client(), next));
    assert_eq!(taken(of_client(), Some(7)), void(of_client(), 7));
    assert_eq!(taken(one(), None), void(one(), next));
    assert_eq!(taken(Tokens::All, Some(next)), void(Tokens::All, next));
    let future = taken(Tokens::All, Some(next + 1));
    assert!(matches!(future, Err(Overruled::Future { .. })));
    // Without a token that expires later, it is kept for as long as it is about.
    let what = Taking::Revoke(of_client(), None).what(NOW, UnixSeconds::new(3));
    let What::Revoked(revocation) = what.unwrap() else {
        unreachable!("a revocation was asked for");
    };
    assert_eq!(revocation.until, revocation.before);
}

#[test]
fn there_is_a_bound() {
    let many = (1..=u64::try_from(MAX_ENTRIES).unwrap())
        .map(|number| entry(number, What::Disabled(client(&format!("c{number}")))));
    let overlay = Overlay::of(many);
    assert_eq!(overlay.has_room(), Err(Overruled::Full));
    assert_eq!(overlay.without(EntryId::new(5)).has_room(), Ok(()));
}

#[test]
fn a_reason_is_one_line_without_a_secret() {
    assert_eq!(
        Reason::parse(" seen in a log ").unwrap().as_str(),
        "seen in a log"
    );
    let secret = sample::secret().expose().to_owned();
    for (text, error) in [
        ("", InvalidReason::Empty),
        (" \t", InvalidReason::Empty),
        ("a\nb", InvalidReason::Hidden),
        ("a\u{202e}b", InvalidReason::Hidden),
        (&"é".repeat(65), InvalidReason::TooLong),
        (&secret, InvalidReason::Secret),
    ] {
        assert_eq!(Reason::parse(text), Err(error), "{text:?}");
    }
}

fn some_what() -> impl Strategy<Value = What> {
    let name = prop::sample::select(vec!["a", "b", "c"]).prop_map(client);
    prop_oneof![
        name.clone().prop_map(What::Disabled),
        (name, 0..20u64).prop_map(|(name, before)| revoked(Tokens::OfClient(name), before)),
        (0..4u128, 0..20u64)
            .prop_map(|(bits, before)| revoked(Tokens::One(TokenId::from_bits(bits)), before)),
        (0..20u64).prop_map(|before| revoked(Tokens::All, before)),
    ]
}

/// What is refused: clients, and tokens by client, `jti` and time of issue.
fn taken(overlay: &Overlay) -> Vec<bool> {
    let mut taken = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let client = client(name);
        taken.push(overlay.disables(&client).is_some());
        for bits in [None, Some(0), Some(1), Some(2), Some(3), Some(9)] {
            let jti = bits.map(TokenId::from_bits);
            let moments = (0..22).map(UnixSeconds::new);
            taken.extend(moments.map(|at| overlay.revoked(&client, jti, at).is_some()));
        }
    }
    taken
}

proptest! {
    #[test]
    fn one_entry_more_takes_more_and_never_less(whats in prop::collection::vec(some_what(), 0..12)) {
        let mut overlay = Overlay::default();
        for (number, what) in (1..).zip(&whats) {
            let before = taken(&overlay);
            let covered = overlay.covers(what).is_some();
            overlay = overlay.with(entry(number, what.clone()));
            let after = taken(&overlay);
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(*after || !before);
            }
            prop_assert!(overlay.covers(what).is_some());
            prop_assert_eq!(covered, overlay.find(EntryId::new(number)).is_none());
        }
    }

    #[test]
    fn the_order_in_which_entries_are_read_does_not_matter(
        whats in prop::collection::vec(some_what(), 0..12),
        turn in 0..12usize,
    ) {
        let mut entries: Vec<Entry> = (1..).zip(whats).map(|(id, what)| entry(id, what)).collect();
        let one = Overlay::of(entries.clone());
        let by = turn.min(entries.len());
        entries.rotate_left(by);
        let other = Overlay::of(entries);
        prop_assert_eq!(taken(&one), taken(&other));
        prop_assert_eq!(one.len(), other.len());
        prop_assert_eq!(one.len(), one.entries().len());
        // Kept and read again, it is the same.
        let again = Overlay::of(one.entries().into_iter().map(|entry| Entry::clone(entry)));
        prop_assert_eq!(ids(&one), ids(&again));
    }

    #[test]
    fn without_an_entry_nothing_else_changes(whats in prop::collection::vec(some_what(), 1..12)) {
        let entries = (1..).zip(whats).map(|(id, what)| entry(id, what));
        let overlay = Overlay::of(entries);
        for id in ids(&overlay) {
            let rest = overlay.without(EntryId::new(id));
            let expected: Vec<u64> = ids(&overlay).into_iter().filter(|it| *it != id).collect();
            prop_assert_eq!(ids(&rest), expected);
        }
    }
}
