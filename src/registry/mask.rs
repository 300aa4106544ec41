//! Finds what must never be shown of a registry file: secrets that somebody wrote in clear. Pure.
//!
//! It works on the text, not on parsed values, for a secret stands as often in a comment or in a
//! line that is no TOML.

use std::borrow::Cow;
use std::ops::Range;

use crate::domain::{SECRET_PREFIX, SecretVerifier};

/// What is shown in place of a secret. Always the same length: the secret's own is nobody's
/// business.
pub(super) const MASK: &str = "********";

/// Characters after the prefix from which on a text is a secret and not a word about secrets: a
/// quarter of the 60 that a whole secret has, so that a cut one is found too.
const SECRET_CHARACTERS: usize = 16;

/// Keys whose value is a secret wherever they stand; also as the end of a longer key such as
/// `db_password`.
const SECRET_KEYS: [&str; 10] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "api_key",
    "apikey",
    "private_key",
    "secret_key",
    "access_token",
];

/// The key of a verifier: what stands there is shown only when it is one.
const HASH_KEY: &str = "hash";

/// The fields of a secret that are none themselves.
const SECRET_FIELDS: [&str; 4] = ["label", "created", "not_before", "expires"];

/// Begins a private key in PEM (RFC 7468), of whatever kind.
const PEM_BEGIN: &str = "-----BEGIN ";

/// Ends the label of a private key in PEM (RFC 5958, RFC 5915, PKCS #1).
const PEM_PRIVATE: &str = "PRIVATE KEY-----";

/// Whether a key is one whose text value is a secret in clear.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_KEYS.iter().any(|word| {
        key.strip_suffix(word)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    })
}

/// Where a text holds strings of the generated secret's form, in order.
pub(super) fn generated_secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices(SECRET_PREFIX) {
        let body = start + SECRET_PREFIX.len();
        let rest = text.get(body..).unwrap_or_default();
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if length >= SECRET_CHARACTERS {
            found.push(start..body + length);
        }
    }
    found
}

/// Where a text holds private keys in PEM, each to its end or, without one, the end of the text.
pub(super) fn private_keys(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, _) in text.match_indices(PEM_BEGIN) {
        if found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let rest = text.get(start..).unwrap_or_default();
        let header = rest.lines().next().unwrap_or_default();
        // Within a basic string the line break may be written as an escape.
        let header = header.split("\\n").next().unwrap_or_default();
        if header.contains(PEM_PRIVATE) {
            let end = rest.find("-----END ").map_or(text.len(), |at| start + at);
            found.push(start..end);
        }
    }
    found
}

/// Every range of a file's text that must not be shown, in order and without overlap.
pub(super) fn sensitive(text: &str) -> Vec<Range<usize>> {
    let mut ranges = generated_secrets(text);
    ranges.extend(private_keys(text));
    ranges.extend(assigned(text));
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// A message with everything of the generated secret's form masked and control characters
/// replaced.
pub(super) fn scrub(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for range in generated_secrets(text) {
        clean.push_str(text.get(from..range.start).unwrap_or_default());
        clean.push_str(MASK);
        from = range.end;
    }
    clean.push_str(text.get(from..).unwrap_or_default());
    match visible(&clean) {
        Cow::Borrowed(_) => clean,
        Cow::Owned(clean) => clean,
    }
}

/// Replaces what would move a terminal's cursor or turn the direction of its text.
fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().any(|character| shown(character) != character) {
        Cow::Owned(text.chars().map(shown).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// A character as a terminal may see it.
pub(super) const fn shown(character: char) -> char {
    match character {
        '\t' | '\n' => ' ',
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => '\u{fffd}',
        // The bidirectional controls of Unicode UAX #9 and the separators of lines.
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        other => other,
    }
}

/// The values of keys that hold secrets, by the text alone.
fn assigned(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        for (at, _) in line.match_indices(['=', ':']) {
            let before = line.get(..at).unwrap_or_default();
            let after = line.get(at + 1..).unwrap_or_default();
            let Some(key) = key_before(before, line.as_bytes().get(at) == Some(&b':')) else {
                continue;
            };
            let value = after.trim();
            let start = line_start + at + 1 + (after.len() - after.trim_start().len());
            let secret = is_secret_key(key) && !lists_fields(value);
            if secret || (key == HASH_KEY && !is_verifier(value)) {
                found.push(start..value_end(text, start, value));
            }
        }
        line_start += line.len();
    }
    found
}

/// The key that ends right before a separator. A colon separates only where a line begins so: a
/// habit from YAML, which is an error here but may carry a secret.
fn key_before(before: &str, colon: bool) -> Option<&str> {
    let trimmed = before.trim_end().trim_end_matches(['"', '\'']);
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    let key = trimmed
        .rfind(|character| !plain(character))
        .map_or(trimmed, |at| {
            let width = trimmed.get(at..).and_then(|rest| rest.chars().next());
            trimmed
                .get(at + width.map_or(1, char::len_utf8)..)
                .unwrap_or_default()
        });
    let separates = !colon || before.trim() == key;
    (!key.is_empty() && separates).then_some(key)
}

fn is_verifier(value: &str) -> bool {
    let inner = value.get(1..).and_then(|rest| {
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.split(quote).next()
    });
    inner.is_some_and(|inner| SecretVerifier::parse(inner).is_ok())
}

/// Whether a value begins with a list of nothing but fields of a secret, as `required_fields` of a
/// policy has under the key `secret`.
fn lists_fields(value: &str) -> bool {
    let Some((list, _)) = value
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    else {
        return false;
    };
    let unquoted = |word: &str| word.trim().trim_matches(['"', '\'']).to_owned();
    let field = |word: String| word.is_empty() || SECRET_FIELDS.contains(&word.as_str());
    list.split(',').map(unquoted).all(field)
}

/// Where a value ends: with its line, or where its multi-line string does.
fn value_end(text: &str, start: usize, value: &str) -> usize {
    for delimiter in ["\"\"\"", "'''"] {
        if value.starts_with(delimiter) {
            let body = start + delimiter.len();
            let rest = text.get(body..).unwrap_or_default();
            return rest
                .find(delimiter)
                .map_or(text.len(), |at| body + at + delimiter.len());
        }
    }
    let closed = value
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''))
        .and_then(|quote| closing(value, quote));
    start + closed.unwrap_or(value.len())
}

/// Where a string on one line ends, behind its closing quote.
fn closing(value: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in value.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            character if character == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> Vec<&str> {
        sensitive(text)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn finds_secrets_wherever_they_stand() {
        let generated = format!("{SECRET_PREFIX}{}", "ab2".repeat(20));
        assert_eq!(masked(&format!("# old: {generated}, new")), [&generated]);
        assert_eq!(
            masked("password = \"hunter2\"\nname = \"x\""),
            ["\"hunter2\""]
        );
        assert_eq!(masked("a = { db_password = 'x' }"), ["'x'"]);
        assert_eq!(masked("password: hunter2\n"), ["hunter2"]);
        assert_eq!(
            masked("secret = \"\"\"\nhun\nter2\"\"\"\nx = 1"),
            ["\"\"\"\nhun\nter2\"\"\""]
        );
        assert_eq!(masked("hash = \"hunter2\""), ["\"hunter2\""]);
        for value in ["[\"hunter2\"]", "[\"label\", \"hunter2\"]", "[\"label\""] {
            assert_eq!(masked(&format!("secret = {value}")), [value]);
        }
        assert_eq!(
            masked("k = '''-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----'''"),
            ["-----BEGIN EC PRIVATE KEY-----\nMHc\n"]
        );
    }

    #[test]
    fn leaves_the_rest_alone() {
        let hash = format!("hash = \"sha256:{}\"", "A".repeat(43));
        for text in [
            hash.as_str(),
            "# secrets begin with grantd_secret_",
            "\"secret:read\" = \"Read secrets\"",
            "[[client.x.secret]]",
            "secret = [\"label\", 'expires']",
            "name = \"The secret service\"",
        ] {
            assert_eq!(masked(text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn messages_carry_neither_secrets_nor_escapes() {
        let generated = format!("{SECRET_PREFIX}{}", "ab2".repeat(20));
        assert_eq!(
            scrub(&format!("a {generated} b\u{1b}[31m")),
            "a ******** b\u{fffd}[31m"
        );
    }
}
