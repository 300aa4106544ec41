//! Single values of a registry file: texts, spans, dates, claims, hashes. Pure.

use std::fmt::Display;
use std::ops::Range;

use jiff::civil;
use jiff::tz::Offset;
use serde_json::Value;
use toml::Spanned;
use toml::value::{Datetime, Offset as TomlOffset};

use super::define::claim_value;
use crate::domain::{InvalidVerifier, Lifetime, Owner, SecretVerifier, UnixSeconds};
use crate::registry::diagnostic::{Collector, Rule};
use crate::registry::file::{Claim, Given, Named};

/// Most bytes of the JSON of one table's claims. With a resource's and a client's, 50 scopes and
/// an RSA signature a token stays below 8 KiB, which common servers take as a header.
pub(super) const MAX_CLAIMS: usize = 2048;

/// Longest name of a claim in bytes.
const MAX_CLAIM_NAME: usize = 128;

/// Claim names that have a meaning of their own, so that a static value would lie:
/// RFC 7519 section 4.1; RFC 9068 section 2.2 and RFC 8693 section 4 (`client_id`, `scope`,
/// `act`, `may_act`); RFC 7800 section 3.1 (`cnf`); OpenID Connect Core sections 2 and 3.1.3.6 and
/// its logout specifications (`nonce`, `auth_time`, `acr`, `amr`, `azp`, `at_hash`, `c_hash`,
/// `sid`); RFC 8417 section 2.2 (`events`, `txn`, `toe`); RFC 9493 section 4.1 (`sub_id`);
/// RFC 9396 section 9.1 (`authorization_details`); RFC 7662 section 2.2 and RFC 9701 section 5
/// (`active`, `token_type`, `username`, `token_introspection`).
const RESERVED_CLAIMS: [&str; 29] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "act",
    "may_act",
    "cnf",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "azp",
    "at_hash",
    "c_hash",
    "sid",
    "events",
    "txn",
    "toe",
    "sub_id",
    "authorization_details",
    "active",
    "token_type",
    "username",
    "token_introspection",
];

/// A moment that a file names, as a date or to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The moment: of a date that begins something, its first second; of one that ends something,
    /// the first second of the next day. All in UTC.
    pub at: UnixSeconds,
    /// Whether it was written as a date.
    pub whole_day: bool,
}

/// The value, or a problem that says why there is none.
pub(super) fn parsed<T, E: Display>(
    result: Result<T, E>,
    what: &str,
    span: Range<usize>,
    problems: &mut Collector<'_>,
) -> Option<T> {
    result
        .map_err(|error| problems.error(span, &format!("this is no {what}: {error}"), ""))
        .ok()
}

/// A text for people: not empty, not too long, one line.
pub(super) fn text(
    given: Given<String>,
    most: usize,
    problems: &mut Collector<'_>,
) -> Given<String> {
    given.parse(|text, span| {
        let message = if text.trim().is_empty() {
            "this text is empty".to_owned()
        } else if text.len() > most {
            format!("this text is longer than {most} bytes")
        } else if text.chars().any(char::is_control) {
            "this text has line breaks or control characters".to_owned()
        } else {
            return Some(text);
        };
        problems.error(span, &message, "");
        None
    })
}

/// An owner.
pub(super) fn owner(given: Given<String>, problems: &mut Collector<'_>) -> Given<Owner> {
    given.parse(|text, span| parsed(Owner::parse(&text), "owner", span, problems))
}

/// A span of time above zero.
pub(super) fn lifetime(given: Given<String>, problems: &mut Collector<'_>) -> Given<Lifetime> {
    given.parse(|text, span| match Lifetime::parse(&text) {
        Ok(Lifetime::ZERO) => {
            problems.error(
                span,
                "a lifetime of no time at all",
                "write `\"15m\"` or so",
            );
            None
        }
        Ok(lifetime) => Some(lifetime),
        Err(error) => {
            problems.error(span, &error.to_string(), "");
            None
        }
    })
}

/// A moment from which on something holds: a date means its first second.
pub(super) fn begin(given: Given<Datetime>, problems: &mut Collector<'_>) -> Given<Moment> {
    given.parse(|value, span| moment(value, false, span, problems))
}

/// A moment until which something holds: a date means the end of that day.
pub(super) fn end(given: Given<Datetime>, problems: &mut Collector<'_>) -> Given<Moment> {
    given.parse(|value, span| moment(value, true, span, problems))
}

fn moment(
    value: Datetime,
    day_included: bool,
    span: Range<usize>,
    problems: &mut Collector<'_>,
) -> Option<Moment> {
    let whole_day = value.time.is_none();
    match seconds(value, day_included) {
        Ok(at) => Some(Moment { at, whole_day }),
        Err(reason) => {
            let advice = "write a date, `2027-06-30`, or a moment with its zone, \
                          `2027-06-30T12:00:00Z`";
            problems.error(span, reason, advice);
            None
        }
    }
}

fn seconds(value: Datetime, day_included: bool) -> Result<UnixSeconds, &'static str> {
    let Datetime { date, time, offset } = value;
    let date = date.ok_or("a time without its date")?;
    let impossible = "a day that the calendar does not have";
    let year = i16::try_from(date.year).map_err(|_| impossible)?;
    let month = i8::try_from(date.month).map_err(|_| impossible)?;
    let day = i8::try_from(date.day).map_err(|_| impossible)?;
    let date = civil::Date::new(year, month, day).map_err(|_| impossible)?;
    let (local, offset) = match (time, offset) {
        (None, _) if day_included => {
            let next = date.tomorrow().map_err(|_| impossible)?;
            (next.at(0, 0, 0, 0), Offset::UTC)
        }
        (None, _) => (date.at(0, 0, 0, 0), Offset::UTC),
        (Some(_), None) => return Err("a moment without its time zone"),
        (Some(time), Some(offset)) => {
            let number = |value: u8, most: i8| i8::try_from(value).unwrap_or(most).min(most);
            // A leap second, :60, is the second before it: UTC as Unix counts it has none.
            let second = number(time.second.unwrap_or(0), 59);
            let local = date.at(number(time.hour, 23), number(time.minute, 59), second, 0);
            let minutes = match offset {
                TomlOffset::Z => 0,
                TomlOffset::Custom { minutes } => i32::from(minutes),
            };
            let offset = Offset::from_seconds(minutes * 60).map_err(|_| "no such time zone")?;
            (local, offset)
        }
    };
    let timestamp = offset.to_timestamp(local).map_err(|_| impossible)?;
    u64::try_from(timestamp.as_second())
        .map(UnixSeconds::new)
        .map_err(|_| "a moment before 1970")
}

/// The verifier of a generated secret. What is none may be a secret: it is never repeated.
pub(super) fn verifier(
    text: &str,
    span: Range<usize>,
    problems: &mut Collector<'_>,
) -> Option<SecretVerifier> {
    let error = match SecretVerifier::parse(text) {
        Ok(verifier) => return Some(verifier),
        Err(error) => error,
    };
    let imported = ["$argon2", "$2a$", "$2b$", "$2y$", "$pbkdf2"];
    match error {
        // Noted by `file::secrets`, wherever in a file it stands.
        InvalidVerifier::SecretInClear => {}
        InvalidVerifier::Prefix if imported.iter().any(|it| text.starts_with(it)) => {
            let message = "this version of grantd does not know secrets from elsewhere yet";
            let advice = "make a secret with `grantd secret new` and give it to the client";
            problems.error(span, message, advice);
        }
        InvalidVerifier::Prefix => {
            let message = format!("this is no hash, and may be a secret in clear: {error}");
            let advice = "make a secret with `grantd secret new`; if this is one that is in use, \
                          it is known from now on: withdraw it";
            problems.error_of(Rule::SecretInClear, span, &message, advice);
        }
        InvalidVerifier::Encoding => {
            let advice = "copy it whole, as `grantd secret new` printed it";
            problems.error(span, &format!("this is no hash: {error}"), advice);
        }
    }
    None
}

/// Static claims: no reserved name, not too much of them.
pub(super) fn claims(
    given: Given<Named<Claim>>,
    problems: &mut Collector<'_>,
) -> Vec<(Spanned<String>, Value)> {
    let Given::Good(table) = given else {
        return Vec::new();
    };
    let at = table.span();
    let mut claims = Vec::new();
    for (name, claim) in table.into_inner().0 {
        let text = name.get_ref();
        if RESERVED_CLAIMS.contains(&text.as_str()) {
            let message =
                format!("the claim `{text}` is reserved: grantd or a standard defines it");
            problems.error(name.span(), &message, "choose another name");
        } else if text.is_empty()
            || text.len() > MAX_CLAIM_NAME
            || text.chars().any(char::is_control)
        {
            let message = format!("a claim's name has 1 to {MAX_CLAIM_NAME} bytes of plain text");
            problems.error(name.span(), &message, "");
        }
        claims.push((name, claim_value(claim)));
    }
    let size: usize = claims
        .iter()
        .map(|(name, value)| name.get_ref().len() + value.to_string().len() + 4)
        .sum();
    if size > MAX_CLAIMS {
        let message = format!("these claims take {size} bytes, more than {MAX_CLAIMS}");
        problems.error(
            at,
            &message,
            "each token carries them: keep facts elsewhere",
        );
    }
    claims
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn of(text: &str, end: bool) -> Result<String, &'static str> {
        seconds(text.parse().unwrap(), end).map(UnixSeconds::to_rfc3339)
    }

    #[test]
    fn a_date_that_ends_something_includes_its_day() {
        assert_eq!(of("2027-06-30", true), Ok("2027-07-01T00:00:00Z".into()));
        assert_eq!(of("2027-06-30", false), Ok("2027-06-30T00:00:00Z".into()));
        assert_eq!(of("2028-02-29", true), Ok("2028-03-01T00:00:00Z".into()));
        let exact = Ok("2027-06-30T10:00:00Z".into());
        assert_eq!(of("2027-06-30T12:00:00+02:00", true), exact);
    }

    #[test]
    fn other_moments_are_refused() {
        assert_eq!(
            of("2027-06-30T12:00:00", true),
            Err("a moment without its time zone")
        );
        assert_eq!(of("12:00:00", true), Err("a time without its date"));
        assert_eq!(of("1969-12-31", false), Err("a moment before 1970"));
    }
}
