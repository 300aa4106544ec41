//! What becomes of an update of the registry: recorded, then published. Touches: fs, clock.
//!
//! The end of the registry flow: `… → diff → audit → publish`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, warn};

use crate::audit::Journal;
use crate::audit::event::{
    ControlEvent, Counts, Location, ObjectCounts, Outside, RegistryApplied, RegistryHeld,
    RegistryRejected, RegistryRestored,
};
use crate::clock::Clock;
use crate::domain::{Digest, Lifetime, UnixSeconds};
use crate::issue::reference;
use crate::registry::diagnostic::Problem;
use crate::registry::diff;
use crate::registry::keep::Seal;
use crate::registry::ledger::Ledger;
use crate::registry::publish::{Applied, HeldBack, Refusal, Rejected, Revision, Update};
use crate::registry::snapshot::Served;
use crate::registry::source::Source;
use crate::registry::watch::Sink;
use crate::store::{KeptMark, Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::status::{self, HeldChange};
use crate::world::Current;

use super::health::Health;
use super::last_good::{KeptRegistry, LastGood, RETRY, log_restored};

/// How often to look whether a registry that is no longer served is still held by a request.
const HELD: Duration = Duration::from_millis(100);

/// Records and publishes registries.
pub(super) struct RegistrySink {
    pub(super) current: Arc<Current>,
    pub(super) journal: Journal,
    pub(super) last_good: LastGood,
    pub(super) ledger: Arc<Ledger>,
    pub(super) clock: Clock,
    pub(super) health: Arc<Health>,
    pub(super) tasks: Tasks,
    /// What was kept before this start, until the first registry of the folder is.
    pub(super) standby: Option<KeptRegistry>,
    /// Where the key schedule learns the longest lifetime of a token.
    pub(super) longest_token: watch::Sender<Lifetime>,
}

impl Sink for RegistrySink {
    async fn take(&mut self, update: Update) {
        match update {
            Update::Applied(applied) => self.apply(applied).await,
            Update::Rejected(rejected) => self.reject(rejected).await,
            Update::Moved(revision) => self.moved(revision),
            Update::Held(back) => self.hold(back).await,
        }
    }
}

impl RegistrySink {
    /// Takes what a start found: what was kept, and what became of the folder.
    pub(super) async fn begin(&mut self, kept: Option<KeptRegistry>, update: Update) {
        match (kept, &update) {
            (kept, Update::Applied(_)) => self.standby = kept,
            (Some(kept), _) => {
                let broken = matches!(update, Update::Rejected(_));
                self.restore(kept, broken).await;
            }
            (None, _) => {}
        }
        self.take(update).await;
    }

    /// A change is served only once it is on disk and recorded.
    async fn apply(&mut self, mut applied: Applied) {
        let files = Arc::new(std::mem::take(&mut applied.files));
        let Some((served, seal)) = self.keep(&applied, &files).await else {
            return;
        };
        let before = self.current.load().registry.clone();
        let event = applied_event(&served, applied.previous, &applied.changes);
        let mark = KeptMark {
            number: seal.number,
            seen: self.clock.now_seconds(),
        };
        if !self.record(event).await || !self.last_good.served(mark).await {
            return;
        }
        self.publish(&served).await;
        self.health.registry_accepted();
        if let Some(before) = before {
            self.retire(before);
        }
        self.last_good.fold(&seal);
        for warning in &applied.warnings {
            warn!(file = %warning.place.file, "{}", warning.message);
        }
    }

    /// Has a registry on disk. While a first one waits for that, what was kept before is served.
    async fn keep(
        &mut self,
        applied: &Applied,
        files: &Arc<Vec<Arc<Source>>>,
    ) -> Option<(Arc<Served>, Seal)> {
        if let Some(kept) = self.standby.take() {
            let served = self.numbered(applied).await?;
            let tried = self.last_good.keep_once(&served, files).await;
            if let Some(Some(seal)) = tried {
                return Some((served, seal));
            }
            self.restore(kept, false).await;
            tried?;
        }
        let served = self.numbered(applied).await?;
        let seal = self.last_good.keep(&served, files).await?;
        Some((served, seal))
    }

    /// Under the next generation; `None` when the daemon stops.
    async fn numbered(&self, applied: &Applied) -> Option<Arc<Served>> {
        Some(Arc::new(Served {
            snapshot: Arc::clone(&applied.snapshot),
            generation: self.next_generation().await?,
            commit: applied.commit.clone(),
            dirty: applied.dirty,
            since: self.clock.now_seconds(),
            until: None,
        }))
    }

    /// Before it is served, each credential gets the mark of its last use. A walk over all clients: not on
    /// a thread that serves requests.
    async fn carry_last_use(&self, served: &Served) {
        let (ledger, snapshot) = (Arc::clone(&self.ledger), Arc::clone(&served.snapshot));
        let _stopping = self.tasks.blocking(move || ledger.bind(&snapshot)).await;
    }

    /// Serves a snapshot that was not served before.
    async fn publish(&self, served: &Arc<Served>) {
        self.carry_last_use(served).await;
        let longest = served.snapshot.policy.max_token_lifetime;
        self.longest_token.send_replace(longest);
        self.current.publish_registry(served);
    }

    /// Serves what was kept: what the folder holds at the start is not to be served, or not yet.
    async fn restore(&self, kept: KeptRegistry, broken: bool) {
        let Some(generation) = self.next_generation().await else {
            return;
        };
        log_restored(&kept);
        let KeptRegistry {
            resumed,
            seen,
            number,
            served: was_served,
        } = kept;
        if broken {
            self.is_last_good(seen, true);
        }
        let served = Arc::new(Served {
            snapshot: resumed.snapshot,
            generation,
            commit: resumed.commit,
            dirty: resumed.dirty,
            since: self.clock.now_seconds(),
            until: self.last_good.until(seen).filter(|_| broken),
        });
        if !was_served {
            // The end came between keeping and serving: its event is owed.
            let event = applied_event(&served, None, &[]);
            let mark = KeptMark { number, seen };
            if !self.record(event).await || !self.last_good.served(mark).await {
                return;
            }
        }
        let event = ControlEvent::RegistryRestored(RegistryRestored {
            registry: reference(&served),
            accepted: resumed.accepted,
            seen,
        });
        if self.record(event).await {
            self.publish(&served).await;
        }
    }

    /// Notes that the folder holds no good registry; since when.
    fn is_last_good(&self, seen: UnixSeconds, restored: bool) -> UnixSeconds {
        let settings = self.last_good.settings;
        self.health.last_good(status::LastGood {
            seen,
            restored,
            max_age: settings.max_age,
            refuse: settings.refuse,
        })
    }

    /// Drops a registry once no request holds it any more: 100,000 clients are freed here, not by the
    /// request that happened to be the last.
    fn retire(&self, before: Arc<Served>) {
        let tasks = self.tasks.clone();
        self.tasks.spawn_short(async move {
            let stopping = tasks.stopping();
            while Arc::strong_count(&before) > 1 && !stopping.is_cancelled() {
                tokio::time::sleep(HELD).await;
            }
            let _stopping = tasks.blocking(move || drop(before)).await;
        });
    }

    async fn reject(&self, rejected: Rejected) {
        let problems = match &rejected.why {
            Refusal::Load(error) => vec![error.to_string()],
            Refusal::Check(problems) => problems.iter().map(sentence).collect(),
        };
        self.health.registry_refused(&problems);
        let serving = self.current.load().registry.clone();
        if let Some(serving) = &serving {
            self.grow_old(serving).await;
        }
        let event = rejected_event(&rejected, serving.as_deref());
        self.record(event).await;
    }

    /// What is served is the last good one from here on, if it was not so before.
    async fn grow_old(&self, serving: &Served) {
        let now = self.clock.now_seconds();
        let seen = self.is_last_good(now, false);
        if seen == now {
            self.last_good.note_seen().await;
        }
        let until = self.last_good.until(seen);
        if until != serving.until {
            self.current.publish_registry(&Arc::new(Served {
                until,
                ..Served::clone(serving)
            }));
        }
    }

    /// The change waits for an operator; what is served stays.
    async fn hold(&self, back: HeldBack) {
        let HeldBack {
            held,
            revision: Revision { commit, dirty },
            again,
        } = back;
        let reasons: Vec<String> = held.reasons.iter().map(ToString::to_string).collect();
        let event = RegistryHeld {
            change: held.hash,
            commit: commit.clone(),
            dirty,
            serving: self.current.load().registry.as_deref().map(reference),
            reasons: reasons.iter().map(|reason| Outside::new(reason)).collect(),
        };
        self.health.registry_held(HeldChange {
            hash: held.hash,
            commit,
            reasons,
        });
        // A folder that was broken is good again.
        let serving = self.current.load().registry.clone();
        if let Some(serving) = serving.filter(|serving| serving.until.is_some()) {
            self.current.publish_registry(&Arc::new(Served {
                until: None,
                ..Served::clone(&serving)
            }));
        }
        if !again {
            self.record(ControlEvent::RegistryHeld(event)).await;
        }
    }

    /// The files say the same, from another commit, or differ from it now, or no more.
    fn moved(&self, revision: Revision) {
        let Some(served) = self.current.load().registry.clone() else {
            return;
        };
        self.current.publish_registry(&Arc::new(Served {
            commit: revision.commit,
            dirty: revision.dirty,
            ..Served::clone(&served)
        }));
    }

    /// Counts on in the store; `None` when the daemon stops.
    async fn next_generation(&self) -> Option<u64> {
        self.last_good.stored(next_generation).await
    }

    /// Records an event; whether it is on disk. Tries until the daemon stops.
    async fn record(&self, event: ControlEvent) -> bool {
        let stopping = self.tasks.stopping();
        loop {
            match self.journal.control(event.clone()).await {
                Ok(_) => return true,
                Err(reason) => error!(%reason, "a registry event is not recorded: trying again"),
            }
            tokio::select! {
                () = stopping.cancelled() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}

fn next_generation(store: &Store) -> Result<u64, StoreError> {
    let generation = store.registry_generation()?.saturating_add(1);
    store.set_registry_generation(generation)?;
    Ok(generation)
}

fn applied_event(
    served: &Served,
    previous: Option<Digest>,
    changes: &[diff::Change],
) -> ControlEvent {
    let counts = diff::Counts::of(changes);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    ControlEvent::RegistryApplied(RegistryApplied {
        registry: reference(served),
        previous,
        totals: ObjectCounts {
            clients: count(served.snapshot.clients.len()),
            resources: count(served.snapshot.resources.len()),
        },
        clients: Counts {
            added: count(counts.clients_added),
            changed: count(counts.clients_changed),
            removed: count(counts.clients_removed),
        },
        resources: Counts {
            added: count(counts.resources_added),
            changed: count(counts.resources_changed),
            removed: count(counts.resources_removed),
        },
        policy_changed: counts.policy_changed,
    })
}

fn rejected_event(rejected: &Rejected, serving: Option<&Served>) -> ControlEvent {
    let problems = match &rejected.why {
        Refusal::Load(error) => vec![Location {
            file: Outside::new(""),
            line: 0,
            column: 0,
            what: Outside::new(&error.to_string()),
        }],
        Refusal::Check(problems) => problems.iter().map(location).collect(),
    };
    ControlEvent::RegistryRejected(RegistryRejected {
        commit: rejected.commit.clone(),
        dirty: rejected.dirty,
        total: u64::try_from(problems.len()).unwrap_or(u64::MAX),
        problems,
        serving: serving.map(reference),
    })
}

fn location(problem: &Problem) -> Location {
    let spot = problem.place.spot.as_ref();
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Location {
        file: Outside::new(&problem.place.file),
        line: spot.map_or(0, |spot| number(spot.line)),
        column: spot.map_or(0, |spot| number(spot.column)),
        what: Outside::new(&problem.message),
    }
}

fn sentence(problem: &Problem) -> String {
    let file = &problem.place.file;
    match &problem.place.spot {
        Some(spot) => format!("{file}:{}:{}: {}", spot.line, spot.column, problem.message),
        None => format!("{file}: {}", problem.message),
    }
}
