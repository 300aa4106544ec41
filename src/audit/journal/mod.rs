//! The journal: append-only segments, group commit, recovery. Touches: fs, clock.
//!
//! The journal is the truth: what is in the stream was on this disk before. Decisions and events come
//! in by [`Journal::record`] and [`Journal::control`], wait in a bounded `queue`, are made durable by
//! the one `writer`, and are read by the shipper through [`Tail`]. A `keeper` makes segments
//! beforehand and retires them. `recover` finds out at a start what stands.
//!
//! **Invariant:** a [`Receipt`] is made only for a line that `fdatasync` has made durable. Sequences
//! have no gap; nothing durable is changed; nothing is deleted that the stream does not hold, or,
//! without a stream, that the operator did not give up (`drop_oldest`). Once a write or an
//! `fdatasync` has failed, nothing is recorded any more and the writer's thread ends, which stops the
//! daemon.

mod archive;
mod edges;
mod files;
mod index;
mod keeper;
mod pace;
mod queue;
mod receipt;
mod recover;
mod settings;
mod shared;
mod status;
mod tail;
mod unrecorded;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub use archive::{Archive, ArchiveLine};
pub use files::FileError;
pub use receipt::Receipt;
pub use recover::OpenError;
pub use settings::{Bound, JournalSettings, Opening, WaitFor};
pub use status::{JournalCounters, JournalStatus, SYNC_BUCKETS};
pub use tail::{Tail, TailError};
pub use unrecorded::Unrecorded;

use super::budget::Prefix;
use super::chain::Lineage;
use super::decision::{Decision, Recorded, Trail};
use super::event::{
    self, ControlEvent, Envelope, LineageRenewal, Origin, Started, StopCause, daemon_started,
    lineage_started,
};
use crate::clock::Clock;
use crate::domain::{Denial, UnixMillis};
use crate::tasks::Tasks;
use files::Folder;
use index::Index;
use index::segment_name;
use queue::{Class, Entry, Fate, Renewal, What};
use recover::{Recovered, beginning, recover};
use shared::{Ground, Shared};
use writer::Writer;

/// How long a stop waits for the disk: four times the longest `fdatasync` that a disk in order was
/// seen to take under load, about 2.5 s.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// The open journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

impl Journal {
    /// Opens the journal in this folder, which is made where it is missing: recovers it, begins a new
    /// segment, records that the daemon started, and starts the writer and the keeper.
    ///
    /// Blocks on the disk. The caller holds the state directory's lock.
    ///
    /// # Errors
    /// [`OpenError`]: above all when what stands is less than what was acknowledged.
    pub fn open(
        dir: &Path,
        settings: JournalSettings,
        opening: &Opening,
        tasks: &Tasks,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let folder = Folder::open(dir)?;
        let confirmed = opening.confirmed.unwrap_or(0);
        let recovered = recover(&folder, confirmed)?;
        let lineage = Lineage::from_bits(crate::random::bits());
        let tip = recovered.tip.unwrap_or_else(|| beginning(lineage));
        let mut index = Index::new(recovered.segments.clone(), tip);
        let file = folder.create(&segment_name(tip.sequence + 1))?;
        folder.sync()?;
        index.push_segment(clock.now());
        let ground = Ground {
            folder,
            settings,
            origin: Origin::new(&opening.issuer, &opening.instance),
            clock,
        };
        let shared = Arc::new(Shared::new(ground, index, confirmed));
        let mut writer = Writer::new(Arc::clone(&shared), Box::new(file), tip);
        announce(&shared, &mut writer, &recovered, opening.version)?;
        keeper::prepare(&shared)?;
        let keeper = keeper::Keeper::new(Arc::clone(&shared));
        let waiting = Arc::clone(&shared);
        tasks.when_idle(move || waiting.queue.idle());
        tasks.thread("journal-writer", move || writer.run())?;
        tasks.thread("journal-keeper", move || keeper.run())?;
        Ok(Self { shared })
    }

    /// Records a decision. A token, and a refusal to a client that proved itself, wait until their
    /// event is durable (and, for a token where `wait_for` says so, in the stream), at most until the
    /// deadline. Other refusals go through the budget and do not wait.
    ///
    /// # Errors
    /// [`Unrecorded`]: the answer is 503 and there is no token.
    pub async fn record(
        &self,
        decision: Decision,
        trail: &Trail,
        at: UnixMillis,
        deadline: Duration,
    ) -> Result<Recorded, Unrecorded> {
        let recorded = match decision {
            Decision::Issued(token) => {
                let head = event::issued(&self.envelope(trail, at), token.facts(), trail);
                let id = token.facts().id;
                let stream = self.waits_for_stream();
                self.durable(head, Class::Proven, stream, deadline)
                    .await
                    .map(|sequence| Recorded::issued(token, Receipt::new(sequence, Some(id))))
            }
            Decision::Refused(denial) if trail.proved => {
                let head = event::denied(&self.envelope(trail, at), denial, trail);
                self.durable(head, Class::Proven, false, deadline)
                    .await
                    .map(|_| Recorded::refused(denial))
            }
            Decision::Refused(denial) => self
                .refuse(denial, trail, at)
                .map(|()| Recorded::refused(denial)),
        };
        recorded.inspect_err(|reason| self.shared.counters.failed(*reason))
    }

    /// Records an event of the daemon itself, and waits until it is durable; its sequence. There is
    /// no deadline: whoever tried again after one would record the event twice.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub async fn control(&self, event: ControlEvent) -> Result<u64, Unrecorded> {
        let head = event.head(&self.own_envelope());
        self.push_and_wait(What::Head(head), Class::Control, None)
            .await
    }

    /// Begins a new lineage, with an event that names the old one and its head, in a commit of its
    /// own; its sequence.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub async fn renew_lineage(&self, renewal: LineageRenewal) -> Result<u64, Unrecorded> {
        let envelope = self.own_envelope();
        let what = What::Renewal(Box::new(Renewal {
            facts: renewal,
            lineage: Lineage::from_bits(crate::random::bits()),
            id: envelope.id,
            at: envelope.at,
        }));
        self.push_and_wait(what, Class::Control, None).await
    }

    /// Ends the journal cleanly: writes what was counted of refusals, and then, in a commit of its
    /// own, that the daemon stopped. Nothing is recorded after that. Call [`Tasks::stop`] before, for
    /// both threads end.
    ///
    /// # Errors
    /// [`Unrecorded`]: the next start will see an unclean stop, and nothing durable is lost.
    pub async fn stop(&self, cause: StopCause) -> Result<u64, Unrecorded> {
        let envelope = self.own_envelope();
        let id = crate::random::request_id().to_hex();
        self.shared.summarise(envelope.at, id);
        let what = What::Stop(cause.head(&envelope));
        let stopped = self
            .push_and_wait(what, Class::Control, Some(STOP_DEADLINE))
            .await;
        self.shared.ring();
        stopped
    }

    /// A reader of what is durable.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail(Arc::clone(&self.shared))
    }

    /// How the journal stands.
    #[must_use]
    pub fn status(&self) -> JournalStatus {
        self.shared.status()
    }

    /// Its counters.
    #[must_use]
    pub fn counters(&self) -> &JournalCounters {
        &self.shared.counters
    }

    fn waits_for_stream(&self) -> bool {
        self.shared.settings.stream && self.shared.settings.wait_for == WaitFor::Stream
    }

    fn envelope(&self, trail: &Trail, at: UnixMillis) -> Envelope<'_> {
        Envelope {
            origin: &self.shared.origin,
            id: trail.request.to_hex(),
            at,
        }
    }

    fn own_envelope(&self) -> Envelope<'_> {
        Envelope {
            origin: &self.shared.origin,
            id: crate::random::request_id().to_hex(),
            at: self.shared.clock.now(),
        }
    }

    /// Waits until a head is a line on disk, and, where asked for, in the stream.
    async fn durable(
        &self,
        head: Vec<u8>,
        class: Class,
        stream: bool,
        deadline: Duration,
    ) -> Result<u64, Unrecorded> {
        if !stream {
            return self
                .push_and_wait(What::Head(head), class, Some(deadline))
                .await;
        }
        let both = async {
            let sequence = self
                .push_and_wait(What::Head(head), class, Some(deadline))
                .await?;
            let mut confirmed = self.shared.confirmed.subscribe();
            match confirmed.wait_for(|confirmed| *confirmed >= sequence).await {
                Ok(_) => Ok(sequence),
                Err(_) => Err(Unrecorded::Failed),
            }
        };
        tokio::time::timeout(deadline, both)
            .await
            .unwrap_or(Err(Unrecorded::DeadlinePassed))
    }

    async fn push_and_wait(
        &self,
        what: What,
        class: Class,
        deadline: Option<Duration>,
    ) -> Result<u64, Unrecorded> {
        let (waiter, told) = oneshot::channel();
        let len = match &what {
            What::Head(head) | What::Stop(head) => head.len(),
            What::Renewal(_) => 0,
        };
        let entry = Entry {
            what,
            class,
            fate: Fate::Waiter(waiter),
        };
        self.shared.push(entry, len).map_err(|(reason, _)| reason)?;
        let told = match deadline {
            Some(deadline) => tokio::time::timeout(deadline, told).await,
            None => Ok(told.await),
        };
        match told {
            Ok(Ok(outcome)) => outcome,
            // The writer is gone with what it had taken.
            Ok(Err(_)) => Err(Unrecorded::Failed),
            Err(_) => Err(Unrecorded::DeadlinePassed),
        }
    }

    /// A refusal before a proof: recorded within the budget, counted beyond it.
    fn refuse(&self, reason: Denial, trail: &Trail, at: UnixMillis) -> Result<(), Unrecorded> {
        // After the last summary nothing would write the count.
        if let Some(reason) = self.shared.queue.closed() {
            return Err(reason);
        }
        let prefix = Prefix::of(trail.remote);
        let now = self.shared.clock.monotonic();
        let fate = Fate::Refusal {
            reason,
            method: trail.method,
            prefix,
            at,
        };
        let permitted = self.shared.budget().permit(prefix, now);
        let head = match permitted {
            true => event::denied(&self.envelope(trail, at), reason, trail),
            false => Vec::new(),
        };
        let len = head.len();
        let entry = Entry {
            what: What::Head(head),
            class: Class::Unproven,
            fate,
        };
        let refused = if permitted {
            self.shared.push(entry, len).err()
        } else {
            Some((Unrecorded::Full, entry))
        };
        if let Some((reason, entry)) = refused {
            self.shared.give_up([entry], reason);
        }
        Ok(())
    }
}

/// Records, each in a commit of its own and before anything else: the lineage of a new journal, what
/// recovery moved aside, and that the daemon started.
fn announce(
    shared: &Shared,
    writer: &mut Writer,
    recovered: &Recovered,
    version: &str,
) -> Result<(), OpenError> {
    let at = shared.clock.now();
    let envelope = || Envelope {
        origin: &shared.origin,
        id: crate::random::request_id().to_hex(),
        at,
    };
    let mut heads = Vec::new();
    if recovered.tip.is_none() {
        let lineage = shared.index().tip.lineage;
        heads.push(lineage_started(&envelope(), lineage));
    }
    if let Some(aside) = &recovered.aside {
        heads.push(aside.head(&envelope()));
    }
    let started = Started {
        version,
        previous_stop_clean: recovered.tip.map(|_| recovered.clean),
        previous_sequence: recovered.tip.map_or(0, |tip| tip.sequence),
        recovered: recovered.aside.as_ref(),
    };
    heads.push(daemon_started(&envelope(), &started));
    for head in heads {
        write_now(shared, writer, head)?;
    }
    Ok(())
}

/// Commits one head, before the writer's thread runs.
fn write_now(shared: &Shared, writer: &mut Writer, head: Vec<u8>) -> Result<(), OpenError> {
    let path = || shared.folder.path("");
    let (waiter, mut told) = oneshot::channel();
    let entry = Entry {
        what: What::Head(head),
        class: Class::Control,
        fate: Fate::Waiter(waiter),
    };
    writer
        .commit(vec![entry])
        .map_err(|fatal| OpenError::Write {
            path: path(),
            source: fatal.source,
        })?;
    match told.try_recv() {
        Ok(Ok(_)) => Ok(()),
        _ => Err(OpenError::DiskFull { path: path() }),
    }
}

#[cfg(test)]
mod tests;
