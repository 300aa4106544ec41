//! The state directory: its layout, and the lock that keeps a second daemon out. Touches: fs, process.
//!
//! ```text
//! <state>/lock         held by whoever works on the directory; has its process id
//! <state>/db/          the store (sled)
//! <state>/journal/     the audit journal
//! <state>/registry/    the last good registry
//! <state>/keys/        the key files, unless grantd.toml names another folder
//! <state>/admin.sock   the admin socket of a live daemon, or a link to it
//! <state>/status.sock  its socket that only looks, or a link to it
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Most characters read of a lock file: a process id has 7 digits at most.
const MAX_PID_TEXT: u64 = 32;

/// A state directory that this process alone works on, until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    lock: File,
}

/// The state directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process works on it.
    #[error(
        "the state directory {} is in use{}: one process works on it at a time; stop that one, or use its admin socket",
        path.display(),
        by(*pid)
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, where the lock file says so.
        pid: Option<u32>,
    },
    /// Others could change the state.
    #[error("others can write into the state directory {}: chmod go-w", .0.display())]
    Open(PathBuf),
    /// Making, opening, locking or syncing failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

impl StateDir {
    /// Makes the directory and its folders (0700) where they are not there, and locks it.
    ///
    /// # Errors
    /// [`StateDirError`] when it is in use, can't be written to, or others can write into it.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        make(path)?;
        let metadata = fs::metadata(path).map_err(io("look at", path))?;
        if metadata.mode() & 0o022 != 0 {
            return Err(StateDirError::Open(path.to_owned()));
        }
        let lock = locked(path)?;
        for folder in ["db", "journal", "registry"] {
            make(&path.join(folder))?;
        }
        for folder in [path, path.parent().unwrap_or(Path::new("/"))] {
            sync(folder)?;
        }
        let path = path.to_owned();
        Ok(Self { path, lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store's folder.
    #[must_use]
    pub fn db(&self) -> PathBuf {
        self.path.join("db")
    }

    /// The audit journal's folder.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// The folder of the last good registry.
    #[must_use]
    pub fn registry(&self) -> PathBuf {
        self.path.join("registry")
    }

    /// The key folder, unless `keys.dir` names another.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        Self::keys_of(&self.path)
    }

    /// The admin socket.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        Self::admin_socket_of(&self.path)
    }

    /// The key folder of a state directory that is not opened.
    #[must_use]
    pub fn keys_of(state: &Path) -> PathBuf {
        state.join("keys")
    }

    /// The admin socket of a state directory that is not opened.
    #[must_use]
    pub fn admin_socket_of(state: &Path) -> PathBuf {
        state.join("admin.sock")
    }

    /// The socket that only looks, of a state directory that is not opened.
    #[must_use]
    pub fn status_socket_of(state: &Path) -> PathBuf {
        state.join("status.sock")
    }

    /// Whether this is a state directory already, by its journal's folder.
    #[must_use]
    pub fn is_there(path: &Path) -> bool {
        path.join("journal").is_dir()
    }

    /// Whether the journal holds anything: whether this directory has ever served.
    #[must_use]
    pub fn has_served(&self) -> bool {
        fs::read_dir(self.journal()).is_ok_and(|mut entries| entries.next().is_some())
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // The file stays: removing it would let two processes lock two files of one name.
        let _unlocked_by_close = self.lock.set_len(0);
    }
}

fn locked(path: &Path) -> Result<File, StateDirError> {
    let file = path.join("lock");
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&file)
        .map_err(io("open", &file))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let path = path.to_owned();
            let pid = holder(&mut lock);
            return Err(StateDirError::InUse { path, pid });
        }
        Err(errno) => return Err(io("lock", &file)(errno.into())),
    }
    let write = |lock: &mut File| {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())
    };
    write(&mut lock).map_err(io("write", &file))?;
    Ok(lock)
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(MAX_PID_TEXT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn make(path: &Path) -> Result<(), StateDirError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io("make the folder", path))
}

fn sync(path: &Path) -> Result<(), StateDirError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    match File::open(path) {
        // A parent that we may pass through and not read: not ours to sync.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened
            .and_then(|folder| folder.sync_all())
            .map_err(io("sync", path)),
    }
}

fn io<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> StateDirError + use<'a> {
    move |source| StateDirError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_process_is_kept_out_and_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state");
        let first = StateDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert!(first.journal().is_dir() && first.db().is_dir());
        let second = StateDir::open(&path).unwrap_err();
        let pid = std::process::id();
        assert!(second.to_string().contains(&format!("by process {pid}")));
        drop(first);
        assert!(StateDir::open(&path).is_ok());
    }

    #[test]
    fn a_directory_that_others_can_write_into_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = StateDir::open(folder.path());
        assert!(matches!(refused, Err(StateDirError::Open(_))));
    }

    #[test]
    fn a_file_in_its_place_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let refused = StateDir::open(&path).unwrap_err();
        assert!(refused.to_string().contains("cannot make the folder"));
    }
}
