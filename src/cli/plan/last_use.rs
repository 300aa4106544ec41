//! Figures of last use, as `grantd status --export` writes them. Touches: fs.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::json::{Object, shown};
use crate::domain::{ClientId, UnixSeconds};

/// What the file says that it is.
const FORMAT: &str = "grantd last use v1";

/// Longest file in bytes: 200,000 credentials take 30 MB.
const MAX_FILE: u64 = 128 * 1024 * 1024;

/// The figures of a file.
#[derive(Debug, Default)]
pub(super) struct LastUse {
    /// When they were written.
    pub(super) exported: Option<UnixSeconds>,
    /// When each credential was last used; `None` for one that never was.
    pub(super) credentials: HashMap<ClientId, HashMap<String, Option<UnixSeconds>>>,
    /// What the daemon takes away above its registry, a sentence each with its client.
    pub(super) overlay: Vec<Taken>,
}

/// What an operator took away at once, above the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whom it concerns, where it is one client.
    pub(super) client: Option<ClientId>,
    /// What was taken away, in words.
    pub(super) text: String,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(super) enum LastUseFault {
    #[error("cannot read the figures of last use from {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has more than {MAX_FILE} bytes: these are no figures of last use", .0.display())]
    TooLong(PathBuf),
    #[error("{} has no figures of last use: {reason}; `grantd status --export FILE` writes them", path.display())]
    Strange { path: PathBuf, reason: String },
}

impl LastUse {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, LastUseFault> {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
        if let Err(source) = read {
            let path = path.to_owned();
            return Err(LastUseFault::Unreadable { path, source });
        }
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
            return Err(LastUseFault::TooLong(path.to_owned()));
        }
        parse(&bytes).map_err(|reason| LastUseFault::Strange {
            path: path.to_owned(),
            reason,
        })
    }
}

fn parse(bytes: &[u8]) -> Result<LastUse, String> {
    let said = Object::parse(bytes).map_err(|error| error.to_string())?;
    match said.text("format") {
        Some(FORMAT) => {}
        Some(other) => return Err(format!("its format is {:?}", shown(other))),
        None => return Err("it names no format".to_owned()),
    }
    let moment = |value: &Value| {
        let text = value.as_str().ok_or("a moment is no text")?;
        UnixSeconds::parse_rfc3339(text).map_err(|error| error.to_string())
    };
    let exported = said.member("exported").ok_or("it has no moment")?;
    let mut figures = LastUse {
        exported: Some(moment(exported)?),
        ..LastUse::default()
    };
    let rows = said.member("credentials").and_then(Value::as_array);
    for row in rows.ok_or("it lists no credentials")? {
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let client = text("client").ok_or("a credential without its client")?;
        let client = ClientId::parse(client).map_err(|error| format!("a client: {error}"))?;
        let id = text("credential").ok_or("a credential without its id")?;
        let used = match row.get("last_used") {
            None | Some(Value::Null) => None,
            Some(value) => Some(moment(value)?),
        };
        let known = figures.credentials.entry(client).or_default();
        known.insert(id.to_owned(), used);
    }
    for row in said
        .member("overlay")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        figures.overlay.push(taken(row)?);
    }
    Ok(figures)
}

fn taken(row: &Value) -> Result<Taken, String> {
    let client = match row.get("client").and_then(Value::as_str) {
        Some(client) => {
            Some(ClientId::parse(client).map_err(|error| format!("a client: {error}"))?)
        }
        None => None,
    };
    let text = row.get("text").and_then(Value::as_str);
    let text = shown(text.ok_or("an entry of the overlay without its text")?);
    Ok(Taken { client, text })
}
