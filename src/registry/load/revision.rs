//! Reads a registry from a git commit, without a checkout. Touches: fs, by gix.
//!
//! Only objects and references are read: no git is run, nothing is fetched or written, and no
//! configuration counts but the repository's own.
//!
//! **Invariant:** what comes out is what a checkout of the commit would hold, read by the rules of a
//! folder scan; what can't be known from objects alone (a submodule, a link to an absolute path) is a
//! problem, never left out in silence.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix::ObjectId;

use super::tree::{Fault, Walk};
use super::{Limits, LoadError, Loaded};
use crate::domain::CommitId;
use crate::registry::source::Source;

/// Bytes of git trees that are kept decoded: the folders of a registry are looked up again and again
/// where it has links.
const TREE_CACHE: usize = 4 * 1024 * 1024;

/// What to do about a shallow clone.
const UNSHALLOW: &str = "this is a shallow clone, which lacks older commits: `git fetch --unshallow`, or \
                         `fetch-depth: 0` in a workflow";

/// Why a registry can't be read from git.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// There is no repository.
    #[error(
        "there is no git repository around {0}: a revision is read from the repository that holds the registry"
    )]
    NoRepository(String),
    /// There is one that can't be used.
    #[error("cannot read the git repository around {folder}: {reason}")]
    Unreadable {
        /// The registry folder.
        folder: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that the repository does not know.
    #[error("there is no revision `{revision}` in the git repository around {folder}: {advice}")]
    Unknown {
        /// The name.
        revision: String,
        /// The registry folder.
        folder: String,
        /// What to do.
        advice: String,
    },
    /// An object that should be there.
    #[error("the git repository lacks a part of commit {commit}: {advice}")]
    Incomplete {
        /// The commit.
        commit: String,
        /// What to do.
        advice: String,
    },
    /// Two commits without a common ancestor.
    #[error("commits {one} and {other} have no common ancestor here: {advice}")]
    NoMergeBase {
        /// One of the two.
        one: String,
        /// The other.
        other: String,
        /// What to do.
        advice: String,
    },
    /// There is no registry in it, or too much of one.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// The git repository that holds a registry.
pub struct History {
    repository: gix::Repository,
    /// The registry folder as it was asked for.
    asked: String,
    /// The registry folder's path within the repository, part by part.
    inside: Vec<Vec<u8>>,
}

impl History {
    /// The repository around a registry folder. The folder itself need not be there now.
    ///
    /// # Errors
    /// [`RevisionError`] when there is none, or one that can't be read.
    pub fn around(folder: &Path) -> Result<Self, RevisionError> {
        let asked = folder.display().to_string();
        let none = || RevisionError::NoRepository(asked.clone());
        let (there, rest) = nearest(folder).ok_or_else(none)?;
        let trust = gix::sec::trust::Mapping {
            full: gix::open::Options::isolated(),
            reduced: gix::open::Options::isolated(),
        };
        let options = gix::discover::upwards::Options::default();
        let found = gix::ThreadSafeRepository::discover_opts(&there, options, trust);
        let mut repository = found.map_err(|_| none())?.to_thread_local();
        repository.object_cache_size_if_unset(TREE_CACHE);
        let unreadable = |reason: String| RevisionError::Unreadable {
            folder: asked.clone(),
            reason,
        };
        let top = repository.workdir().unwrap_or(repository.git_dir());
        let top = std::fs::canonicalize(top).map_err(|error| unreadable(error.to_string()))?;
        let inside = there.join(rest);
        let Ok(inside) = inside.strip_prefix(&top) else {
            return Err(unreadable("the folder is not in its work tree".to_owned()));
        };
        let inside = inside.components();
        let inside = inside.map(|part| part.as_os_str().as_encoded_bytes().to_vec());
        Ok(Self {
            inside: inside.collect(),
            repository,
            asked,
        })
    }

    /// The registry folder's path from the top of the repository; empty where they are the same.
    #[must_use]
    pub fn inside(&self) -> String {
        String::from_utf8_lossy(&self.inside.join(&b'/')).into_owned()
    }

    /// The commit that a revision names, in whatever way git allows: `HEAD~2`, `origin/main`, `v1.4`,
    /// the beginning of an id.
    ///
    /// # Errors
    /// [`RevisionError::Unknown`] when it names no commit here.
    pub fn resolve(&self, revision: &str) -> Result<CommitId, RevisionError> {
        let unknown = |reason: Option<String>| RevisionError::Unknown {
            revision: crate::domain::visible(revision).into_owned(),
            folder: self.asked.clone(),
            advice: match reason {
                _ if self.is_shallow() => UNSHALLOW.to_owned(),
                Some(reason) => reason,
                None => format!(
                    "`git fetch` it, or write `./{}` where you mean a folder",
                    crate::domain::visible(revision)
                ),
            },
        };
        let id = self
            .repository
            .rev_parse_single(revision)
            .map_err(|error| {
                let said = error.to_string();
                unknown(said.contains("ambiguous").then(|| one_line(&said)))
            })?;
        let object = id.object().map_err(|_| unknown(None))?;
        let commit = object
            .peel_to_commit()
            .map_err(|_| unknown(Some("it names no commit".to_owned())))?;
        CommitId::parse(&commit.id.to_hex().to_string()).map_err(|_| unknown(None))
    }

    /// Where the histories of two commits parted.
    ///
    /// # Errors
    /// [`RevisionError::NoMergeBase`] when they have nothing in common, as far as this clone knows.
    pub fn merge_base(&self, one: &CommitId, other: &CommitId) -> Result<CommitId, RevisionError> {
        let none = || RevisionError::NoMergeBase {
            one: short(one).to_owned(),
            other: short(other).to_owned(),
            advice: match self.is_shallow() {
                true => UNSHALLOW.to_owned(),
                false => "name the commit to compare with, without --merge-base".to_owned(),
            },
        };
        let bases = self.repository.merge_base(self.id(one)?, self.id(other)?);
        let base = bases.ok().flatten().ok_or_else(none)?;
        CommitId::parse(&base.to_hex().to_string()).map_err(|_| none())
    }

    /// The registry as this commit has it.
    ///
    /// # Errors
    /// [`RevisionError`] when an object is missing, or the commit holds no registry.
    pub fn load(&self, commit: &CommitId, limits: Limits) -> Result<Loaded, RevisionError> {
        let incomplete = || RevisionError::Incomplete {
            commit: short(commit).to_owned(),
            advice: match self.is_shallow() {
                true => UNSHALLOW.to_owned(),
                false => "a partial clone has no contents until they are fetched: clone it whole"
                    .to_owned(),
            },
        };
        let found = self.repository.find_commit(self.id(commit)?);
        let root = found.map_err(|_| incomplete())?.tree_id();
        let root = root.map_err(|_| incomplete())?.detach();
        let name = format!("{} of commit {}", self.asked, short(commit));
        let mut walk = Walk::new(&self.repository, root, &self.inside, limits);
        let refused = |fault: Fault| match fault {
            Fault::Object => incomplete(),
            Fault::Missing => LoadError::Missing(name.clone()).into(),
            Fault::NotAFolder => LoadError::NotAFolder(name.clone()).into(),
            Fault::Files => LoadError::TooManyFiles {
                path: name.clone(),
                most: limits.files,
            }
            .into(),
            Fault::Bytes => LoadError::TooManyBytes {
                path: name.clone(),
                most: limits.total_bytes,
            }
            .into(),
        };
        walk.all().map_err(refused)?;
        if walk.files.is_empty() && walk.problems.is_empty() {
            return Err(LoadError::Empty(name).into());
        }
        let mut sources = Vec::with_capacity(walk.files.len());
        for (path, id) in &walk.files {
            let blob = self.repository.find_blob(*id);
            let bytes = blob.map_err(|_| incomplete())?.take_data();
            sources.push(Arc::new(Source::new(path, bytes)));
        }
        Ok(Loaded {
            sources,
            problems: walk.problems,
            warnings: Vec::new(),
            commit: Some(commit.clone()),
            dirty: Some(false),
        })
    }

    /// Whether the commit is in this repository.
    #[must_use]
    pub fn knows(&self, commit: &CommitId) -> bool {
        let id = self.id(commit);
        id.is_ok_and(|id| self.repository.find_commit(id).is_ok())
    }

    fn id(&self, commit: &CommitId) -> Result<ObjectId, RevisionError> {
        ObjectId::from_hex(commit.as_str().as_bytes()).map_err(|_| RevisionError::Unknown {
            revision: commit.as_str().to_owned(),
            folder: self.asked.clone(),
            advice: "it has another kind of hash than this repository".to_owned(),
        })
    }

    fn is_shallow(&self) -> bool {
        self.repository.is_shallow().unwrap_or(false)
    }
}

/// The first digits of a commit, as people write them.
#[must_use]
pub fn short(commit: &CommitId) -> &str {
    commit.as_str().get(..12).unwrap_or(commit.as_str())
}

/// The nearest folder above that is there, without links, and the rest of the path.
fn nearest(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut at = std::path::absolute(folder).ok()?;
    let mut rest: Vec<OsString> = Vec::new();
    loop {
        match std::fs::canonicalize(&at) {
            Ok(there) if there.is_dir() => return Some((there, rest.iter().rev().collect())),
            _ => {
                rest.push(at.file_name()?.to_owned());
                at.pop();
            }
        }
    }
}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.split_whitespace().collect();
    crate::domain::visible(&lines.join(" ")).into_owned()
}
