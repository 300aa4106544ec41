//! Verifies a token as a resource server does: signature by the published key, header and claims.

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::{Answer, Grantd};

/// A token whose signature holds.
#[derive(Debug)]
pub struct Token {
    pub header: Value,
    pub claims: Value,
}

impl Token {
    /// A claim that is a string.
    pub fn text(&self, claim: &str) -> &str {
        self.claims[claim]
            .as_str()
            .unwrap_or_else(|| panic!("no {claim}: {}", self.claims))
    }

    /// A claim that is a number of seconds.
    pub fn seconds(&self, claim: &str) -> u64 {
        self.claims[claim]
            .as_u64()
            .unwrap_or_else(|| panic!("no {claim}: {}", self.claims))
    }
}

/// Verifies the token of this answer by the keys that the daemon publishes.
pub async fn verify(grantd: &Grantd, answer: &Answer) -> Token {
    let jwks = grantd.https().get(&grantd.ready.jwks_uri).await;
    assert_eq!(jwks.status, 200);
    let token = verify_with(&jwks.json(), &answer.text("access_token"));
    assert_eq!(token.text("iss"), grantd.ready.issuer);
    token
}

/// Verifies a token in compact form by these keys. Fails unless exactly one of them fits.
pub fn verify_with(jwks: &Value, compact: &str) -> Token {
    let parts: Vec<_> = compact.split('.').collect();
    assert_eq!(parts.len(), 3, "a JWS in compact form has three parts");
    let header = object(parts[0]);
    let keys: Vec<_> = jwks["keys"]
        .as_array()
        .expect("a JWKS has keys")
        .iter()
        .filter(|key| key["kid"] == header["kid"])
        .collect();
    assert_eq!(
        keys.len(),
        1,
        "the token's kid names exactly one published key"
    );
    assert_eq!(keys[0]["alg"], header["alg"]);
    let signed = &compact[..parts[0].len() + 1 + parts[1].len()];
    assert!(
        holds(keys[0], signed.as_bytes(), &bytes(parts[2])),
        "the signature does not hold"
    );
    Token {
        claims: object(parts[1]),
        header,
    }
}

fn holds(key: &Value, signed: &[u8], signature: &[u8]) -> bool {
    let member = |name: &str| {
        bytes(
            key[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name}: {key}")),
        )
    };
    let point = || [vec![4], member("x"), member("y")].concat();
    let plain = |algorithm: &'static dyn VerificationAlgorithm, public: Vec<u8>| {
        UnparsedPublicKey::new(algorithm, public)
            .verify(signed, signature)
            .is_ok()
    };
    let rsa = |parameters: &signature::RsaParameters| {
        let public = RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        };
        public.verify(parameters, signed, signature).is_ok()
    };
    match key["alg"].as_str() {
        Some("ES256") => plain(&ECDSA_P256_SHA256_FIXED, point()),
        Some("ES384") => plain(&ECDSA_P384_SHA384_FIXED, point()),
        Some("EdDSA") => plain(&ED25519, member("x")),
        Some("RS256") => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        Some("PS256") => rsa(&signature::RSA_PSS_2048_8192_SHA256),
        other => panic!("a key of an algorithm that we do not know: {other:?}"),
    }
}

fn bytes(part: &str) -> Vec<u8> {
    BASE64URL_NOPAD
        .decode(part.as_bytes())
        .expect("base64url without padding")
}

fn object(part: &str) -> Value {
    serde_json::from_slice(&bytes(part)).expect("an object in JSON")
}
