//! The two registries that are compared, each loaded and checked. Touches: fs, net, clock.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::PlanFault;
use super::live::{self, LiveFault};
use super::report::Refused;
use super::source::Source;
use crate::clock::Clock;
use crate::domain::CommitId;
use crate::registry::check::{Definitions, check};
use crate::registry::diagnostic::{self, Problem};
use crate::registry::load::revision::{History, RevisionError, short};
use crate::registry::load::{LoadError, Loaded, Loader};
use crate::registry::publish::RegistrySettings;
use crate::registry::snapshot::Snapshot;

/// What is to be compared.
pub(super) struct Asked<'a> {
    pub(super) from: &'a Source,
    pub(super) to: Option<&'a Source>,
    pub(super) merge_base: bool,
    pub(super) ca_file: Option<&'a Path>,
}

/// One of the two registries.
pub(super) struct Side {
    /// What the command line calls it.
    pub(super) source: String,
    /// The same for people: `HEAD (1a2b3c4d5e6f)`.
    pub(super) label: String,
    /// What stands before its files' paths, with a `/` at the end; empty where nothing does.
    pub(super) prefix: String,
    /// The git commit, where there is one.
    pub(super) commit: Option<CommitId>,
    /// What its files define.
    pub(super) files: Vec<Arc<Definitions>>,
    /// What they say.
    pub(super) snapshot: Snapshot,
}

/// Both registries.
pub(super) struct Sides {
    pub(super) from: Side,
    pub(super) to: Side,
}

/// Where a registry is, once names are resolved.
struct Found {
    source: String,
    label: String,
    prefix: String,
    at: Place,
    /// What a live daemon says that it serves.
    served: Option<(String, live::Served)>,
}

enum Place {
    Folder(std::path::PathBuf),
    Commit(CommitId),
}

/// Finds registries, with the repository that is opened when the first revision is asked for.
struct Finder<'a> {
    settings: &'a RegistrySettings,
    ca_file: Option<&'a Path>,
    clock: Clock,
    history: Option<History>,
}

impl Sides {
    /// Loads and checks both. The inner error is a registry of `--to` that is refused.
    pub(super) fn load(
        asked: &Asked<'_>,
        settings: &RegistrySettings,
        clock: Clock,
    ) -> Result<Result<Self, Refused>, PlanFault> {
        let mut finder = Finder {
            settings,
            ca_file: asked.ca_file,
            clock,
            history: None,
        };
        let mut from = finder.find(asked.from)?;
        let to = match asked.to {
            Some(to) => finder.find(to)?,
            None => folder(&settings.folder),
        };
        if asked.merge_base {
            from = finder.merge_base(from, &to)?;
        }
        let old = finder.load(&from)?.map_err(PlanFault::Load)?;
        let new = match finder.load(&to)? {
            Ok(loaded) => loaded,
            Err(error) if error.is_unreachable() => return Err(PlanFault::Load(error)),
            Err(error) => return Ok(Err(Refused::load(&to.label, &error))),
        };
        let known = define(&old, &HashMap::new());
        let by_path = known
            .iter()
            .map(|file| (Arc::clone(file.source().path()), Arc::clone(file)))
            .collect();
        let files = define(&new, &by_path);
        let new = match judge(&files, new, settings) {
            Ok(snapshot) => {
                to.hold_to_its_word(&snapshot)?;
                to.side(files, snapshot)
            }
            Err(problems) => return Ok(Err(Refused::check(&to.label, &to.prefix, problems))),
        };
        let old = judge(&known, old, settings).map_err(|problems| PlanFault::Base {
            from: from.source.clone(),
            prefix: from.prefix.clone(),
            problems,
        })?;
        from.hold_to_its_word(&old)?;
        Ok(Ok(Self {
            from: from.side(known, old),
            to: new,
        }))
    }
}

impl Finder<'_> {
    fn history(&mut self) -> Result<&History, RevisionError> {
        match &mut self.history {
            Some(history) => Ok(history),
            none => Ok(none.insert(History::around(&self.settings.folder)?)),
        }
    }

    fn find(&mut self, source: &Source) -> Result<Found, PlanFault> {
        match source {
            Source::Folder(path) => Ok(folder(path)),
            Source::Revision(name) => {
                let commit = self.history()?.resolve(name)?;
                Ok(self.commit(source.to_string(), &source.to_string(), commit)?)
            }
            Source::Live(url) => {
                // First whether there is a repository: without, nobody need be asked.
                self.history()?;
                let served = live::ask(url, self.ca_file, self.clock)?;
                if !self.history()?.knows(&served.commit) {
                    return Err(PlanFault::Live(LiveFault::UnknownCommit {
                        url: url.to_string(),
                        commit: served.commit.as_str().to_owned(),
                    }));
                }
                let commit = served.commit.clone();
                let mut found = self.commit(source.to_string(), "the live daemon", commit)?;
                found.served = Some((url.to_string(), served));
                Ok(found)
            }
        }
    }

    fn commit(
        &mut self,
        source: String,
        name: &str,
        commit: CommitId,
    ) -> Result<Found, RevisionError> {
        let inside = self.history()?.inside();
        Ok(Found {
            source,
            label: format!("{name} ({})", short(&commit)),
            prefix: prefix(&inside),
            at: Place::Commit(commit),
            served: None,
        })
    }

    /// The commit from which both came.
    fn merge_base(&mut self, from: Found, to: &Found) -> Result<Found, PlanFault> {
        let Place::Commit(one) = &from.at else {
            return Err(PlanFault::NoHistory { from: from.source });
        };
        let history = self.history()?;
        let other = match &to.at {
            Place::Commit(commit) => commit.clone(),
            // A folder stands on the last commit.
            Place::Folder(_) => history.resolve("HEAD")?,
        };
        let base = history.merge_base(one, &other)?;
        let name = format!("the merge base with {}", from.source);
        Ok(self.commit(from.source, &name, base)?)
    }

    /// Reads a registry. The inner error is a folder or a commit that holds none.
    fn load(&self, found: &Found) -> Result<Result<Loaded, LoadError>, PlanFault> {
        let limits = self.settings.limits;
        match &found.at {
            Place::Folder(path) => Ok(Loader::new(path, limits, self.clock).load()),
            Place::Commit(commit) => match &self.history {
                Some(history) => match history.load(commit, limits) {
                    Ok(loaded) => Ok(Ok(loaded)),
                    Err(RevisionError::Load(error)) => Ok(Err(error)),
                    Err(error) => Err(error.into()),
                },
                // A commit was found in a history.
                None => Ok(Err(LoadError::Missing(found.label.clone()))),
            },
        }
    }
}

impl Found {
    /// What a live daemon serves must be what the commit holds.
    fn hold_to_its_word(&self, snapshot: &Snapshot) -> Result<(), LiveFault> {
        match &self.served {
            Some((url, served)) if served.digest != snapshot.digest.to_string() => {
                Err(LiveFault::Differs {
                    url: url.clone(),
                    commit: short(&served.commit).to_owned(),
                    served: served.digest.clone(),
                    found: snapshot.digest.to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    fn side(self, files: Vec<Arc<Definitions>>, snapshot: Snapshot) -> Side {
        Side {
            source: self.source,
            label: self.label,
            prefix: self.prefix,
            commit: match self.at {
                Place::Commit(commit) => Some(commit),
                Place::Folder(_) => None,
            },
            files,
            snapshot,
        }
    }
}

fn folder(path: &Path) -> Found {
    let shown = path.display().to_string();
    let label = crate::domain::visible(&shown).into_owned();
    Found {
        source: label.clone(),
        prefix: prefix(&label),
        label,
        at: Place::Folder(path.to_owned()),
        served: None,
    }
}

/// A folder before its files' paths, as a workflow's annotations want it: without `./`.
fn prefix(folder: &str) -> String {
    let folder = folder.strip_prefix("./").unwrap_or(folder);
    match folder.trim_end_matches('/') {
        "" | "." => String::new(),
        folder => format!("{folder}/"),
    }
}

/// What the files define. One that the other registry has too is not read twice.
fn define(loaded: &Loaded, known: &HashMap<Arc<str>, Arc<Definitions>>) -> Vec<Arc<Definitions>> {
    let files = loaded
        .sources
        .iter()
        .map(|source| match known.get(source.path()) {
            Some(known) if known.source().same_content(source) => Arc::clone(known),
            _ => Arc::new(Definitions::of(Arc::clone(source))),
        });
    files.collect()
}

fn judge(
    files: &[Arc<Definitions>],
    loaded: Loaded,
    settings: &RegistrySettings,
) -> Result<Snapshot, Vec<Problem>> {
    match check(files, &settings.rules) {
        Ok(checked) if loaded.problems.is_empty() => Ok(checked.snapshot),
        refused => {
            let mut problems = refused.err().unwrap_or_default();
            problems.extend(loaded.problems);
            diagnostic::sort(&mut problems);
            Err(problems)
        }
    }
}
