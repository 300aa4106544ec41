//! Which git commit a folder stands at. Touches: fs.
//!
//! Only files are read: no git is run, and no configuration but the repository's own.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::domain::{CommitId, UnixMillis};

/// How long a lock of git's index is believed: a checkout of a large work tree takes seconds, and
/// the lock of a git that was killed stays for ever.
const LOCK_BELIEVED: Duration = Duration::from_secs(10);

/// How long git's index must have rested. A checkout writes the files, then the index, and `HEAD` at
/// last: between those two there is no lock, and `HEAD` still names the commit before. Milliseconds
/// pass there, on a machine under load more; less than what `Loader::load` waits.
const INDEX_RESTED: Duration = Duration::from_millis(250);

/// Where git stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The commit that `HEAD` of the work tree points to. `None` where there is no repository, no
    /// commit yet, or anything unreadable: a commit is told, never needed.
    pub(super) commit: Option<CommitId>,
    /// Whether git is writing the work tree right now: it holds `index.lock` from before the first
    /// file of a checkout to after the last, or has let it go so lately that `HEAD` may not say so yet.
    pub(super) writing: bool,
}

/// Where git stands in the work tree around `folder`.
pub(super) fn head(folder: &Path, now: UnixMillis) -> Head {
    let Some(repository) = repository(folder) else {
        return Head::default();
    };
    let id = repository.head_id().ok();
    Head {
        commit: id.and_then(|id| CommitId::parse(&id.to_hex().to_string()).ok()),
        writing: is_locked(&repository.git_dir().join("index.lock"), now)
            || is_fresh(&repository.git_dir().join("index"), now),
    }
}

fn is_locked(lock: &Path, now: UnixMillis) -> bool {
    let Ok(made) = std::fs::symlink_metadata(lock).and_then(|meta| meta.modified()) else {
        return false;
    };
    let made = made.duration_since(UNIX_EPOCH).unwrap_or_default();
    // One from the future is as stale as one from long ago.
    Duration::from_millis(now.get()).abs_diff(made) < LOCK_BELIEVED
}

/// Whether the index was written or renamed just now. One from the future is not waited for.
fn is_fresh(index: &Path, now: UnixMillis) -> bool {
    let Ok(meta) = std::fs::symlink_metadata(index) else {
        return false;
    };
    let millis = |seconds: i64, nanos: i64| {
        let millis = seconds
            .saturating_mul(1000)
            .saturating_add(nanos / 1_000_000);
        u64::try_from(millis).unwrap_or_default()
    };
    let written = millis(meta.mtime(), meta.mtime_nsec());
    let changed = written.max(millis(meta.ctime(), meta.ctime_nsec()));
    let age = now.get().checked_sub(changed);
    age.is_some_and(|age| Duration::from_millis(age) < INDEX_RESTED)
}

/// The repository whose work tree `folder` is in.
pub(super) fn repository(folder: &Path) -> Option<gix::Repository> {
    let folder = std::fs::canonicalize(folder).ok()?;
    let trust = gix::sec::trust::Mapping {
        full: gix::open::Options::isolated(),
        reduced: gix::open::Options::isolated(),
    };
    let options = gix::discover::upwards::Options::default();
    gix::ThreadSafeRepository::discover_opts(folder, options, trust)
        .ok()
        .map(|repository| repository.to_thread_local())
}
