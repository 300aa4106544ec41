//! Forged tokens: signed by the daemon's own key or by another, with whatever header and claims.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use super::Grantd;

/// A private key that signs what it is told to.
pub struct Forger {
    kid: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Forger {
    /// The key with which this daemon signs now, read from its state: so a forged token differs from a
    /// good one in nothing but what the test changes.
    pub fn of(grantd: &Grantd, algorithm: &str) -> Self {
        let files = std::fs::read_dir(grantd.ready.state.join("keys")).unwrap();
        let tables = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let key = tables
            .filter_map(|text| text.parse::<toml::Table>().ok())
            .find(|key| {
                let is = |member: &str, value: &str| key[member].as_str() == Some(value);
                is("algorithm", algorithm) && is("state", "active")
            })
            .unwrap_or_else(|| panic!("no active key of {algorithm}"));
        let pem = key["private_key"].as_str().unwrap();
        let body: String = pem
            .lines()
            .filter(|line| !line.starts_with('-'))
            .map(str::trim)
            .collect();
        let der = BASE64.decode(body.as_bytes()).unwrap();
        Self {
            kid: key["kid"].as_str().unwrap().to_owned(),
            pair: match algorithm {
                "EdDSA" => Pair::EdDsa(Ed25519KeyPair::from_pkcs8(&der).unwrap()),
                _ => es256(&der),
            },
        }
    }

    /// A new ES256 key that calls itself this.
    pub fn new(kid: &str) -> Self {
        let der =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self {
            kid: kid.to_owned(),
            pair: es256(der.unwrap().as_ref()),
        }
    }

    /// How the key is called.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key of an ES256 key, as a JWKS has it.
    pub fn jwk(&self) -> Value {
        let point = self.point();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": BASE64URL_NOPAD.encode(&point[1..33]), "y": BASE64URL_NOPAD.encode(&point[33..]),
        })
    }

    /// The public key of an ES256 key as a PEM file has it (RFC 5480).
    pub fn pem(&self) -> String {
        let head = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        let text = BASE64.encode(&[&head[..], self.point()].concat());
        let (first, second) = text.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    /// The public point of an ES256 key, uncompressed.
    pub fn point(&self) -> &[u8] {
        match &self.pair {
            Pair::Es256(pair) => pair.public_key().as_ref(),
            Pair::EdDsa(_) => panic!("only of ES256"),
        }
    }

    /// The header of a good token by this key.
    pub fn header(&self) -> Value {
        let alg = match &self.pair {
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
        };
        json!({ "typ": "at+jwt", "alg": alg, "kid": self.kid })
    }

    /// A token with the header of a good one.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A token with this header, signed.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = match &self.pair {
            Pair::Es256(pair) => pair
                .sign(&SystemRandom::new(), signed.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            Pair::EdDsa(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

/// A token whose signature is an HMAC with this secret: what a verifier takes that lets the token choose
/// between a secret and a public key.
pub fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = unsigned(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
}

/// Header and claims of a token, with what is to be signed.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

fn es256(der: &[u8]) -> Pair {
    Pair::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).unwrap())
}
