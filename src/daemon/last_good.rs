//! The last good registry across a restart: found at the start, kept before each change. Touches: fs, clock.
//!
//! Stands between the registry's task and [`Keep`]: what is on disk there, the daemon knows here.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::health::Health;
use crate::clock::Clock;
use crate::domain::{UnixSeconds, chain};
use crate::registry::keep::{Found, Keep, KeepError, Seal};
use crate::registry::publish::{
    LastGoodSettings, Publisher, Resumed, Unusable, Update, digest_form,
};
use crate::registry::snapshot::Served;
use crate::registry::source::Source;
use crate::store::{KeptMark, Store, StoreError};
use crate::tasks::Tasks;

/// How long to wait before what the disk did not take is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// How often the moment is kept at which the folder was last seen to be good: little beside the 24 hours
/// that the last good registry may be old.
const SEEN_EVERY: Duration = Duration::from_secs(300);

/// What a start finds, in the folder and in what was kept.
pub(super) struct Beginning {
    pub(super) publisher: Publisher,
    pub(super) keep: Arc<Keep>,
    /// What became of the folder.
    pub(super) update: Update,
    /// What was kept, where it can be served.
    pub(super) kept: Option<KeptRegistry>,
    /// What is wrong with what was kept.
    pub(super) broken: Option<String>,
}

/// A registry that was kept.
pub(super) struct KeptRegistry {
    pub(super) resumed: Resumed,
    /// When the folder was last seen to hold it.
    pub(super) seen: UnixSeconds,
    pub(super) number: u64,
    /// Whether it was served: else its event is not recorded, nor its mark kept.
    pub(super) served: bool,
}

impl Beginning {
    /// Reads what was kept, then the folder. Blocks for the time of reading and checking.
    ///
    /// # Errors
    /// [`StoreError`] when the store can't say which registry was served last.
    pub(super) fn read(
        mut publisher: Publisher,
        folder: &Path,
        store: &Store,
    ) -> Result<Self, StoreError> {
        let mark = store.kept_mark()?;
        if let Some(change) = store.released_change()? {
            publisher.gate().release(change);
        }
        let (keep, found) = Keep::open(folder, mark.map(|mark| mark.number));
        let (kept, broken) = match found {
            Found::Nothing => (None, None),
            Found::Broken(why) => (None, Some(why)),
            Found::Whole(whole) => match publisher.resume(&whole) {
                Ok(resumed) => {
                    let kept = KeptRegistry {
                        seen: mark
                            .filter(|_| whole.served)
                            .map_or(resumed.accepted, |mark| mark.seen),
                        number: whole.seal.number,
                        served: whole.served,
                        resumed,
                    };
                    (Some(kept), None)
                }
                Err(unusable) => (None, Some(refused(&keep, &unusable))),
            },
        };
        if let Some(why) = &broken {
            error!(why, "the last good registry can't be used");
        }
        // An alarm until somebody has looked, also across a restart.
        let broken = broken.or_else(|| {
            let aside = || "damaged files of an earlier start are still set aside".to_owned();
            keep.is_damaged().then(aside)
        });
        let update = publisher.first();
        Ok(Self {
            publisher,
            keep: Arc::new(keep),
            update,
            kept,
            broken,
        })
    }
}

/// Why a whole registry is not served all the same.
fn refused(keep: &Keep, unusable: &Unusable) -> String {
    match unusable {
        // Settings that are put right make it good again: it stays where it is.
        Unusable::Refused(problems) => {
            let first = problems.first().map_or("", |problem| &problem.message);
            let count = problems.len();
            format!("it is refused under today's settings: {count} problems, the first: {first}")
        }
        Unusable::Another { recorded, found } => {
            let aside = match keep.set_aside() {
                Ok(aside) => format!("it is in {}", aside.display()),
                Err(error) => chain(&error),
            };
            format!("its files have the digest {found}, and {recorded} was recorded; {aside}")
        }
    }
}

/// Has each registry on disk before it is served.
#[derive(Clone)]
pub(super) struct LastGood {
    pub(super) keep: Arc<Keep>,
    pub(super) store: Arc<Store>,
    pub(super) settings: LastGoodSettings,
    pub(super) health: Arc<Health>,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    /// The batch that is served; 0 before the first.
    pub(super) number: Arc<AtomicU64>,
}

impl LastGood {
    /// Keeps a registry; waits for room. `None` when the daemon stops meanwhile or this can never be kept.
    pub(super) async fn keep(
        &self,
        served: &Served,
        files: &Arc<Vec<Arc<Source>>>,
    ) -> Option<Seal> {
        let stopping = self.tasks.stopping();
        loop {
            if let Some(seal) = self.keep_once(served, files).await? {
                return Some(seal);
            }
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Tries once. `None` when the daemon stops meanwhile or this can never be kept, `Some(None)` when it is to be tried again.
    pub(super) async fn keep_once(
        &self,
        served: &Served,
        files: &Arc<Vec<Arc<Source>>>,
    ) -> Option<Option<Seal>> {
        let seal = Seal {
            number: 0,
            generation: served.generation,
            accepted: served.since,
            digest: served.snapshot.digest,
            form: digest_form(),
            commit: served.commit.clone(),
            dirty: served.dirty,
        };
        let (keep, files, asked) = (Arc::clone(&self.keep), Arc::clone(files), seal.clone());
        let kept = self.tasks.blocking(move || keep.keep(&files, asked));
        match kept.await? {
            Ok(number) => {
                self.health.keep_waits(None);
                Some(Some(Seal { number, ..seal }))
            }
            Err(error @ KeepError::TooLong { .. }) => {
                let why = chain(&error);
                error!(error = why, "a registry can't be kept: it is not served");
                self.health.keep_waits(Some(why));
                None
            }
            Err(error) => {
                let why = chain(&error);
                warn!(error = why, "a registry waits until it can be kept");
                self.health.keep_waits(Some(why));
                Some(None)
            }
        }
    }

    /// Notes that what was kept is recorded, and served from here on. `false` when the daemon stops.
    pub(super) async fn served(&self, mark: KeptMark) -> bool {
        let number = mark.number;
        let noted = self.stored(move |store| store.registry_applied(mark)).await;
        self.number.store(number, Ordering::Release);
        if !self.keep.is_damaged() {
            self.health.kept_broken(None);
        }
        noted.is_some()
    }

    /// Folds the log in the background, if it has outgrown its base.
    pub(super) fn fold(&self, seal: &Seal) {
        let Some(compaction) = self.keep.outgrown(seal) else {
            return;
        };
        let (this, keep) = (self.clone(), Arc::clone(&self.keep));
        self.tasks.spawn_short(async move {
            let stopping = this.tasks.stopping();
            let stop = move || stopping.is_cancelled();
            let folded = this.tasks.blocking(move || keep.compact(&compaction, stop));
            match folded.await {
                Some(Ok(())) => debug!("the log of the kept registry was folded"),
                Some(Err(error)) => {
                    let why = chain(&error);
                    warn!(
                        error = why,
                        "the log of the kept registry could not be folded"
                    );
                    if matches!(error, KeepError::Rot { .. }) {
                        this.health.kept_broken(Some(why));
                    }
                }
                None => {}
            }
        });
    }

    /// From when on a registry is too old to issue tokens that the folder held until `seen`.
    pub(super) fn until(&self, seen: UnixSeconds) -> Option<UnixSeconds> {
        let LastGoodSettings { max_age, refuse } = self.settings;
        refuse.then(|| seen.plus(max_age))
    }

    /// Keeps the moment at which the folder was last seen to be good.
    pub(super) async fn note_seen(&self) {
        let number = self.number.load(Ordering::Acquire);
        if number == 0 {
            return;
        }
        let seen = self.clock.now_seconds();
        let mark = KeptMark { number, seen };
        let store = Arc::clone(&self.store);
        let noted = self.tasks.blocking(move || store.note_seen(mark)).await;
        match noted {
            Some(Err(full @ StoreError::NoRoom { .. })) => debug!(error = %full, "not noted"),
            Some(Err(failure)) => self.failed(&failure),
            Some(Ok(())) | None => {}
        }
    }

    /// Notes now and then that the folder is good, and whether damage was looked at.
    pub(super) async fn run(self) {
        let stopping = self.tasks.stopping();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(SEEN_EVERY) => {}
            }
            if self.health.folder().last_good.is_none() {
                self.note_seen().await;
            }
            if self.number.load(Ordering::Acquire) != 0 && !self.keep.is_damaged() {
                self.health.kept_broken(None);
            }
        }
    }

    /// Does something with the store; waits for room. `None` when the daemon stops, also because the
    /// store failed.
    pub(super) async fn stored<T: Send + 'static>(
        &self,
        work: impl Fn(&Store) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Option<T> {
        let stopping = self.tasks.stopping();
        loop {
            let (store, work) = (Arc::clone(&self.store), work.clone());
            match self.tasks.blocking(move || work(&store)).await? {
                Ok(done) => return Some(done),
                Err(full @ StoreError::NoRoom { .. }) => {
                    warn!(error = %full, "a registry waits for room on the disk");
                }
                Err(failure) => {
                    self.failed(&failure);
                    return None;
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    fn failed(&self, failure: &StoreError) {
        error!(error = %chain(failure), "the store failed: stopping");
        self.health.failed("the store failed");
    }
}

/// Tells the log what is served from the state directory.
pub(super) fn log_restored(kept: &KeptRegistry) {
    info!(
        digest = %kept.resumed.snapshot.digest,
        accepted = %kept.resumed.accepted,
        seen = %kept.seen,
        "the last good registry is served, as it was kept"
    );
}
