//! What a token endpoint answers: a token, or why there is none (RFC 6749 section 5). Pure.

use super::kept::Kept;
use super::request::Request;
use crate::cli::https::Reply;
use crate::cli::json::{InvalidObject, Object, shown};
use crate::domain::{Lifetime, Secret, UnixSeconds};

/// Longest token in bytes: it has to fit into a header, for which most servers take 8 to 16 KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// Why an answer is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerFault {
    /// The server refused.
    #[error(transparent)]
    Refused(Refusal),
    /// Neither a token nor an error of RFC 6749.
    #[error("{url} answers {status} with neither a token nor an OAuth error: is this a token endpoint?{}", id(.request_id.as_deref()))]
    Strange {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// The request's id.
        request_id: Option<String>,
    },
    /// The answer can't be read.
    #[error("cannot read the answer of {url}")]
    Invalid {
        /// What was asked.
        url: String,
        /// What is wrong.
        source: InvalidObject,
    },
    /// A token of another kind.
    #[error(
        "{url} gives a token of the type {found:?}, but this command can use only Bearer (RFC 6750)"
    )]
    Type {
        /// What was asked.
        url: String,
        /// The type.
        found: String,
    },
    /// A token that no header can carry.
    #[error("{0} gives no access_token that a header can carry (RFC 6750 section 2.1)")]
    Token(String),
}

/// A refusal of the server's: asking again gets the same.
#[derive(Debug, thiserror::Error)]
#[error("the server refused the client {client}: {code}{}: {advice}{}", said(.description.as_deref()), id(.request_id.as_deref()))]
pub(super) struct Refusal {
    client: String,
    code: String,
    description: Option<String>,
    advice: String,
    request_id: Option<String>,
}

fn said(description: Option<&str>) -> String {
    description.map_or_else(String::new, |text| format!(" ({text})"))
}

/// How an operator finds the reason.
pub(super) fn id(request_id: Option<&str>) -> String {
    request_id.map_or_else(String::new, |id| {
        format!("; give the operator the request id {id} (`grantd audit find --state DIR --request-id {id}` shows the reason)")
    })
}

/// Reads the answer to a request that was sent at `sent`. `place` says where the secret is.
pub(super) fn read(
    reply: &Reply,
    request: &Request,
    place: &str,
    sent: UnixSeconds,
) -> Result<Kept, AnswerFault> {
    let url = || reply.url.clone();
    let object = Object::parse(&reply.body);
    if reply.status != 200 {
        let code = object.as_ref().ok().and_then(|object| object.text("error"));
        return Err(match (&object, code) {
            (Ok(object), Some(code)) => {
                AnswerFault::Refused(refusal(object, code, (request, place), reply))
            }
            _ => AnswerFault::Strange {
                url: url(),
                status: reply.status,
                request_id: reply.request_id.clone(),
            },
        });
    }
    let object = object.map_err(|source| AnswerFault::Invalid { url: url(), source })?;
    // RFC 6749 section 5.1: without regard to case.
    let kind = object.text("token_type").unwrap_or_default();
    if !kind.eq_ignore_ascii_case("bearer") {
        let found = shown(kind);
        return Err(AnswerFault::Type { url: url(), found });
    }
    let token = object.text("access_token").filter(|token| fits(token));
    let token = token.ok_or_else(|| AnswerFault::Token(url()))?;
    Ok(Kept {
        access_token: Secret::new(token.to_owned()),
        // RFC 6749 section 5.1: left out, it is what was asked for.
        scope: object
            .text("scope")
            .map(str::to_owned)
            .or_else(|| request.scope.clone()),
        obtained: sent,
        lifetime: object.number("expires_in").map(Lifetime::from_seconds),
    })
}

/// `b64token` of RFC 6750 section 2.1: nothing that ends a header's line.
fn fits(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && token.len() <= MAX_TOKEN && body.bytes().all(allowed)
}

fn refusal(
    object: &Object,
    code: &str,
    (request, place): (&Request, &str),
    reply: &Reply,
) -> Refusal {
    let client = &request.client;
    let resource = request.resource.as_ref();
    let advice = match code {
        "invalid_client" => format!(
            "check that {client} is the client's id, letter by letter, that {place} holds its newest secret, and that neither has expired or been disabled; `grantd secret new --client {client} --dir DIR` makes another secret, where DIR is the registry folder"
        ),
        "invalid_target" => match resource {
            Some(resource) => format!(
                "{client} has no grant on {resource}, or there is no such API: compare with the identifier in the registry, letter by letter"
            ),
            None => {
                format!("{client} has several APIs and no default one: say which with --resource")
            }
        },
        "invalid_scope" => format!(
            "{client} does not have each of these scopes there: its grants are in its file of the registry; without --scope it gets all that it has"
        ),
        _ => "the server does not take this request".to_owned(),
    };
    Refusal {
        client: client.to_string(),
        code: shown(code),
        description: object.text("error_description").map(shown),
        advice,
        request_id: reply.request_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_a_header_can_carry() {
        for token in ["a", "eyJ.eyJ.x-_~+/", "abc=="] {
            assert!(fits(token), "{token}");
        }
        for token in ["", "=", "a b", "a\r\nX: y", "é", "a=b"] {
            assert!(!fits(token), "{token:?}");
        }
        assert!(!fits(&"a".repeat(MAX_TOKEN + 1)));
    }
}
