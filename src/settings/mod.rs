//! `grantd.toml`: read once at start, checked whole. Touches: fs.
//!
//! **Invariant:** after [`load`] every value is in its domain type and within its bounds; nothing else of
//! the crate reads a setting. Each default is a named constant that says where the number comes from.

mod admin;
mod audit;
mod check;
pub mod defaults;
pub mod environment;
mod file;
mod limits;
pub mod service_manager;

pub use admin::{AdminSettings, SocketSettings};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audit::journal::JournalSettings;
use crate::audit::ship::ShipSettings;
use crate::domain::{Algorithm, InstanceName, Issuer, Lifetime};
use crate::http::HttpLimits;
use crate::keys::schedule::ScheduleSettings;
use crate::listener::ConnectionLimits;
use crate::registry::publish::RegistrySettings;

/// Every setting, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The `iss` of every token, and the base of every endpoint.
    pub issuer: Issuer,
    /// The name of this daemon: of its NATS subjects and of its events' `source`.
    pub instance: InstanceName,
    /// Where tokens are asked for, with TLS.
    pub listen: SocketAddr,
    /// Where metrics and health are shown, without TLS.
    pub metrics_listen: SocketAddr,
    /// The PEM file of the certificate chain.
    pub certificate: PathBuf,
    /// The PEM file of its key.
    pub certificate_key: PathBuf,
    /// The registry.
    pub registry: RegistrySettings,
    /// How far ahead expiry dates are told: by status, metrics and the event of each day.
    pub expiry_window: Lifetime,
    /// The directory of all state.
    pub state: PathBuf,
    /// How often the last uses of credentials are written.
    pub last_use_every: Duration,
    /// The keys.
    pub keys: ScheduleSettings,
    /// The directory of the private keys.
    pub keys_dir: PathBuf,
    /// The file with the key that seals private keys, if they are sealed.
    pub sealing_key: Option<PathBuf>,
    /// The journal.
    pub journal: JournalSettings,
    /// The stream, if events are shipped.
    pub ship: Option<ShipSettings>,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// Limits of requests.
    pub http: HttpLimits,
    /// Worker threads of the runtime.
    pub workers: usize,
    /// How long a stopping daemon may take in all.
    pub drain: Duration,
    /// The logs.
    pub log: LogSettings,
    /// The sockets for operators.
    pub admin: AdminSettings,
}

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// A filter as `tracing` knows them: `info`, `grantd=debug`. It has been read once.
    pub filter: String,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("cannot read the settings from {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key that grantd does not know.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The place, the line and what is wrong with it.
        message: String,
    },
    /// Values that can't stand, all of them.
    #[error("{path}: {}", list(.problems))]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong, a sentence each.
        problems: Vec<String>,
    },
}

fn list(problems: &[String]) -> String {
    let mut text = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    for problem in problems {
        text.push_str("\n  - ");
        text.push_str(problem);
    }
    text
}

/// Loads the settings. Relative paths in the file are relative to its folder.
///
/// # Errors
/// [`SettingsError`], with all values that can't stand at once.
pub fn load(path: &Path) -> Result<Settings, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, path)
}

/// Parses the text of a settings file that lies at `path`.
///
/// # Errors
/// [`SettingsError`], with all values that can't stand at once.
pub fn parse(text: &str, path: &Path) -> Result<Settings, SettingsError> {
    let file: file::File = toml::from_str(text).map_err(|error| SettingsError::Syntax {
        path: path.to_owned(),
        message: place(text, &error),
    })?;
    let base = path.parent().unwrap_or_else(|| Path::new("."));
    let credentials = service_manager::credentials();
    let surroundings = check::Surroundings {
        base,
        processors: crate::tasks::processors(),
        credentials: &credentials,
    };
    check::check(file, &surroundings).map_err(|problems| SettingsError::Refused {
        path: path.to_owned(),
        problems,
    })
}

/// Where and what, without the line itself: it may hold a password under a wrong name.
fn place(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |rest| rest.chars().count())
        + 1;
    format!(
        "line {line}, column {column}: {}",
        error.message().trim_end()
    )
}

impl Settings {
    /// The algorithms of the rings, the default first.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.keys.algorithms
    }
}

#[cfg(test)]
mod tests;
