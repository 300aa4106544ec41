//! From a folder to what is served: load, check, diff, once. Touches: fs, clock.
//!
//! Composes the registry flow. It decides nothing: whether the folder is a registry is `check`'s
//! word, and what becomes of the answer is the sink's.
//!
//! **Invariant:** each answer is told once: an unchanged folder says nothing, and the same refusal
//! is not repeated.

mod update;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::debug_span;

use super::check::{Checker, Definitions, Judged, Rules};
use super::diagnostic::{self, Problem};
use super::diff::diff;
use super::digest;
use super::guard::{self, Held};
use super::held::Gate;
use super::keep::Kept;
use super::load::{Folder, Limits, LoadError, Loaded, Loader, Look};
use super::snapshot::Snapshot;
use super::source::Source;
use crate::clock::Clock;
use crate::domain::{Digest, Lifetime};
use crate::tasks;

pub use update::{
    Applied, HeldBack, Outcome, Refusal, RegistryCounters, Rejected, Resumed, Revision, Unusable,
    Update,
};

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

/// Looks at one registry folder again and again.
#[derive(Debug)]
pub struct Publisher {
    loader: Loader,
    extra: Option<Arc<Definitions>>,
    parsed: Vec<Arc<Definitions>>,
    checker: Checker,
    accepted: Option<Arc<Snapshot>>,
    /// Whether what was accepted was told in this run.
    told: bool,
    /// What was taken up was kept and never served: no change can be told against it.
    resumed_unserved: bool,
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
    checked: Judged,
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
            loader: Loader::new(&settings.folder, settings.limits, clock),
            extra: settings
                .extra
                .clone()
                .map(|it| Arc::new(Definitions::of(it))),
            parsed: Vec::new(),
            checker: Checker::new(settings.rules.clone()),
            accepted: None,
            told: false,
            resumed_unserved: false,
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
        let mut files = parsed(&kept.files);
        files.sort_by(|a, b| a.source().path().cmp(b.source().path()));
        let checked = self.checker.check(&files).map_err(Unusable::Refused)?;
        let (recorded, found) = (kept.seal.digest, checked.snapshot.digest);
        // Another program may have another form of digest: then the checksums of the files speak alone.
        if *kept.seal.form == *digest::LABEL && recorded != found {
            return Err(Unusable::Another { recorded, found });
        }
        let snapshot = checked.snapshot;
        self.loader.resume(&kept.files);
        self.parsed = files;
        self.accepted = Some(Arc::clone(&snapshot));
        self.resumed_unserved = !kept.served;
        Ok(Resumed {
            snapshot,
            commit: kept.seal.commit.clone(),
            dirty: kept.seal.dirty,
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
        let update = self.judge(loaded);
        // From here on it was served, or another one was.
        self.resumed_unserved = false;
        match update {
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
        let checked = match debug_span!("check").in_scope(|| self.checker.check(&files)) {
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
            checked: Judged {
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
        let served_before = known.as_ref().filter(|_| !self.resumed_unserved);
        let changes = match served_before {
            Some(known) => debug_span!("diff").in_scope(|| diff(known, &checked.snapshot)),
            None => Vec::new(),
        };
        // Requests keep the snapshot that they have, when the new one says the same.
        let snapshot = same.cloned().unwrap_or(checked.snapshot);
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
            previous: served_before.map(|known| known.digest),
            changes,
            warnings,
            files,
        }))
    }

    /// What the files define. A file that is the same as before is not parsed again; many are parsed on several
    /// threads.
    fn definitions(&mut self, loaded: &Loaded) -> Vec<Arc<Definitions>> {
        let _span = debug_span!("parse").entered();
        // Both are in the order of their paths.
        let mut known = std::mem::take(&mut self.parsed).into_iter().peekable();
        let mut fresh: Vec<Arc<Source>> = Vec::new();
        let mut files: Vec<Option<Arc<Definitions>>> = Vec::with_capacity(loaded.sources.len());
        for source in &loaded.sources {
            let same = |old: &Arc<Definitions>| Arc::ptr_eq(old.source(), source);
            let mut file = known.next_if(same);
            if file.is_none() {
                while known
                    .next_if(|old| old.source().path() < source.path())
                    .is_some()
                {}
                file = known.next_if(same);
            }
            if file.is_none() {
                fresh.push(Arc::clone(source));
            }
            files.push(file);
        }
        let mut fresh = parsed(&fresh).into_iter();
        let files = files
            .into_iter()
            .filter_map(|file| file.or_else(|| fresh.next()));
        self.parsed = files.collect();
        self.parsed
            .iter()
            .chain(&self.extra)
            .map(Arc::clone)
            .collect()
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

/// What these files define, parsed on several threads where there are many.
fn parsed(sources: &[Arc<Source>]) -> Vec<Arc<Definitions>> {
    tasks::shared(sources, |run| {
        run.iter()
            .map(|source| Arc::new(Definitions::of(Arc::clone(source))))
            .collect()
    })
}

/// The form of digests that this program makes, for what is kept.
#[must_use]
pub fn digest_form() -> Arc<str> {
    Arc::from(digest::LABEL)
}
