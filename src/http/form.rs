//! `application/x-www-form-urlencoded`, read strictly (URL Standard, "application/x-www-form-urlencoded
//! parsing"; RFC 6749 appendix B). Pure.
//!
//! Stricter than the URL Standard, which replaces what it can't read: a bad escape, bytes that are no
//! UTF-8 and control characters refuse the whole body, so that no two readers can differ.

use percent_encoding::percent_decode;
use zeroize::Zeroizing;

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

/// The parameters in their order. Values are zeroed when dropped, for one of them may be a secret.
pub(super) type Parameters = Vec<(String, Zeroizing<String>)>;

/// Parses a body.
///
/// # Errors
/// [`BadForm`] for the first thing that is wrong.
pub(super) fn parse(body: &[u8]) -> Result<Parameters, BadForm> {
    let mut parameters = Vec::with_capacity(8);
    for pair in body.split(|byte| *byte == b'&') {
        if pair.is_empty() {
            continue;
        }
        if parameters.len() == MAX_PARAMETERS {
            return Err(BadForm::TooMany);
        }
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = decode(halves.next().unwrap_or_default())?;
        let value = decode(halves.next().unwrap_or_default())?;
        parameters.push((name, Zeroizing::new(value)));
    }
    Ok(parameters)
}

/// Decodes one name or value: `+` is a space, `%XX` a byte.
///
/// # Errors
/// [`BadForm`] for the first thing that is wrong.
pub(super) fn decode(encoded: &[u8]) -> Result<String, BadForm> {
    let mut spaced = Zeroizing::new(encoded.to_vec());
    let mut digits_due = 0_u8;
    for byte in spaced.iter_mut() {
        if digits_due > 0 {
            if !byte.is_ascii_hexdigit() {
                return Err(BadForm::Escape);
            }
            digits_due -= 1;
        } else if *byte == b'%' {
            digits_due = 2;
        } else if *byte == b'+' {
            *byte = b' ';
        }
    }
    if digits_due > 0 {
        return Err(BadForm::Escape);
    }
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    let text = String::from_utf8(bytes).map_err(|_| BadForm::Utf8)?;
    if text.chars().any(char::is_control) {
        return Err(BadForm::Control);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(body: &str) -> Result<Vec<(String, String)>, BadForm> {
        parse(body.as_bytes()).map(|parameters| {
            parameters
                .into_iter()
                .map(|(name, value)| (name, value.to_string()))
                .collect()
        })
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
            let _outcome = parse(&body);
        }

        #[test]
        fn what_is_encoded_is_read_back(value in "[^\\p{Cc}]{0,40}") {
            let encoded: String = percent_encoding::utf8_percent_encode(
                &value, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode(encoded.as_bytes()), Ok(value));
        }
    }
}
