#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::domain::Digest;

pub(super) const OLD: Lineage = Lineage::from_bits(7);
const NEW: Lineage = Lineage::from_bits(8);

pub(super) fn head(kind: &str, data: &str) -> Vec<u8> {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{:032x}\",\"source\":\"https://a.example/instances/a\",\
         \"type\":\"dev.grantd.{kind}.v1\",\"time\":\"2026-11-23T08:30:00.120Z\",\
         \"datacontenttype\":\"application/json\",\"data\":{data}",
        1
    )
    .into_bytes()
}

fn line(head: &[u8], link: &Link) -> Line {
    let mut bytes = Vec::new();
    splice(head, link, &mut bytes);
    Line::parse(Bytes::from(bytes)).unwrap()
}

/// `count` lines in batches of `batch` lines.
fn chain(count: u64, batch: u64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for sequence in 1..=count {
        let link = Link {
            lineage: OLD,
            sequence,
            batch: (sequence - 1) / batch * batch + 1,
            prev: lines.last().map_or(Digest::ZERO, |line| line.hash),
        };
        lines.push(line(&head("token.issued", "{}"), &link));
    }
    lines
}

fn findings(lines: &[Line]) -> Vec<Finding> {
    let mut verifier = Verifier::from_the_beginning();
    lines
        .iter()
        .filter_map(|line| {
            let finding = verifier.feed(line).err();
            if finding.is_some() {
                verifier.resume_at(line);
            }
            finding
        })
        .collect()
}

#[test]
fn a_line_has_the_documented_form() {
    let lines = chain(2, 1);
    let text = lines[1].text();
    assert!(text.ends_with(&format!(
        "\"data\":{{}},\"lineage\":\"{OLD}\",\"sequence\":\"00000000000000000002\",\
         \"batch\":\"00000000000000000002\",\"prev\":\"{}\",\"hash\":\"{}\"}}",
        lines[0].hash, lines[1].hash
    )));
    let covered = text.split(",\"hash\"").next().unwrap();
    assert_eq!(Digest::of(covered.as_bytes()), lines[1].hash);
    assert_eq!(lines[1].event_type(), "token.issued");
    assert_eq!(lines[1].time(), "2026-11-23T08:30:00.120Z");
    assert_eq!(text.len(), head("token.issued", "{}").len() + TAIL);
}

#[test]
fn a_good_chain_has_no_findings() {
    assert_eq!(findings(&chain(9, 3)), []);
    let mut verifier = Verifier::from_anywhere();
    let steps: Vec<_> = chain(6, 2)
        .iter()
        .skip(2)
        .map(|line| verifier.feed(line).unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            Step::First,
            Step::SameBatch,
            Step::NewBatch,
            Step::SameBatch
        ]
    );
}

#[test]
fn each_fault_of_a_chain_has_its_finding() {
    let good = chain(5, 1);
    let without = |at: usize| {
        let mut lines = good.clone();
        lines.remove(at);
        lines
    };
    assert_eq!(findings(&without(0)), [Finding::Beginning { found: 2 }]);
    assert_eq!(
        findings(&without(2)),
        [Finding::Gap {
            expected: 3,
            found: 4
        }]
    );
    let mut twice = good.clone();
    twice.insert(2, good[1].clone());
    assert_eq!(findings(&twice), [Finding::Repeated { sequence: 2 }]);
    let link = |sequence: u64, batch: u64, prev| Link {
        lineage: OLD,
        sequence,
        batch,
        prev,
    };
    let other = line(&head("token.denied", "{}"), &link(2, 2, good[0].hash));
    let mut fork = good.clone();
    fork.insert(2, other.clone());
    assert_eq!(
        findings(&fork)[0],
        Finding::Fork {
            sequence: 2,
            after: 2
        }
    );
    let replaced = [good[0].clone(), other, good[2].clone()];
    assert!(matches!(
        findings(&replaced)[..],
        [Finding::WrongPrev { sequence: 3, .. }]
    ));
    let batch = line(&head("token.issued", "{}"), &link(3, 2, good[1].hash));
    assert_eq!(
        findings(&[good[0].clone(), good[1].clone(), batch.clone()]),
        []
    );
    let batch = line(&head("token.issued", "{}"), &link(3, 1, good[1].hash));
    assert_eq!(
        findings(&[good[0].clone(), good[1].clone(), batch]),
        [Finding::WrongBatch {
            sequence: 3,
            found: 1
        }]
    );
}

#[test]
fn a_lineage_changes_only_by_the_event_that_names_the_old_head() {
    let good = chain(3, 3);
    let renew = |kind: &str, old_head: Digest| {
        let data = format!("{{\"old_lineage\":\"{OLD}\",\"old_head\":\"{old_head}\"}}");
        line(
            &head(kind, &data),
            &Link {
                lineage: NEW,
                sequence: 4,
                batch: 4,
                prev: good[2].hash,
            },
        )
    };
    let mut verifier = Verifier::after(good[2].tip());
    assert_eq!(
        verifier.feed(&renew("daemon.lineage_renewed", good[2].hash)),
        Ok(Step::NewLineage)
    );
    for wrong in [
        renew("daemon.lineage_renewed", Digest::ZERO),
        renew("token.issued", good[2].hash),
    ] {
        let mut verifier = Verifier::after(good[2].tip());
        assert_eq!(
            verifier.feed(&wrong),
            Err(Finding::WrongLineage {
                sequence: 4,
                old: OLD,
                new: NEW
            })
        );
    }
}

#[test]
fn a_line_that_is_altered_anywhere_is_no_line() {
    let bytes = chain(1, 1)[0].bytes().to_vec();
    for at in 0..bytes.len() {
        for flip in [1, 0x20, 0x80] {
            let mut altered = bytes.clone();
            altered[at] ^= flip;
            assert!(Line::parse(altered.into()).is_err(), "byte {at}");
        }
        assert!(Line::parse(bytes[..at].to_vec().into()).is_err());
        assert!(Line::parse(bytes[at + 1..].to_vec().into()).is_err());
    }
    assert_eq!(
        Line::parse(vec![b'a'; MAX_LINE + 1].into()),
        Err(LineFault::TooLong)
    );
}

#[test]
fn a_right_hash_does_not_make_a_line_of_what_is_no_event() {
    let parse = |head: &[u8]| {
        let link = Link {
            lineage: OLD,
            sequence: 1,
            batch: 1,
            prev: Digest::ZERO,
        };
        let mut bytes = Vec::new();
        splice(head, &link, &mut bytes);
        Line::parse(bytes.into())
    };
    assert_eq!(parse(b"{\"a\":1"), Err(LineFault::Form("opening")));
    assert_eq!(parse(&head("token.issued", "{")), Err(LineFault::Json));
    assert_eq!(
        parse(&head("token.issued", "{\n}")),
        Err(LineFault::Form("encoding"))
    );
    assert_eq!(
        parse(&head("Token issued", "{}")),
        Err(LineFault::Form("type"))
    );
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Line::parse(Bytes::from(bytes));
    }

    #[test]
    fn what_was_spliced_is_parsed_alike(
        sequence in 1..u64::MAX,
        batch in any::<u64>(),
        prev in any::<[u8; 32]>(),
        bits in any::<u128>(),
    ) {
        let link = Link {
            lineage: Lineage::from_bits(bits),
            sequence,
            batch,
            prev: Digest::from_bytes(prev),
        };
        let line = line(&head("key.created", "{}"), &link);
        prop_assert_eq!(line.sequence, sequence);
        prop_assert_eq!(line.batch, batch);
        prop_assert_eq!(line.prev, link.prev);
        prop_assert_eq!(line.lineage, link.lineage);
    }
}
