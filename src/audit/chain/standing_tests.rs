#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use bytes::Bytes;
use proptest::prelude::*;

use super::tests::{OLD, head};
use super::*;
use crate::domain::Digest;

/// A segment of batches of these sizes, and where each batch begins.
fn segment(sizes: &[u64]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    let mut sequence = 0;
    let mut prev = Digest::ZERO;
    for size in sizes {
        let batch = sequence + 1;
        starts.push(bytes.len());
        for _ in 0..*size {
            sequence += 1;
            let link = Link {
                lineage: OLD,
                sequence,
                batch,
                prev,
            };
            let data = format!("{{\"n\":{sequence}}}");
            prev = splice(&head("token.issued", &data), &link, &mut bytes);
            bytes.push(b'\n');
        }
    }
    (bytes, starts)
}

fn known(confirmed: u64) -> Known {
    Known {
        first: 1,
        before: None,
        confirmed,
    }
}

fn look(bytes: &[u8], confirmed: u64) -> Result<Standing, Damage> {
    examine(&Bytes::copy_from_slice(bytes), known(confirmed), |_, _| {})
}

/// The whole lines of a prefix: their number, and where the last of them ends.
fn whole(bytes: &[u8]) -> (u64, usize) {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.fold((0, 0), |(count, _), (at, _)| (count + 1, at + 1))
}

#[test]
fn a_cut_at_any_byte_of_the_last_commit_leaves_the_longest_valid_prefix() {
    let (bytes, starts) = segment(&[1, 3, 4]);
    for cut in starts[2]..=bytes.len() {
        let standing = look(&bytes[..cut], 4).unwrap();
        let (lines, valid) = whole(&bytes[..cut]);
        assert_eq!((standing.lines, standing.valid), (lines, valid), "{cut}");
        assert_eq!(standing.tip.unwrap().sequence, lines);
        assert_eq!(standing.torn.is_some(), cut > valid, "{cut}");
    }
}

#[test]
fn garbage_at_any_byte_of_the_last_commit_is_moved_aside() {
    let (bytes, starts) = segment(&[1, 3, 4]);
    for at in starts[2]..bytes.len() {
        for garbage in [0, b'9', b'\n', b'"', 0xff] {
            let mut garbled = bytes.clone();
            if garbled[at] == garbage {
                continue;
            }
            garbled[at] = garbage;
            let standing = look(&garbled, 4).unwrap();
            let (lines, valid) = whole(&bytes[..at]);
            assert_eq!((standing.lines, standing.valid), (lines, valid), "{at}");
            assert!(standing.torn.is_some());
        }
    }
}

#[test]
fn garbage_at_any_byte_of_an_earlier_commit_is_corruption() {
    let (bytes, starts) = segment(&[1, 3, 4]);
    for at in 0..starts[2] {
        for garbage in [0, b'9', b'\n', b'"', 0xff] {
            let mut garbled = bytes.clone();
            if garbled[at] == garbage {
                continue;
            }
            garbled[at] = garbage;
            let damage = look(&garbled, 0).unwrap_err();
            let (lines, valid) = whole(&bytes[..at]);
            assert_eq!((damage.sequence, damage.offset), (lines + 1, valid));
            assert!(matches!(damage.why, Why::LaterBatch { .. }), "{damage:?}");
        }
    }
}

#[test]
fn a_break_at_or_below_what_the_stream_confirmed_is_corruption() {
    let (bytes, starts) = segment(&[2, 3]);
    let cut = &bytes[..starts[1] + 5];
    assert!(look(cut, 2).is_ok());
    for confirmed in 3..6 {
        let damage = look(cut, confirmed).unwrap_err();
        assert_eq!(damage.why, Why::Confirmed { confirmed });
        assert_eq!(damage.sequence, 3);
    }
}

#[test]
fn a_whole_line_that_does_not_follow_is_no_half_written_commit() {
    let (bytes, _) = segment(&[1, 1, 1]);
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for wrong in [
        [lines[0], lines[2]].concat(),
        [lines[0], lines[1], lines[1]].concat(),
        lines[1..].concat(),
    ] {
        let damage = look(&wrong, 0).unwrap_err();
        assert_eq!(damage.why, Why::Foreign, "{damage:?}");
    }
}

#[test]
fn the_segment_follows_the_one_before_it() {
    let (bytes, starts) = segment(&[2, 2, 2]);
    let before = look(&bytes[..starts[1]], 0).unwrap().tip;
    let rest = Bytes::copy_from_slice(&bytes[starts[1]..]);
    let after = |before, first| {
        let known = Known {
            first,
            before,
            confirmed: 0,
        };
        examine(&rest, known, |_, _| {})
    };
    assert_eq!(after(before, 3).unwrap().tip.unwrap().sequence, 6);
    assert_eq!(after(None, 3).unwrap().lines, 4);
    assert!(after(None, 4).is_err());
    let mut other = before;
    other.as_mut().unwrap().hash = Digest::ZERO;
    assert!(after(other, 3).is_err());
    let nothing = examine(&Bytes::new(), known(0), |_, _| {}).unwrap();
    assert_eq!((nothing.tip, nothing.torn), (None, None));
}

proptest! {
    /// A journal neither loses nor reorders: whatever a crash leaves of the last write (cut anywhere,
    /// any 4 KiB page of it still zero), every earlier commit stands, and what stands is a prefix.
    #[test]
    fn whatever_a_crash_leaves_of_the_last_write_the_earlier_commits_stand(
        sizes in proptest::collection::vec(1..6u64, 1..8),
        cut in any::<prop::sample::Index>(),
        pages in any::<u64>(),
        page in 64..4096usize,
    ) {
        let (bytes, starts) = segment(&sizes);
        let last = *starts.last().unwrap();
        let acknowledged: u64 = sizes[..sizes.len() - 1].iter().sum();
        let mut left = bytes[..last + cut.index(bytes.len() - last + 1)].to_vec();
        for (number, chunk) in left[last..].chunks_mut(page).enumerate() {
            if pages >> (number % 64) & 1 == 1 {
                chunk.fill(0);
            }
        }
        let mut seen = Vec::new();
        let standing = examine(&Bytes::from(left), known(acknowledged), |line, at| {
            seen.push((line.clone(), at));
        }).unwrap();
        prop_assert!(standing.lines >= acknowledged);
        prop_assert_eq!(standing.lines, seen.len() as u64);
        for (line, at) in seen {
            prop_assert_eq!(&bytes[at..at + line.bytes().len()], &line.bytes()[..]);
        }
    }

    #[test]
    fn examining_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = look(&bytes, 0);
    }
}
