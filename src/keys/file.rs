//! The form of a key file, and of a record in the store. Pure.
//!
//! What serde fills stays in this file; it is turned into [`KeyRecord`] by exhaustive
//! destructuring. `docs/keys.md` describes the form for operators.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ring::{KeyRecord, KeyState};
use crate::domain::{Algorithm, KeyId, Secret, UnixSeconds};

/// The version of the form that is written, and the only one that is read.
pub(super) const FORMAT: u32 = 1;

/// What stands at the top of each file.
const COMMENT: &str = "# A private signing key of grantd. Whoever reads it can make tokens: never copy it\n# into a repository. grantd writes this file; docs/keys.md says what is in it.\n";

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// What a sealed key begins with.
const SEALED_PREFIX: &str = "aes-256-gcm:";

/// Characters a line of PEM (RFC 7468 section 2).
const PEM_LINE: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u32,
    algorithm: String,
    kid: String,
    state: String,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<PrivateText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_key: Option<String>,
}

/// A private key as text, zeroed when dropped. It has no `Debug`.
struct PrivateText(Zeroizing<String>);

impl Serialize for PrivateText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PrivateText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// Only the version, to tell a newer form from a broken file.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The private part of a key file.
#[derive(Debug)]
pub(super) enum Body {
    /// PKCS#8 in clear.
    Plain(Secret<Vec<u8>>),
    /// PKCS#8, sealed.
    Sealed(Vec<u8>),
}

/// What is wrong with the text of a key file. Never says anything of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormFault {
    /// No TOML or JSON, or not these fields.
    #[error("it has not the form of a key file: {0}")]
    Syntax(String),
    /// A newer grantd wrote it.
    #[error("it has format {0}, and this grantd knows format {FORMAT} alone: use the newer grantd")]
    Version(u32),
    /// A field with a value that it can't have.
    #[error("its {0} is not valid")]
    Field(&'static str),
    /// Neither a private key nor a sealed one, or both.
    #[error("it must have either private_key or sealed_key")]
    Body,
    /// A state without the time at which it began.
    #[error("its state is {0}, but it does not say since when")]
    Times(&'static str),
}

/// The text of a key file.
pub(super) fn write(record: &KeyRecord, body: &Body) -> Result<Zeroizing<String>, FormFault> {
    let mut head = Head::of(record);
    match body {
        Body::Plain(pkcs8) => head.private_key = Some(PrivateText(to_pem(pkcs8))),
        Body::Sealed(sealed) => {
            let encoded = BASE64URL_NOPAD.encode(sealed);
            head.sealed_key = Some(format!("{SEALED_PREFIX}{encoded}"));
        }
    }
    let syntax = |error: toml::ser::Error| FormFault::Syntax(error.to_string());
    let text = Zeroizing::new(toml::to_string(&head).map_err(syntax)?);
    Ok(Zeroizing::new(format!("{COMMENT}{}", *text)))
}

/// Reads the text of a key file.
pub(super) fn read(text: &str) -> Result<(KeyRecord, Body), FormFault> {
    // toml's messages quote the input, which is a private key here: only what is wrong is kept.
    let syntax = |error: toml::de::Error| FormFault::Syntax(error.message().to_owned());
    let version: Version = toml::from_str(text).map_err(syntax)?;
    if version.format != FORMAT {
        return Err(FormFault::Version(version.format));
    }
    let head: Head = toml::from_str(text).map_err(syntax)?;
    let body = match (&head.private_key, &head.sealed_key) {
        (Some(pem), None) => Body::Plain(from_pem(&pem.0)?),
        (None, Some(sealed)) => Body::Sealed(from_sealed(sealed)?),
        _ => return Err(FormFault::Body),
    };
    Ok((head.record()?, body))
}

/// A record as the store keeps it: the same fields in JSON, without the key.
pub(crate) fn record_to_json(record: &KeyRecord) -> Result<Vec<u8>, FormFault> {
    serde_json::to_vec(&Head::of(record)).map_err(|error| FormFault::Syntax(error.to_string()))
}

/// Reads a record that the store kept.
pub(crate) fn record_from_json(bytes: &[u8]) -> Result<KeyRecord, FormFault> {
    let syntax = |error: serde_json::Error| FormFault::Syntax(error.to_string());
    let version: Version = serde_json::from_slice(bytes).map_err(syntax)?;
    if version.format != FORMAT {
        return Err(FormFault::Version(version.format));
    }
    serde_json::from_slice::<Head>(bytes)
        .map_err(syntax)?
        .record()
}

impl Head {
    fn of(record: &KeyRecord) -> Self {
        let KeyRecord {
            id,
            algorithm,
            state,
            created,
            published,
            not_before,
            activated,
            retired,
            withdrawn,
            tokens_until,
        } = record;
        let text = |at: &Option<UnixSeconds>| at.map(UnixSeconds::to_rfc3339);
        Self {
            format: FORMAT,
            algorithm: algorithm.name().to_owned(),
            kid: id.to_string(),
            state: state.name().to_owned(),
            created: created.to_rfc3339(),
            published: text(published),
            not_before: text(not_before),
            activated: text(activated),
            retired: text(retired),
            withdrawn: text(withdrawn),
            tokens_until: text(tokens_until),
            private_key: None,
            sealed_key: None,
        }
    }

    fn record(self) -> Result<KeyRecord, FormFault> {
        let Self {
            format: _,
            algorithm,
            kid,
            state,
            created,
            published,
            not_before,
            activated,
            retired,
            withdrawn,
            tokens_until,
            private_key: _,
            sealed_key: _,
        } = self;
        let record = KeyRecord {
            id: KeyId::parse(&kid).map_err(|_| FormFault::Field("kid"))?,
            algorithm: algorithm
                .parse::<Algorithm>()
                .map_err(|_| FormFault::Field("algorithm"))?,
            state: KeyState::from_name(&state).ok_or(FormFault::Field("state"))?,
            created: moment("created", &created)?,
            published: optional("published", published)?,
            not_before: optional("not_before", not_before)?,
            activated: optional("activated", activated)?,
            retired: optional("retired", retired)?,
            withdrawn: optional("withdrawn", withdrawn)?,
            tokens_until: optional("tokens_until", tokens_until)?,
        };
        let since = match record.state {
            KeyState::Next => Some(record.created),
            KeyState::Active => record.activated.and(record.published),
            KeyState::Retiring => record.retired,
            KeyState::Withdrawn => record.withdrawn,
        };
        if since.is_none() {
            return Err(FormFault::Times(record.state.name()));
        }
        Ok(record)
    }
}

fn moment(name: &'static str, text: &str) -> Result<UnixSeconds, FormFault> {
    UnixSeconds::parse_rfc3339(text).map_err(|_| FormFault::Field(name))
}

fn optional(name: &'static str, text: Option<String>) -> Result<Option<UnixSeconds>, FormFault> {
    text.map(|text| moment(name, &text)).transpose()
}

fn to_pem(pkcs8: &Secret<Vec<u8>>) -> Zeroizing<String> {
    let encoded = Zeroizing::new(BASE64.encode(pkcs8.expose()));
    let room = encoded.len() + encoded.len() / PEM_LINE + PEM_BEGIN.len() + PEM_END.len() + 8;
    // Room for all at once: a string that grows leaves copies behind.
    let mut pem = Zeroizing::new(String::with_capacity(room));
    pem.push_str(PEM_BEGIN);
    for (at, character) in encoded.chars().enumerate() {
        if at % PEM_LINE == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push('\n');
    pem.push_str(PEM_END);
    pem.push('\n');
    pem
}

fn from_pem(pem: &str) -> Result<Secret<Vec<u8>>, FormFault> {
    let fault = FormFault::Field("private_key");
    let inner = pem
        .trim()
        .strip_prefix(PEM_BEGIN)
        .and_then(|rest| rest.strip_suffix(PEM_END))
        .ok_or(fault.clone())?;
    let mut encoded = Zeroizing::new(String::with_capacity(inner.len()));
    encoded.extend(inner.chars().filter(|c| !c.is_ascii_whitespace()));
    let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| fault)?;
    Ok(Secret::new(bytes))
}

fn from_sealed(text: &str) -> Result<Vec<u8>, FormFault> {
    text.strip_prefix(SEALED_PREFIX)
        .and_then(|encoded| BASE64URL_NOPAD.decode(encoded.as_bytes()).ok())
        .ok_or(FormFault::Field("sealed_key"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::keys::generate::generate;
    use crate::keys::schedule::first_active;

    fn record(id: KeyId) -> KeyRecord {
        let at = UnixSeconds::new(1_800_000_000);
        let mut record = first_active(id, Algorithm::EdDsa, at);
        record.tokens_until = Some(UnixSeconds::new(1_800_004_800));
        record
    }

    #[test]
    fn files_and_stored_records_read_back() {
        let made = generate(Algorithm::EdDsa).unwrap();
        let record = record(made.key.id().clone());
        let plain = Body::Plain(Secret::new(made.pkcs8.expose().clone()));
        let text = write(&record, &plain).unwrap();
        assert!(text.starts_with('#'));
        let (read_record, body) = read(&text).unwrap();
        assert_eq!(read_record, record);
        assert!(matches!(body, Body::Plain(pkcs8) if pkcs8.expose() == made.pkcs8.expose()));
        let sealed = write(&record, &Body::Sealed(vec![1, 2, 3])).unwrap();
        assert!(!sealed.contains("PRIVATE"));
        assert!(matches!(read(&sealed).unwrap().1, Body::Sealed(bytes) if bytes == [1, 2, 3]));
        let json = record_to_json(&record).unwrap();
        assert_eq!(record_from_json(&json).unwrap(), record);
        assert!(json.len() < 1024, "{}", json.len());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_key() {
        let made = generate(Algorithm::EdDsa).unwrap();
        let plain = Body::Plain(Secret::new(made.pkcs8.expose().clone()));
        let good = write(&record(made.key.id().clone()), &plain).unwrap();
        let cases = [
            (good.replace("format = 1", "format = 2"), "format 2"),
            (good.replace("active\"", "asleep\""), "state"),
            (
                good.replace("activated = ", "published_at = "),
                "unknown field",
            ),
            (good.replace("EdDSA", "none"), "algorithm"),
            (good.replace("private_key", "sealed_key"), "sealed_key"),
            (good.replace("-----BEGIN", "----BEGIN"), "private_key"),
            (
                good.replace("state = \"active\"", "state = \"retiring\""),
                "since when",
            ),
            (good.replace('=', ""), "form"),
        ];
        for (text, expected) in cases {
            let fault = read(&text).unwrap_err().to_string();
            assert!(fault.contains(expected), "{fault}");
            let pem = good.lines().nth(12).unwrap();
            assert!(!fault.contains(pem.trim()) || pem.len() < 8, "{fault}");
        }
    }
}
