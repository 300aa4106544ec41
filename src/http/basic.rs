//! The `Authorization` header with a client's id and secret (RFC 7617 section 2, RFC 6749 section 2.3.1).
//! Pure.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::form;
use crate::domain::{ClientSecret, Secret};

/// Reads `Basic …`: base64, split at the first colon, then both halves form-decoded, as
/// RFC 6749 section 2.3.1 asks. `None` when it can't be read so.
#[must_use]
pub(super) fn parse(header: &[u8]) -> Option<(String, ClientSecret)> {
    let (scheme, rest) = header.split_at_checked(header.iter().position(|byte| *byte == b' ')?)?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let encoded = rest.trim_ascii();
    let decoded = Zeroizing::new(BASE64.decode(encoded).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let id = form::decode(decoded.get(..colon)?).ok()?;
    let secret = form::decode(decoded.get(colon + 1..)?).ok()?;
    Some((id.into_string(), Secret::new(secret.into_string())))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(pair: &str) -> Option<(String, String)> {
        let header = format!("Basic {}", BASE64.encode(pair.as_bytes()));
        parse(header.as_bytes()).map(|(id, secret)| (id, secret.expose().clone()))
    }

    fn pair(id: &str, secret: &str) -> Option<(String, String)> {
        Some((id.to_owned(), secret.to_owned()))
    }

    #[test]
    fn both_halves_are_form_encoded() {
        assert_eq!(read("ledger:s3cret"), pair("ledger", "s3cret"));
        assert_eq!(read("ledger:a:b"), pair("ledger", "a:b"));
        assert_eq!(read("a%3Ab:c%25d"), pair("a:b", "c%d"));
        assert_eq!(read("a+b:c+d"), pair("a b", "c d"));
        assert_eq!(read("caf%C3%A9:é"), pair("café", "é"));
        assert_eq!(read(":"), pair("", ""));
    }

    #[test]
    fn the_scheme_has_no_case_and_all_else_is_refused() {
        assert!(parse(b"bAsIc YTpi").is_some());
        assert!(parse(b"Basic   YTpi").is_some());
        for header in [
            &b""[..],
            b"Basic",
            b"Basic ",
            b"Bearer YTpi",
            b"Basic YTpi=",
            b"Basic !!!!",
            b"BasicYTpi",
            b"Basic YWI=",
            b"Basic YTol",
        ] {
            assert!(
                parse(header).is_none(),
                "{}",
                std::str::from_utf8(header).unwrap()
            );
        }
    }
}
