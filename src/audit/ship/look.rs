//! Looks at the stream and at the journal, and gives both to `decide`. Touches: fs, net.

use bytes::Bytes;

use super::decide::{AtMark, Last, Message, Own, StreamView, Verdict, Walk, verdict};
use super::marks::ShipMark;
use super::run::ShipPorts;
use super::stream::{Info, Stored, StreamFault, StreamLink};
use crate::audit::chain::{Line, Lineage};
use crate::domain::Digest;

/// Most messages that are looked through for our lines behind a foreign one. At one request each
/// this takes a minute; a stream that is further ahead is continued from what was found.
const MAX_WALK: u64 = 100_000;

/// A foreign message that an alarm was given for, and what we ship after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) at: u64,
    pub(super) next: u64,
}

/// What the shipper knows of itself.
pub(super) fn own(ports: &ShipPorts, mark: Option<ShipMark>) -> Own {
    Own {
        oldest: ports.tail.oldest(),
        durable: *ports.tail.durable().borrow(),
        mark,
    }
}

/// What the stream says, its last message judged.
pub(super) async fn view(
    ports: &ShipPorts,
    link: &StreamLink,
    own: &Own,
    known: Option<Known>,
) -> Result<(Info, StreamView), StreamFault> {
    let info = link.info().await?;
    let last = match link.last().await? {
        Some(stored) => Some(Last {
            at: stored.at,
            verdict: judge(ports, own, known, stored).await,
        }),
        None => None,
    };
    let at_mark = match own.mark {
        // A stream's sequences begin at 1: a mark at 0 stands for none of its messages.
        Some(mark)
            if last.is_none()
                && mark.stream_sequence > 0
                && mark.stream_sequence <= info.last_sequence =>
        {
            at_mark(link, &mark).await?
        }
        _ => AtMark::Nothing,
    };
    let view = StreamView {
        created: info.created,
        last_sequence: info.last_sequence,
        last,
        at_mark,
    };
    Ok((info, view))
}

async fn judge(ports: &ShipPorts, own: &Own, known: Option<Known>, stored: Stored) -> Verdict {
    if let Some(known) = known.filter(|known| known.at == stored.at) {
        return Verdict::Known(known.next);
    }
    let head = Digest::of(&stored.payload);
    let Ok(line) = Line::parse(stored.payload) else {
        return verdict(Message::Other(head), None, own, false);
    };
    let ours = line_at(ports, line.sequence).await;
    let related = has_lineage(ports, own, line.lineage).await;
    verdict(Message::Line(&line), ours.as_ref(), own, related)
}

async fn at_mark(link: &StreamLink, mark: &ShipMark) -> Result<AtMark, StreamFault> {
    let Some(stored) = link.at(mark.stream_sequence).await? else {
        return Ok(AtMark::Nothing);
    };
    let ours = Line::parse(stored.payload)
        .is_ok_and(|line| line.sequence == mark.sequence && line.lineage == mark.lineage);
    Ok(if ours { AtMark::Ours } else { AtMark::Other })
}

/// The journal's line with this sequence, if the journal holds it.
pub(super) async fn line_at(ports: &ShipPorts, sequence: u64) -> Option<Line> {
    let tail = ports.tail.clone();
    let read = ports
        .tasks
        .blocking(move || tail.read(sequence, 1, 1))
        .await;
    let line = read?.ok()?.into_iter().next()?;
    (line.sequence == sequence).then_some(line)
}

/// Whether the oldest or the newest line of the journal is of this lineage.
async fn has_lineage(ports: &ShipPorts, own: &Own, lineage: Lineage) -> bool {
    for sequence in [own.durable, own.oldest] {
        let line = line_at(ports, sequence).await;
        if line.is_some_and(|line| line.lineage == lineage) {
            return true;
        }
    }
    false
}

/// Finds our first line that the stream does not have, given that its last message on our subjects, at
/// `to`, is foreign: looks through the messages behind the mark, or through all where there is none.
/// `ours` says whether the stream can have any.
pub(super) async fn walk(
    ports: &ShipPorts,
    link: &StreamLink,
    own: &Own,
    to: u64,
    ours: bool,
) -> Result<u64, StreamFault> {
    let (mut at, next) = match own.mark {
        Some(mark) => (mark.stream_sequence.saturating_add(1), mark.sequence + 1),
        None => (1, own.oldest),
    };
    let mut walk = Walk::from(next.max(own.oldest));
    if ours {
        let mut ours = line_at(ports, walk.next()).await;
        for _ in 0..MAX_WALK {
            let Some(stored) = link.from(at).await?.filter(|stored| stored.at <= to) else {
                break;
            };
            if see(&mut walk, &stored.payload, ours.as_ref()) {
                ours = line_at(ports, walk.next()).await;
            }
            at = stored.at + 1;
        }
    }
    Ok(walk.next())
}

fn see(walk: &mut Walk, payload: &Bytes, ours: Option<&Line>) -> bool {
    let before = walk.next();
    walk.see(payload, ours);
    walk.next() != before
}
