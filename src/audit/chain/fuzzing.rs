//! What must hold of the journal's lines, for any bytes. Pure.

use bytes::Bytes;

use super::{Line, LineFault, Lineage, Link, MAX_HEAD, MAX_LINE, TAIL, Verifier, splice};
use crate::domain::Digest;

/// Most lines that one input becomes: order shows with a few.
const MOST: usize = 6;

/// Journal lines: the bytes as a line, and each of their lines as the head of one, chained.
///
/// # Panics
/// Where a line that is taken is not the bytes that its hash covers, or not what is spliced from its
/// parts; where a changed byte is taken; where a chain is refused, or one without a line of its middle
/// is taken.
pub fn journal_line(data: &[u8]) {
    if let Ok(line) = Line::parse(Bytes::copy_from_slice(data)) {
        holds(&line, data);
    }
    let mut lines: Vec<Line> = Vec::new();
    for head in data.split(|byte| *byte == b'\n').take(MOST) {
        lines.extend(chained(head, lines.last()));
    }
    let mut verifier = Verifier::from_the_beginning();
    assert!(lines.iter().all(|line| verifier.feed(line).is_ok()));
    if lines.len() > 2 {
        let mut verifier = Verifier::from_the_beginning();
        let gapped = lines.iter().enumerate().filter(|(at, _)| *at != 1);
        let taken = gapped
            .filter(|(_, line)| verifier.feed(line).is_ok())
            .count();
        assert!(taken < lines.len() - 1, "a line is missing, unseen");
    }
}

/// The line that these bytes become behind another, if they are the head of one.
fn chained(head: &[u8], before: Option<&Line>) -> Option<Line> {
    let digest = Digest::of(head);
    let (wide, _) = digest.as_bytes().split_first_chunk::<16>()?;
    let sequence = before.map_or(1, |line| line.sequence + 1);
    let link = Link {
        lineage: before.map_or(Lineage::from_bits(u128::from_be_bytes(*wide)), |line| {
            line.lineage
        }),
        sequence,
        batch: sequence,
        prev: before.map_or(Digest::ZERO, |line| line.hash),
    };
    let mut bytes = Vec::new();
    let hash = splice(head, &link, &mut bytes);
    assert_eq!(bytes.len(), head.len() + TAIL);
    let bytes = Bytes::from(bytes);
    match Line::parse(bytes.clone()) {
        Ok(line) => {
            assert!(head.len() <= MAX_HEAD);
            assert_eq!(line, Line::spliced(&link, hash, bytes.clone()));
            holds(&line, &bytes);
            Some(line)
        }
        Err(LineFault::TooLong) => {
            assert!(head.len() > MAX_HEAD);
            None
        }
        Err(fault) => {
            let of_the_head = matches!(
                fault,
                LineFault::Json | LineFault::Form("encoding" | "opening" | "type")
            );
            assert!(of_the_head, "{fault}: what was spliced is no tail");
            None
        }
    }
}

/// What holds of each line that was taken.
fn holds(line: &Line, data: &[u8]) {
    assert!(data.len() <= MAX_LINE);
    assert_eq!(line.bytes().as_ref(), data);
    let (head, _) = data.split_at_checked(data.len() - TAIL).unwrap_or_default();
    let mut again = Vec::new();
    let link = Link {
        lineage: line.lineage,
        sequence: line.sequence,
        batch: line.batch,
        prev: line.prev,
    };
    assert_eq!(splice(head, &link, &mut again), line.hash);
    assert_eq!(again, data);
    assert!(!line.event_type().is_empty() && line.text().contains(line.time()));
    // Not each byte of each line: these, and those that the line's own hash picks.
    let picked = line.hash.as_bytes().iter().map(|byte| usize::from(*byte));
    let edges = [0, head.len(), data.len() - 1];
    for at in picked.take(4).map(|at| at * data.len() / 256).chain(edges) {
        let mut altered = data.to_vec();
        if let Some(byte) = altered.get_mut(at) {
            *byte ^= 1;
        }
        assert!(
            Line::parse(Bytes::from(altered)).is_err(),
            "byte {at} altered, unseen"
        );
    }
}
