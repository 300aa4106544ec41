//! What operators take away, in force at once and kept for good. Touches: fs, clock.
//!
//! Two tasks. One takes commands: what takes something away is published as part of a new world before
//! anything is written, so that a disk that hangs, a full journal or a broken registry can't keep a leaked
//! client alive. The other writes it to the store, then records it, then answers. What gives something back
//! goes the other way round: recorded, then taken off the disk, then out of the world.
//!
//! **Invariant:** an entry that was answered for as kept survives the daemon; one whose event is not on
//! record is tried again each second, also after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use super::health::Health;
use crate::admin::{Change, Done};
use crate::audit::Journal;
use crate::audit::event::{AdminAct, AdminEvent, ControlEvent, Outside};
use crate::clock::Clock;
use crate::domain::{Caller, Lifetime, UnixSeconds, chain};
use crate::keys::ring::Ring;
use crate::keys::rings::Rings;
use crate::registry::overlay::{
    Command, Entry, EntryId, Overlay, Overruled, Reason, Says, Taking, What, Which,
};
use crate::registry::snapshot::Snapshot;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::world::{Current, World};

/// How often what is not on disk or on record yet is tried again, and what is over looked for.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a revocation is kept that was made before the keys were on record, so that nobody knows when
/// their last token expires: longer than any token should live.
const UNKNOWN_LIFETIME: Lifetime = Lifetime::from_days(366);

/// What the store keeps.
pub(super) struct Taken {
    pub(super) entries: Vec<Entry>,
    /// The highest number that an entry has had.
    pub(super) last: EntryId,
}

impl Taken {
    /// Reads it.
    ///
    /// # Errors
    /// [`StoreError`]: without it no daemon may start, or a leaked client would be alive again.
    pub(super) fn read(store: &Store) -> Result<Self, StoreError> {
        let (entries, last) = store.overlay()?;
        Ok(Self { entries, last })
    }
}

/// What both tasks work with.
#[derive(Clone)]
pub(super) struct Emergencies {
    pub(super) current: Arc<Current>,
    pub(super) store: Arc<Store>,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) health: Arc<Health>,
    pub(super) tasks: Tasks,
    /// The highest number that an entry has had.
    pub(super) last: Arc<AtomicU64>,
}

/// What is left to do once a command was taken.
pub(super) enum Work {
    /// Keep and record what is in force, then answer: the entry that this command put there, or would put
    /// there if another did not say as much. Whether it put it there.
    Keep(Box<Entry>, bool, Answer),
    /// Drop an entry, then answer.
    Drop(Dropping, Answer),
}

/// An entry that an operator wants dropped.
pub(super) struct Dropping {
    which: Which,
    force: bool,
    caller: Caller,
    reason: Option<Reason>,
}

type Answer = oneshot::Sender<Result<Done, Overruled>>;

impl Emergencies {
    /// Takes commands until the daemon stops. It waits for nothing but commands.
    pub(super) async fn take(self, mut changes: mpsc::Receiver<Change>, work: mpsc::Sender<Work>) {
        let stopping = self.tasks.stopping();
        loop {
            let change = tokio::select! {
                () = stopping.cancelled() => return,
                change = changes.recv() => change,
            };
            let Some(change) = change else { return };
            let Change {
                command,
                caller,
                reason,
                answer,
            } = change;
            let next = match command {
                Command::Clear { which, force } => {
                    let dropping = Dropping {
                        which,
                        force,
                        caller,
                        reason,
                    };
                    Work::Drop(dropping, answer)
                }
                Command::Take(taking) => match self.take_away(taking, (caller, reason)) {
                    Err(overruled) => {
                        tell(answer, Err(overruled));
                        continue;
                    }
                    Ok((entry, changed)) => Work::Keep(Box::new(entry), changed, answer),
                },
            };
            if let Err(full) = work.try_send(next) {
                self.answer_early(full.into_inner());
            }
        }
    }

    /// Puts an entry in force, in memory alone; or finds the one that takes as much away already. Whether it
    /// put it there.
    fn take_away(
        &self,
        taking: Taking,
        (caller, reason): (Caller, Option<Reason>),
    ) -> Result<(Entry, bool), Overruled> {
        let (world, now) = (self.current.load(), self.clock.now_seconds());
        let last = last_expiry(world.rings.as_deref());
        let what = taking.what(now, last.unwrap_or_else(|| now.plus(UNKNOWN_LIFETIME)))?;
        let held = world.overlay.covers(&what).map(|held| held.id);
        if held.is_none() {
            world.overlay.has_room()?;
        }
        let entry = Entry {
            id: held.unwrap_or_else(|| self.next_id()),
            what,
            by: caller,
            at: now,
            reason,
            kept: false,
            recorded: false,
        };
        if held.is_none() {
            warn!(entry = %entry.id, %caller, "an operator takes away: {}", entry.what);
            self.current
                .change_overlay(|overlay| overlay.with(entry.clone()));
        }
        Ok((entry, held.is_none()))
    }

    /// A number that no entry has had.
    fn next_id(&self) -> EntryId {
        // The highest number is as far away as the end of the range.
        EntryId::new(self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }

    /// There is more to write than waits its turn: what was taken away is in force all the same.
    fn answer_early(&self, work: Work) {
        match work {
            Work::Keep(entry, true, answer) => tell(answer, self.now_done(&entry, true)),
            // What says so already may be on its way out.
            Work::Keep(_, false, answer) | Work::Drop(_, answer) => {
                tell(answer, Err(Overruled::Stopping));
            }
        }
    }

    /// Keeps and records until the daemon stops.
    pub(super) async fn keep(self, mut works: mpsc::Receiver<Work>) {
        let stopping = self.tasks.stopping();
        let mut ticks = tokio::time::interval(AGAIN);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let work = tokio::select! {
                () = stopping.cancelled() => return,
                Some(work) = works.recv() => Some(work),
                _ = ticks.tick() => None,
            };
            match work {
                None => {
                    self.forget_what_is_over().await;
                    self.settle().await;
                }
                Some(Work::Keep(mut entry, changed, answer)) => {
                    let again = put_again(&self.current, &mut entry, || self.next_id());
                    self.settle().await;
                    tell(answer, self.now_done(&entry, changed || again));
                }
                Some(Work::Drop(dropping, answer)) => {
                    let dropped = self.give_back(dropping).await;
                    tell(answer, dropped);
                }
            }
        }
    }

    /// Writes what is in force to the store, and records what is not on record yet.
    async fn settle(&self) {
        let overlay = Arc::clone(&self.current.load().overlay);
        let settled = |entry: &&Arc<Entry>| entry.kept && entry.recorded;
        let open: Vec<Arc<Entry>> = (overlay.entries().into_iter())
            .filter(|entry| !settled(entry))
            .cloned()
            .collect();
        if open.is_empty() {
            return;
        }
        let written = self.write(&overlay).await.is_ok();
        let mut recorded = Vec::new();
        for entry in open.iter().filter(|entry| !entry.recorded) {
            let registry = self.current.load().registry.clone();
            let registry = registry.as_ref().map(|served| &*served.snapshot);
            match self.journal.control(event_of(entry, registry)).await {
                Ok(_) => recorded.push(entry.id),
                Err(reason) => {
                    error!(%reason, entry = %entry.id, "what an operator took away is in force and not on record: trying again");
                    break;
                }
            }
        }
        self.current.change_overlay(|overlay| {
            overlay.noting(|entry| entry.recorded |= recorded.contains(&entry.id))
        });
        if !recorded.is_empty() && written {
            // That it is recorded is known after a restart too, so that it is not recorded twice.
            let overlay = Arc::clone(&self.current.load().overlay);
            let _tried_again = self.write(&overlay).await;
        }
    }

    /// Writes an overlay to the store; each entry of it is kept then.
    async fn write(&self, overlay: &Overlay) -> Result<(), Overruled> {
        let entries: Vec<Entry> = (overlay.entries().into_iter())
            .map(|entry| Entry::clone(entry))
            .collect();
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
        let last = ids.last().copied().unwrap_or(EntryId::new(0));
        let store = Arc::clone(&self.store);
        let written = self
            .tasks
            .blocking(move || store.set_overlay(&entries, last));
        match written.await {
            None => Err(Overruled::Stopping),
            Some(Ok(())) => {
                self.current.change_overlay(|overlay| {
                    overlay.noting(|entry| entry.kept |= ids.contains(&entry.id))
                });
                Ok(())
            }
            Some(Err(full @ StoreError::NoRoom { .. })) => {
                warn!(error = %full, "what operators took away is in force and not on disk: trying again");
                Err(Overruled::NotDropped(full.to_string()))
            }
            Some(Err(failure)) => {
                error!(error = %chain(&failure), "the store failed: stopping");
                self.health.failed("the store failed");
                Err(Overruled::Stopping)
            }
        }
    }

    /// Drops an entry: on record first, off the disk then, and out of the world last.
    async fn give_back(&self, dropping: Dropping) -> Result<Done, Overruled> {
        let Dropping {
            which,
            force,
            caller,
            reason,
        } = dropping;
        // That it was taken away is on record before that it is given back.
        self.settle().await;
        let (world, now) = (self.current.load(), self.clock.now_seconds());
        let registry = world.registry.as_ref().map(|served| &*served.snapshot);
        let entry = world.overlay.clear(&which, force, registry, now)?.entry;
        if !entry.recorded {
            let why = "nor is it on record that it was taken away";
            return Err(Overruled::NotRecorded(why.to_owned()));
        }
        let event = ControlEvent::Admin(AdminEvent {
            caller,
            act: AdminAct::OverlayCleared {
                entry: entry.id.get(),
                kind: entry.what.kind(),
                client: entry.what.client().cloned(),
                token: entry.what.token(),
                forced: force,
            },
            reason: reason.map(|reason| Outside::new(reason.as_str())),
        });
        let recorded = self.journal.control(event).await;
        recorded.map_err(|reason| Overruled::NotRecorded(reason.to_string()))?;
        // What came meanwhile is not lost: the overlay is read anew.
        let rest = self.current.load().overlay.without(entry.id);
        self.write(&rest).await?;
        self.current
            .change_overlay(|overlay| overlay.without(entry.id));
        warn!(entry = %entry.id, %caller, "an operator gives back: {}", entry.what);
        Ok(done(&entry, &world, (false, true)))
    }

    /// Drops revocations whose last token has expired, by wall time and by the mark of time that was seen: a
    /// clock that leapt ahead drops nothing.
    async fn forget_what_is_over(&self) {
        let overlay = Arc::clone(&self.current.load().overlay);
        if overlay.over(self.clock.now_seconds()).is_empty() {
            return;
        }
        let store = Arc::clone(&self.store);
        let Some(Ok(Some(mark))) = self.tasks.blocking(move || store.time_mark()).await else {
            return;
        };
        let over = overlay.over(self.clock.now_seconds().min(mark));
        let rest = over
            .iter()
            .fold(Overlay::clone(&overlay), |rest, id| rest.without(*id));
        if over.is_empty() || self.write(&rest).await.is_err() {
            return;
        }
        for id in over {
            info!(entry = %id, "a revocation is over: its last token has expired");
            self.current.change_overlay(|overlay| overlay.without(id));
        }
    }

    /// How something stands now that was taken away. Another command may have said more of the same meanwhile:
    /// then its entry has the place.
    fn now_done(&self, entry: &Entry, changed: bool) -> Result<Done, Overruled> {
        let world = self.current.load();
        let overlay = &world.overlay;
        let held = overlay
            .find(entry.id)
            .or_else(|| overlay.covers(&entry.what));
        held.map(|held| done(held, &world, (true, changed)))
            .ok_or(Overruled::NoEntry(entry.id))
    }
}

/// Puts an entry in force again where a command before has given it back meanwhile; whether it did.
fn put_again(current: &Current, entry: &mut Entry, id: impl FnOnce() -> EntryId) -> bool {
    if current.load().overlay.covers(&entry.what).is_some() {
        return false;
    }
    (entry.id, entry.kept, entry.recorded) = (id(), false, false);
    warn!(entry = %entry.id, caller = %entry.by, "an operator takes away again: {}", entry.what);
    current.change_overlay(|overlay| overlay.with(entry.clone()));
    true
}

/// No token that any key here has signed expires later.
fn last_expiry(rings: Option<&Rings>) -> Option<UnixSeconds> {
    let keys = rings?.rings().iter().flat_map(Ring::keys);
    keys.filter_map(|key| key.tokens_until).max()
}

fn done(entry: &Arc<Entry>, world: &World, (in_force, changed): (bool, bool)) -> Done {
    let registry = world.registry.as_ref().map(|served| &*served.snapshot);
    Done {
        says: entry.what.client().map(|client| Says::of(registry, client)),
        entry: Arc::clone(entry),
        in_force,
        changed,
    }
}

/// The event of what was taken away.
fn event_of(entry: &Entry, registry: Option<&Snapshot>) -> ControlEvent {
    let id = entry.id.get();
    let act = match &entry.what {
        What::Disabled(client) => AdminAct::ClientDisabled {
            entry: id,
            client: client.clone(),
            since: entry.at,
            registry: Says::of(registry, client).name(),
        },
        What::Revoked(revocation) => AdminAct::TokensRevoked {
            entry: id,
            client: entry.what.client().cloned(),
            token: entry.what.token(),
            before: revocation.before,
            until: revocation.until,
            since: entry.at,
        },
    };
    let reason = entry.reason.as_ref();
    ControlEvent::Admin(AdminEvent {
        caller: entry.by,
        act,
        reason: reason.map(|reason| Outside::new(reason.as_str())),
    })
}

/// Whoever asked may have gone away: what was done stands.
fn tell(answer: Answer, outcome: Result<Done, Overruled>) {
    drop(answer.send(outcome));
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::domain::ClientId;

    #[test]
    fn a_disable_is_not_lost_to_a_clear_under_way() {
        let client = ClientId::parse("leaked").unwrap();
        let held = Entry {
            id: EntryId::new(5),
            what: What::Disabled(client.clone()),
            by: Caller::default(),
            at: UnixSeconds::new(1),
            reason: None,
            kept: true,
            recorded: true,
        };
        let current = Current::taking(Overlay::of([held.clone()]));
        let mut wanted = held;
        // As long as it stands, nothing is to be done.
        assert!(!put_again(&current, &mut wanted, || EntryId::new(6)));
        current.change_overlay(|overlay| overlay.without(EntryId::new(5)));
        assert!(put_again(&current, &mut wanted, || EntryId::new(6)));
        let overlay = Arc::clone(&current.load().overlay);
        assert_eq!(overlay.disables(&client).unwrap().id, EntryId::new(6));
        assert_eq!(overlay.len(), 1);
    }
}
