#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::audit::chain::{Link, splice};
use crate::domain::Digest;

const OURS: Lineage = Lineage::from_bits(1);
const MADE: UnixMillis = UnixMillis::new(1_000);

fn chain(lineage: Lineage, count: u64) -> Vec<Line> {
    let mut prev = Digest::ZERO;
    (1..=count)
        .map(|sequence| {
            let head = format!(
                "{{\"specversion\":\"1.0\",\"id\":\"{sequence:032x}\",\"source\":\"s\",\
                 \"type\":\"dev.grantd.token.issued.v1\",\"time\":\"t\",\"data\":{{}}"
            );
            let link = Link {
                lineage,
                sequence,
                batch: sequence,
                prev,
            };
            let mut bytes = Vec::new();
            splice(head.as_bytes(), &link, &mut bytes);
            let line = Line::parse(Bytes::from(bytes)).unwrap();
            prev = line.hash;
            line
        })
        .collect()
}

const fn mark(stream_sequence: u64, sequence: u64) -> ShipMark {
    ShipMark {
        stream_created: MADE,
        stream_sequence,
        sequence,
        lineage: OURS,
    }
}

const fn own(oldest: u64, durable: u64, mark: Option<ShipMark>) -> Own {
    Own {
        oldest,
        durable,
        mark,
    }
}

const fn view(last_sequence: u64, last: Option<(u64, Verdict)>) -> StreamView {
    StreamView {
        created: MADE,
        last_sequence,
        last: match last {
            Some((at, verdict)) => Some(Last { at, verdict }),
            None => None,
        },
        at_mark: AtMark::Nothing,
    }
}

const fn ship(next: u64, expected: u64, refill_to: u64) -> Action {
    Action::Ship(Position {
        next,
        expected,
        refill_to,
    })
}

const fn stranger(kind: StrangerKind) -> Stranger {
    Stranger {
        kind,
        line: None,
        related: false,
        head: Digest::ZERO,
    }
}

#[test]
fn an_empty_stream_gets_everything() {
    let decision = decide(&own(1, 9, None), &view(0, None));
    assert_eq!(decision.action, ship(1, 0, 0));
    assert_eq!((decision.backwards, decision.missing), (None, None));
}

#[test]
fn a_stream_that_has_our_line_gets_what_follows() {
    for (held, mark) in [(5, None), (5, Some(mark(50, 5))), (7, Some(mark(50, 5)))] {
        let last = Some((70, Verdict::Ours(held)));
        let decision = decide(&own(1, 9, mark), &view(70, last));
        assert_eq!(decision.action, ship(held + 1, 70, 0));
        assert_eq!(decision.backwards, None);
    }
}

#[test]
fn what_expired_is_not_sent_again() {
    let decision = decide(&own(1, 9, Some(mark(50, 5))), &view(50, None));
    assert_eq!(decision.action, ship(6, 0, 0));
    assert_eq!(decision.backwards, None);
}

#[test]
fn another_stream_is_filled_again() {
    let mut other = view(0, None);
    other.created = UnixMillis::new(2_000);
    let decision = decide(&own(3, 9, Some(mark(50, 5))), &other);
    assert_eq!(decision.action, ship(3, 0, 5));
    assert_eq!(decision.missing, Some((1, 2)));
    assert!(matches!(
        decision.backwards,
        Some(Backwards::Recreated { .. })
    ));
}

#[test]
fn a_stream_that_forgot_is_filled_again() {
    let own = own(1, 9, Some(mark(50, 5)));
    let short = decide(&own, &view(48, Some((48, Verdict::Ours(3)))));
    assert_eq!(short.action, ship(4, 48, 5));
    let expected = Backwards::Forgot {
        confirmed: 50,
        last: 48,
    };
    assert_eq!(short.backwards, Some(expected));
    // Another instance has filled the numbers again: what is at the mark tells.
    let mut reused = view(90, None);
    reused.at_mark = AtMark::Other;
    assert_eq!(decide(&own, &reused).action, ship(1, 0, 5));
    // Our last lines were deleted one by one.
    let deleted = decide(&own, &view(90, Some((48, Verdict::Ours(3)))));
    assert_eq!(deleted.action, ship(4, 48, 5));
    assert!(matches!(deleted.backwards, Some(Backwards::Lost { .. })));
}

#[test]
fn nothing_is_skipped_unsaid() {
    let decision = decide(&own(8, 9, None), &view(70, Some((70, Verdict::Retired(4)))));
    assert_eq!(decision.action, ship(8, 70, 0));
    assert_eq!(decision.missing, Some((5, 7)));
}

#[test]
fn a_stranger_is_named() {
    let stranger = stranger(StrangerKind::NoLine);
    let decision = decide(
        &own(1, 9, None),
        &view(3, Some((3, Verdict::Foreign(stranger)))),
    );
    assert_eq!(decision.action, Action::Foreign { at: 3, stranger });
    let known = decide(&own(1, 9, None), &view(3, Some((3, Verdict::Known(6)))));
    assert_eq!(known.action, ship(6, 3, 0));
}

#[test]
fn a_message_is_ours_byte_for_byte_only() {
    let ours = chain(OURS, 4);
    let clone = chain(Lineage::from_bits(2), 6);
    let own = own(2, 4, Some(mark(10, 1)));
    let judge =
        |line: &Line, at: Option<&Line>, known| verdict(Message::Line(line), at, &own, known);
    assert_eq!(judge(&ours[2], Some(&ours[2]), true), Verdict::Ours(3));
    assert!(matches!(
        judge(&clone[2], Some(&ours[2]), false),
        Verdict::Foreign(Stranger {
            kind: StrangerKind::Different,
            line: Some((3, _)),
            ..
        })
    ));
    assert!(matches!(
        judge(&clone[5], None, true),
        Verdict::Foreign(Stranger {
            kind: StrangerKind::Ahead,
            line: Some((6, _)),
            ..
        })
    ));
    // Retired: by its lineage, or by the mark's testimony.
    assert_eq!(judge(&ours[0], None, false), Verdict::Retired(1));
    assert_eq!(judge(&clone[0], None, true), Verdict::Retired(1));
    assert!(matches!(judge(&clone[0], None, false), Verdict::Foreign(_)));
    let junk = verdict(Message::Other(Digest::ZERO), None, &own, true);
    assert_eq!(junk, Verdict::Foreign(stranger(StrangerKind::NoLine)));
}

#[test]
fn a_walk_finds_the_fork_among_strange_messages() {
    let ours = chain(OURS, 4);
    let mut walk = Walk::from(2);
    let messages: [&[u8]; 5] = [
        b"junk",
        ours[1].bytes(),
        b"junk",
        ours[2].bytes(),
        ours[0].bytes(),
    ];
    for message in messages {
        let next = usize::try_from(walk.next() - 1).unwrap();
        walk.see(message, ours.get(next));
    }
    assert_eq!(walk.next(), 4);
}

proptest! {
    /// A model of one daemon and one stream: whatever happens to acknowledgements and marks, and
    /// even when the stream forgets its end, it ends with each line once, in order.
    #[test]
    fn the_stream_ends_whole(steps in prop::collection::vec((0_u8..5, 1_u64..4), 1..60)) {
        let lines = chain(OURS, 20);
        let durable = 20;
        let mut stored: Vec<u64> = Vec::new();
        let mut known: Option<ShipMark> = None;
        for (what, size) in steps.into_iter().chain([(0, 20)]) {
            let last = stored.last().map(|&sequence| {
                let line = &lines[usize::try_from(sequence - 1).unwrap()];
                let own = own(1, durable, known);
                (stored.len() as u64, verdict(Message::Line(line), Some(line), &own, true))
            });
            let decision = decide(&own(1, durable, known), &view(stored.len() as u64, last));
            let position = match decision.action {
                Action::Ship(position) => position,
                Action::Foreign { .. } => return Err(TestCaseError::fail("no strangers here")),
            };
            prop_assert_eq!(position.expected, stored.len() as u64);
            let end = (position.next + size).min(durable + 1);
            match what {
                // Stored and acknowledged; the mark is kept.
                0 | 1 => {
                    stored.extend(position.next..end);
                    if let Some(&sequence) = stored.last() {
                        known = Some(mark(stored.len() as u64, sequence));
                    }
                }
                // Stored, the acknowledgement lost.
                2 => stored.extend(position.next..end),
                // Not stored.
                3 => {}
                // The stream forgets its end.
                _ => stored.truncate(stored.len().saturating_sub(usize::try_from(size).unwrap())),
            }
        }
        let expected: Vec<u64> = (1..=durable).collect();
        prop_assert_eq!(stored, expected);
    }
}
