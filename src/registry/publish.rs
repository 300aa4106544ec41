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

use super::check::{Checked, Definitions, Rules, check};
use super::diagnostic::{self, Problem};
use super::diff::{Change, diff};
use super::digest;
use super::guard::{self, Held};
use super::held::Gate;
use super::keep::Kept;
use super::load::{Folder, Limits, LoadError, Loaded, Loader, Look};
use super::snapshot::Snapshot;
use super::source::Source;
use crate::clock::Clock;
use crate::domain::{CommitId, Digest, Lifetime, UnixSeconds};

/// How old the last good registry may be before it is an alarm: who mends a folder does so within a
/// working day.
pub const LAST_GOOD_MAX_AGE: Lifetime = Lifetime::from_hours(24);

/// What is done with a last good registry that the folder has not held for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastGoodSettings {
    /// For how long it may be served without an alarm.
    pub max_age: Lifetime,
    /// Whether no token is issued by it after that.
    pub refuse: bool,
}

impl Default for LastGoodSettings {
    fn default() -> Self {
        Self {
            max_age: LAST_GOOD_MAX_AGE,
            refuse: false,
        }
    }
}

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
    /// What is done when the folder has been broken for long.
    pub last_good: LastGoodSettings,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("registry.d"),
            rules: Rules::default(),
            limits: Limits::default(),
            events: true,
            extra: None,
            last_good: LastGoodSettings::default(),
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
    /// The folder holds a registry that takes away more than a guard allows: what was accepted last
    /// stands until an operator releases it.
    Held(HeldBack),
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
    /// What changed since the registry accepted before, also in a run before: nothing at first, when
    /// there was none, and nothing when a refused folder says the same again.
    pub changes: Vec<Change>,
    /// The digest of the one before; `None` when there was none.
    pub previous: Option<Digest>,
    /// What somebody should look at.
    pub warnings: Vec<Problem>,
    /// The files that it was made of.
    pub files: Vec<Arc<Source>>,
}

/// A registry that was kept, and stands under today's rules.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// The registry.
    pub snapshot: Arc<Snapshot>,
    /// The git commit that it was accepted from.
    pub commit: Option<CommitId>,
    /// When it was accepted.
    pub accepted: UnixSeconds,
}

/// Why a registry that was kept, whole, can't be served.
#[derive(Clone, Debug)]
pub enum Unusable {
    /// Today's rules refuse it: settings or program are other ones than before. Never empty.
    Refused(Vec<Problem>),
    /// Its files make another registry than was recorded.
    Another {
        /// The digest that was recorded.
        recorded: Digest,
        /// The digest that they have.
        found: Digest,
    },
}

/// A registry that is held back.
#[derive(Clone, Debug)]
pub struct HeldBack {
    /// What it takes away, and why that is held.
    pub held: Held,
    /// What git says of the folder.
    pub revision: Revision,
    /// Whether the same change was told before, with another commit.
    pub again: bool,
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
    /// Whether what was accepted was told in this run.
    told: bool,
    refused: Option<Digest>,
    revision: Revision,
    waiting: Option<Waiting>,
    gate: Arc<Gate>,
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

/// A registry that passed `check`.
#[derive(Debug)]
struct Candidate {
    checked: Checked,
    revision: Revision,
    warnings: Vec<Problem>,
    files: Vec<Arc<Source>>,
}

/// One that is held back.
#[derive(Debug)]
struct Waiting {
    change: Digest,
    candidate: Candidate,
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
            told: false,
            refused: None,
            revision: Revision::default(),
            waiting: None,
            gate: Arc::default(),
            counters: Arc::default(),
        }
    }

    /// Takes up a registry that was kept, after it was checked like any other: the folder is compared
    /// with it, and a file that says the same as then is not parsed again.
    ///
    /// # Errors
    /// [`Unusable`]: it is as if nothing had been kept.
    pub fn resume(&mut self, kept: &Kept) -> Result<Resumed, Unusable> {
        let files: Vec<Arc<Definitions>> = kept
            .files
            .iter()
            .map(|source| Arc::new(Definitions::of(Arc::clone(source))))
            .collect();
        let checked = check(&files, &self.rules).map_err(Unusable::Refused)?;
        let (recorded, found) = (kept.seal.digest, checked.snapshot.digest);
        // Another program may have another form of digest: then the checksums of the files speak alone.
        if *kept.seal.form == *digest::LABEL && recorded != found {
            return Err(Unusable::Another { recorded, found });
        }
        let snapshot = Arc::new(checked.snapshot);
        self.loader.resume(&kept.files);
        self.parsed = by_path(&files);
        self.accepted = Some(Arc::clone(&snapshot));
        Ok(Resumed {
            snapshot,
            commit: kept.seal.commit.clone(),
            accepted: kept.seal.accepted,
        })
    }

    /// The counts.
    #[must_use]
    pub fn counters(&self) -> Arc<RegistryCounters> {
        Arc::clone(&self.counters)
    }

    /// Where changes wait that are held back.
    #[must_use]
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
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
            Look::Unchanged => self.released().map_or(Outcome::Unchanged, Outcome::Update),
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
        let mut warnings = checked.warnings;
        warnings.extend(loaded.warnings);
        diagnostic::sort(&mut warnings);
        let candidate = Candidate {
            checked: Checked {
                warnings: Vec::new(),
                ..checked
            },
            revision,
            warnings,
            files: files.iter().map(|file| Arc::clone(file.source())).collect(),
        };
        self.guard(candidate)
    }

    /// Holds a change back that takes away too much, unless an operator released it.
    fn guard(&mut self, candidate: Candidate) -> Option<Update> {
        let known = self.accepted.as_ref();
        let held = known.and_then(|known| guard::hold(known, &candidate.checked.snapshot));
        match held {
            Some(held) if !self.gate.lets(held.hash) => self.hold(held, candidate),
            _ => self.accept(candidate),
        }
    }

    fn hold(&mut self, held: Held, candidate: Candidate) -> Option<Update> {
        self.counters.problems.store(0, Ordering::Relaxed);
        let again = self.refused.replace(held.hash) == Some(held.hash);
        let revision = candidate.revision.clone();
        let before = self.waiting.replace(Waiting {
            change: held.hash,
            candidate,
        });
        self.gate.hold(held.hash);
        let same_revision = before.is_some_and(|before| before.candidate.revision == revision);
        if again && same_revision {
            return None;
        }
        Some(Update::Held(HeldBack {
            held,
            revision,
            again,
        }))
    }

    /// The change that was held back and is released now, if it is what the folder still holds.
    fn released(&mut self) -> Option<Update> {
        let waiting = self.waiting.take_if(|it| self.gate.lets(it.change))?;
        self.accept(waiting.candidate)
    }

    fn accept(&mut self, candidate: Candidate) -> Option<Update> {
        let Candidate {
            checked,
            revision,
            warnings,
            files,
        } = candidate;
        self.waiting = None;
        self.gate.accepted();
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
        let first = !std::mem::replace(&mut self.told, true);
        let news = same.is_none() || was_refused || first;
        self.accepted = Some(Arc::clone(&snapshot));
        if !news {
            return moved.then_some(Update::Moved(revision));
        }
        self.counters.applied.fetch_add(1, Ordering::Relaxed);
        Some(Update::Applied(Applied {
            snapshot,
            commit: revision.commit,
            dirty: revision.dirty,
            previous: known.as_ref().map(|known| known.digest),
            changes,
            warnings,
            files,
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
        self.parsed = by_path(&files);
        files
    }

    fn refuse(&mut self, why: Refusal, revision: Revision) -> Option<Update> {
        self.waiting = None;
        self.gate.clear();
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

fn by_path(files: &[Arc<Definitions>]) -> HashMap<Arc<str>, Arc<Definitions>> {
    let files = files.iter();
    files
        .map(|file| (Arc::clone(file.source().path()), Arc::clone(file)))
        .collect()
}

/// The form of digests that this program makes, for what is kept.
#[must_use]
pub fn digest_form() -> Arc<str> {
    Arc::from(digest::LABEL)
}
