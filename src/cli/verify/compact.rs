//! A JWS in compact form (RFC 7515 section 7.1), taken apart. Nothing of it is trusted yet. Pure.

use data_encoding::BASE64URL_NOPAD;

use crate::cli::json::Object;

/// Longest token in bytes: it has to fit into a header, for which most servers take 8 to 16 KiB.
pub(super) const MAX_TOKEN: usize = 16 * 1024;

/// A token in its parts.
#[derive(Debug)]
pub(super) struct Compact {
    /// The header.
    pub header: Object,
    /// The claims.
    pub claims: Object,
    /// What is signed: the first two parts as they stand.
    pub signed: String,
    /// The signature, in base64url.
    pub signature: String,
    /// Bytes of the whole.
    pub length: usize,
}

impl Compact {
    /// Takes a token apart.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TOKEN {
            return Err(format!("it is longer than {MAX_TOKEN} bytes"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let count = text.split('.').count();
            let kind = match count {
                5 => ": it may be encrypted (JWE), which an access token of grantd never is",
                1 => ": it is no JWT; is it a secret, or an opaque token?",
                _ => "",
            };
            let parts = if count == 1 { "part" } else { "parts" };
            return Err(format!(
                "it has {count} {parts} between dots, not three{kind}"
            ));
        };
        let bytes = |name: &str, part: &str| {
            BASE64URL_NOPAD
                .decode(part.as_bytes())
                .map_err(|_| format!("its {name} is not base64url without padding"))
        };
        let object = |name: &str, part: &str| {
            Object::parse(&bytes(name, part)?).map_err(|error| format!("its {name} is {error}"))
        };
        let parsed = Self {
            header: object("header", header)?,
            claims: object("payload", claims)?,
            signed: format!("{header}.{claims}"),
            signature: signature.to_owned(),
            length: text.len(),
        };
        bytes("signature", signature)?;
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn part(text: &str) -> String {
        BASE64URL_NOPAD.encode(text.as_bytes())
    }

    #[test]
    fn three_parts_of_base64url_with_two_objects() {
        let object = part("{}");
        let good = format!("{object}.{object}.AA");
        assert_eq!(Compact::parse(&good).unwrap().length, good.len());
        assert!(
            Compact::parse(&format!("{object}.{object}.")).is_ok(),
            "rules refuse it"
        );
        let twice = part(r#"{"alg":"ES256","alg":"none"}"#);
        for bad in [
            String::new(),
            object.clone(),
            format!("{object}.{object}"),
            format!("{object}.{object}.AA.AA"),
            format!("{object}.{object}.A="),
            format!("{object}.{object}.A+"),
            format!("{object} .{object}.AA"),
            format!("{twice}.{object}.AA"),
            format!("{object}.{}.AA", part("[1]")),
            format!("{object}.{object}.{}", "A".repeat(MAX_TOKEN)),
        ] {
            assert!(Compact::parse(&bad).is_err(), "{bad}");
        }
    }
}
