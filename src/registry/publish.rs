//! From a folder to what is served: load, check, diff, once. Touches: fs, clock.
//!
//! Composes the registry flow. It decides nothing: whether the folder is a registry is `check`'s
//! word, and what becomes of the answer is the sink's.
//!
//! **Invariant:** each answer is told once: an unchanged folder says nothing, and the same refusal
//! is not repeated.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::check::{Definitions, Rules, check};
use super::diagnostic::{self, Problem};
use super::diff::{Change, diff};
use super::load::{Folder, Limits, LoadError, Loaded, Loader, Look};
use super::snapshot::Snapshot;
use super::source::Source;
use crate::clock::Clock;
use crate::domain::{CommitId, Digest};

/// What the registry stage needs to know.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// The folder.
    pub folder: PathBuf,
    /// What it is checked against.
    pub rules: Rules,
    /// How much of it is read at most.
    pub limits: Limits,
    /// Whether to ask the system for events; without, the folder is only polled. Off for network
    /// file systems that claim to send events and don't.
    pub events: bool,
    /// A file that is read as if it lay in the folder: the demo client of `grantd dev`.
    pub extra: Option<Arc<Source>>,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("registry.d"),
            rules: Rules::default(),
            limits: Limits::default(),
            events: true,
            extra: None,
        }
    }
}

/// What became of the folder.
#[derive(Clone, Debug)]
pub enum Update {
    /// A registry was accepted: another one, or the same after a refusal.
    Applied(Applied),
    /// The folder holds no acceptable registry: what was accepted last stands.
    Rejected(Rejected),
    /// Git's `HEAD` moved, or the folder differs from it now, or no more; but the registry says the
    /// same.
    Moved(Revision),
}

/// What git says of the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// The git commit, where the folder is in a work tree.
    pub commit: Option<CommitId>,
    /// Whether the folder differs from it, where that is known.
    pub dirty: Option<bool>,
}

/// A registry that was accepted.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The registry.
    pub snapshot: Arc<Snapshot>,
    /// The git commit, where the folder is in a work tree.
    pub commit: Option<CommitId>,
    /// Whether the folder differs from it, where that is known.
    pub dirty: Option<bool>,
    /// What changed since the registry accepted before: nothing at first, when there was none,
    /// and nothing when a refused folder says the same again.
    pub changes: Vec<Change>,
    /// What somebody should look at.
    pub warnings: Vec<Problem>,
}

/// A registry that was refused.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Why.
    pub why: Refusal,
    /// The git commit, where the folder is in a work tree and could be read.
    pub commit: Option<CommitId>,
    /// Whether the folder differs from it, where that is known.
    pub dirty: Option<bool>,
    /// Stands for the reason: another one is another refusal.
    pub digest: Digest,
}

/// Why a folder was refused.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// It can't be read as a registry at all.
    Load(LoadError),
    /// It can, and this is wrong with it; never empty.
    Check(Vec<Problem>),
}

/// What one look came to.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing new.
    Unchanged,
    /// The folder is changing: look again soon.
    Unsettled,
    /// Something to tell.
    Update(Update),
}

/// Counts of the registry stage, for telemetry.
#[derive(Debug, Default)]
pub struct RegistryCounters {
    /// Looks at the folder.
    pub looks: AtomicU64,
    /// Registries accepted.
    pub applied: AtomicU64,
    /// Registries refused, each reason once.
    pub rejected: AtomicU64,
    /// Problems of the folder as it is now; 0 once it is accepted.
    pub problems: AtomicU64,
    /// Folders that could not be watched by events, so that they are only polled.
    pub watch_failures: AtomicU64,
    /// Looks that were asked for (SIGHUP) and are over, with what came of them.
    pub asked: AtomicU64,
}

/// Looks at one registry folder again and again.
#[derive(Debug)]
pub struct Publisher {
    rules: Rules,
    loader: Loader,
    extra: Option<Arc<Source>>,
    parsed: HashMap<Arc<str>, Arc<Definitions>>,
    accepted: Option<Arc<Snapshot>>,
    refused: Option<Digest>,
    revision: Revision,
    counters: Arc<RegistryCounters>,
}

impl Revision {
    fn of(loaded: &Loaded) -> Self {
        Self {
            commit: loaded.commit.clone(),
            dirty: loaded.dirty,
        }
    }
}

impl Publisher {
    /// A publisher of this folder that has accepted nothing yet.
    #[must_use]
    pub fn new(settings: &RegistrySettings, clock: Clock) -> Self {
        Self {
            rules: settings.rules.clone(),
            loader: Loader::new(&settings.folder, settings.limits, clock),
            extra: settings.extra.clone(),
            parsed: HashMap::new(),
            accepted: None,
            refused: None,
            revision: Revision::default(),
            counters: Arc::default(),
        }
    }

    /// The same with a snapshot that is served already, against which the first change is told.
    #[must_use]
    pub fn after(self, snapshot: Arc<Snapshot>) -> Self {
        Self {
            accepted: Some(snapshot),
            ..self
        }
    }

    /// The counts.
    #[must_use]
    pub fn counters(&self) -> Arc<RegistryCounters> {
        Arc::clone(&self.counters)
    }

    /// The folders to watch, as of the last look.
    #[must_use]
    pub fn folders(&self) -> &[Folder] {
        self.loader.folders()
    }

    /// Reads the folder now, waiting for it to hold still: what a start and `grantd check` do.
    /// Blocks for up to half a second and the time of reading.
    pub fn first(&mut self) -> Update {
        self.counters.looks.fetch_add(1, Ordering::Relaxed);
        let loaded = self.loader.load();
        let revision = loaded.as_ref().map(Revision::of).unwrap_or_default();
        match self.judge(loaded) {
            Some(update) => update,
            // A first look has something to tell; a later call may find the same as before.
            None => Update::Moved(revision),
        }
    }

    /// Looks whether there is something new. `settled` says that the folder has been quiet, so
    /// that one look is enough. Blocks for the time of reading.
    pub fn look(&mut self, settled: bool) -> Outcome {
        self.counters.looks.fetch_add(1, Ordering::Relaxed);
        match self.loader.look(settled) {
            Look::Unchanged => Outcome::Unchanged,
            Look::Unsettled => Outcome::Unsettled,
            Look::Changed(loaded) => self
                .judge(loaded)
                .map_or(Outcome::Unchanged, Outcome::Update),
        }
    }

    fn judge(&mut self, loaded: Result<Loaded, LoadError>) -> Option<Update> {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return self.refuse(Refusal::Load(error), Revision::default()),
        };
        let revision = Revision::of(&loaded);
        let files = self.definitions(&loaded);
        let checked = match check(&files, &self.rules) {
            Ok(checked) if loaded.problems.is_empty() => checked,
            refused => {
                let mut problems = refused.err().unwrap_or_default();
                problems.extend(loaded.problems);
                diagnostic::sort(&mut problems);
                return self.refuse(Refusal::Check(problems), revision);
            }
        };
        let moved = self.revision != revision;
        self.revision.clone_from(&revision);
        let was_refused = self.refused.take().is_some();
        self.counters.problems.store(0, Ordering::Relaxed);
        let known = self.accepted.take();
        let same = known
            .as_ref()
            .filter(|known| known.digest == checked.snapshot.digest);
        let changes = match &known {
            Some(known) => diff(known, &checked.snapshot),
            None => Vec::new(),
        };
        // Requests keep the snapshot that they have, when the new one says the same.
        let snapshot = same.cloned().unwrap_or_else(|| Arc::new(checked.snapshot));
        let news = same.is_none() || was_refused;
        self.accepted = Some(Arc::clone(&snapshot));
        if !news {
            return moved.then_some(Update::Moved(revision));
        }
        self.counters.applied.fetch_add(1, Ordering::Relaxed);
        let mut warnings = checked.warnings;
        warnings.extend(loaded.warnings);
        diagnostic::sort(&mut warnings);
        Some(Update::Applied(Applied {
            snapshot,
            commit: revision.commit,
            dirty: revision.dirty,
            changes,
            warnings,
        }))
    }

    /// What the files define. A file that is the same as before is not parsed again.
    fn definitions(&mut self, loaded: &Loaded) -> Vec<Arc<Definitions>> {
        let mut known = std::mem::take(&mut self.parsed);
        let files: Vec<Arc<Definitions>> = loaded
            .sources
            .iter()
            .chain(&self.extra)
            .map(|source| match known.remove(source.path()) {
                Some(parsed) if Arc::ptr_eq(parsed.source(), source) => parsed,
                _ => Arc::new(Definitions::of(Arc::clone(source))),
            })
            .collect();
        self.parsed = files
            .iter()
            .map(|file| (Arc::clone(file.source().path()), Arc::clone(file)))
            .collect();
        files
    }

    fn refuse(&mut self, why: Refusal, revision: Revision) -> Option<Update> {
        let (digest, count) = match &why {
            Refusal::Load(error) => (Digest::of(error.to_string().as_bytes()), 1),
            Refusal::Check(problems) => (diagnostic::digest(problems), problems.len()),
        };
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.counters.problems.store(count, Ordering::Relaxed);
        if self.refused.replace(digest) == Some(digest) {
            return None;
        }
        self.counters.rejected.fetch_add(1, Ordering::Relaxed);
        Some(Update::Rejected(Rejected {
            why,
            commit: revision.commit,
            dirty: revision.dirty,
            digest,
        }))
    }
}
