//! What the daemon knows of its own state beyond the world. Touches: memory.

use std::sync::Mutex;

use tokio_util::sync::CancellationToken;

use crate::domain::UnixSeconds;
use crate::telemetry::status::{FolderStanding, HeldChange, LastGood};

/// Problems that are shown, of one refused registry: `check` has them all.
const MAX_SHOWN: usize = 10;

/// What is wrong now, and whether it is so wrong that the daemon must stop.
#[derive(Debug, Default)]
pub(super) struct Health {
    refused: Mutex<Vec<String>>,
    folder: Mutex<FolderStanding>,
    certificate: Mutex<Vec<String>>,
    failure: Mutex<Option<&'static str>>,
    failing: CancellationToken,
}

impl Health {
    /// The folder holds a registry that is served.
    pub(super) fn registry_accepted(&self) {
        if let Ok(mut refused) = self.refused.lock() {
            refused.clear();
        }
        self.stands(|folder| {
            folder.last_good = None;
            folder.held = None;
        });
    }

    /// How the folder stands beside what is served.
    pub(super) fn folder(&self) -> FolderStanding {
        let folder = self.folder.lock();
        folder.map(|folder| folder.clone()).unwrap_or_default()
    }

    /// The folder holds no good registry, and this one is served. Since when, if it was so already.
    pub(super) fn last_good(&self, last_good: LastGood) -> UnixSeconds {
        let mut seen = last_good.seen;
        self.stands(|folder| seen = folder.last_good.get_or_insert(last_good).seen);
        seen
    }

    /// The folder holds a good registry that waits for an operator.
    pub(super) fn registry_held(&self, held: HeldChange) {
        if let Ok(mut refused) = self.refused.lock() {
            refused.clear();
        }
        self.stands(|folder| {
            folder.last_good = None;
            folder.held = Some(held);
        });
    }

    /// A change can't be kept, and waits; `None` once it could.
    pub(super) fn keep_waits(&self, why: Option<String>) {
        self.stands(|folder| folder.keep_waits = why);
    }

    /// Something is wrong with what was kept; `None` once it is not any more.
    pub(super) fn kept_broken(&self, why: Option<String>) {
        self.stands(|folder| folder.kept_broken = why);
    }

    fn stands(&self, change: impl FnOnce(&mut FolderStanding)) {
        if let Ok(mut folder) = self.folder.lock() {
            change(&mut folder);
        }
    }

    /// The folder holds none that can be served.
    pub(super) fn registry_refused(&self, problems: &[String]) {
        if let Ok(mut refused) = self.refused.lock() {
            *refused = problems.iter().take(MAX_SHOWN).cloned().collect();
            let more = problems.len().saturating_sub(MAX_SHOWN);
            if more > 0 {
                refused.push(format!("and {more} more: run `grantd check`"));
            }
        }
        self.stands(|folder| folder.held = None);
    }

    /// What is wrong with the folder; empty when nothing is.
    pub(super) fn registry_problems(&self) -> Vec<String> {
        self.refused
            .lock()
            .map(|refused| refused.clone())
            .unwrap_or_default()
    }

    /// What is wrong with the server's certificate; empty when nothing is.
    pub(super) fn set_certificate_problems(&self, problems: Vec<String>) {
        if let Ok(mut certificate) = self.certificate.lock() {
            *certificate = problems;
        }
    }

    /// What was last set.
    pub(super) fn certificate_problems(&self) -> Vec<String> {
        self.certificate
            .lock()
            .map(|problems| problems.clone())
            .unwrap_or_default()
    }

    /// Something failed after which nobody knows what the disk holds: the daemon stops.
    pub(super) fn failed(&self, what: &'static str) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert(what);
        }
        self.failing.cancel();
    }

    /// Waits until something has failed.
    pub(super) async fn failure(&self) -> &'static str {
        self.failing.cancelled().await;
        self.failure
            .lock()
            .ok()
            .and_then(|failure| *failure)
            .unwrap_or("a part failed")
    }
}
