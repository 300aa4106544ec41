//! sled 0.34.7, used as `storage.md` found it to be safe. Touches: fs.
//!
//! Its `flush` is not durable on Linux (it calls `sync_file_range`), so each flush is followed by an
//! fdatasync of its file. A crash inside of its opening leaves `snap.*.generating`, after which it
//! never opens again: such files are moved aside first. Values over 4 KiB would go to files that it
//! never syncs: they are refused. Of a damaged file it opens what lies before the damage: that is
//! found by the count in `witness.rs`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::key::{Key, SCHEMA};
use super::room;
use super::witness::Witness;
use crate::domain::UnixSeconds;

/// Most bytes of a key and its value together: beyond about 4 KiB sled writes blobs, unsynced.
pub const MAX_RECORD: usize = 4000;

/// Bytes of sled's cache: all that is stored fits many times over (`storage.md`).
const CACHE: u64 = 16 * 1024 * 1024;

/// Most numbered names tried when something is moved aside.
const MAX_ASIDE: u32 = 10_000;

/// The store.
#[derive(Debug)]
pub struct Store {
    db: sled::Db,
    file: File,
    folder: PathBuf,
    /// `None` after a failure. Held over a commit, so that commits count in turn; never on a
    /// request's way.
    witness: Mutex<Option<Witness>>,
    /// Held where the mark of the kept registry is read and written: two tasks do.
    pub(super) kept: Mutex<()>,
}

/// A record as it is stored.
pub(super) struct Entry {
    /// Its key.
    pub(super) key: Vec<u8>,
    /// Its value, version first.
    pub(super) value: Vec<u8>,
}

/// What to do with a store that is corrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCorruption {
    /// Refuse to start.
    #[default]
    Refuse,
    /// Move it aside and begin an empty one: an operator said so.
    SetAside,
}

/// The store can't be used any more.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What sled reads is not what it wrote.
    #[error(
        "the store {} is corrupt: keep it for inquiry, look after its disk, and start with an empty one by moving it aside; the keys and the audit journal do not depend on it",
        folder.display()
    )]
    Corrupt {
        /// Its folder.
        folder: PathBuf,
        /// What sled said.
        source: sled::Error,
    },
    /// It holds less than it has acknowledged.
    #[error(
        "the store {} has gone back: it holds {held} commits, and has made {made}; its file is damaged, or an older copy of it; keep it for inquiry, look after its disk, and start with an empty one by moving it aside; the keys and the audit journal do not depend on it",
        folder.display()
    )]
    WentBack {
        /// Its folder.
        folder: PathBuf,
        /// Commits that it holds.
        held: u64,
        /// Commits that it made.
        made: u64,
    },
    /// Reading or writing failed.
    #[error("cannot {doing} the store {}", folder.display())]
    Sled {
        /// What was being done.
        doing: &'static str,
        /// Its folder.
        folder: PathBuf,
        /// What sled said.
        source: sled::Error,
    },
    /// A file of it could not be synced, moved or opened.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A newer grantd wrote it.
    #[error("the store has version {found}, and this grantd knows version {SCHEMA} alone")]
    Schema {
        /// The version found.
        found: u32,
    },
    /// A record that this grantd can't read.
    #[error(
        "the record {what} of the store has an unknown form: a newer grantd wrote it, or it is corrupt"
    )]
    Record {
        /// Which record.
        what: &'static str,
    },
    /// A record that sled would not keep safely.
    #[error("a record of {size} bytes: at most {MAX_RECORD} are kept safely")]
    TooLarge {
        /// Bytes of key and value.
        size: usize,
    },
    /// The disk is full. Nothing was changed, and it may be tried again.
    #[error(
        "the disk has no room for the store {}: make room; it is tried again",
        folder.display()
    )]
    NoRoom {
        /// Its folder.
        folder: PathBuf,
    },
    /// An earlier call failed.
    #[error("the store failed before, and is not used any more")]
    FailedBefore,
}

impl Store {
    /// Opens the store in this folder, or makes it.
    ///
    /// # Errors
    /// [`StoreError`], with advice where it is corrupt.
    pub fn open(folder: &Path, corruption: OnCorruption) -> Result<Self, StoreError> {
        match (Self::open_once(folder), corruption) {
            (
                Err(StoreError::Corrupt { .. } | StoreError::WentBack { .. }),
                OnCorruption::SetAside,
            ) => {
                set_aside(folder)?;
                Self::open_once(folder)
            }
            (outcome, _) => outcome,
        }
    }

    fn open_once(folder: &Path) -> Result<Self, StoreError> {
        move_unfinished_snapshots(folder)?;
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE)
            .use_compression(false)
            .flush_every_ms(None);
        let db = config
            .open()
            .map_err(|source| classified("open", folder, source))?;
        let path = folder.join("db");
        let file = File::open(&path).map_err(io("open", &path))?;
        let path = folder.join("witness");
        let witness = Witness::open(&path).map_err(io("open", &path))?;
        let made = witness.count();
        let store = Self {
            db,
            file,
            folder: folder.to_owned(),
            witness: Mutex::new(Some(witness)),
            kept: Mutex::default(),
        };
        let held = store.number(&Key::Commits)?.unwrap_or(0);
        if held < made {
            let folder = folder.to_owned();
            return Err(StoreError::WentBack { folder, held, made });
        }
        store.check_schema()?;
        store.sync_folder()?;
        Ok(store)
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        let key = Key::Schema.to_bytes();
        match self.read(&key)? {
            None => self.commit(&[(key, Some(SCHEMA.to_be_bytes().to_vec()))]),
            Some(bytes) => match <[u8; 4]>::try_from(bytes.as_slice()).map(u32::from_be_bytes) {
                Ok(SCHEMA) => Ok(()),
                Ok(found) => Err(StoreError::Schema { found }),
                Err(_) => Err(StoreError::Record { what: "schema" }),
            },
        }
    }

    /// The names of a new store's files, and the settings that sled keeps beside, are synced too.
    fn sync_folder(&self) -> Result<(), StoreError> {
        let parent = self.folder.parent().unwrap_or(Path::new("/"));
        for path in [&self.folder.join("conf"), &self.folder, parent] {
            if path.exists() {
                let opened = File::open(path);
                opened
                    .and_then(|file| file.sync_all())
                    .map_err(io("sync", path))?;
            }
        }
        Ok(())
    }

    /// The high-water mark of time, if one was kept.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn time_mark(&self) -> Result<Option<UnixSeconds>, StoreError> {
        Ok(self.number(&Key::TimeMark)?.map(UnixSeconds::new))
    }

    /// Keeps the high-water mark of time.
    ///
    /// # Errors
    /// [`StoreError`]: the daemon must stop, unless it [may be tried again](StoreError::NoRoom).
    pub fn set_time_mark(&self, mark: UnixSeconds) -> Result<(), StoreError> {
        self.put(&Key::TimeMark, &mark.get().to_be_bytes())
    }

    /// How far the stream has confirmed the journal: bytes that `audit/ship` made, if any were kept.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn ship_mark(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.record(&Key::ShipMark)
    }

    /// Keeps how far the stream has confirmed the journal.
    ///
    /// # Errors
    /// [`StoreError`]: the daemon must stop, unless it [may be tried again](StoreError::NoRoom).
    /// [`StoreError::TooLarge`] is the caller's error alone.
    pub fn set_ship_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        self.put(&Key::ShipMark, mark)
    }

    /// How many registries this state directory has served; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn registry_generation(&self) -> Result<u64, StoreError> {
        Ok(self.number(&Key::RegistryGeneration)?.unwrap_or(0))
    }

    /// Keeps how many registries this state directory has served.
    ///
    /// # Errors
    /// [`StoreError`]: the daemon must stop, unless it [may be tried again](StoreError::NoRoom).
    pub fn set_registry_generation(&self, generation: u64) -> Result<(), StoreError> {
        self.put(&Key::RegistryGeneration, &generation.to_be_bytes())
    }

    /// The day whose event said what expires, in days since 1970-01-01, if there was one.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn expiry_day(&self) -> Result<Option<u64>, StoreError> {
        self.number(&Key::ExpiryDay)
    }

    /// Keeps the day whose event said what expires.
    ///
    /// # Errors
    /// [`StoreError`]: the daemon must stop, unless it [may be tried again](StoreError::NoRoom).
    pub fn set_expiry_day(&self, day: u64) -> Result<(), StoreError> {
        self.put(&Key::ExpiryDay, &day.to_be_bytes())
    }

    pub(super) fn number(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        let bytes = self.record(key)?;
        bytes.map(|bytes| number_of(key, &bytes)).transpose()
    }

    /// A record without its version.
    pub(super) fn record(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.read(&key.to_bytes())?;
        value.map(|value| unversioned(key, &value)).transpose()
    }

    fn put(&self, key: &Key, value: &[u8]) -> Result<(), StoreError> {
        self.commit(&[(key.to_bytes(), Some(versioned(key, value)))])
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.db.get(key);
        let value = value.map_err(|source| classified("read", &self.folder, source))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// All records whose keys begin so, in the order of their keys.
    pub(super) fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        self.db
            .scan_prefix(prefix)
            .map(|entry| {
                let (key, value) =
                    entry.map_err(|source| classified("read", &self.folder, source))?;
                Ok(Entry {
                    key: key.to_vec(),
                    value: value.to_vec(),
                })
            })
            .collect()
    }

    /// Writes (`Some`) and removes (`None`) records, all or none, and waits until that is on disk.
    pub(super) fn commit(&self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => {
                    let size = key.len() + value.len();
                    if size > MAX_RECORD {
                        return Err(StoreError::TooLarge { size });
                    }
                    batch.insert(key.as_slice(), value.as_slice());
                }
                None => batch.remove(key.as_slice()),
            }
        }
        let mut held = self.witness.lock().map_err(|_| StoreError::FailedBefore)?;
        if held.is_some() && !room::is_there(&self.file) {
            let folder = self.folder.clone();
            return Err(StoreError::NoRoom { folder });
        }
        // Taken out for the time of the commit: a failure leaves none, and no further commit.
        let mut witness = held.take().ok_or(StoreError::FailedBefore)?;
        let count = self.number(&Key::Commits)?.unwrap_or(0).saturating_add(1);
        let counted = versioned(&Key::Commits, &count.to_be_bytes());
        batch.insert(Key::Commits.to_bytes(), counted);
        self.apply(batch)?;
        let path = self.folder.join("witness");
        witness.set(count).map_err(io("write", &path))?;
        *held = Some(witness);
        Ok(())
    }

    fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        let failed = |doing| move |source| classified(doing, &self.folder, source);
        self.db.apply_batch(batch).map_err(failed("write"))?;
        self.db.flush().map_err(failed("flush"))?;
        self.file
            .sync_data()
            .map_err(io("sync", &self.folder.join("db")))
    }
}

/// A value as it is stored: its version first.
pub(super) fn versioned(key: &Key, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![key.version()];
    bytes.extend_from_slice(value);
    bytes
}

/// A stored value without its version.
pub(super) fn unversioned(key: &Key, value: &[u8]) -> Result<Vec<u8>, StoreError> {
    match value.split_first() {
        Some((version, rest)) if *version == key.version() => Ok(rest.to_vec()),
        _ => Err(StoreError::Record { what: key.name() }),
    }
}

/// A number as it is stored, without its version.
pub(super) fn number_of(key: &Key, value: &[u8]) -> Result<u64, StoreError> {
    let what = key.name();
    <[u8; 8]>::try_from(value)
        .map(u64::from_be_bytes)
        .map_err(|_| StoreError::Record { what })
}

fn classified(doing: &'static str, folder: &Path, source: sled::Error) -> StoreError {
    let folder = folder.to_owned();
    match source {
        source @ (sled::Error::Corruption { .. } | sled::Error::ReportableBug(_)) => {
            StoreError::Corrupt { folder, source }
        }
        source => StoreError::Sled {
            doing,
            folder,
            source,
        },
    }
}

fn io<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> StoreError + use<'a> {
    move |source| StoreError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Moves `snap.*.generating` aside, which a crash inside of sled's opening left.
fn move_unfinished_snapshots(folder: &Path) -> Result<(), StoreError> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(()); // not there yet: sled makes it
    };
    let mut moved = false;
    for entry in entries {
        let path = entry.map_err(io("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            let target = free_name(&folder.join(format!("unfinished-{name}")));
            fs::rename(&path, target).map_err(io("move aside", &path))?;
            moved = true;
        }
    }
    if moved {
        File::open(folder)
            .and_then(|file| file.sync_all())
            .map_err(io("sync", folder))?;
    }
    Ok(())
}

/// Moves a corrupt store aside, whole.
fn set_aside(folder: &Path) -> Result<(), StoreError> {
    let target = free_name(&folder.with_file_name("db.corrupt"));
    fs::rename(folder, target).map_err(io("move aside", folder))
}

/// The path with a number that nothing has yet.
fn free_name(path: &Path) -> PathBuf {
    (1..MAX_ASIDE)
        .map(|number| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        })
        .find(|path| !path.exists())
        .unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
    use std::time::{Duration, Instant};

    use super::*;

    fn open(folder: &Path) -> Result<Store, StoreError> {
        open_or(folder, OnCorruption::Refuse)
    }

    /// A process that another test starts holds sled's lock from its fork to its exec: it is waited for.
    fn open_or(folder: &Path, corruption: OnCorruption) -> Result<Store, StoreError> {
        let locked =
            |error: &StoreError| crate::domain::chain(error).contains("could not acquire lock");
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match Store::open(folder, corruption) {
                Err(error) if locked(&error) && Instant::now() < deadline => {
                    std::thread::yield_now();
                }
                opened => return opened,
            }
        }
    }

    #[test]
    fn records_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        {
            let store = open(&path).unwrap();
            assert_eq!(store.time_mark().unwrap(), None);
            assert_eq!(store.registry_generation().unwrap(), 0);
            assert_eq!(store.ship_mark().unwrap(), None);
            store.set_time_mark(UnixSeconds::new(7)).unwrap();
            store.set_registry_generation(8).unwrap();
            store.set_ship_mark(b"mark").unwrap();
        }
        let store = open(&path).unwrap();
        assert_eq!(store.time_mark().unwrap(), Some(UnixSeconds::new(7)));
        assert_eq!(store.registry_generation().unwrap(), 8);
        assert_eq!(store.ship_mark().unwrap(), Some(b"mark".to_vec()));
    }

    #[test]
    fn a_record_that_would_become_a_blob_is_refused_and_harms_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("db")).unwrap();
        let large = store.set_ship_mark(&[0; MAX_RECORD]);
        assert!(matches!(large, Err(StoreError::TooLarge { .. })));
        store.set_ship_mark(&[0; MAX_RECORD - 2]).unwrap();
        let blobs = folder.path().join("db/blobs");
        assert!(!blobs.exists() || fs::read_dir(blobs).unwrap().next().is_none());
    }

    #[test]
    fn unknown_versions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = open(&path).unwrap();
        store.commit(&[(vec![1], Some(vec![2; 9]))]).unwrap();
        assert!(matches!(store.time_mark(), Err(StoreError::Record { .. })));
        store.commit(&[(vec![1], Some(vec![1, 0]))]).unwrap();
        assert!(matches!(store.time_mark(), Err(StoreError::Record { .. })));
        store.commit(&[(vec![0], Some(vec![0, 0, 0, 2]))]).unwrap();
        drop(store);
        assert!(matches!(open(&path), Err(StoreError::Schema { found: 2 })));
    }

    #[test]
    fn an_unfinished_snapshot_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        open(&path).unwrap().set_registry_generation(3).unwrap();
        let snapshot = path.join("snap.0000000000000000.generating");
        fs::write(&snapshot, b"half").unwrap();
        let store = open(&path).unwrap();
        assert_eq!(store.registry_generation().unwrap(), 3);
        assert!(!snapshot.exists());
        let aside = path.join("unfinished-snap.0000000000000000.generating.1");
        assert_eq!(fs::read(aside).unwrap(), b"half");
    }

    #[test]
    fn a_store_that_lost_commits_is_refused_though_sled_opens_it() {
        for damage in [0, 1, 2, 3] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("db");
            let store = open(&path).unwrap();
            for number in 0..50 {
                store.set_registry_generation(number).unwrap();
                store.set_ship_mark(&[7; 900]).unwrap();
            }
            drop(store);
            let file = path.join("db");
            let mut bytes = fs::read(&file).unwrap();
            let at = bytes.len() / 4 * damage;
            if damage == 3 {
                bytes.truncate(at);
            } else {
                let rotten = bytes.iter_mut().skip(at).step_by(13).take(500);
                rotten.for_each(|byte| *byte ^= 1);
            }
            fs::write(&file, bytes).unwrap();
            let refused = open(&path).unwrap_err();
            assert!(matches!(refused, StoreError::WentBack { .. }), "{refused}");
            let store = open_or(&path, OnCorruption::SetAside).unwrap();
            assert_eq!(store.registry_generation().unwrap(), 0);
        }
    }

    #[test]
    fn a_corrupt_store_is_refused_with_advice_and_set_aside_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        open(&path).unwrap().set_registry_generation(3).unwrap();
        fs::write(path.join("conf"), b"no settings of sled").unwrap();
        let refused = open(&path).unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
        assert!(refused.to_string().contains("moving it aside"));
        let store = open_or(&path, OnCorruption::SetAside).unwrap();
        assert_eq!(store.registry_generation().unwrap(), 0);
        assert!(folder.path().join("db.corrupt.1/conf").exists());
    }
}
