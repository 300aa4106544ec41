//! Releases a change of the registry that is held back, for an operator. Touches: fs, clock.
//!
//! **Invariant:** who released what is on record before anything comes of it, and the release is on disk
//! before it lets the change through: a restart between them forgets neither.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{error, info};

use super::health::Health;
use crate::admin::AcceptedRegistry;
use crate::audit::Journal;
use crate::audit::event::{ControlEvent, RegistryAccepted};
use crate::domain::{Caller, Digest, chain};
use crate::registry::held::Gate;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::world::Current;

/// How long to wait for the change to be served: a registry of 100,000 clients is written in a second or
/// two. It goes on without us.
const SERVED_WAIT: Duration = Duration::from_secs(20);

/// How often to look whether it is.
const SERVED_LOOK: Duration = Duration::from_millis(20);

/// What a release needs.
#[derive(Clone)]
pub(super) struct Releases {
    pub(super) gate: Arc<Gate>,
    pub(super) journal: Journal,
    pub(super) store: Arc<Store>,
    pub(super) current: Arc<Current>,
    pub(super) health: Arc<Health>,
    pub(super) tasks: Tasks,
    pub(super) rescan: Arc<Notify>,
}

impl Releases {
    /// Releases this change, and waits until it is served.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) async fn release(
        self,
        change: Digest,
        caller: Caller,
    ) -> Result<AcceptedRegistry, String> {
        match self.gate.waiting() {
            Some(waiting) if waiting == change => {}
            Some(waiting) => {
                return Err(format!(
                    "change {change} does not wait: the folder has changed since, or the hash is mistyped; what waits is {waiting}: see `grantd status` for what it takes away"
                ));
            }
            None => return Err("no change of the registry is held back".to_owned()),
        }
        let event = ControlEvent::RegistryAccepted(RegistryAccepted { change, caller });
        let recorded = self.journal.control(event).await;
        recorded.map_err(|why| format!("it can't be recorded, so nothing was done: {why}"))?;
        info!(%change, %caller, "an operator releases a change of the registry");
        self.kept(move |store| store.release_change(change)).await?;
        if !self.gate.release_waiting(change) {
            // The folder has changed meanwhile: a release must not wait for the same change to come again.
            self.kept(Store::forget_release).await?;
            return Err(format!(
                "change {change} waits no more: the folder has changed meanwhile, and nothing was released"
            ));
        }
        self.rescan.notify_one();
        Ok(self.outcome(change).await)
    }

    async fn kept(
        &self,
        change: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), String> {
        let store = Arc::clone(&self.store);
        let kept = self.tasks.blocking(move || change(&store));
        match kept.await {
            Some(Ok(())) => Ok(()),
            Some(Err(full @ StoreError::NoRoom { .. })) => Err(full.to_string()),
            Some(Err(failure)) => {
                error!(error = %chain(&failure), "the store failed: stopping");
                self.health.failed("the store failed");
                Err("the store failed: the daemon stops".to_owned())
            }
            None => Err("the daemon is stopping".to_owned()),
        }
    }

    /// Waits until the change is served, or another thing is known of the folder.
    async fn outcome(&self, change: Digest) -> AcceptedRegistry {
        let served = async {
            let held = || self.health.folder().held;
            while held().is_some_and(|held| held.hash == change) {
                tokio::time::sleep(SERVED_LOOK).await;
            }
        };
        let stopping = self.tasks.stopping();
        let in_time = tokio::select! {
            () = stopping.cancelled() => false,
            waited = tokio::time::timeout(SERVED_WAIT, served) => waited.is_ok(),
        };
        let served = self.current.load().registry.clone().filter(|_| in_time);
        AcceptedRegistry {
            change: change.to_string(),
            generation: served.as_ref().map(|served| served.generation),
            digest: served.map(|served| served.snapshot.digest.to_string()),
        }
    }
}
