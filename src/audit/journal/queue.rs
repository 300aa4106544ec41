//! What waits for the writer. One short lock, the journal's only one on the hot path. Touches: clock.
//!
//! **Invariant:** the queue is bounded; every entry that was taken in is told how it ended, or its
//! waiter is dropped with the queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::pace::Hold;
use super::unrecorded::Unrecorded;
use crate::audit::budget::{Prefix, Summary};
use crate::audit::chain::{Lineage, TAIL};
use crate::audit::event::LineageRenewal;
use crate::domain::{AuthMethod, Denial, UnixMillis};

/// Most entries of one commit (`storage.md`: group commit pays up to about 512).
pub(super) const MAX_COMMIT: usize = 512;
/// Bytes from which on no further entry joins a commit, so that one write stays short.
const MAX_COMMIT_BYTES: usize = 4 << 20;
/// Most entries that wait: what a slow disk writes in a second at 20 commits of 512.
const MAX_QUEUE: usize = 10_240;
/// Most that wait while refusals before a proof are still taken: the rest is for clients that proved
/// themselves.
const MAX_QUEUE_UNPROVEN: usize = MAX_QUEUE / 4;
/// Bytes of the head of a renewal, about: the writer makes it.
const RENEWAL: usize = 768;
/// Entries beyond [`MAX_QUEUE`] that control events may take.
const CONTROL_RESERVE: usize = 256;

/// Whose entry it is: what it may fill, and how it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A token, or a refusal to a client that proved itself.
    Proven,
    /// A refusal before a proof.
    Unproven,
    /// An event of the daemon itself.
    Control,
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum What {
    /// The head of a line.
    Head(Vec<u8>),
    /// The first line of a new lineage, which the writer makes: it names the head of the old one.
    Renewal(Box<Renewal>),
    /// The head of the journal's last line, in a commit of its own.
    Stop(Vec<u8>),
}

/// A change of the lineage.
#[derive(Debug)]
pub(super) struct Renewal {
    /// Why.
    pub facts: LineageRenewal,
    /// The new lineage.
    pub lineage: Lineage,
    /// The event's id.
    pub id: [u8; 32],
    /// The event's time.
    pub at: UnixMillis,
}

/// Who wants to know how it ended.
#[derive(Debug)]
pub(super) enum Fate {
    /// Somebody who waits for the sequence.
    Waiter(oneshot::Sender<Result<u64, Unrecorded>>),
    /// A refusal that was answered already: if it can't be written it is counted.
    Refusal {
        /// Why it was refused.
        reason: Denial,
        /// How the client tried to prove itself.
        method: Option<AuthMethod>,
        /// Where it came from.
        prefix: Prefix,
        /// When.
        at: UnixMillis,
    },
    /// Counts: if they can't be written they are kept for the next summary.
    Summary(Summary),
}

/// One event on its way to the disk.
#[derive(Debug)]
pub(super) struct Entry {
    /// What is to be written.
    pub what: What,
    /// Whose it is.
    pub class: Class,
    /// Who wants to know.
    pub fate: Fate,
}

impl Entry {
    /// Bytes of its line, line feed included.
    fn len(&self) -> usize {
        let head = match &self.what {
            What::Head(head) | What::Stop(head) => head.len(),
            What::Renewal(_) => RENEWAL,
        };
        head + TAIL + 1
    }

    /// Whether it needs a commit of its own.
    const fn stands_alone(&self) -> bool {
        !matches!(self.what, What::Head(_))
    }
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// Bytes of the entries that wait or are in the commit under way.
    bytes: u64,
    /// Bytes of the commit under way.
    committing: u64,
    sleeping: bool,
    pacing: bool,
    closed: Option<Unrecorded>,
}

/// The queue between everybody and the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    /// Whether a worker of the runtime has had nothing to do since the last entry came.
    idle: AtomicBool,
    /// Whether the writer wants to know that.
    listening: AtomicBool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an entry at the end, if `admits` agrees: it is told the bytes that the journal will have
    /// to take with this entry.
    ///
    /// # Errors
    /// Why not, with the entry.
    pub(super) fn push(
        &self,
        entry: Entry,
        admits: impl FnOnce(u64) -> Result<(), Unrecorded>,
    ) -> Result<(), (Unrecorded, Entry)> {
        let most = match entry.class {
            Class::Proven => MAX_QUEUE,
            Class::Unproven => MAX_QUEUE_UNPROVEN,
            Class::Control => MAX_QUEUE + CONTROL_RESERVE,
        };
        let mut state = self.lock();
        if let Some(closed) = state.closed {
            return Err((closed, entry));
        }
        if matches!(entry.what, What::Stop(_)) {
            // The last line has room always: a journal at its bound must be able to end.
            state.closed = Some(Unrecorded::Stopping);
        } else if state.entries.len() >= most {
            return Err((Unrecorded::QueueFull, entry));
        } else if let Err(reason) = admits(state.bytes + entry.len() as u64) {
            return Err((reason, entry));
        }
        state.bytes += entry.len() as u64;
        state.entries.push_back(entry);
        self.idle.store(false, Ordering::SeqCst);
        let wake = state.sleeping || state.pacing && state.entries.len() >= MAX_COMMIT;
        state.sleeping &= !wake;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits for entries and takes those of one commit. `hold` is told whether the runtime is busy, and says
    /// whether the writer should hold back so that a group can form. Nothing once the queue has failed.
    pub(super) fn take(&self, into: &mut Vec<Entry>, hold: impl Fn(bool) -> Hold) {
        let mut state = self.lock();
        state.settle();
        loop {
            if state.closed == Some(Unrecorded::Failed) {
                return;
            }
            if state.entries.is_empty() {
                state.sleeping = true;
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.sleeping = false;
                continue;
            }
            if state.entries.len() >= MAX_COMMIT {
                break;
            }
            // Said before it is asked: an idle worker either sees it, or was seen.
            self.listening.store(true, Ordering::SeqCst);
            let pause = match hold(!self.idle.load(Ordering::SeqCst)) {
                Hold::WhileBusy(pause) => pause,
                Hold::For(pause) => {
                    self.listening.store(false, Ordering::SeqCst);
                    pause
                }
                Hold::Over => break,
            };
            state.pacing = true;
            let (woken, _) = self
                .wake
                .wait_timeout(state, pause)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.pacing = false;
        }
        self.listening.store(false, Ordering::SeqCst);
        state.take_commit(into);
    }

    /// A worker of the runtime has nothing left to do: a group that waits for company need not wait longer.
    pub(super) fn idle(&self) {
        self.idle.store(true, Ordering::SeqCst);
        if self.listening.swap(false, Ordering::SeqCst) {
            // Taken, so that the writer is either asleep already or sees that a worker is idle.
            drop(self.lock());
            self.wake.notify_one();
        }
    }

    /// The commit under way stands in the journal's own account now.
    pub(super) fn settle(&self) {
        self.lock().settle();
    }

    /// Closes the queue for good. What waits in it is returned, to be told.
    pub(super) fn fail(&self) -> VecDeque<Entry> {
        let mut state = self.lock();
        state.closed = Some(Unrecorded::Failed);
        state.bytes = 0;
        state.committing = 0;
        let waiting = std::mem::take(&mut state.entries);
        drop(state);
        self.wake.notify_one();
        waiting
    }

    /// Why the queue takes nothing any more.
    pub(super) fn closed(&self) -> Option<Unrecorded> {
        self.lock().closed
    }

    /// How many entries wait.
    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }
}

impl State {
    fn settle(&mut self) {
        self.bytes = self.bytes.saturating_sub(self.committing);
        self.committing = 0;
    }

    fn take_commit(&mut self, into: &mut Vec<Entry>) {
        let mut bytes = 0;
        while let Some(entry) = self.entries.front() {
            let alone = entry.stands_alone();
            if alone && !into.is_empty() || into.len() >= MAX_COMMIT || bytes >= MAX_COMMIT_BYTES {
                break;
            }
            bytes += entry.len();
            into.extend(self.entries.pop_front());
            if alone {
                break;
            }
        }
        self.committing = bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(class: Class) -> Entry {
        Entry {
            what: What::Head(vec![0; 10]),
            class,
            fate: Fate::Waiter(oneshot::channel().0),
        }
    }

    fn admit(_: u64) -> Result<(), Unrecorded> {
        Ok(())
    }

    fn taken(queue: &Queue) -> usize {
        let mut entries = Vec::new();
        queue.take(&mut entries, |_| Hold::Over);
        entries.len()
    }

    #[test]
    fn each_class_has_its_bound() {
        let queue = Queue::default();
        let fill = |class| {
            let mut taken = 0;
            while queue.push(entry(class), admit).is_ok() {
                taken += 1;
            }
            taken
        };
        assert_eq!(fill(Class::Unproven), MAX_QUEUE_UNPROVEN);
        assert_eq!(fill(Class::Proven), MAX_QUEUE - MAX_QUEUE_UNPROVEN);
        assert_eq!(fill(Class::Control), CONTROL_RESERVE);
        assert_eq!(taken(&queue), MAX_COMMIT);
    }

    #[test]
    fn a_stop_is_taken_in_however_full_it_is() {
        let queue = Queue::default();
        while queue.push(entry(Class::Control), admit).is_ok() {}
        let stop = Entry {
            what: What::Stop(Vec::new()),
            ..entry(Class::Control)
        };
        assert!(queue.push(stop, |_| Err(Unrecorded::Full)).is_ok());
    }

    #[test]
    fn a_stop_and_a_renewal_have_commits_of_their_own() {
        let queue = Queue::default();
        let renewal = What::Renewal(Box::new(Renewal {
            facts: LineageRenewal {
                cause: crate::audit::event::RenewalCause::Operator,
                stream_head_sequence: None,
                stream_head: None,
            },
            lineage: Lineage::from_bits(1),
            id: [b'0'; 32],
            at: UnixMillis::new(0),
        }));
        let whats = [
            What::Head(Vec::new()),
            What::Head(Vec::new()),
            renewal,
            What::Head(Vec::new()),
            What::Stop(Vec::new()),
        ];
        for what in whats {
            let entry = Entry {
                what,
                ..entry(Class::Control)
            };
            assert!(queue.push(entry, admit).is_ok());
        }
        assert_eq!([(); 4].map(|()| taken(&queue)), [2, 1, 1, 1]);
        let refused = queue.push(entry(Class::Control), admit);
        assert!(matches!(refused, Err((Unrecorded::Stopping, _))));
    }

    /// Told of in either order: a worker that is idle before the writer asks, and one that is idle later.
    #[test]
    fn a_group_is_complete_once_a_worker_is_idle() {
        let hold = |busy| match busy {
            true => Hold::WhileBusy(Duration::from_secs(600)),
            false => Hold::Over,
        };
        let queue = Queue::default();
        assert!(queue.push(entry(Class::Proven), admit).is_ok());
        queue.idle();
        let mut entries = Vec::new();
        queue.take(&mut entries, hold);
        assert_eq!(entries.len(), 1);

        assert!(queue.push(entry(Class::Proven), admit).is_ok());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut entries = Vec::new();
                queue.take(&mut entries, hold);
                entries.len()
            });
            while !queue.listening.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            assert!(queue.push(entry(Class::Proven), admit).is_ok());
            queue.idle();
            assert_eq!(writer.join().ok(), Some(2));
        });
    }

    #[test]
    fn a_failed_queue_gives_back_what_waits_and_takes_nothing() {
        let queue = Queue::default();
        assert!(queue.push(entry(Class::Proven), admit).is_ok());
        assert_eq!(queue.fail().len(), 1);
        assert_eq!(taken(&queue), 0);
        let refused = queue.push(entry(Class::Proven), admit);
        assert!(matches!(refused, Err((Unrecorded::Failed, _))));
    }
}
