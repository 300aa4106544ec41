//! What commands take from the environment: places, never secrets. Touches: process, by its environment.
//!
//! **Invariant:** the one place that reads it. A path that is not absolute is taken as not there, as the
//! XDG Base Directory Specification asks.

use std::ffi::OsString;
use std::path::PathBuf;

/// The places that a service manager or a session names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `CREDENTIALS_DIRECTORY`: where systemd puts what `LoadCredential=` names.
    pub credentials: Option<PathBuf>,
    /// `CACHE_DIRECTORY`: the first folder of systemd's `CacheDirectory=`.
    pub cache: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`: private to the user, in memory, gone with the session.
    pub runtime: Option<PathBuf>,
    /// `XDG_CACHE_HOME`.
    pub cache_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            credentials: place("CREDENTIALS_DIRECTORY"),
            cache: place("CACHE_DIRECTORY"),
            runtime: place("XDG_RUNTIME_DIR"),
            cache_home: place("XDG_CACHE_HOME"),
            home: place("HOME"),
        }
    }
}

fn place(name: &str) -> Option<PathBuf> {
    let value = read(name)?;
    // systemd separates several folders by colons (systemd.exec(5)); none of the others is a list.
    let path = std::env::split_paths(&value).next()?;
    path.is_absolute().then_some(path)
}

/// A variable as it stands.
pub(super) fn read(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    std::env::var_os(name)
}
