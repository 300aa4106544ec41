//! The issuer's keys: from its metadata, from a URL or from a file. Touches: fs, net.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jsonwebtoken::jwk::Jwk;
use serde_json::Value;

use crate::cli::discovery::{DiscoveryFault, discover};
use crate::cli::https::{Client, Deadline, HttpsFault, MAX_ANSWER};
use crate::cli::json::{InvalidObject, Object};
use crate::domain::Issuer;

/// Where a key set is.
#[derive(Clone, Debug)]
pub(super) enum KeysPlace {
    /// In a file.
    File(PathBuf),
    /// Behind an https URL.
    Url(String),
}

impl FromStr for KeysPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("http://") {
            return Err("keys that came without TLS could be anybody's: use https".to_owned());
        }
        Ok(if text.starts_with("https://") {
            Self::Url(text.to_owned())
        } else {
            Self::File(PathBuf::from(text))
        })
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysFault {
    /// No answer.
    #[error(transparent)]
    Https(#[from] HttpsFault),
    /// The metadata can't be had.
    #[error(transparent)]
    Discovery(#[from] DiscoveryFault),
    /// The server does not give them.
    #[error("{url} answers {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// The file can't be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No key set.
    #[error("{place} is no JSON Web Key Set (RFC 7517 section 5)")]
    Invalid {
        /// Where it was.
        place: String,
        /// What is wrong.
        source: InvalidObject,
    },
    /// An object without keys.
    #[error("{0} is no JSON Web Key Set: it has no list of keys")]
    NoKeys(String),
}

/// A key set. Keys that can't be used are left out, as RFC 7517 section 5 asks.
#[derive(Debug)]
pub(super) struct Keys {
    /// Where they came from.
    pub place: String,
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// The keys that an issuer's metadata names.
pub(super) fn of_issuer(
    issuer: &Issuer,
    ca_file: Option<&Path>,
    deadline: Deadline,
) -> Result<Keys, KeysFault> {
    let client = Client::new(ca_file)?;
    let metadata = discover(&client, issuer, deadline)?;
    from_url(&client, metadata.jwks_uri()?, deadline)
}

/// The keys of a file or behind a URL.
pub(super) fn from_place(
    place: &KeysPlace,
    ca_file: Option<&Path>,
    deadline: Deadline,
) -> Result<Keys, KeysFault> {
    match place {
        KeysPlace::Url(url) => from_url(&Client::new(ca_file)?, url, deadline),
        KeysPlace::File(path) => {
            let unreadable = |source| KeysFault::Unreadable {
                path: path.clone(),
                source,
            };
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(unreadable)?;
            file.take(MAX_ANSWER)
                .read_to_end(&mut bytes)
                .map_err(unreadable)?;
            parse(&bytes, path.display().to_string())
        }
    }
}

fn from_url(client: &Client, url: &str, deadline: Deadline) -> Result<Keys, KeysFault> {
    let reply = client.fetch(url, deadline)?;
    match reply.status {
        200 => parse(&reply.body, reply.url),
        status => Err(KeysFault::Status {
            url: reply.url,
            status,
        }),
    }
}

fn parse(bytes: &[u8], place: String) -> Result<Keys, KeysFault> {
    let set = match Object::parse(bytes) {
        Ok(set) => set,
        Err(source) => return Err(KeysFault::Invalid { place, source }),
    };
    let Some(Value::Array(entries)) = set.member("keys") else {
        return Err(KeysFault::NoKeys(place));
    };
    let keys = entries
        .iter()
        .filter_map(|entry| serde_json::from_value(entry.clone()).ok())
        .collect();
    Ok(Keys { place, keys })
}
