//! The writer: group commit, and the change of segments. Touches: fs, clock.
//!
//! One thread takes what is queued, splices it onto the chain, writes it with one call, makes it
//! durable with one `fdatasync`, and only then tells those who wait.
//!
//! **Invariant:** after a write or an `fdatasync` that failed for another reason than a full disk
//! nothing is written any more: the kernel may have marked the pages as clean, and a second
//! `fdatasync` that succeeds would prove nothing. A full disk is told by the write, before anything
//! is durable: what was written of the commit is cut off, that cut is made durable, and the next
//! commit tries again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::files::{Appendable, NEXT};
use super::index::Added;
use super::index::segment_name;
use super::pace::Pace;
use super::queue::{Class, Entry, Fate, What};
use super::shared::Shared;
use super::status::add;
use super::unrecorded::Unrecorded;
use crate::audit::chain::{Line, Link, TAIL, Tip, splice};
use crate::audit::event::{Envelope, lineage_renewed};

/// Writes the journal. Owned by its thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    file: Box<dyn Appendable>,
    /// The length of the durable part of `file`.
    end: u64,
    tip: Tip,
    /// When the last commit started, by the monotonic clock.
    started: Duration,
    /// How long its `fdatasync` took.
    sync: Duration,
}

/// The journal can't go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the journal")]
pub(super) struct Fatal {
    action: &'static str,
    pub(super) source: io::Error,
}

/// A commit that is being built.
struct Commit {
    bytes: Vec<u8>,
    /// Each line's link and hash, and where it ends in `bytes`, its line feed included.
    lines: Vec<(Link, crate::domain::Digest, usize)>,
    refusals: u64,
    tip: Tip,
}

impl Writer {
    /// A writer that appends to this empty file, after `tip`.
    pub(super) fn new(shared: Arc<Shared>, file: Box<dyn Appendable>, tip: Tip) -> Self {
        Self {
            shared,
            file,
            end: 0,
            tip,
            started: Duration::ZERO,
            sync: Duration::ZERO,
        }
    }

    /// Commits until the journal is stopped or fails.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut entries = Vec::new();
        loop {
            let clock = shared.clock;
            let pace = Pace::after(self.started, self.sync);
            shared
                .queue
                .take(&mut entries, |busy| pace.hold(busy, clock.monotonic()));
            if entries.is_empty() {
                break;
            }
            let last = entries
                .iter()
                .any(|entry| matches!(entry.what, What::Stop(_)));
            if let Err(fatal) = self.commit(std::mem::take(&mut entries)) {
                tracing::error!(
                    error = %fatal,
                    cause = %fatal.source,
                    after = self.tip.sequence,
                    "the journal has failed: the daemon must stop"
                );
                break;
            }
            if last {
                return shared.ring();
            }
        }
        shared.fail();
    }

    /// Writes these entries as one commit and tells those who wait.
    ///
    /// # Errors
    /// [`Fatal`] when nothing may be written any more. A full disk is no error here: those who wait
    /// are told.
    pub(super) fn commit(&mut self, entries: Vec<Entry>) -> Result<(), Fatal> {
        self.started = self.shared.clock.monotonic();
        let commit = self.build(&entries);
        match self.store(&commit) {
            Ok(Some(sync)) => {
                self.sync = sync;
                self.publish(commit, sync);
                self.release(entries);
                self.change_segment();
                Ok(())
            }
            Ok(None) => {
                self.shared.give_up(entries, Unrecorded::DiskFull);
                Ok(())
            }
            Err(fatal) => {
                self.shared.give_up(entries, Unrecorded::Failed);
                Err(fatal)
            }
        }
    }

    fn build(&self, entries: &[Entry]) -> Commit {
        let size = entries.iter().map(|entry| match &entry.what {
            What::Head(head) | What::Stop(head) => head.len() + TAIL + 1,
            What::Renewal(_) => 0,
        });
        let mut commit = Commit {
            bytes: Vec::with_capacity(size.sum()),
            lines: Vec::with_capacity(entries.len()),
            refusals: 0,
            tip: self.tip,
        };
        commit.tip.batch = self.tip.sequence + 1;
        for entry in entries {
            let start = commit.bytes.len();
            match &entry.what {
                What::Head(head) | What::Stop(head) => commit.push(head),
                What::Renewal(renewal) => {
                    let envelope = Envelope {
                        origin: &self.shared.origin,
                        id: renewal.id,
                        at: renewal.at,
                    };
                    let lineage = renewal.lineage;
                    let head = lineage_renewed(&envelope, &renewal.facts, &self.tip, lineage);
                    commit.tip.lineage = lineage;
                    commit.push(&head);
                }
            }
            if entry.class == Class::Unproven {
                commit.refusals += (commit.bytes.len() - start) as u64;
            }
        }
        commit
    }

    /// Makes a commit durable; how long `fdatasync` took, or `None` when the disk is full and nothing
    /// of the commit is left.
    fn store(&mut self, commit: &Commit) -> Result<Option<Duration>, Fatal> {
        if let Err(source) = self.file.write_at(&commit.bytes, self.end) {
            if !is_full(&source) {
                return Err(Fatal {
                    action: "write to",
                    source,
                });
            }
            self.withdraw()?;
            if !self.shared.gate.full.swap(true, Ordering::Relaxed) {
                tracing::error!(error = %source, "the disk is full: no token until there is space");
            }
            add(&self.shared.counters.disk_full, 1);
            return Ok(None);
        }
        let written = self.shared.clock.monotonic();
        self.file.sync().map_err(|source| Fatal {
            action: "make durable",
            source,
        })?;
        if self.shared.gate.full.swap(false, Ordering::Relaxed) {
            tracing::info!("the disk has space again");
        }
        Ok(Some(self.shared.clock.monotonic().saturating_sub(written)))
    }

    /// Cuts off what a full disk took of a commit, durably, so that no line with these sequences is
    /// left when others are written in their place.
    fn withdraw(&mut self) -> Result<(), Fatal> {
        let fatal = |action| move |source| Fatal { action, source };
        self.file
            .truncate(self.end)
            .map_err(fatal("cut an unfinished commit off"))?;
        self.file
            .sync()
            .map_err(fatal("make durable the cut of an unfinished commit of"))
    }

    fn publish(&mut self, commit: Commit, sync: Duration) {
        let shared = &self.shared;
        let length = commit.bytes.len() as u64;
        let bytes = Bytes::from(commit.bytes);
        let mut start = 0;
        let lines: Vec<Line> = commit
            .lines
            .iter()
            .map(|(link, hash, end)| {
                let line = Line::spliced(link, *hash, bytes.slice(start..end - 1));
                start = *end;
                line
            })
            .collect();
        self.tip = commit.tip;
        self.end += length;
        shared.counters.committed(lines.len() as u64, length, sync);
        let mut index = shared.index();
        index.append(Added {
            lines,
            bytes: length,
            refusals: commit.refusals,
            at: shared.clock.now(),
        });
        shared.measure(&index);
        drop(index);
        shared.queue.settle();
        shared.durable.send_replace(self.tip.sequence);
    }

    fn release(&self, entries: Vec<Entry>) {
        let first = self.tip.batch;
        for (sequence, entry) in (first..).zip(entries) {
            match entry.fate {
                Fate::Waiter(waiter) => {
                    // Whoever does not wait any more was past its deadline.
                    let _gone = waiter.send(Ok(sequence));
                }
                Fate::Refusal { .. } => add(&self.shared.counters.refusals_recorded, 1),
                Fate::Summary(_) => {}
            }
        }
    }

    /// Goes on in the next segment, once this one is full and the next is ready.
    fn change_segment(&mut self) {
        let shared = &self.shared;
        if self.end < shared.settings.segment() {
            return;
        }
        // Held over the rename: while there is a prepared file under this name, the keeper makes none.
        let mut prepared = shared.prepared();
        if prepared.is_none() {
            drop(prepared);
            add(&shared.counters.segments_late, 1);
            shared.ring();
            return;
        }
        let name = segment_name(self.tip.sequence + 1);
        if let Err(error) = shared.folder.rename(NEXT, &name) {
            tracing::warn!(error = %error, cause = %error.source, "no new segment yet");
            drop(prepared);
            shared.ring();
            return;
        }
        let Some(file) = prepared.take() else {
            return;
        };
        drop(prepared);
        self.file = file;
        self.end = 0;
        shared.index().push_segment(shared.clock.now());
        add(&shared.counters.segments_begun, 1);
        shared.ring();
    }
}

impl Commit {
    fn push(&mut self, head: &[u8]) {
        let link = Link {
            lineage: self.tip.lineage,
            sequence: self.tip.sequence + 1,
            batch: self.tip.batch,
            prev: self.tip.hash,
        };
        let hash = splice(head, &link, &mut self.bytes);
        self.bytes.push(b'\n');
        self.lines.push((link, hash, self.bytes.len()));
        self.tip.sequence = link.sequence;
        self.tip.hash = hash;
    }
}

/// Whether a write failed for lack of space, which can come back.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
