//! Where each durable line is: in which segment, or still in memory. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::audit::chain::{Line, Tip};
use crate::domain::{Lifetime, UnixMillis};

/// What each segment's name ends in, after the 20 digits of its first sequence.
pub(super) const SUFFIX: &str = ".jsonl";

/// Bytes of lines that are kept in memory, so that the shipper does not read them again
/// (`storage.md`).
const MEMORY: usize = 8 << 20;
/// Bytes between two marks of a segment: what a reader skips at the most.
const MARK_BYTES: u64 = 256 << 10;
/// Milliseconds between two marks: how exact ages are.
const MARK_MILLIS: u64 = 60_000;

/// Where a commit begins.
#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: u64,
    at: UnixMillis,
}

/// A segment's durable part.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// Sequence of its first line, which names it.
    pub first: u64,
    /// Bytes of all segments before it, since some fixed point.
    pub base: u64,
    /// Its durable bytes.
    pub len: u64,
    /// When its last line was made.
    pub newest: UnixMillis,
    /// Bytes of unproven refusals in it; `None` until they were counted.
    pub refusals: Option<u64>,
    marks: BTreeMap<u64, Mark>,
}

/// A place to read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The segment's file.
    pub name: String,
    /// A line that begins at `offset`.
    pub sequence: u64,
    /// Its offset.
    pub offset: u64,
    /// The durable length of the segment.
    pub end: u64,
}

/// What one commit added.
#[derive(Debug)]
pub(super) struct Added {
    /// Its lines.
    pub lines: Vec<Line>,
    /// Its bytes, line feeds included.
    pub bytes: u64,
    /// How many of them are of unproven refusals.
    pub refusals: u64,
    /// When it was made.
    pub at: UnixMillis,
}

/// All segments, the newest lines in memory, and the end of the chain.
#[derive(Debug)]
pub(super) struct Index {
    segments: VecDeque<Segment>,
    memory: VecDeque<Line>,
    memory_bytes: usize,
    /// The last durable line.
    pub tip: Tip,
    /// Where the last reader stopped.
    cursor: Option<Place>,
}

impl Segment {
    /// A segment of which nothing is known but its name and where it stands.
    pub(super) fn new(first: u64, base: u64, at: UnixMillis) -> Self {
        Self {
            first,
            base,
            len: 0,
            newest: at,
            refusals: Some(0),
            marks: BTreeMap::from([(first, Mark { offset: 0, at })]),
        }
    }

    /// Notes where a line begins, when the last mark is far enough before it.
    pub(super) fn mark(&mut self, sequence: u64, offset: u64, at: UnixMillis) {
        let last = self.marks.range(..=sequence).next_back();
        let far = last.is_none_or(|(_, mark)| {
            offset.saturating_sub(mark.offset) >= MARK_BYTES
                || at.get().saturating_sub(mark.at.get()) >= MARK_MILLIS
        });
        if far {
            self.marks.insert(sequence, Mark { offset, at });
        }
    }

    fn place(&self, sequence: u64) -> Place {
        let mark = self.marks.range(..=sequence).next_back();
        let (sequence, offset) = mark.map_or((self.first, 0), |(at, mark)| (*at, mark.offset));
        Place {
            name: segment_name(self.first),
            sequence,
            offset,
            end: self.len,
        }
    }
}

impl Index {
    /// An index of these segments; the last is the one that is appended to.
    pub(super) const fn new(segments: VecDeque<Segment>, tip: Tip) -> Self {
        Self {
            segments,
            memory: VecDeque::new(),
            memory_bytes: 0,
            tip,
            cursor: None,
        }
    }

    /// Adds a commit to the last segment.
    pub(super) fn append(&mut self, added: Added) {
        if let Some(segment) = self.segments.back_mut() {
            if let Some(line) = added.lines.first() {
                segment.mark(line.sequence, segment.len, added.at);
            }
            segment.len += added.bytes;
            segment.newest = added.at;
            segment.refusals = segment.refusals.map(|bytes| bytes + added.refusals);
        }
        for line in added.lines {
            self.tip = line.tip();
            self.memory_bytes += line.bytes().len();
            self.memory.push_back(line);
        }
        while self.memory_bytes > MEMORY {
            let Some(line) = self.memory.pop_front() else {
                break;
            };
            self.memory_bytes -= line.bytes().len();
        }
    }

    /// Adds an empty segment, to be appended to from now on.
    pub(super) fn push_segment(&mut self, at: UnixMillis) {
        let base = self.end();
        let first = self.tip.sequence + 1;
        self.segments.push_back(Segment::new(first, base, at));
    }

    /// The name and the durable length of the segment that is appended to.
    pub(super) fn current(&self) -> (String, u64) {
        self.segments.back().map_or_else(
            || (segment_name(1), 0),
            |segment| (segment_name(segment.first), segment.len),
        )
    }

    /// The first sequence that is there; one past the last when there is none.
    pub(super) fn oldest(&self) -> u64 {
        self.segments.front().map_or(1, |segment| segment.first)
    }

    /// Bytes of all segments together.
    pub(super) fn bytes(&self) -> u64 {
        let start = self.segments.front().map_or(0, |segment| segment.base);
        self.end() - start
    }

    /// How many segments there are.
    pub(super) fn count(&self) -> usize {
        self.segments.len()
    }

    fn end(&self) -> u64 {
        self.segments
            .back()
            .map_or(0, |segment| segment.base + segment.len)
    }

    fn segment_of(&self, sequence: u64) -> Option<&Segment> {
        let after = self
            .segments
            .partition_point(|segment| segment.first <= sequence);
        self.segments.get(after.checked_sub(1)?)
    }

    /// Bytes after this sequence: never fewer than there are, at most [`MARK_BYTES`] and a commit more.
    pub(super) fn bytes_after(&self, sequence: u64) -> u64 {
        if sequence >= self.tip.sequence {
            return 0;
        }
        match self.segment_of(sequence + 1) {
            Some(segment) => self.end() - segment.base - segment.place(sequence + 1).offset,
            None => self.bytes(),
        }
    }

    /// When the line after this sequence was made, or up to a minute before; `None` when there is none.
    pub(super) fn made_after(&self, sequence: u64) -> Option<UnixMillis> {
        if sequence >= self.tip.sequence {
            return None;
        }
        let segment = self
            .segment_of(sequence + 1)
            .or_else(|| self.segments.front())?;
        let mark = segment.marks.range(..=sequence + 1).next_back();
        Some(mark.map_or(segment.newest, |(_, mark)| mark.at))
    }

    /// Bytes of unproven refusals in the segments with lines after this sequence. One that was not
    /// counted yet counts whole.
    pub(super) fn refusals_after(&self, sequence: u64) -> u64 {
        let mut sum = 0;
        let mut next = u64::MAX;
        for segment in self.segments.iter().rev() {
            if next <= sequence.saturating_add(1) {
                break;
            }
            sum += segment.refusals.unwrap_or(segment.len);
            next = segment.first;
        }
        sum
    }

    /// The oldest segment, where it may go: it is not the last, the stream holds it (`confirmed`), and
    /// it lies beyond the bound.
    pub(super) fn retirable(
        &self,
        confirmed: u64,
        bytes: u64,
        age: Lifetime,
        now: UnixMillis,
    ) -> Option<Segment> {
        let next = self.segments.get(1)?.first;
        let oldest = self.segments.front()?;
        let old = now.seconds().since(oldest.newest.seconds()) > age;
        if next > confirmed.saturating_add(1) || !(old || self.bytes() > bytes) {
            return None;
        }
        Some(oldest.clone())
    }

    /// Forgets the oldest segment, whose file is gone.
    pub(super) fn retire_first(&mut self) {
        self.segments.pop_front();
    }

    /// The first segment after `confirmed` whose refusals were not counted yet.
    pub(super) fn uncounted(&self, confirmed: u64) -> Option<(u64, u64)> {
        self.segments
            .iter()
            .filter(|segment| segment.refusals.is_none())
            .find(|segment| self.last_of(segment) > confirmed)
            .map(|segment| (segment.first, segment.len))
    }

    fn last_of(&self, segment: &Segment) -> u64 {
        let next = self
            .segments
            .partition_point(|other| other.first <= segment.first);
        self.segments
            .get(next)
            .map_or(self.tip.sequence, |next| next.first - 1)
    }

    /// Puts what counting a segment has found into its place.
    pub(super) fn counted(&mut self, counted: Segment) {
        let found = self
            .segments
            .iter_mut()
            .find(|segment| segment.first == counted.first);
        if let Some(segment) = found {
            segment.refusals = counted.refusals;
            segment.marks.extend(counted.marks);
        }
    }

    /// Lines from memory, when they are there.
    pub(super) fn remembered(&self, from: u64, max_lines: usize) -> Option<Vec<Line>> {
        let first = self.memory.front()?.sequence;
        let skip = usize::try_from(from.checked_sub(first)?).ok()?;
        Some(
            self.memory
                .iter()
                .skip(skip)
                .take(max_lines)
                .cloned()
                .collect(),
        )
    }

    /// Where to read a line that is not in memory; `None` when it was retired.
    pub(super) fn place(&self, sequence: u64) -> Option<Place> {
        let segment = self.segment_of(sequence)?;
        let marked = segment.place(sequence);
        match &self.cursor {
            Some(cursor)
                if cursor.name == marked.name
                    && (marked.sequence..=sequence).contains(&cursor.sequence) =>
            {
                Some(Place {
                    end: segment.len,
                    ..cursor.clone()
                })
            }
            _ => Some(marked),
        }
    }

    /// Notes where a reader stopped, for the next read.
    pub(super) fn remember(&mut self, place: Place) {
        self.cursor = Some(place);
    }
}

/// The name of the segment that begins with this sequence.
pub(super) fn segment_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}
