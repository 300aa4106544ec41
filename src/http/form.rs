//! `application/x-www-form-urlencoded`, read strictly (URL Standard, "application/x-www-form-urlencoded
//! parsing"; RFC 6749 appendix B). Pure.
//!
//! Stricter than the URL Standard, which replaces what it can't read: a bad escape, bytes that are no
//! UTF-8 and control characters refuse the whole body, so that no two readers can differ.

use std::borrow::Cow;

use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::{Zeroize, Zeroizing};

/// Most parameters of one body: the token endpoint knows a dozen.
pub const MAX_PARAMETERS: usize = 64;

/// Why a body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadForm {
    /// A `%` that is not followed by two hexadecimal digits.
    Escape,
    /// Bytes that are no UTF-8.
    Utf8,
    /// A control character.
    Control,
    /// More than [`MAX_PARAMETERS`].
    TooMany,
}

/// One parameter.
#[derive(Debug)]
pub(super) struct Parameter<'a> {
    /// Its name.
    pub(super) name: Decoded<'a>,
    /// Its value.
    pub(super) value: Decoded<'a>,
}

/// One name or value, decoded. What had no escape is borrowed from the body; what had one is zeroed when
/// dropped, for it may be a secret.
#[derive(Debug)]
pub(super) struct Decoded<'a>(Cow<'a, str>);

impl Decoded<'_> {
    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of one's own, without a copy that is left behind.
    pub(super) fn into_string(mut self) -> String {
        std::mem::take(&mut self.0).into_owned()
    }
}

impl Drop for Decoded<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

/// Reads a body: its parameters in their order, until the first thing that is wrong.
pub(super) fn parse(body: &[u8]) -> impl Iterator<Item = Result<Parameter<'_>, BadForm>> {
    body.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .enumerate()
        .map(|(place, pair)| {
            if place == MAX_PARAMETERS {
                return Err(BadForm::TooMany);
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            Ok(Parameter {
                name: decode(halves.next().unwrap_or_default())?,
                value: decode(halves.next().unwrap_or_default())?,
            })
        })
}

/// Decodes one name or value: `+` is a space, `%XX` a byte.
///
/// # Errors
/// [`BadForm`] for the first thing that is wrong.
pub(super) fn decode(encoded: &[u8]) -> Result<Decoded<'_>, BadForm> {
    let plain = |byte: &u8| !matches!(byte, b'%' | b'+');
    let text = if encoded.iter().all(plain) {
        Cow::Borrowed(std::str::from_utf8(encoded).map_err(|_| BadForm::Utf8)?)
    } else {
        let bytes = unescape(encoded)?;
        // The bytes of a bad text may be of a secret too.
        let text = String::from_utf8(bytes).map_err(|error| {
            error.into_bytes().zeroize();
            BadForm::Utf8
        })?;
        Cow::Owned(text)
    };
    let decoded = Decoded(text);
    if decoded.as_str().chars().any(char::is_control) {
        return Err(BadForm::Control);
    }
    Ok(decoded)
}

/// The bytes that are meant, in one allocation, so that no part of a secret is left in another.
fn unescape(encoded: &[u8]) -> Result<Vec<u8>, BadForm> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut rest = encoded;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or(BadForm::Escape)?;
                let mut byte = [0];
                HEXLOWER_PERMISSIVE
                    .decode_mut(digits, &mut byte)
                    .map_err(|_| BadForm::Escape)?;
                bytes.extend(byte);
                rest = after;
            }
            byte => bytes.push(*byte),
        }
    }
    Ok(std::mem::take(&mut *bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(body: &str) -> Result<Vec<(String, String)>, BadForm> {
        parse(body.as_bytes())
            .map(|parameter| {
                parameter.map(|Parameter { name, value }| (name.into_string(), value.into_string()))
            })
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn forms_as_users_send_them() {
        assert_eq!(
            pairs("grant_type=client_credentials&scope=a+b%3Ac"),
            Ok(vec![
                pair("grant_type", "client_credentials"),
                pair("scope", "a b:c")
            ])
        );
        assert_eq!(pairs(""), Ok(vec![]));
        assert_eq!(pairs("&&a=1&"), Ok(vec![pair("a", "1")]));
        assert_eq!(pairs("a"), Ok(vec![pair("a", "")]));
        assert_eq!(pairs("a=b=c"), Ok(vec![pair("a", "b=c")]));
        assert_eq!(pairs("%61=%C3%A9"), Ok(vec![pair("a", "é")]));
    }

    #[test]
    fn what_readers_could_read_in_two_ways_is_refused() {
        for body in ["a=%", "a=%4", "a=%zz", "%=a", "a=%4+"] {
            assert_eq!(pairs(body), Err(BadForm::Escape), "{body}");
        }
        assert_eq!(pairs("a=%FF"), Err(BadForm::Utf8));
        for body in ["a=%00", "a=%0D%0A", "a=b\nc", "a=%7F"] {
            assert_eq!(pairs(body), Err(BadForm::Control), "{body}");
        }
        assert_eq!(pairs(&"a=1&".repeat(65)), Err(BadForm::TooMany));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _last = parse(&body).last();
        }

        #[test]
        fn what_is_encoded_is_read_back(value in "[^\\p{Cc}]{0,40}") {
            let encoded: String = percent_encoding::utf8_percent_encode(
                &value, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode(encoded.as_bytes()).map(Decoded::into_string), Ok(value));
        }
    }
}
