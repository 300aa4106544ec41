//! What the daemon answers, without any type of an HTTP library. Pure.

use serde::Serialize;

use crate::domain::{Answer, Denial, Lifetime};

/// An answer: status, headers by name, body.
#[derive(Debug)]
pub(super) struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to this answer; those of every answer are added later.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// How long a client should wait before it asks a busy server again, in seconds.
const RETRY_AFTER: &str = "1";

#[derive(Serialize)]
struct TokenBody<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

#[derive(Serialize)]
struct ErrorBody {
    error: &'static str,
    error_description: &'static str,
}

/// A token (RFC 6749 section 5.1). The scope is always named, whether it differs from the asked one or not.
#[must_use]
pub(super) fn token(compact: &str, lifetime: Lifetime, scope: &str) -> Response {
    json(
        200,
        &TokenBody {
            access_token: compact,
            token_type: "Bearer",
            expires_in: lifetime.seconds(),
            scope,
        },
    )
}

/// A refusal (RFC 6749 section 5.2).
#[must_use]
pub(super) fn refusal(denial: Denial) -> Response {
    answer(denial.answer())
}

/// A refusal in these words.
#[must_use]
pub(super) fn answer(answer: Answer) -> Response {
    let mut response = json(
        answer.status,
        &ErrorBody {
            error: answer.error.code(),
            error_description: answer.description,
        },
    );
    match answer.status {
        // RFC 6749 section 5.2 and RFC 9110 section 11.6.1: a 401 names the scheme.
        401 => response.headers.push((
            "www-authenticate",
            "Basic realm=\"grantd\", charset=\"UTF-8\"".to_owned(),
        )),
        405 => response.headers.push(("allow", "POST".to_owned())),
        503 => response
            .headers
            .push(("retry-after", RETRY_AFTER.to_owned())),
        _ => {}
    }
    response
}

/// An answer for a path or a method that grantd does not have. It repeats nothing of the request.
#[must_use]
pub(super) fn plain(status: u16, text: &'static str) -> Response {
    Response {
        status,
        headers: vec![
            ("content-type", "text/plain; charset=utf-8".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ],
        body: text.as_bytes().to_vec(),
    }
}

fn json(status: u16, body: &impl Serialize) -> Response {
    Response {
        status,
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("pragma", "no-cache".to_owned()),
        ],
        body: serde_json::to_vec(body).unwrap_or_default(),
    }
}
