//! Figures of last use, as `grantd status --export` writes them. Touches: fs.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::json::{Object, shown};
use super::overlay::{self, Taken};
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
    /// What operators took away above the registry, where the file says so.
    pub(super) overlay: Vec<Taken>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(super) enum LastUseFault {
    #[error("cannot read the figures of last use from {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has no figures of last use: {reason}; `grantd status --export FILE` writes them", path.display())]
    Strange { path: PathBuf, reason: String },
}

impl LastUse {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, LastUseFault> {
        let bytes = bytes(path, MAX_FILE).map_err(|source| LastUseFault::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        parse(&bytes).map_err(|reason| LastUseFault::Strange {
            path: path.to_owned(),
            reason,
        })
    }
}

/// The bytes of a file, which has at most so many.
pub(super) fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
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
        figures.overlay.push(overlay::entry(row)?);
    }
    Ok(figures)
}
