//! Edits of registry files that leave the registry acceptable, or do not happen. Touches: fs, clock.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::check::{refusal_exit, show};
use crate::cli::tell::failed;
use crate::cli::{Exit, Io};
use crate::clock::Clock;
use crate::domain::{Algorithm, ClientId, Lifetime};
use crate::registry::check::{Checked, Definitions, Rules, check};
use crate::registry::diagnostic::Problem;
use crate::registry::load::{Limits, Loader};
use crate::registry::publish::Refusal;
use crate::registry::source::Source;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum EditError {
    #[error("cannot {verb} {}", path.display())]
    Io {
        verb: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} exists: it is not overwritten", .0.display())]
    Exists(PathBuf),
    #[error("no file of {} defines client {client}", folder.display())]
    NoSuchClient { folder: PathBuf, client: ClientId },
    #[error("{} does not define client {client}", path.display())]
    NotInFile { path: PathBuf, client: ClientId },
    #[error("{} can't be edited", path.display())]
    Toml {
        path: PathBuf,
        source: toml_edit::TomlError,
    },
    #[error("{0:?} is neither a date such as 2027-06-30 nor a time such as 90d")]
    Expiry(String),
    #[error("the registry was refused")]
    Refused(PathBuf, Refusal),
}

/// A registry folder as it stands, which an edit must leave acceptable.
pub(in crate::cli) struct Folder {
    path: PathBuf,
    files: Vec<Arc<Definitions>>,
    most: Option<Lifetime>,
}

/// Tells an error and chooses the exit code.
pub(in crate::cli) fn finish(result: Result<(), EditError>, io: &mut Io<'_>) -> Exit {
    let error = match result {
        Ok(()) => return Exit::Done,
        Err(error) => error,
    };
    match &error {
        EditError::Refused(folder, why) => {
            let shown = match why {
                Refusal::Check(problems) => show(folder, problems, io),
                Refusal::Load(error) => writeln!(io.err, "error: {error}"),
            };
            // Where stderr is closed, the exit code still says it.
            let _told =
                shown.and_then(|()| writeln!(io.err, "error: {error}: nothing was written"));
            refusal_exit(why)
        }
        EditError::Expiry(_) => {
            failed(io, &error);
            Exit::Usage
        }
        _ => failed(io, &error),
    }
}

impl Folder {
    /// Reads a registry that is acceptable as it stands: an edit of a broken one could not be
    /// judged.
    pub(in crate::cli) fn read(path: &Path) -> Result<Self, EditError> {
        let refused = |why| EditError::Refused(path.to_owned(), why);
        let loaded = Loader::new(path, Limits::default(), Clock::of_this_machine())
            .load()
            .map_err(|error| refused(Refusal::Load(error)))?;
        if !loaded.problems.is_empty() {
            return Err(refused(Refusal::Check(loaded.problems)));
        }
        let files: Vec<_> = loaded
            .sources
            .into_iter()
            .map(|source| Arc::new(Definitions::of(source)))
            .collect();
        let checked = judge(&files).map_err(|problems| refused(Refusal::Check(problems)))?;
        Ok(Self {
            path: path.to_owned(),
            files,
            most: checked.snapshot.policy.max_secret_lifetime,
        })
    }

    /// Longest life of a secret by its policy.
    pub(in crate::cli) const fn longest_secret(&self) -> Option<Lifetime> {
        self.most
    }

    /// Whether the registry stays acceptable when this file has this text.
    pub(in crate::cli) fn accepts(&self, file: &Path, text: &str) -> Result<(), EditError> {
        let shown = file.strip_prefix(&self.path).unwrap_or(file);
        let shown = shown.to_string_lossy();
        let edited = Source::new(&shown, text.as_bytes().to_vec());
        let mut files: Vec<_> = self
            .files
            .iter()
            .filter(|other| **other.source().path() != *shown)
            .cloned()
            .collect();
        files.push(Arc::new(Definitions::of(Arc::new(edited))));
        let checked = judge(&files);
        checked
            .map(|_| ())
            .map_err(|problems| EditError::Refused(self.path.clone(), Refusal::Check(problems)))
    }

    /// The file that defines a client.
    pub(in crate::cli) fn file_of(&self, client: &ClientId) -> Result<PathBuf, EditError> {
        self.files
            .iter()
            .find(|file| file.client_ids().any(|id| id == client))
            .map(|file| self.path.join(&**file.source().path()))
            .ok_or_else(|| EditError::NoSuchClient {
                folder: self.path.clone(),
                client: client.clone(),
            })
    }
}

/// Checks by every rule but one: which algorithms the daemon has is not asked here.
fn judge(files: &[Arc<Definitions>]) -> Result<Checked, Vec<Problem>> {
    let rules = Rules {
        algorithms: Algorithm::ALL.to_vec(),
        ..Rules::default()
    };
    check(files, &rules)
}

/// Whether a file by itself has no problem: references to other files are not looked at.
pub(in crate::cli) fn alone_is_fine(path: &Path, text: &str) -> Result<(), EditError> {
    let shown = path.display().to_string();
    let file = Definitions::of(Arc::new(Source::new(&shown, text.as_bytes().to_vec())));
    if file.problems().is_empty() {
        return Ok(());
    }
    let problems = file.problems().to_vec();
    Err(EditError::Refused(PathBuf::new(), Refusal::Check(problems)))
}

pub(in crate::cli) fn io_error(
    verb: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> EditError + use<> {
    let path = path.to_owned();
    move |source| EditError::Io { verb, path, source }
}

/// Writes a new file whole; one that exists is not touched.
pub(in crate::cli) fn create(path: &Path, text: &str, mode: u32) -> Result<(), EditError> {
    let file = written_beside(path, text, mode)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(EditError::Exists(path.to_owned()))
        }
        Err(error) => Err(io_error("write", path)(error.error)),
    }
}

/// Writes a file anew, whole or not at all; its mode stays.
pub(in crate::cli) fn replace(path: &Path, text: &str) -> Result<(), EditError> {
    // A link stays a link: what it leads to is replaced.
    let path = std::fs::canonicalize(path).map_err(io_error("find", path))?;
    let meta = std::fs::metadata(&path).map_err(io_error("read", &path))?;
    let file = written_beside(&path, text, 0o600)?;
    file.as_file()
        .set_permissions(meta.permissions())
        .map_err(io_error("write", &path))?;
    file.persist(&path)
        .map(|_| ())
        .map_err(|error| io_error("write", &path)(error.error))
}

/// A temporary file in the same folder, whose name a watching daemon skips.
fn written_beside(
    path: &Path,
    text: &str,
    mode: u32,
) -> Result<tempfile::NamedTempFile, EditError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = || io_error("write", path);
    let mut file = tempfile::Builder::new()
        .prefix(".grantd-")
        .suffix(".tmp")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(failed())?;
    file.write_all(text.as_bytes()).map_err(failed())?;
    file.as_file().sync_all().map_err(failed())?;
    Ok(file)
}
