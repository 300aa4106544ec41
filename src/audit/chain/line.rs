//! One line: parsing it strictly, and splicing one onto the chain. Pure.

use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::Lineage;
use crate::domain::Digest;

/// Longest line in bytes, without its line feed. The longest that a registry can bring about is a
/// token with 128 scopes of 256 bytes, about 36 KiB; NATS takes 1 MiB by default (`max_payload`).
pub const MAX_LINE: usize = 64 * 1024;

/// What [`splice`] appends to a head, in bytes: every value there has a fixed width.
pub const TAIL: usize = CHAINED + SEALED;

/// Longest head in bytes: what is left of [`MAX_LINE`].
pub const MAX_HEAD: usize = MAX_LINE - TAIL;

/// What every line begins with.
const OPENING: &str = "{\"specversion\":\"1.0\",\"id\":\"";
/// What stands before an event's type; it can't stand in a JSON string, whose quotes are escaped.
const TYPE_KEY: &str = "\",\"type\":\"dev.grantd.";
/// What stands before an event's time.
const TIME_KEY: &str = "\",\"time\":\"";

const LINEAGE_KEY: &str = ",\"lineage\":\"";
const SEQUENCE_KEY: &str = "\",\"sequence\":\"";
const BATCH_KEY: &str = "\",\"batch\":\"";
const PREV_KEY: &str = "\",\"prev\":\"";
const QUOTE: &str = "\"";
const HASH_KEY: &str = ",\"hash\":\"";
const CLOSING: &str = "\"}";

/// Hexadecimal digits of a lineage, decimal digits of a number (2^64 has 20), digits of a hash.
const LINEAGE: usize = 32;
const NUMBER: usize = 20;
const HASH: usize = 64;

/// Bytes of the tail that the hash covers.
const CHAINED: usize = LINEAGE_KEY.len()
    + LINEAGE
    + SEQUENCE_KEY.len()
    + NUMBER
    + BATCH_KEY.len()
    + NUMBER
    + PREV_KEY.len()
    + HASH
    + QUOTE.len();
/// Bytes of the tail that hold the hash.
const SEALED: usize = HASH_KEY.len() + HASH + CLOSING.len();

/// Where a line stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The chain's name.
    pub lineage: Lineage,
    /// The line's number, from 1, without gaps.
    pub sequence: u64,
    /// The first sequence of the commit that wrote the line.
    pub batch: u64,
    /// The hash of the line before.
    pub prev: Digest,
}

/// A line of the chain, well-formed and with the right hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line's number, from 1, without gaps.
    pub sequence: u64,
    /// The first sequence of the commit that wrote the line.
    pub batch: u64,
    /// The chain's name.
    pub lineage: Lineage,
    /// The hash of the line before.
    pub prev: Digest,
    /// The SHA-256 of the line's bytes before `,"hash"`.
    pub hash: Digest,
    bytes: Bytes,
}

/// Why bytes are no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Over [`MAX_LINE`].
    #[error("longer than {MAX_LINE} bytes")]
    TooLong,
    /// A part of the form is missing.
    #[error("not of a line's form: its {0} is missing or malformed")]
    Form(&'static str),
    /// The form is right, the bytes are not those that were hashed.
    #[error("altered: its hash does not match its bytes")]
    Altered,
    /// The hash is right, but an auditor could not read it.
    #[error("not one JSON object")]
    Json,
}

/// Appends the line that `head` becomes at this place of the chain, without a line feed; its hash.
///
/// The head must have been made by [`super::super::event`]; at most [`MAX_HEAD`] bytes.
pub fn splice(head: &[u8], link: &Link, out: &mut Vec<u8>) -> Digest {
    let start = out.len();
    out.reserve(head.len() + TAIL + 1);
    out.extend_from_slice(head);
    out.extend_from_slice(LINEAGE_KEY.as_bytes());
    out.extend_from_slice(&link.lineage.to_hex());
    out.extend_from_slice(SEQUENCE_KEY.as_bytes());
    push_number(out, link.sequence);
    out.extend_from_slice(BATCH_KEY.as_bytes());
    push_number(out, link.batch);
    out.extend_from_slice(PREV_KEY.as_bytes());
    push_digest(out, &link.prev);
    out.extend_from_slice(QUOTE.as_bytes());
    let hash = Digest::of(out.get(start..).unwrap_or_default());
    out.extend_from_slice(HASH_KEY.as_bytes());
    push_digest(out, &hash);
    out.extend_from_slice(CLOSING.as_bytes());
    hash
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    out.resize(out.len() + NUMBER.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits);
}

fn push_digest(out: &mut Vec<u8>, digest: &Digest) {
    let mut hex = [0; HASH];
    HEXLOWER.encode_mut(digest.as_bytes(), &mut hex);
    out.extend_from_slice(&hex);
}

impl Line {
    /// Parses a line without its line feed: strictly, with its hash checked.
    ///
    /// # Errors
    /// [`LineFault`] says what is wrong. Whether the line follows the one before is for
    /// [`super::Verifier`] to say.
    pub fn parse(bytes: Bytes) -> Result<Self, LineFault> {
        if bytes.len() > MAX_LINE {
            return Err(LineFault::TooLong);
        }
        let hashed = bytes
            .len()
            .checked_sub(SEALED)
            .ok_or(LineFault::Form("end"))?;
        let (covered, seal) = bytes.split_at(hashed);
        let hash = parse_seal(seal)?;
        let link = parse_link(covered)?;
        if Digest::of(covered) != hash {
            return Err(LineFault::Altered);
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| LineFault::Form("encoding"))?;
        if text.bytes().any(|byte| byte < b' ') {
            return Err(LineFault::Form("encoding"));
        }
        if !text.starts_with(OPENING) {
            return Err(LineFault::Form("opening"));
        }
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| LineFault::Json)?;
        let line = Self::spliced(&link, hash, bytes);
        if line.event_type().is_empty() {
            return Err(LineFault::Form("type"));
        }
        Ok(line)
    }

    /// The line whose bytes [`splice`] made for this place.
    pub(in crate::audit) const fn spliced(link: &Link, hash: Digest, bytes: Bytes) -> Self {
        Self {
            sequence: link.sequence,
            batch: link.batch,
            lineage: link.lineage,
            prev: link.prev,
            hash,
            bytes,
        }
    }

    /// The line's bytes, without a line feed.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The line as text: one JSON object.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The event's type without `dev.grantd.` and its version: `token.issued`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        let name = self
            .value_after(TYPE_KEY)
            .and_then(|full| full.rsplit_once(".v"))
            .map_or("", |(name, _)| name);
        let allowed = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_');
        if name.bytes().all(allowed) { name } else { "" }
    }

    /// The event's time in RFC 3339, or nothing where a line of a later version has none.
    #[must_use]
    pub fn time(&self) -> &str {
        self.value_after(TIME_KEY).unwrap_or_default()
    }

    /// The text from the first `key` on to the next quote. Both lie in the head, before `data`.
    fn value_after(&self, key: &str) -> Option<&str> {
        let (_, rest) = self.text().split_once(key)?;
        rest.split_once('"').map(|(value, _)| value)
    }
}

fn parse_seal(seal: &[u8]) -> Result<Digest, LineFault> {
    seal.strip_prefix(HASH_KEY.as_bytes())
        .and_then(|rest| rest.strip_suffix(CLOSING.as_bytes()))
        .and_then(|hex| Digest::parse(hex).ok())
        .ok_or(LineFault::Form("hash"))
}

fn parse_link(covered: &[u8]) -> Result<Link, LineFault> {
    let at = covered
        .len()
        .checked_sub(CHAINED)
        .ok_or(LineFault::Form("end"))?;
    let mut rest = covered.get(at..).unwrap_or_default();
    let lineage = Lineage::parse(take(&mut rest, LINEAGE_KEY, LINEAGE, "lineage")?)
        .map_err(|_| LineFault::Form("lineage"))?;
    let sequence = parse_number(
        take(&mut rest, SEQUENCE_KEY, NUMBER, "sequence")?,
        "sequence",
    )?;
    let batch = parse_number(take(&mut rest, BATCH_KEY, NUMBER, "batch")?, "batch")?;
    let prev = Digest::parse(take(&mut rest, PREV_KEY, HASH, "prev")?)
        .map_err(|_| LineFault::Form("prev"))?;
    if rest != QUOTE.as_bytes() {
        return Err(LineFault::Form("prev"));
    }
    Ok(Link {
        lineage,
        sequence,
        batch,
        prev,
    })
}

/// Takes `key` and then `width` bytes from the front of `rest`.
fn take<'a>(
    rest: &mut &'a [u8],
    key: &str,
    width: usize,
    name: &'static str,
) -> Result<&'a [u8], LineFault> {
    let after = rest
        .strip_prefix(key.as_bytes())
        .ok_or(LineFault::Form(name))?;
    let (value, left) = after.split_at_checked(width).ok_or(LineFault::Form(name))?;
    *rest = left;
    Ok(value)
}

fn parse_number(digits: &[u8], name: &'static str) -> Result<u64, LineFault> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(LineFault::Form(name));
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(LineFault::Form(name))
}
