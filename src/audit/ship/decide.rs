//! Where to go on: the journal, the mark and the stream's last message, compared. Pure.
//!
//! There is one rule for every occasion (a start, a lost acknowledgement, a conflict, a regular
//! look): read the last message that the stream holds on our subjects, compare it byte for byte with
//! the journal, and ship what follows it.

use super::ShipMark;
use crate::audit::chain::{Line, Lineage};
use crate::domain::{Digest, UnixMillis};

/// What the journal and the shipper know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The first sequence that the journal still holds; one past the last when it is empty.
    pub oldest: u64,
    /// The highest sequence on disk.
    pub durable: u64,
    /// How far the stream had confirmed.
    pub mark: Option<ShipMark>,
}

/// What the stream says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// When it was made.
    pub created: UnixMillis,
    /// The last sequence that it gave to any message, of whatever instance.
    pub last_sequence: u64,
    /// The last message on our subjects.
    pub last: Option<Last>,
    /// What stands where the mark says that our last line is.
    pub at_mark: AtMark,
}

/// The last message that the stream holds on our subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its sequence in the stream.
    pub at: u64,
    /// What it is.
    pub verdict: Verdict,
}

/// What a stored message is, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The journal's line with this sequence.
    Ours(u64),
    /// A line that the journal holds no longer, of a lineage that it has or by the mark's testimony.
    Retired(u64),
    /// Something that we know already to be foreign; our line with this sequence comes next.
    Known(u64),
    /// Anything else.
    Foreign(Stranger),
}

/// A foreign message on our subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// What is foreign about it.
    pub kind: StrangerKind,
    /// The sequence and the lineage of the line that it is, if it is one.
    pub line: Option<(u64, Lineage)>,
    /// Whether the journal knows that lineage.
    pub related: bool,
    /// The line's hash, or the SHA-256 of the message.
    pub head: Digest,
}

/// What is foreign about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrangerKind {
    /// It is no line at all: somebody else publishes on our subjects.
    NoLine,
    /// A line with a sequence that the journal has not reached: a restored or cloned disk.
    Ahead,
    /// A line with the sequence of one of ours and other content: a restored or cloned disk.
    Different,
}

/// A stored message, as far as it could be read.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// A line.
    Line(&'a Line),
    /// Something else, with this SHA-256.
    Other(Digest),
}

/// What stands in the stream where the mark says that our last line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtMark {
    /// Nothing: expired, deleted, or never reached. Also where there is no mark.
    Nothing,
    /// A line with the mark's sequence and lineage.
    Ours,
    /// Another message: the stream has given that sequence a second time.
    Other,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Where to go on.
    pub action: Action,
    /// The stream forgot lines that it had confirmed, or is another one.
    pub backwards: Option<Backwards>,
    /// Lines (first, last) that neither the stream nor the journal holds.
    pub missing: Option<(u64, u64)>,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ship from this position.
    Ship(Position),
    /// Something foreign is last: alarm, find out how far the stream has our lines, a new lineage,
    /// then go on behind it.
    Foreign {
        /// Its sequence in the stream.
        at: u64,
        /// What it is.
        stranger: Stranger,
    },
}

/// A place in both sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The journal's next line to ship.
    pub next: u64,
    /// The stream's sequence of the last message on our subjects: 0 where there is none.
    pub expected: u64,
    /// Lines up to here were confirmed before and are sent once more, marked as a refill. 0: none.
    pub refill_to: u64,
}

/// How a stream went backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backwards {
    /// It was made at another moment than the one that confirmed our lines.
    Recreated {
        /// The moment in the mark.
        before: UnixMillis,
        /// The moment now.
        now: UnixMillis,
    },
    /// Its last sequence is smaller than one that it confirmed, or was given a second time.
    Forgot {
        /// The stream's sequence in the mark.
        confirmed: u64,
        /// The stream's last sequence now.
        last: u64,
    },
    /// It still has older lines of ours, but not the last one that it confirmed.
    Lost {
        /// The journal's sequence in the mark.
        confirmed: u64,
        /// The journal's sequence of the last line that is there.
        held: u64,
    },
}

/// What a stored message is, given our line with its sequence where the journal holds one, and
/// whether the journal knows its lineage.
#[must_use]
pub fn verdict(stored: Message<'_>, ours: Option<&Line>, own: &Own, related: bool) -> Verdict {
    let line = match stored {
        Message::Line(line) => line,
        Message::Other(head) => {
            return Verdict::Foreign(Stranger {
                kind: StrangerKind::NoLine,
                line: None,
                related: false,
                head,
            });
        }
    };
    let stranger = |kind| {
        Verdict::Foreign(Stranger {
            kind,
            line: Some((line.sequence, line.lineage)),
            related,
            head: line.hash,
        })
    };
    if line.sequence > own.durable {
        return stranger(StrangerKind::Ahead);
    }
    if ours.is_some_and(|ours| ours.bytes() == line.bytes()) {
        return Verdict::Ours(line.sequence);
    }
    let by_mark = own
        .mark
        .is_some_and(|mark| mark.sequence == line.sequence && mark.lineage == line.lineage);
    if line.sequence < own.oldest && (related || by_mark) {
        return Verdict::Retired(line.sequence);
    }
    stranger(StrangerKind::Different)
}

/// Where to go on, and what to say about it.
#[must_use]
pub fn decide(own: &Own, view: &StreamView) -> Decision {
    let confirmed = own.mark.map_or(0, |mark| mark.sequence);
    let mut backwards = own.mark.and_then(|mark| went_backwards(&mark, view));
    let held = match view.last.map(|last| (last.at, last.verdict)) {
        None if backwards.is_some() => 0,
        // Expired by age, or purged: what was confirmed was there, and is not sent again.
        None => confirmed,
        Some((_, Verdict::Ours(held) | Verdict::Retired(held))) => {
            if held < confirmed && backwards.is_none() {
                backwards = Some(Backwards::Lost { confirmed, held });
            }
            held
        }
        Some((_, Verdict::Known(next))) => next.saturating_sub(1),
        Some((at, Verdict::Foreign(stranger))) => {
            return Decision {
                action: Action::Foreign { at, stranger },
                backwards,
                missing: None,
            };
        }
    };
    let expected = view.last.map_or(0, |last| last.at);
    let next = (held + 1).max(own.oldest);
    Decision {
        action: Action::Ship(Position {
            next,
            expected,
            refill_to: if next <= confirmed { confirmed } else { 0 },
        }),
        backwards,
        missing: (next > held + 1).then(|| (held + 1, next - 1)),
    }
}

/// A changed creation time, a smaller last sequence, or a sequence that was given twice.
fn went_backwards(mark: &ShipMark, view: &StreamView) -> Option<Backwards> {
    if view.created != mark.stream_created {
        return Some(Backwards::Recreated {
            before: mark.stream_created,
            now: view.created,
        });
    }
    if view.last_sequence < mark.stream_sequence || view.at_mark == AtMark::Other {
        return Some(Backwards::Forgot {
            confirmed: mark.stream_sequence,
            last: view.last_sequence,
        });
    }
    None
}

/// Looks through the messages on our subjects behind the mark, in order, for our own lines: those
/// that the stream has in spite of a foreign last message.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    next: u64,
}

impl Walk {
    /// From the first line that the stream is not known to have.
    #[must_use]
    pub const fn from(next: u64) -> Self {
        Self { next }
    }

    /// The line that would be next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// One more message: is it our next line?
    pub fn see(&mut self, message: &[u8], ours: Option<&Line>) {
        if ours.is_some_and(|line| line.sequence == self.next && line.bytes() == message) {
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests;
