//! Watches the registry folder and tells what becomes of it. Touches: fs, net, clock.
//!
//! The first stage of the registry flow: `watch → load → …`.
//!
//! **Invariant:** an event of the file system is a hint to look, never the truth: it says neither
//! what changed nor that nothing did. What is true is what two scans agree on, and a look without
//! any event comes every [`POLL`]. So lost events, overflowed queues, replaced folders and file
//! systems that send nothing all end in the same state, only later.

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::RemoveKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::load::{Folder, Identity};
use super::publish::{Outcome, Publisher, RegistryCounters, RegistrySettings, Update};
use crate::tasks::Tasks;

/// How often to look without an event. Two looks that agree are needed, so a change is served
/// within 5 s where no event comes.
pub const POLL: Duration = Duration::from_secs(2);

/// How long the folder must have been quiet after an event. Measured (`storage.md`): a checkout or
/// an editor's save pauses less than this between two files.
pub const QUIET: Duration = Duration::from_millis(100);

/// How long a stream of events is waited out before the folder is looked at all the same.
pub const QUIET_AT_MOST: Duration = Duration::from_millis(700);

/// After how many looks that far apart a folder that never holds still is read all the same: about
/// a second of them.
const LOOKS_APART: u32 = 8;

/// Takes what becomes of the folder: the composer records it and, where it was accepted, serves it.
pub trait Sink: Send + 'static {
    /// Called once for each update, in order; the next look waits until it is done.
    fn take(&mut self, update: Update) -> impl Future<Output = ()> + Send;
}

/// Watches until `stop`. `publisher` has made the first look, so that only news are told;
/// `rescan` makes it look at once (SIGHUP).
pub async fn run<S: Sink>(
    settings: RegistrySettings,
    publisher: Publisher,
    mut sink: S,
    tasks: Tasks,
    (stop, rescan): (CancellationToken, Arc<Notify>),
) {
    let hints = Arc::new(Notify::new());
    let counters = publisher.counters();
    let watches = Watches::new(&settings, &hints, Arc::clone(&counters));
    let mut eye = Some(Eye { publisher, watches });
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut asked = 0;
        let mut settled = tokio::select! {
            () = stop.cancelled() => return,
            () = hints.notified() => {
                quiet(&hints).await;
                true
            }
            () = rescan.notified() => {
                asked = 1;
                true
            }
            _ = poll.tick() => false,
        };
        for again in 0_u32.. {
            let Some(mut looking) = eye.take() else {
                return;
            };
            let looked = tasks.blocking(move || {
                let outcome = looking.look(settled);
                (looking, outcome)
            });
            let Some((looked, outcome)) = looked.await else {
                return;
            };
            eye = Some(looked);
            match outcome {
                Outcome::Unchanged => break,
                Outcome::Update(update) => {
                    log(&update);
                    sink.take(update).await;
                    break;
                }
                Outcome::Unsettled => {
                    // Two looks this far apart that see the same: it holds still. What never does
                    // is read all the same, once the scans around the reading agree.
                    settled = again >= LOOKS_APART;
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(QUIET) => {}
                    }
                }
            }
        }
        counters.asked.fetch_add(asked, Ordering::Release);
    }
}

/// Waits until no hint has come for [`QUIET`], [`QUIET_AT_MOST`] in all.
async fn quiet(hints: &Notify) {
    let wait = async { while timeout(QUIET, hints.notified()).await.is_ok() {} };
    let _never_quiet = timeout(QUIET_AT_MOST, wait).await;
}

/// What looks, in one piece: it moves to a blocking thread for each look.
struct Eye {
    publisher: Publisher,
    watches: Watches,
}

impl Eye {
    fn look(&mut self, settled: bool) -> Outcome {
        let outcome = self.publisher.look(settled);
        if self.watches.follow(self.publisher.folders()) {
            // Something may have come between the scan and the watch.
            self.watches.hints.notify_one();
        }
        outcome
    }
}

/// The watches of the system on the folders that matter.
struct Watches {
    watcher: Option<RecommendedWatcher>,
    parent: PathBuf,
    watched: HashMap<PathBuf, Option<Identity>>,
    /// Set when a watched folder went away: another one under its name may have its inode, and
    /// has no watch.
    lost: Arc<AtomicBool>,
    hints: Arc<Notify>,
    counters: Arc<RegistryCounters>,
}

impl Watches {
    fn new(
        settings: &RegistrySettings,
        hints: &Arc<Notify>,
        counters: Arc<RegistryCounters>,
    ) -> Self {
        let root = std::path::absolute(&settings.folder).unwrap_or_default();
        let parent = root.parent().unwrap_or(&root).to_owned();
        let lost = Arc::new(AtomicBool::new(false));
        let watcher = if settings.events {
            watcher(&parent, root.file_name().map(OsString::from), hints, &lost)
                .inspect_err(|error| tracing::warn!(%error, "no file system events: polling only"))
                .ok()
        } else {
            None
        };
        Self {
            watcher,
            parent,
            watched: HashMap::new(),
            lost,
            hints: Arc::clone(hints),
            counters,
        }
    }

    /// Watches these folders and the root's parent, and nothing else. Whether a watch is new.
    ///
    /// Folders, not files: a watch on a file is lost without a word when another file is renamed
    /// over it. A folder with another identity under the same path is watched anew.
    fn follow(&mut self, folders: &[Folder]) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let mut wanted: HashMap<PathBuf, Option<Identity>> = folders
            .iter()
            .map(|folder| (folder.path.clone(), Some(folder.identity)))
            .collect();
        wanted.entry(self.parent.clone()).or_insert(None);
        let lost = self.lost.swap(false, Ordering::Relaxed);
        self.watched.retain(|path, identity| {
            let keep = !lost && wanted.get(path) == Some(identity);
            if !keep {
                // It fails where the folder is gone, and its watch with it.
                let _gone = watcher.unwatch(path);
            }
            keep
        });
        let mut news = false;
        for (path, identity) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => news = true,
                Err(error) => {
                    self.counters.watch_failures.fetch_add(1, Ordering::Relaxed);
                    let path = path.display();
                    tracing::warn!(%error, %path, "a folder can't be watched: it is polled");
                }
            }
            self.watched.insert(path, identity);
        }
        news
    }
}

/// A watcher that turns events into hints: not those of reading, which the look itself causes, and
/// in the parent only those of the root.
fn watcher(
    parent: &Path,
    root: Option<OsString>,
    hints: &Arc<Notify>,
    lost: &Arc<AtomicBool>,
) -> notify::Result<RecommendedWatcher> {
    let hints = Arc::clone(hints);
    let lost = Arc::clone(lost);
    let parent = parent.to_owned();
    let concerns = move |path: &PathBuf| {
        path.parent() != Some(parent.as_path()) || path.file_name() == root.as_deref()
    };
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
        Ok(event) if event.need_rescan() => hints.notify_one(),
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(event) if !event.paths.is_empty() && !event.paths.iter().any(&concerns) => {}
        Ok(event) => {
            if matches!(event.kind, EventKind::Remove(kind) if kind != RemoveKind::File) {
                lost.store(true, Ordering::Relaxed);
            }
            hints.notify_one();
        }
        Err(_) => hints.notify_one(),
    })
}

/// Most problems that are logged of one refusal: the event and `grantd check` have them all.
const MAX_LOGGED: usize = 20;

/// Logs what became of the folder. The watch does so itself; the composer does it for the first
/// look.
pub fn log(update: &Update) {
    use super::publish::Refusal;
    let commit = |commit: &Option<crate::domain::CommitId>| {
        commit.as_ref().map(|commit| commit.as_str().to_owned())
    };
    match update {
        Update::Applied(applied) => {
            let snapshot = &applied.snapshot;
            tracing::info!(
                digest = %snapshot.digest,
                commit = commit(&applied.commit),
                dirty = applied.dirty,
                resources = snapshot.resources.len(),
                clients = snapshot.clients.len(),
                changes = applied.changes.len(),
                "registry applied"
            );
        }
        Update::Moved(moved) => tracing::info!(
            commit = commit(&moved.commit),
            dirty = moved.dirty,
            "registry unchanged"
        ),
        Update::Held(back) => tracing::error!(
            change = %back.held.hash,
            commit = commit(&back.revision.commit),
            dirty = back.revision.dirty,
            why = %back.held,
            "registry change held back: the last good one stays"
        ),
        Update::Rejected(rejected) => match &rejected.why {
            Refusal::Load(error) => {
                tracing::error!(%error, "registry refused: the last good one stays");
            }
            Refusal::Check(problems) => {
                let count = problems.len();
                tracing::error!(
                    problems = count,
                    "registry refused: the last good one stays"
                );
                for problem in problems.iter().take(MAX_LOGGED) {
                    let spot = problem.place.spot.as_ref();
                    tracing::error!(
                        file = problem.place.file,
                        line = spot.map(|spot| spot.line),
                        column = spot.map(|spot| spot.column),
                        "{}",
                        problem.message
                    );
                }
            }
        },
    }
}
