//! What operators took away above the registry, as `grantd overlay list --format json` writes it.
//! Touches: fs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::json::Object;
use crate::domain::ClientId;
use crate::registry::meaning::{Words, words};
use crate::registry::snapshot::Snapshot;

/// Longest file in bytes: a thousand entries, the most that there are, take half of it.
const MAX_FILE: u64 = 1024 * 1024;

/// What was taken away at once, above the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The client that is disabled, which the registry may say one day.
    pub(super) disabled: Option<ClientId>,
    /// What was taken away.
    pub(super) text: Words,
}

/// Why it is not known what was taken away.
#[derive(Debug, thiserror::Error)]
pub(super) enum OverlayFault {
    #[error("cannot read the overlay from {}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is no overlay: {reason}; `grantd overlay list --format json` writes one", path.display())]
    Strange { path: PathBuf, reason: String },
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<Taken>, OverlayFault> {
    let bytes = super::last_use::bytes(path, MAX_FILE);
    let bytes = bytes.map_err(|source| OverlayFault::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let strange = |reason: String| OverlayFault::Strange {
        path: path.to_owned(),
        reason,
    };
    let said = Object::parse(&bytes).map_err(|error| strange(error.to_string()))?;
    match said.number("version") {
        Some(1) => {}
        Some(other) => return Err(strange(format!("its version is {other}, not 1"))),
        None => return Err(strange("it has no version".to_owned())),
    }
    let rows = said.member("entries").and_then(Value::as_array);
    let rows = rows.ok_or_else(|| strange("it lists no entries".to_owned()))?;
    if said.number("total") != u64::try_from(rows.len()).ok() {
        return Err(strange("some of its entries are missing".to_owned()));
    }
    let taken: Result<Vec<Taken>, String> = rows.iter().map(entry).collect();
    taken.map_err(strange)
}

/// One entry.
pub(super) fn entry(row: &Value) -> Result<Taken, String> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let client = match text("client") {
        Some(client) => {
            Some(ClientId::parse(client).map_err(|error| format!("a client: {error}"))?)
        }
        None => None,
    };
    let since = text("since").unwrap_or("an unknown moment");
    let said = match (text("kind"), &client, text("jti")) {
        (Some("client_disabled"), Some(client), _) => {
            words("client {} is disabled since {}", &[client, &since])
        }
        (Some("tokens_revoked"), _, Some(jti)) => {
            words("token {} is void since {}", &[&jti, &since])
        }
        (Some("tokens_revoked"), client, None) => {
            let before = text("issued_before").ok_or("a revocation without its moment")?;
            match client {
                Some(client) => words(
                    "tokens of client {} from before {} are void",
                    &[client, &before],
                ),
                None => words("all tokens from before {} are void", &[&before]),
            }
        }
        (kind, ..) => return Err(format!("an entry of kind {:?}", kind.unwrap_or_default())),
    };
    let said = match text("reason") {
        Some(reason) => said.and(words(": {}", &[&reason])),
        None => said,
    };
    Ok(Taken {
        disabled: client.filter(|_| text("kind") == Some("client_disabled")),
        text: said,
    })
}

impl Taken {
    /// Whether a registry says the same, so that the entry may go.
    pub(super) fn is_said_by(&self, registry: &Snapshot) -> bool {
        let Some(id) = &self.disabled else {
            return false;
        };
        registry
            .clients
            .get(id)
            .is_none_or(|client| client.disabled)
    }
}
