//! What stands of a journal's last segment after a stop of any kind. Pure.
//!
//! A commit is one write and one `fdatasync`, so a daemon that was killed, or lost its power, can
//! leave the last commit half written, and nobody was told of it. Such a break is moved aside. Any
//! other break lies in what was acknowledged: that is corruption, and is never repaired in silence.

use bytes::Bytes;

use super::{Finding, Line, LineFault, MAX_LINE, Tip, Verifier};

/// What stands between `prev`'s and `sequence`'s values in every line.
const SEQUENCE_KEY: &[u8] = b"\",\"sequence\":\"";
const BATCH_KEY: &[u8] = b"\",\"batch\":\"";
/// Digits of a sequence.
const NUMBER: usize = 20;

/// The valid prefix of a segment, and what lies behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last line that stands; that of the segment before where none does here.
    pub tip: Option<Tip>,
    /// The length of the valid prefix in bytes, line feeds included.
    pub valid: usize,
    /// How many lines it has.
    pub lines: u64,
    /// What is wrong with the line behind it, when the last commit was not written whole.
    pub torn: Option<Finding>,
    /// Whether its last line is of a daemon that stopped cleanly.
    pub clean: bool,
}

/// A break in what was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the valid prefix ends, in bytes.
    pub offset: usize,
    /// The sequence that should stand there.
    pub sequence: u64,
    /// What is wrong with the line there.
    pub finding: Finding,
    /// Why it can't be the last commit.
    pub why: Why,
}

/// Why a break is no half-written commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The stream holds this line.
    #[error("the stream has confirmed line {confirmed}")]
    Confirmed {
        /// The highest sequence that it confirmed.
        confirmed: u64,
    },
    /// A later commit was written, so this one was on disk before.
    #[error("a later commit, which begins with line {batch}, stands behind it")]
    LaterBatch {
        /// Its first sequence.
        batch: u64,
    },
    /// A whole line is there that does not follow.
    #[error("the line there is whole, but does not follow the one before it")]
    Foreign,
    /// A segment behind this one exists.
    #[error("a later segment exists")]
    LaterSegment,
}

/// What is known before a segment is read.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The sequence that the segment must begin with.
    pub first: u64,
    /// The end of the segment before; `None` for the oldest segment.
    pub before: Option<Tip>,
    /// The highest sequence that the stream holds; 0 for none.
    pub confirmed: u64,
}

/// Finds what stands in the last segment. `seen` is called with each line that stands and its offset.
///
/// # Errors
/// [`Damage`] when the break lies in what was acknowledged.
pub fn examine(
    bytes: &Bytes,
    known: Known,
    mut seen: impl FnMut(&Line, usize),
) -> Result<Standing, Damage> {
    let mut verifier = match known.before {
        Some(tip) => Verifier::after(tip),
        None if known.first == 1 => Verifier::from_the_beginning(),
        None => Verifier::from_anywhere(),
    };
    let mut standing = Standing {
        tip: known.before,
        valid: 0,
        lines: 0,
        torn: None,
        clean: false,
    };
    while standing.valid < bytes.len() {
        let rest = bytes.slice(standing.valid..);
        let sequence = standing.tip.map_or(known.first, |tip| tip.sequence + 1);
        match next_line(&rest, sequence, &mut verifier) {
            Ok(line) => {
                seen(&line, standing.valid);
                standing.valid += line.bytes().len() + 1;
                standing.lines += 1;
                standing.tip = Some(line.tip());
                standing.clean = line.event_type() == "daemon.stopped";
            }
            Err(finding) => {
                if let Some(why) = judge(&rest, sequence, known.confirmed, &finding) {
                    return Err(Damage {
                        offset: standing.valid,
                        sequence,
                        finding,
                        why,
                    });
                }
                standing.torn = Some(finding);
                standing.clean = false;
                break;
            }
        }
    }
    Ok(standing)
}

/// The next line, where it is whole and follows: `sequence` is the one it must have.
fn next_line(rest: &Bytes, sequence: u64, verifier: &mut Verifier) -> Result<Line, Finding> {
    let damaged = |fault| Finding::Damaged {
        expected: sequence,
        fault,
    };
    let window = rest.get(..=MAX_LINE).unwrap_or(rest);
    let end = window.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| damaged(LineFault::Form("line feed")))?;
    let line = Line::parse(rest.slice(..end)).map_err(damaged)?;
    if verifier.tip().is_none() && line.sequence != sequence {
        return Err(Finding::Gap {
            expected: sequence,
            found: line.sequence,
        });
    }
    verifier.feed(&line)?;
    Ok(line)
}

/// Why the break before `rest` can't be a commit that was never acknowledged; `None` when it can.
fn judge(rest: &[u8], sequence: u64, confirmed: u64, finding: &Finding) -> Option<Why> {
    if confirmed >= sequence {
        Some(Why::Confirmed { confirmed })
    } else if !matches!(finding, Finding::Damaged { .. }) {
        Some(Why::Foreign)
    } else {
        later_batch(rest, sequence).map(|batch| Why::LaterBatch { batch })
    }
}

/// The first batch in `rest` that is later than the one which `broken` belongs to: that began at
/// `broken` or before. A line need not be whole to bear witness: its numbers must only be plausible.
fn later_batch(rest: &[u8], broken: u64) -> Option<u64> {
    let lines = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
    let mut at = 0;
    while let Some(found) = find(rest.get(at..).unwrap_or_default(), SEQUENCE_KEY) {
        at += found + SEQUENCE_KEY.len();
        let numbers = rest.get(at..).unwrap_or_default();
        let sequence = number(numbers);
        let batch = numbers
            .get(NUMBER..)
            .and_then(|rest| rest.strip_prefix(BATCH_KEY))
            .and_then(number);
        if let (Some(sequence), Some(batch)) = (sequence, batch)
            && batch > broken
            && batch <= sequence
            && sequence <= broken.saturating_add(lines)
        {
            return Some(batch);
        }
    }
    None
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.get(..NUMBER)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
