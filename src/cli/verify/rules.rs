//! The rules that an access token must keep, each with its verdict (RFC 9068 section 4, RFC 8725). Pure.

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use serde_json::Value;

use super::compact::Compact;
use super::keys::Keys;
use super::moment::{moment, show};
use crate::domain::{ClientId, Lifetime, ScopeName, TokenId, UnixSeconds};
use crate::registry::overlay::Overlay;

/// What an access token must have (RFC 9068 section 2.2).
const REQUIRED: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];

/// Most characters of a token's own text that a verdict repeats.
const MAX_REPEATED: usize = 128;

/// What a token is held against.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The audience.
    pub audience: &'a str,
    /// Scopes that it must have.
    pub scopes: &'a [ScopeName],
    /// The moment.
    pub at: UnixSeconds,
    /// How far clocks may differ.
    pub leeway: Lifetime,
    /// Which tokens are void, where that is looked at.
    pub revocations: Option<&'a Overlay>,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Broken,
    /// It could not be looked at, for one before it is broken.
    Open,
}

/// A rule and its verdict.
#[derive(Debug)]
pub(super) struct Finding {
    /// The rule's name: that of the claim or the part.
    pub rule: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// Why.
    pub why: String,
}

/// All rules, in their order, and what the token says.
#[derive(Debug)]
pub(super) struct Report {
    /// The rules.
    pub findings: Vec<Finding>,
    /// The token, where it could be taken apart.
    pub token: Option<Compact>,
}

impl Report {
    /// Of something that is no token at all.
    pub(super) fn malformed(why: &str) -> Self {
        let mut report = Self {
            findings: Vec::new(),
            token: None,
        };
        report.note("form", Err(why.to_owned()));
        report
    }

    /// Whether every rule holds.
    pub(super) fn accepted(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Holds)
    }

    /// Whether the claims are the issuer's.
    pub(super) fn is_verified(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.rule == "signature" && finding.verdict == Verdict::Holds)
    }

    /// The names of the rules that are broken.
    pub(super) fn broken(&self) -> Vec<&'static str> {
        let broken = |finding: &&Finding| finding.verdict == Verdict::Broken;
        let named = self.findings.iter().filter(broken);
        named.map(|finding| finding.rule).collect()
    }

    fn note(&mut self, rule: &'static str, found: Result<String, String>) {
        let (verdict, why) = match found {
            Ok(why) => (Verdict::Holds, why),
            Err(why) => (Verdict::Broken, why),
        };
        self.findings.push(Finding { rule, verdict, why });
    }
}

/// Judges a token by the issuer's keys.
pub(super) fn judge(token: Compact, keys: &Keys, expected: &Expected<'_>) -> Report {
    let mut report = Report {
        findings: Vec::new(),
        token: None,
    };
    let length = token.length;
    report.note(
        "form",
        Ok(format!("three parts of base64url, {length} bytes")),
    );
    report.note("typ", typ(&token));
    let algorithm = algorithm(&token);
    report.note(
        "alg",
        algorithm.clone().map(|algorithm| format!("{algorithm:?}")),
    );
    report.note("crit", crit(&token));
    let key = key(&token, keys);
    report.note(
        "kid",
        key.as_ref()
            .map(|(_, why)| why.clone())
            .map_err(Clone::clone),
    );
    match (key, algorithm) {
        (Ok((key, _)), Ok(algorithm)) => {
            report.note("signature", signature(&token, key, algorithm));
        }
        _ => report.findings.push(Finding {
            rule: "signature",
            verdict: Verdict::Open,
            why: "not looked at: there is no key and algorithm to look with".to_owned(),
        }),
    }
    report.note("claims", required(&token));
    report.note("iss", issuer(&token, expected));
    report.note("aud", audience(&token, expected));
    report.note("exp", expiry(&token, expected));
    report.note("nbf", not_before(&token, expected));
    report.note("iat", issued(&token, expected));
    report.note("scope", scopes(&token, expected));
    if let Some(overlay) = expected.revocations {
        report.note("revoked", revoked(&token, overlay));
    }
    report.token = Some(token);
    report
}

/// RFC 9068 section 4: `at+jwt`, with or without `application/`, without regard to case (RFC 7515
/// section 4.1.9).
fn typ(token: &Compact) -> Result<String, String> {
    let Some(typ) = token.header.text("typ") else {
        return Err("there is none, and it must be at+jwt: is this an ID token?".to_owned());
    };
    let lower = typ.to_ascii_lowercase();
    match lower.strip_prefix("application/").unwrap_or(&lower) {
        "at+jwt" => Ok("at+jwt: an access token (RFC 9068)".to_owned()),
        _ => Err(format!("it is {}, and must be at+jwt", repeated(typ))),
    }
}

/// RFC 8725 section 3.1: an algorithm of a list, which has neither `none` nor one with a shared key.
fn algorithm(token: &Compact) -> Result<jsonwebtoken::Algorithm, String> {
    let Some(name) = token.header.text("alg") else {
        return Err("there is none".to_owned());
    };
    if name.eq_ignore_ascii_case("none") {
        return Err("it is none: nobody has signed this".to_owned());
    }
    match name.parse::<jsonwebtoken::Algorithm>() {
        Ok(algorithm) if algorithm.family() == AlgorithmFamily::Hmac => Err(format!(
            "it is {name}: with a shared key, every verifier could have made it"
        )),
        Ok(algorithm) => Ok(algorithm),
        Err(_) => Err(format!(
            "{} is no algorithm that is known here",
            repeated(name)
        )),
    }
}

/// RFC 7515 section 4.1.11: what is critical and not understood refuses the token.
fn crit(token: &Compact) -> Result<String, String> {
    for member in ["crit", "b64"] {
        if token.header.member(member).is_some() {
            return Err(format!(
                "the header has {member}, which no access token needs"
            ));
        }
    }
    Ok("nothing in the header must be understood".to_owned())
}

/// The one key of the issuer's that the token names.
fn key<'a>(token: &Compact, keys: &'a Keys) -> Result<(&'a Jwk, String), String> {
    let place = &keys.place;
    let Some(kid) = token.header.text("kid") else {
        return Err("the header names no key".to_owned());
    };
    let named = |key: &&Jwk| key.common.key_id.as_deref() == Some(kid);
    let mut found = keys.keys.iter().filter(named);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok((key, format!("{} is a key of {place}", repeated(kid)))),
        (Some(_), Some(_)) => Err(format!("{place} has two keys named {}", repeated(kid))),
        (None, _) => Err(format!(
            "{} is none of the {} keys of {place}: the token is another issuer's, or its key was withdrawn",
            repeated(kid),
            keys.keys.len()
        )),
    }
}

/// RFC 8725 section 3.1: the key is for this algorithm and no other.
fn signature(
    token: &Compact,
    key: &Jwk,
    algorithm: jsonwebtoken::Algorithm,
) -> Result<String, String> {
    let told = key
        .common
        .key_algorithm
        .map(|algorithm| algorithm.to_string());
    if told
        .as_deref()
        .is_some_and(|told| told != format!("{algorithm:?}"))
    {
        let told = told.unwrap_or_default();
        return Err(format!(
            "the key is for {told}, the token says {algorithm:?}"
        ));
    }
    if !matches!(
        key.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return Err("the key is not for signatures".to_owned());
    }
    let decoding = DecodingKey::from_jwk(key).map_err(|error| format!("a bad key: {error}"))?;
    if decoding.family() != algorithm.family() {
        return Err(format!(
            "the key is of another kind than {algorithm:?} needs"
        ));
    }
    let message = token.signed.as_bytes();
    match jsonwebtoken::crypto::verify(&token.signature, message, &decoding, algorithm) {
        Ok(true) => Ok(format!("it holds, by {algorithm:?}")),
        Ok(false) => {
            Err("it does not hold: the token was altered, or not made by this key".to_owned())
        }
        Err(error) => Err(format!("it can't be verified: {error}")),
    }
}

fn required(token: &Compact) -> Result<String, String> {
    let missing: Vec<&str> = REQUIRED
        .into_iter()
        .filter(|claim| token.claims.member(claim).is_none())
        .collect();
    if missing.is_empty() {
        Ok(format!(
            "{} are there (RFC 9068 section 2.2)",
            REQUIRED.join(", ")
        ))
    } else {
        Err(format!(
            "missing: {} (RFC 9068 section 2.2)",
            missing.join(", ")
        ))
    }
}

/// RFC 9068 section 4: exactly the issuer.
fn issuer(token: &Compact, expected: &Expected<'_>) -> Result<String, String> {
    match token.claims.text("iss") {
        Some(iss) if iss == expected.issuer => Ok(repeated(iss)),
        Some(iss) => Err(format!(
            "it is {}, not {:?}",
            repeated(iss),
            expected.issuer
        )),
        None => Err("there is none that is a string".to_owned()),
    }
}

/// RFC 7519 section 4.1.3: a string, or a list of strings. A token that is for others too could be replayed
/// by any of them, so it is refused here, as by all code that `docs/verify.md` shows.
fn audience(token: &Compact, expected: &Expected<'_>) -> Result<String, String> {
    let found: Vec<&str> = match token.claims.member("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let others: Vec<&str> = found
        .iter()
        .copied()
        .filter(|one| *one != expected.audience)
        .collect();
    if found.len() > others.len() {
        if others.is_empty() {
            return Ok(repeated(expected.audience));
        }
        let others = repeated(&others.join(", "));
        return Err(format!("the token is for others too: {others}"));
    }
    Err(format!(
        "the token is for {}, not for {:?}",
        repeated(&found.join(", ")),
        expected.audience
    ))
}

fn expiry(token: &Compact, expected: &Expected<'_>) -> Result<String, String> {
    let end = moment(token, "exp")?.ok_or("there is none")?;
    let shown = show(end);
    if expected.at < end.plus(expected.leeway) {
        Ok(format!("{shown}, in {}", end.since(expected.at)))
    } else {
        Err(format!(
            "it expired at {shown}, {} ago",
            expected.at.since(end)
        ))
    }
}

fn not_before(token: &Compact, expected: &Expected<'_>) -> Result<String, String> {
    let Some(begin) = moment(token, "nbf")? else {
        return Ok("there is none, and none is needed".to_owned());
    };
    early(begin, expected, "valid from")
}

fn issued(token: &Compact, expected: &Expected<'_>) -> Result<String, String> {
    let issued = moment(token, "iat")?.ok_or("there is none")?;
    early(issued, expected, "issued at")
}

fn early(begin: UnixSeconds, expected: &Expected<'_>, what: &str) -> Result<String, String> {
    let shown = show(begin);
    if begin <= expected.at.plus(expected.leeway) {
        return Ok(format!("{what} {shown}"));
    }
    let ahead = begin.since(expected.at);
    Err(format!(
        "{what} {shown}, {ahead} from now: is a clock wrong? --leeway allows a difference"
    ))
}

/// RFC 9068 section 4 and RFC 6750 section 3.1: `insufficient_scope`.
fn scopes(token: &Compact, expected: &Expected<'_>) -> Result<String, String> {
    let scope = match token.claims.member("scope") {
        None => "",
        Some(Value::String(scope)) => scope,
        Some(_) => return Err("it is no string".to_owned()),
    };
    if !scope.chars().all(is_scope_character) {
        return Err(format!(
            "{} has characters that no scope has (RFC 6749 section 3.3)",
            repeated(scope)
        ));
    }
    let has: Vec<&str> = scope.split(' ').filter(|name| !name.is_empty()).collect();
    let missing: Vec<&str> = expected
        .scopes
        .iter()
        .map(ScopeName::as_str)
        .filter(|name| !has.contains(name))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(format!(
            "insufficient_scope: {missing} is missing; the token has {}",
            repeated(scope)
        ));
    }
    Ok(if scope.is_empty() {
        "the token has none, and none was asked for".to_owned()
    } else {
        repeated(scope)
    })
}

/// What operators made void. A token that does not say whose it is and when it was issued can't be told from a
/// void one.
fn revoked(token: &Compact, overlay: &Overlay) -> Result<String, String> {
    let client = token.claims.text("client_id").map(ClientId::parse);
    let Some(Ok(client)) = client else {
        return Err("its client_id is none of grantd's, so nobody can tell".to_owned());
    };
    let issued = moment(token, "iat")?.ok_or("there is no iat, so nobody can tell")?;
    let jti = token
        .claims
        .text("jti")
        .and_then(|jti| TokenId::parse(jti).ok());
    match overlay.revoked(&client, jti, issued) {
        None => Ok("no revocation is about it".to_owned()),
        Some(entry) => Err(format!("by entry {}: {}", entry.id, entry.what)),
    }
}

/// A character of a scope, or the space between two (RFC 6749 section 3.3).
const fn is_scope_character(char: char) -> bool {
    matches!(char, ' ' | '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')
}

/// A text of the token's: quoted, escaped, cut.
fn repeated(text: &str) -> String {
    let cut: String = text.chars().take(MAX_REPEATED).collect();
    format!("{cut:?}")
}
