//! What becomes of a registry folder, as the publisher tells it. Touches: memory.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::domain::{CommitId, Digest, UnixSeconds};
use crate::registry::diagnostic::Problem;
use crate::registry::diff::Change;
use crate::registry::guard::Held;
use crate::registry::load::LoadError;
use crate::registry::snapshot::Snapshot;
use crate::registry::source::Source;

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
    /// The digest of the one before; `None` when there was none, or it is not known.
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
    /// Whether the folder differed from it, where that is known.
    pub dirty: Option<bool>,
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
