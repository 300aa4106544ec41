//! What the journal needs beside its writer. Touches: fs, clock.
//!
//! One thread makes the next segment beforehand, retires old ones, writes the summaries of refusals,
//! and looks after the folder, the disk's space and the journal's bounds. The writer never waits for
//! it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::time::Duration;

use super::files::{FileError, NEXT};
use super::index::Segment;
use super::index::segment_name;
use super::shared::Shared;
use super::status::add;
use crate::audit::budget::SUMMARY_EVERY;
use crate::audit::chain::MAX_LINE;
use crate::domain::UnixMillis;

/// How often the keeper looks when nobody wakes it: bounds and ages are exact to this.
const TICK: Duration = Duration::from_secs(1);
/// What a line of a refusal before a proof holds; neither can stand in a JSON string.
const DENIED: &[u8] = b"\"type\":\"dev.grantd.token.denied.v1\"";
const UNPROVEN: &[u8] = b"\"proved\":false";
/// What stands before a line's time.
const TIME_KEY: &[u8] = b"\",\"time\":\"";

/// Looks after the journal. Owned by its thread.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    summary_due: Duration,
    sampled: Duration,
    used: u64,
    complained: bool,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let now = shared.clock.monotonic();
        Self {
            shared,
            summary_due: now + SUMMARY_EVERY,
            sampled: now,
            used: 0,
            complained: false,
        }
    }

    /// Looks after the journal until it is closed.
    pub(super) fn run(mut self) {
        while self.shared.queue.closed().is_none() {
            if let Err(error) = self.look() {
                if !self.complained {
                    tracing::warn!(error = %error, cause = %error.source, "the journal's upkeep failed, and is tried again");
                }
                self.complained = true;
            } else {
                self.complained = false;
            }
            self.shared.rest(TICK);
        }
    }

    fn look(&mut self) -> Result<(), FileError> {
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.now();
        self.summarise(now);
        if !in_place(&shared) {
            tracing::error!(
                "the journal's folder or file was removed or replaced: the daemon must stop"
            );
            shared.fail();
            return Ok(());
        }
        // Each on its own, and what frees space first: one that fails must not keep the others from it.
        let retired = retire(&shared, now);
        let prepared = prepare(&shared);
        if let Ok((free, size)) = shared.folder.space() {
            shared.measure_disk(free, size);
        }
        shared.measure_age(now);
        self.sample();
        let counted = count_one(&shared);
        shared.measure(&shared.index());
        retired.and(prepared).and(counted)
    }

    fn summarise(&mut self, now: UnixMillis) {
        let monotonic = self.shared.clock.monotonic();
        if monotonic >= self.summary_due {
            self.summary_due = monotonic + SUMMARY_EVERY;
            let id = crate::random::request_id().to_hex();
            self.shared.summarise(now, id);
        }
    }

    fn sample(&mut self) {
        let now = self.shared.clock.monotonic();
        let span = now.saturating_sub(self.sampled);
        if span >= TICK {
            self.used = self.shared.measure_rate(self.used, span);
            self.sampled = now;
        }
    }
}

/// Whether the folder and the segment in use are still where their names say.
fn in_place(shared: &Shared) -> bool {
    let (name, len) = shared.index().current();
    shared.folder.in_place()
        && shared
            .folder
            .length(&name)
            .is_some_and(|length| length >= len)
}

/// Makes the next segment, where there is none: with a name that recovery knows, durable before it is
/// used. The sync also makes durable the name that the writer gave to the one before.
pub(super) fn prepare(shared: &Shared) -> Result<(), FileError> {
    let mut prepared = shared.prepared();
    if prepared.is_some() {
        return Ok(());
    }
    if shared.folder.length(NEXT) == Some(0) {
        shared.folder.remove(NEXT)?;
    }
    let file = shared.folder.create(NEXT)?;
    shared.folder.sync()?;
    *prepared = Some(Box::new(file));
    Ok(())
}

/// Removes the segments that may go, the oldest first, each durably before the next: a gap between
/// segments would be corruption.
fn retire(shared: &Shared, now: UnixMillis) -> Result<(), FileError> {
    let settings = &shared.settings;
    let confirmed = match (settings.stream, settings.drop_oldest) {
        (true, _) => shared.shipped(),
        (false, true) => u64::MAX,
        (false, false) => return Ok(()),
    };
    loop {
        let keep = settings.keep;
        let due = shared
            .index()
            .retirable(confirmed, keep.bytes, keep.age, now);
        let Some(gone) = due else {
            return Ok(());
        };
        // Out of the index only once it is gone from the disk: a gap would be corruption.
        shared.folder.remove(&segment_name(gone.first))?;
        shared.folder.sync()?;
        shared.index().retire_first();
        add(&shared.counters.segments_retired, 1);
        tracing::info!(
            first = gone.first,
            bytes = gone.len,
            "retired a segment of the journal"
        );
    }
}

/// Counts the refusals of one segment from before the start, and marks its lines. One a look, so that
/// a long journal does not keep the keeper from its other work.
fn count_one(shared: &Shared) -> Result<(), FileError> {
    let Some((first, len)) = shared.index().uncounted(shared.shipped()) else {
        return Ok(());
    };
    let name = segment_name(first);
    let file = shared.folder.open_file(&name)?;
    let counted = survey(file, first, len);
    let counted = counted.map_err(|source| shared.folder.odd("read", &name, source))?;
    shared.index().counted(counted);
    // The next one soon.
    shared.ring();
    Ok(())
}

fn survey(file: File, first: u64, len: u64) -> std::io::Result<Segment> {
    let mut reader = BufReader::new(file.take(len));
    let mut segment: Option<Segment> = None;
    let mut refusals = 0;
    let mut line = Vec::with_capacity(1024);
    let mut offset = 0;
    for sequence in first.. {
        line.clear();
        let most = MAX_LINE as u64 + 1;
        let read = reader.by_ref().take(most).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            break;
        }
        let at = made(&line);
        segment
            .get_or_insert_with(|| Segment::new(first, 0, at))
            .mark(sequence, offset, at);
        if is_unproven(&line) {
            refusals += read;
        }
        offset += read;
    }
    let mut segment = segment.unwrap_or_else(|| Segment::new(first, 0, UnixMillis::new(0)));
    segment.refusals = Some(refusals);
    Ok(segment)
}

/// Whether a line is of a refusal before a proof.
pub(super) fn is_unproven(line: &[u8]) -> bool {
    find(line, DENIED).is_some() && find(line, UNPROVEN).is_some()
}

/// When a line was made; the epoch where it does not say.
pub(super) fn made(line: &[u8]) -> UnixMillis {
    find(line, TIME_KEY)
        .and_then(|at| line.get(at + TIME_KEY.len()..))
        .and_then(|rest| rest.split(|byte| *byte == b'"').next())
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .and_then(|moment| u64::try_from(moment.as_millisecond()).ok())
        .map_or(UnixMillis::new(0), UnixMillis::new)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
