//! Writes the last uses of credentials to the store. Touches: fs, clock.
//!
//! **Invariant:** what is written is what requests noted: after a crash no more than one interval is missing,
//! after a clean stop nothing. A full disk is no failure: it is tried again at the next interval.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::health::Health;
use crate::clock::Clock;
use crate::domain::chain;
use crate::registry::ledger::Ledger;
use crate::store::{LAST_USE_BYTES, Store, StoreError};
use crate::tasks::Tasks;
use crate::world::Current;

/// Most bytes of one commit: less than the room that a commit must find, two of sled's segments of 512 KiB,
/// whole and rewritten.
const BATCH_BYTES: usize = 256 * 1024;

/// How often credentials that left the registry are looked for: they are kept for months.
const TIDY: Duration = Duration::from_secs(3600);

/// What it takes to keep something in the store.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) store: Arc<Store>,
    pub(super) clock: Clock,
    pub(super) health: Arc<Health>,
    pub(super) tasks: Tasks,
}

/// Writes what was noted.
pub(super) struct LastUseWriter {
    pub(super) ledger: Arc<Ledger>,
    pub(super) current: Arc<Current>,
    pub(super) every: Duration,
    pub(super) kept: Kept,
}

impl LastUseWriter {
    /// Writes at each interval until the daemon stops, and once more then: the requests have ended.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let mut full = false;
        let mut tidied = self.kept.clock.monotonic();
        loop {
            let stops = tokio::select! {
                () = stopping.cancelled() => true,
                () = tokio::time::sleep(self.every) => false,
            };
            let now = self.kept.clock.monotonic();
            if !stops && now.saturating_sub(tidied) >= TIDY {
                tidied = now;
                self.tidy().await;
            }
            full = self.write(full).await;
            if stops {
                return;
            }
        }
    }

    /// Writes in batches; whether the disk is full, which is told once, not at each interval.
    async fn write(&self, was_full: bool) -> bool {
        let mut from = Some(0);
        while let Some(at) = from {
            let (ledger, store) = (Arc::clone(&self.ledger), Arc::clone(&self.kept.store));
            let batch = self.kept.blocking(move || {
                let batch = ledger.unsaved(at, (LAST_USE_BYTES, BATCH_BYTES));
                if !batch.shards.is_empty() {
                    store.set_last_uses(&batch.shards)?;
                    ledger.saved(&batch.shards);
                }
                Ok(batch.next)
            });
            match batch.await {
                Written::Done(next) => from = next,
                Written::NoRoom(full) => {
                    if !was_full {
                        warn!(error = %full, "the last uses of credentials wait for room on the disk");
                    }
                    return true;
                }
                Written::Ends => return was_full,
            }
        }
        false
    }

    /// Forgets what has been out of the registry for long. Only by a clock that is believed.
    async fn tidy(&self) {
        let world = self.current.load();
        let believed = world.rings.as_ref().is_some_and(|it| it.clock().signs());
        let Some(served) = world.registry.clone().filter(|_| believed) else {
            return;
        };
        let (ledger, now) = (Arc::clone(&self.ledger), self.kept.clock.now_seconds());
        let forgetting = self.kept.tasks.blocking(move || {
            ledger.forget(&served.snapshot, now);
        });
        let _stopping = forgetting.await;
    }
}

/// What became of work on the store.
pub(super) enum Written<T> {
    /// It is done.
    Done(T),
    /// The disk is full, and nothing was changed.
    NoRoom(StoreError),
    /// The daemon stops: the store failed, or the runtime goes down.
    Ends,
}

impl Kept {
    /// Works on the store, away from the threads that serve requests. A failure of it ends the daemon.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Written<T> {
        match self.tasks.blocking(work).await {
            Some(Ok(done)) => Written::Done(done),
            Some(Err(full @ StoreError::NoRoom { .. })) => Written::NoRoom(full),
            Some(Err(failure)) => {
                error!(error = %chain(&failure), "the store failed: stopping");
                self.health.failed("the store failed");
                Written::Ends
            }
            None => Written::Ends,
        }
    }
}
