//! From the parts of an HTTP request to a [`TokenRequest`] (RFC 6749 section 4.4.2). Pure.
//!
//! **Invariant:** a `TokenRequest` is well-formed: form body only, each parameter at most once,
//! credentials in one place only.

use super::basic;
use super::form::{self, BadForm, Decoded, Parameter};
use crate::domain::{AuthMethod, ClientSecret, Denial, Secret};

/// A token request, as sent; nothing of it is verified yet.
#[derive(Debug)]
pub struct TokenRequest {
    /// What stands for the client's identity.
    pub presented: Presented,
    /// The `resource` parameter (RFC 8707 section 2).
    pub resource: AskedResource,
    /// The `scope` parameter (RFC 6749 section 3.3); an empty one counts as left out.
    pub scope: Option<String>,
}

/// What was presented to prove who the client is.
#[derive(Debug)]
pub enum Presented {
    /// A client id with a secret.
    Secret {
        /// The id as sent; it may have any form.
        client_id: String,
        /// The secret.
        secret: ClientSecret,
        /// Where it stood.
        method: AuthMethod,
    },
    /// A method that grantd knows of and does not offer (a client assertion).
    Unsupported {
        /// The id in the body.
        client_id: Option<String>,
    },
    /// No credential at all.
    Nothing {
        /// The id in the body.
        client_id: Option<String>,
    },
    /// An `Authorization` header that can't be read as Basic.
    Malformed,
    /// `client_id` in the body is another one than the credentials'.
    Mismatch {
        /// The id of the credentials.
        client_id: String,
    },
}

/// The `resource` parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AskedResource {
    /// Left out, or empty.
    #[default]
    None,
    /// One, as sent.
    One(String),
    /// More than one.
    Several,
}

/// The parts of an HTTP request that matter, without any type of an HTTP library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// Whether the method is POST.
    pub is_post: bool,
    /// The query of the URI.
    pub query: Option<&'a str>,
    /// The `Content-Type` header.
    pub content_type: Option<&'a [u8]>,
    /// Whether there is a `Content-Encoding` other than `identity`.
    pub encoded: bool,
    /// The first `Authorization` header.
    pub authorization: Option<&'a [u8]>,
    /// How many `Authorization` headers there are.
    pub authorizations: usize,
}

/// Checks what can be refused before the body is read.
///
/// # Errors
/// The [`Denial`] that says what is wrong.
pub(super) fn check_head(head: &Head<'_>) -> Result<(), Denial> {
    if !head.is_post {
        return Err(Denial::MethodNotAllowed);
    }
    if head.query.is_some_and(|query| !query.is_empty()) {
        return Err(Denial::QueryParameters);
    }
    if head.encoded {
        return Err(Denial::ContentEncoding);
    }
    if !head.content_type.is_some_and(is_form) {
        return Err(Denial::ContentType);
    }
    if head.authorizations > 1 {
        return Err(Denial::RepeatedAuthorization);
    }
    Ok(())
}

/// `application/x-www-form-urlencoded`, with any parameters: a charset is tolerated and means nothing.
fn is_form(content_type: &[u8]) -> bool {
    let essence = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    essence
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// Parses a request whose head has passed [`check_head`].
///
/// # Errors
/// The [`Denial`] that says what is wrong.
pub(super) fn parse(head: &Head<'_>, body: &[u8]) -> Result<TokenRequest, Denial> {
    let mut fields = Fields::default();
    for parameter in form::parse(body) {
        fields.take(parameter.map_err(|fault| match fault {
            BadForm::Escape | BadForm::Utf8 | BadForm::Control => Denial::MalformedBody,
            BadForm::TooMany => Denial::TooManyParameters,
        })?);
    }
    if fields.repeated {
        return Err(Denial::RepeatedParameter);
    }
    match fields.grant_type.value() {
        None => return Err(Denial::MissingGrantType),
        Some("client_credentials") => {}
        Some(_) => return Err(Denial::UnsupportedGrantType),
    }
    let resource = std::mem::take(&mut fields.resource);
    let scope = fields.scope.take();
    Ok(TokenRequest {
        presented: present(head.authorization, fields)?,
        resource,
        scope,
    })
}

#[derive(Default)]
struct Fields<'a> {
    grant_type: Field<'a>,
    client_id: Field<'a>,
    client_secret: Field<'a>,
    scope: Field<'a>,
    assertion: Field<'a>,
    assertion_type: Field<'a>,
    resource: AskedResource,
    resources: usize,
    /// A known parameter was there twice. Told once the whole body is well-formed.
    repeated: bool,
}

/// A parameter that may be there once.
#[derive(Default)]
enum Field<'a> {
    #[default]
    Absent,
    Sent(Decoded<'a>),
}

impl Field<'_> {
    /// The value; an empty one counts as left out (RFC 6749 section 3.2).
    fn value(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Sent(value) => Some(value.as_str()).filter(|value| !value.is_empty()),
        }
    }

    /// The value of one's own.
    fn take(&mut self) -> Option<String> {
        match std::mem::take(self) {
            Self::Absent => None,
            Self::Sent(value) => Some(value.into_string()).filter(|value| !value.is_empty()),
        }
    }
}

impl<'a> Fields<'a> {
    /// Sorts a parameter in. Unknown ones are ignored (RFC 6749 section 3.2); a known one that is there
    /// twice is refused, empty or not. `resource` alone may be repeated by its own standard, and is then
    /// refused with that standard's code.
    fn take(&mut self, Parameter { name, value }: Parameter<'a>) {
        let place = match name.as_str() {
            "resource" => {
                self.resources += 1;
                self.resource = match self.resources {
                    1 if value.as_str().is_empty() => AskedResource::None,
                    1 => AskedResource::One(value.into_string()),
                    _ => AskedResource::Several,
                };
                return;
            }
            "grant_type" => &mut self.grant_type,
            "client_id" => &mut self.client_id,
            "client_secret" => &mut self.client_secret,
            "scope" => &mut self.scope,
            "client_assertion" => &mut self.assertion,
            "client_assertion_type" => &mut self.assertion_type,
            _ => return,
        };
        self.repeated |= matches!(place, Field::Sent(_));
        *place = Field::Sent(value);
    }
}

/// One method for one request (RFC 6749 section 2.3). A secret that is empty counts as left out.
fn present(authorization: Option<&[u8]>, mut fields: Fields<'_>) -> Result<Presented, Denial> {
    let asserted = fields.assertion.value().is_some() || fields.assertion_type.value().is_some();
    let methods = [
        authorization.is_some(),
        fields.client_secret.value().is_some(),
        asserted,
    ];
    if methods.into_iter().filter(|used| *used).count() > 1 {
        return Err(Denial::TwoMethods);
    }
    let client_id = fields.client_id.take();
    if let Some(header) = authorization {
        return Ok(match (basic::parse(header), client_id) {
            (None, _) => Presented::Malformed,
            (Some((client_id, _)), Some(other)) if client_id != other => {
                Presented::Mismatch { client_id }
            }
            (Some((client_id, secret)), _) => Presented::Secret {
                client_id,
                secret,
                method: AuthMethod::ClientSecretBasic,
            },
        });
    }
    Ok(match (fields.client_secret.take(), client_id) {
        (_, client_id) if asserted => Presented::Unsupported { client_id },
        (Some(secret), Some(client_id)) => Presented::Secret {
            client_id,
            secret: Secret::new(secret),
            method: AuthMethod::ClientSecretPost,
        },
        (_, client_id) => Presented::Nothing { client_id },
    })
}

impl Presented {
    /// The client id that was sent, if any. It may have any form.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::Secret { client_id, .. } | Self::Mismatch { client_id } => Some(client_id),
            Self::Unsupported { client_id } | Self::Nothing { client_id } => client_id.as_deref(),
            Self::Malformed => None,
        }
    }

    /// The method that was tried, where grantd offers it.
    #[must_use]
    pub const fn method(&self) -> Option<AuthMethod> {
        match self {
            Self::Secret { method, .. } => Some(*method),
            Self::Malformed | Self::Mismatch { .. } => Some(AuthMethod::ClientSecretBasic),
            Self::Unsupported { .. } | Self::Nothing { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
