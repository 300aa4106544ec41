//! The key files: reads, checks and changes them, one key a file. Touches: fs.
//!
//! **Invariant:** a file is whole or not there: it is written beside, synced, renamed, and the
//! folder synced. A file that others can read, that is a link, or whose key is not the one that it
//! names is never used. This file decides nothing about a key's life.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::file::{self, Body, FormFault};
use super::material::{MaterialError, PrivateKey};
use super::ports::{Stored, Vault};
use super::ring::KeyRecord;
use super::seal::Sealer;
use crate::domain::{Algorithm, KeyId, Secret};

/// Largest key file: an RSA key of 2048 bits takes 2.5 KiB with its head.
const MAX_FILE: u64 = 16 * 1024;

/// Most key files: five rings, each with an active key, a next one, and retiring ones of a day.
const MAX_FILES: usize = 256;

/// Ending of a key file. Files of other endings in the folder mean nothing.
const ENDING: &str = "toml";

/// What a file begins with while it is written; such a file is a crash's, and is taken away.
const UNFINISHED: &str = ".unfinished-";

/// The folder of key files.
#[derive(Debug)]
pub struct Custody {
    folder: PathBuf,
    sealer: Option<Sealer>,
}

/// Key files could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The folder is not there.
    #[error(
        "the key folder {} is not there: is its disk mounted? For a new deployment run `grantd init`",
        .0.display()
    )]
    NoFolder(PathBuf),
    /// Somebody else could put keys into the folder.
    #[error("others can write into the key folder {}: chmod go-w", .0.display())]
    FolderOpen(PathBuf),
    /// More files than any deployment has.
    #[error("more than {MAX_FILES} key files in {}", .0.display())]
    TooMany(PathBuf),
    /// Files that can't be trusted; all of them are named.
    #[error("{}", listed(.0))]
    Files(Vec<FileFault>),
    /// Reading or writing failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// aws-lc has no randomness for a seal.
    #[error("cannot seal the key {0}")]
    Seal(KeyId),
}

/// A key file that can't be trusted.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct FileFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: FileProblem,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It can't be read.
    #[error("cannot read it: {0}")]
    Read(std::io::Error),
    /// A link, a folder, a device or a pipe.
    #[error("it is not a regular file: links and devices are refused")]
    NotAFile,
    /// Others can read it.
    #[error(
        "others can read it (mode {0:04o}): if nobody can have, chmod 600; else run `grantd keys rotate --compromised`"
    )]
    Open(u32),
    /// It belongs to another user.
    #[error("it belongs to user {0}: chown it to the user that grantd runs as")]
    Owner(u32),
    /// Too large to be one.
    #[error("it is larger than {MAX_FILE} bytes")]
    TooLarge,
    /// It has not the form of a key file.
    #[error(transparent)]
    Form(#[from] FormFault),
    /// The key in it is none.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The key in it is another than it names.
    #[error("it names the key {named}, but the key in it is {found}")]
    OtherKey {
        /// `kid` of the file.
        named: KeyId,
        /// The thumbprint of the key in it.
        found: KeyId,
    },
    /// The file's name is another than its content asks for.
    #[error("it must be called {0}")]
    Name(String),
    /// It is sealed, and no sealing key is set.
    #[error("it is sealed, and keys.sealing_key_file is not set")]
    NoSealingKey,
    /// It was sealed with another key, or altered.
    #[error("the sealing key does not open it: it was sealed with another one, or altered")]
    WrongSeal,
}

fn listed(faults: &[FileFault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    format!("key files can't be used:\n  {}", lines.join("\n  "))
}

impl Custody {
    /// The key files in this folder, sealed where a sealing key is given. The folder must be there.
    ///
    /// # Errors
    /// [`CustodyError`] when it is not, or others can write into it.
    pub fn open(folder: &Path, sealer: Option<Sealer>) -> Result<Self, CustodyError> {
        let metadata =
            fs::metadata(folder).map_err(|_| CustodyError::NoFolder(folder.to_owned()))?;
        if !metadata.is_dir() {
            return Err(CustodyError::NoFolder(folder.to_owned()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(CustodyError::FolderOpen(folder.to_owned()));
        }
        let folder = folder.to_owned();
        Ok(Self { folder, sealer })
    }

    /// Makes the folder, 0700, where it is not there; then as [`Custody::open`].
    ///
    /// # Errors
    /// [`CustodyError`] when it can't be made.
    pub fn make(folder: &Path, sealer: Option<Sealer>) -> Result<Self, CustodyError> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed("make the folder", folder))?;
        Self::open(folder, sealer)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes away what a crash left half-written. Only with the state directory locked.
    ///
    /// # Errors
    /// [`CustodyError`] when the folder can't be read or changed.
    pub fn tidy(&self) -> Result<(), CustodyError> {
        for path in self.paths()? {
            let unfinished = file_name(&path).starts_with(UNFINISHED);
            if unfinished {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Where the file of this key is.
    #[must_use]
    pub fn path_of(&self, algorithm: Algorithm, id: &KeyId) -> PathBuf {
        self.folder.join(name_of(algorithm, id))
    }

    fn paths(&self) -> Result<Vec<PathBuf>, CustodyError> {
        let failed = failed("list", &self.folder);
        let entries = fs::read_dir(&self.folder).map_err(&failed)?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(&failed)?.path());
            if paths.len() > MAX_FILES {
                return Err(CustodyError::TooMany(self.folder.clone()));
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn read(&self, path: &Path) -> Result<(KeyRecord, Body), FileProblem> {
        let text = read_private(path)?;
        let (record, body) = file::read(&text)?;
        let name = name_of(record.algorithm, &record.id);
        if file_name(path) == name {
            Ok((record, body))
        } else {
            Err(FileProblem::Name(name))
        }
    }

    fn load_one(&self, path: &Path) -> Result<Stored, FileProblem> {
        let (record, body) = self.read(path)?;
        let (algorithm, named) = (record.algorithm, record.id.clone());
        let pkcs8 = match body {
            Body::Plain(pkcs8) => pkcs8,
            Body::Sealed(sealed) => {
                let sealer = self.sealer.as_ref().ok_or(FileProblem::NoSealingKey)?;
                let opened = sealer.open(algorithm, &named, &sealed);
                opened.ok_or(FileProblem::WrongSeal)?
            }
        };
        let key = PrivateKey::from_pkcs8(algorithm, pkcs8.expose())?;
        if *key.id() != named {
            let found = key.id().clone();
            return Err(FileProblem::OtherKey { named, found });
        }
        Ok(Stored { record, key })
    }

    /// Writes a key's file whole: beside, synced, renamed, the folder synced.
    fn write(&self, record: &KeyRecord, body: Body) -> Result<(), CustodyError> {
        let path = self.path_of(record.algorithm, &record.id);
        let body = match (body, &self.sealer) {
            (Body::Plain(pkcs8), Some(sealer)) => sealer
                .seal(record.algorithm, &record.id, pkcs8.expose())
                .map(Body::Sealed)
                .ok_or_else(|| CustodyError::Seal(record.id.clone()))?,
            (body, _) => body,
        };
        let text = file::write(record, &body).map_err(|fault| fault_of(&path, fault.into()))?;
        let unfinished = self
            .folder
            .join(format!("{UNFINISHED}{}", file_name(&path)));
        let failed = failed("write", &path);
        write_synced(&unfinished, text.as_bytes()).map_err(&failed)?;
        fs::rename(&unfinished, &path).map_err(&failed)?;
        self.sync()
    }

    fn sync(&self) -> Result<(), CustodyError> {
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("sync", &self.folder))
    }
}

impl Vault for Custody {
    fn load(&self) -> Result<Vec<Stored>, CustodyError> {
        let mut stored = Vec::new();
        let mut faults = Vec::new();
        for path in self.paths()? {
            let hidden = file_name(&path).starts_with('.');
            if hidden || path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            match self.load_one(&path) {
                Ok(key) => stored.push(key),
                Err(what) => faults.push(FileFault { path, what }),
            }
        }
        if faults.is_empty() {
            Ok(stored)
        } else {
            Err(CustodyError::Files(faults))
        }
    }

    fn create(&self, record: &KeyRecord, pkcs8: &Secret<Vec<u8>>) -> Result<(), CustodyError> {
        self.write(record, Body::Plain(Secret::new(pkcs8.expose().clone())))
    }

    fn update(&self, record: &KeyRecord) -> Result<(), CustodyError> {
        let path = self.path_of(record.algorithm, &record.id);
        let read = self.read(&path);
        let (_, body) = read.map_err(|what| fault_of(&path, what))?;
        self.write(record, body)
    }

    fn remove(&self, record: &KeyRecord) -> Result<(), CustodyError> {
        let path = self.path_of(record.algorithm, &record.id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            _ => self.sync(),
        }
    }
}

fn name_of(algorithm: Algorithm, id: &KeyId) -> String {
    format!("{}-{id}.{ENDING}", algorithm.name().to_ascii_lowercase())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn fault_of(path: &Path, what: FileProblem) -> CustodyError {
    let path = path.to_owned();
    CustodyError::Files(vec![FileFault { path, what }])
}

fn failed<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl Fn(std::io::Error) -> CustodyError + use<'a> {
    move |source| CustodyError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Reads a file that nobody else may read: no link, no pipe, not too large.
fn read_private(path: &Path) -> Result<Zeroizing<String>, FileProblem> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path);
    let mut file = match opened {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(FileProblem::NotAFile);
        }
        other => other.map_err(FileProblem::Read)?,
    };
    let metadata = file.metadata().map_err(FileProblem::Read)?;
    if !metadata.is_file() {
        return Err(FileProblem::NotAFile);
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(FileProblem::Open(metadata.mode() & 0o7777));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileProblem::Owner(metadata.uid()));
    }
    if metadata.len() > MAX_FILE {
        return Err(FileProblem::TooLarge);
    }
    let room = usize::try_from(MAX_FILE).unwrap_or_default();
    let mut text = Zeroizing::new(String::with_capacity(room));
    (&mut file)
        .take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(FileProblem::Read)?;
    Ok(text)
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A file that an earlier failure left is never written on: its pages may be marked clean.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_data()
}

#[cfg(test)]
mod tests;
