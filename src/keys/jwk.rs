//! The public half of a signing key as a JWK, and its thumbprint. Pure.
//!
//! **Invariant:** only the public members of RFC 7518 section 6 and RFC 8037 section 2 can be here:
//! the type has no place for another.

use data_encoding::BASE64URL_NOPAD;

use crate::domain::{Algorithm, Digest, KeyId};

/// First byte of an uncompressed elliptic curve point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// DER tag of an INTEGER (X.690 section 8.3).
const DER_INTEGER: u8 = 0x02;

/// DER tag of a SEQUENCE (X.690 section 8.9).
const DER_SEQUENCE: u8 = 0x30;

/// A public key as a JSON Web Key (RFC 7517), without its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicJwk {
    /// The members that RFC 7638 section 3.2 hashes, in the order of their names.
    members: Vec<(&'static str, String)>,
}

impl PublicJwk {
    /// The JWK of a curve's point, given as `04 || x || y`. `None` when it is no such point.
    pub(super) fn of_point(curve: &'static str, point: &[u8]) -> Option<Self> {
        let (&form, coordinates) = point.split_first()?;
        if form != UNCOMPRESSED || coordinates.is_empty() || coordinates.len() % 2 != 0 {
            return None;
        }
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        Some(Self {
            members: vec![
                ("crv", curve.to_owned()),
                ("kty", "EC".to_owned()),
                ("x", BASE64URL_NOPAD.encode(x)),
                ("y", BASE64URL_NOPAD.encode(y)),
            ],
        })
    }

    /// The JWK of an Ed25519 public key (RFC 8037 section 2).
    pub(super) fn of_ed25519(public: &[u8]) -> Self {
        Self {
            members: vec![
                ("crv", "Ed25519".to_owned()),
                ("kty", "OKP".to_owned()),
                ("x", BASE64URL_NOPAD.encode(public)),
            ],
        }
    }

    /// The JWK of an RSA public key, given as the DER of `RSAPublicKey` (RFC 8017 appendix A.1.1).
    /// `None` when it is no such DER.
    pub(super) fn of_rsa(der: &[u8]) -> Option<Self> {
        let (body, rest) = der_value(der, DER_SEQUENCE)?;
        let (modulus, tail) = der_value(body, DER_INTEGER)?;
        let (exponent, end) = der_value(tail, DER_INTEGER)?;
        if !rest.is_empty() || !end.is_empty() {
            return None;
        }
        Some(Self {
            members: vec![
                ("e", BASE64URL_NOPAD.encode(without_leading_zeros(exponent))),
                ("kty", "RSA".to_owned()),
                ("n", BASE64URL_NOPAD.encode(without_leading_zeros(modulus))),
            ],
        })
    }

    /// The SHA-256 thumbprint (RFC 7638), which is the key's id.
    #[must_use]
    pub fn thumbprint(&self) -> KeyId {
        let canonical = format!("{{{}}}", self.json_members());
        KeyId::from_thumbprint(Digest::of(canonical.as_bytes()))
    }

    /// The key as an entry of a JWKS: public members, `use`, `alg` and `kid`.
    #[must_use]
    pub fn to_json(&self, algorithm: Algorithm) -> String {
        format!(
            "{{{},\"use\":\"sig\",\"alg\":\"{algorithm}\",\"kid\":\"{}\"}}",
            self.json_members(),
            self.thumbprint()
        )
    }

    /// The members as JSON. Names and values are base64url or names of curves: nothing to escape.
    fn json_members(&self) -> String {
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        members.join(",")
    }
}

/// The contents of the DER value with this tag at the beginning, and what follows it.
fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        // Two bytes of length reach 64 KiB: far more than any key that is accepted.
        if !(1..=2).contains(&count) {
            return None;
        }
        let (digits, tail) = rest.split_at_checked(count)?;
        length = digits
            .iter()
            .fold(0, |sum, &digit| sum * 256 + usize::from(digit));
        rest = tail;
    }
    rest.split_at_checked(length)
}

/// RFC 7518 section 2, Base64urlUInt: the minimum number of octets.
fn without_leading_zeros(mut number: &[u8]) -> &[u8] {
    while let Some((&0, rest)) = number.split_first() {
        if rest.is_empty() {
            break;
        }
        number = rest;
    }
    number
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The key of RFC 7638 section 3.1.
    const RFC_7638_MODULUS: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    fn rsa_der(modulus: &[u8]) -> Vec<u8> {
        let length = u16::try_from(modulus.len() + 1).unwrap().to_be_bytes();
        let mut body = vec![DER_INTEGER, 0x82, length[0], length[1], 0];
        body.extend_from_slice(modulus);
        body.extend_from_slice(&[DER_INTEGER, 3, 1, 0, 1]);
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        let mut der = vec![DER_SEQUENCE, 0x82, length[0], length[1]];
        der.extend_from_slice(&body);
        der
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let modulus = BASE64URL_NOPAD.decode(RFC_7638_MODULUS.as_bytes()).unwrap();
        let jwk = PublicJwk::of_rsa(&rsa_der(&modulus)).unwrap();
        assert_eq!(
            jwk.thumbprint().as_str(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let public = BASE64URL_NOPAD
            .decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        assert_eq!(
            PublicJwk::of_ed25519(&public).thumbprint().as_str(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn broken_der_and_points_are_refused() {
        let whole = rsa_der(&[0xff; 256]);
        for length in 0..whole.len() {
            assert_eq!(PublicJwk::of_rsa(whole.get(..length).unwrap()), None);
        }
        let mut longer = whole;
        longer.push(0);
        assert_eq!(PublicJwk::of_rsa(&longer), None);
        assert_eq!(PublicJwk::of_point("P-256", &[]), None);
        assert_eq!(PublicJwk::of_point("P-256", &[2, 1, 1]), None);
        assert_eq!(PublicJwk::of_point("P-256", &[4, 1, 1, 1]), None);
    }
}
