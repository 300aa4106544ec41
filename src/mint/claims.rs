//! The header and the claims of an access token (RFC 9068 section 2). Pure.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde_json::Value;

use super::TokenFacts;
use crate::domain::Issuer;
use crate::grant::{self, Grant};

/// RFC 9068 section 2.1: the media type of an access token without `application/`.
const TYP: &str = "at+jwt";

#[derive(Serialize)]
struct Header<'a> {
    typ: &'static str,
    alg: &'static str,
    kid: &'a str,
}

/// RFC 9068 section 2.2. `sub` is the client: there is no resource owner (its section 2.2, `sub`).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
}

/// The JWS signing input (RFC 7515 section 5.1): header and claims in base64url, joined by a dot.
pub(super) fn signing_input(facts: &TokenFacts, issuer: &Issuer, grant: &Grant) -> String {
    let jti = facts.id.to_hex();
    let header = serialize(&Header {
        typ: TYP,
        alg: facts.algorithm.name(),
        kid: facts.key.as_str(),
    });
    let mut claims = serialize(&Claims {
        iss: issuer.as_str(),
        sub: facts.client.as_str(),
        aud: facts.audience.as_str(),
        client_id: facts.client.as_str(),
        scope: &facts.scope,
        iat: facts.issued.get(),
        exp: facts.expires.get(),
        jti: std::str::from_utf8(&jti).unwrap_or_default(),
    });
    append(
        &mut claims,
        grant::static_claims(grant.client(), grant.resource()),
    );

    let mut input = String::with_capacity((header.len() + claims.len()) * 4 / 3 + 100);
    BASE64URL_NOPAD.encode_append(&header, &mut input);
    input.push('.');
    BASE64URL_NOPAD.encode_append(&claims, &mut input);
    input
}

fn serialize(value: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "strings and numbers always serialize")]
    serde_json::to_vec(value).expect("strings and numbers always serialize")
}

/// Adds static claims before the closing brace. `check` has refused reserved names.
fn append<'a>(claims: &mut Vec<u8>, extra: impl Iterator<Item = (&'a String, &'a Value)>) {
    for (name, value) in extra {
        claims.pop();
        claims.push(b',');
        claims.extend(serialize(name));
        claims.push(b':');
        claims.extend(serialize(value));
        claims.push(b'}');
    }
}
