//! Every reason to refuse a token request, and what the client sees of each. Pure.
//!
//! The client sees a status, a code and a fixed description; the operator sees the variant in the
//! event that the request id names. One exhaustive `match` maps one to the other.

/// Why a token request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Denial {
    /// Another method than POST (RFC 6749 section 3.2).
    MethodNotAllowed,
    /// A body that is not `application/x-www-form-urlencoded` (RFC 6749 section 4.4.2).
    ContentType,
    /// A body with a content coding, which could hide any size.
    ContentEncoding,
    /// A body over the limit.
    BodyTooLarge,
    /// A body that did not arrive whole in time.
    BodyTimeout,
    /// Parameters in the query of the URI (RFC 6749 section 2.3.1).
    QueryParameters,
    /// A body with a bad escape, bytes that are no UTF-8, or control characters.
    MalformedBody,
    /// More parameters than the limit.
    TooManyParameters,
    /// A parameter that is there twice (RFC 6749 section 3.2).
    RepeatedParameter,
    /// More than one `Authorization` header.
    RepeatedAuthorization,
    /// Credentials in two places, or by two methods (RFC 6749 section 2.3).
    TwoMethods,
    /// No `grant_type`.
    MissingGrantType,
    /// A `grant_type` that grantd does not offer.
    UnsupportedGrantType,
    /// Nothing that says who the client is.
    NoCredentials,
    /// An `Authorization` header that can't be read as Basic (RFC 7617 section 2).
    MalformedAuthorization,
    /// `client_id` in the body names another client than the credentials.
    ClientIdMismatch,
    /// No such client.
    UnknownClient,
    /// The client has no credential of the kind that was presented.
    UnregisteredMethod,
    /// The credential holds, but the policy does not allow this way to present one.
    AuthMethodNotAllowed,
    /// No secret of the client matches.
    WrongSecret,
    /// The secret matches, but its `expires` has passed.
    CredentialExpired,
    /// The secret matches, but its `not_before` has not come.
    CredentialNotYetValid,
    /// What may be used once only was used before.
    Replayed,
    /// The client is disabled.
    ClientDisabled,
    /// The client's `expires` has passed.
    ClientExpired,
    /// More than one `resource`: one token is for one resource (RFC 8707 section 2).
    SeveralResources,
    /// No `resource`, and the client has neither a default nor exactly one.
    ResourceMissing,
    /// No such resource.
    UnknownResource,
    /// The client has no grant on the resource.
    ResourceNotGranted,
    /// A `scope` outside of the grammar of RFC 6749 section 3.3.
    MalformedScope,
    /// A scope that the resource does not have, or that the client was not granted.
    ScopeNotGranted,
    /// No registry was accepted yet.
    NoRegistry,
    /// The resource's ring has no key that may sign now.
    NoSigningKey,
    /// The signature could not be made, or did not verify: a key or this machine's memory is broken.
    SigningFailed,
    /// Wall time lies behind the mark of time that was seen before.
    ClockBehind,
    /// Wall time is years ahead of that mark, and has not held.
    ClockAhead,
    /// More work than the daemon takes at once.
    Overloaded,
    /// The request took longer than its deadline.
    DeadlinePassed,
    /// The daemon is stopping.
    Stopping,
    /// An operator disabled the client, above what the registry says.
    ClientDisabledByOperator,
}

/// The error codes that grantd answers with (RFC 6749 section 5.2, RFC 8707 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// `invalid_request`
    InvalidRequest,
    /// `invalid_client`
    InvalidClient,
    /// `unsupported_grant_type`
    UnsupportedGrantType,
    /// `invalid_scope`
    InvalidScope,
    /// `invalid_target`
    InvalidTarget,
    /// `temporarily_unavailable`: not among RFC 6749 section 5.2's, but of its section 4.1.2.1, which
    /// names just this case; with status 503, or 429 for too many failures.
    TemporarilyUnavailable,
}

impl OAuthError {
    /// The code as it stands in the answer.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

/// What the client sees of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `error` member.
    pub error: OAuthError,
    /// The `error_description` member: fixed text, never an echo of input, of the characters of
    /// RFC 6749 section 5.2.
    pub description: &'static str,
}

/// One answer for every failure to authenticate (RFC 6749 section 5.2), so that it tells nothing.
const INVALID_CLIENT: Answer = Answer {
    status: 401,
    error: OAuthError::InvalidClient,
    description: "client authentication failed",
};

/// The answer to a failure beyond what is answered at once (RFC 6585 section 4): the server is well, and
/// what it is told is wrong. It is the same whoever the name belongs to.
pub const TOO_MANY_FAILURES: Answer = Answer {
    status: 429,
    error: OAuthError::TemporarilyUnavailable,
    description: "too many failed attempts: correct the credentials, then try again later",
};

/// One answer for an unknown resource and for one that the client may not use.
const INVALID_TARGET: Answer = Answer {
    status: 400,
    error: OAuthError::InvalidTarget,
    description: "the parameter resource names no resource that this client may use",
};

const fn invalid_request(status: u16, description: &'static str) -> Answer {
    Answer {
        status,
        error: OAuthError::InvalidRequest,
        description,
    }
}

const fn bad_request(error: OAuthError, description: &'static str) -> Answer {
    Answer {
        status: 400,
        error,
        description,
    }
}

const fn unavailable(description: &'static str) -> Answer {
    Answer {
        status: 503,
        error: OAuthError::TemporarilyUnavailable,
        description,
    }
}

impl Denial {
    /// Every denial, in the order of their declaration.
    pub const ALL: [Self; 40] = [
        Self::MethodNotAllowed,
        Self::ContentType,
        Self::ContentEncoding,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::QueryParameters,
        Self::MalformedBody,
        Self::TooManyParameters,
        Self::RepeatedParameter,
        Self::RepeatedAuthorization,
        Self::TwoMethods,
        Self::MissingGrantType,
        Self::UnsupportedGrantType,
        Self::NoCredentials,
        Self::MalformedAuthorization,
        Self::ClientIdMismatch,
        Self::UnknownClient,
        Self::UnregisteredMethod,
        Self::AuthMethodNotAllowed,
        Self::WrongSecret,
        Self::CredentialExpired,
        Self::CredentialNotYetValid,
        Self::Replayed,
        Self::ClientDisabled,
        Self::ClientExpired,
        Self::SeveralResources,
        Self::ResourceMissing,
        Self::UnknownResource,
        Self::ResourceNotGranted,
        Self::MalformedScope,
        Self::ScopeNotGranted,
        Self::NoRegistry,
        Self::NoSigningKey,
        Self::SigningFailed,
        Self::ClockBehind,
        Self::ClockAhead,
        Self::Overloaded,
        Self::DeadlinePassed,
        Self::Stopping,
        Self::ClientDisabledByOperator,
    ];

    /// The reason as events, logs and metrics spell it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ContentType => "content_type",
            Self::ContentEncoding => "content_encoding",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::QueryParameters => "query_parameters",
            Self::MalformedBody => "malformed_body",
            Self::TooManyParameters => "too_many_parameters",
            Self::RepeatedParameter => "repeated_parameter",
            Self::RepeatedAuthorization => "repeated_authorization",
            Self::TwoMethods => "two_methods",
            Self::MissingGrantType => "missing_grant_type",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::NoCredentials => "no_credentials",
            Self::MalformedAuthorization => "malformed_authorization",
            Self::ClientIdMismatch => "client_id_mismatch",
            Self::UnknownClient => "unknown_client",
            Self::UnregisteredMethod => "unregistered_method",
            Self::AuthMethodNotAllowed => "auth_method_not_allowed",
            Self::WrongSecret => "wrong_secret",
            Self::CredentialExpired => "credential_expired",
            Self::CredentialNotYetValid => "credential_not_yet_valid",
            Self::Replayed => "replayed",
            Self::ClientDisabled => "client_disabled",
            Self::ClientExpired => "client_expired",
            Self::SeveralResources => "several_resources",
            Self::ResourceMissing => "resource_missing",
            Self::UnknownResource => "unknown_resource",
            Self::ResourceNotGranted => "resource_not_granted",
            Self::MalformedScope => "malformed_scope",
            Self::ScopeNotGranted => "scope_not_granted",
            Self::NoRegistry => "no_registry",
            Self::NoSigningKey => "no_signing_key",
            Self::SigningFailed => "signing_failed",
            Self::ClockBehind => "clock_behind",
            Self::ClockAhead => "clock_ahead",
            Self::Overloaded => "overloaded",
            Self::DeadlinePassed => "deadline_passed",
            Self::Stopping => "stopping",
            Self::ClientDisabledByOperator => "client_disabled_by_operator",
        }
    }

    /// What the client sees.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "an exhaustive table, a row a denial")]
    pub const fn answer(self) -> Answer {
        match self {
            Self::MethodNotAllowed => invalid_request(405, "the token endpoint takes POST only"),
            Self::ContentType => {
                invalid_request(415, "the body must be application/x-www-form-urlencoded")
            }
            Self::ContentEncoding => invalid_request(415, "the body must have no content coding"),
            Self::BodyTooLarge => invalid_request(413, "the body is too large"),
            Self::BodyTimeout => invalid_request(408, "the body did not arrive in time"),
            Self::QueryParameters => invalid_request(
                400,
                "parameters belong into the body, never into the query of the URI",
            ),
            Self::MalformedBody => invalid_request(
                400,
                "the body is malformed: form-urlencoded UTF-8 without control characters is needed",
            ),
            Self::TooManyParameters => invalid_request(400, "the body has too many parameters"),
            Self::RepeatedParameter => invalid_request(400, "a parameter is there twice"),
            Self::RepeatedAuthorization => {
                invalid_request(400, "there is more than one Authorization header")
            }
            Self::TwoMethods => invalid_request(
                400,
                "credentials must be in one place only: the Authorization header or the body",
            ),
            Self::MissingGrantType => invalid_request(400, "the parameter grant_type is missing"),
            Self::UnsupportedGrantType => bad_request(
                OAuthError::UnsupportedGrantType,
                "the only grant_type here is client_credentials",
            ),
            Self::NoCredentials
            | Self::MalformedAuthorization
            | Self::ClientIdMismatch
            | Self::UnknownClient
            | Self::UnregisteredMethod
            | Self::AuthMethodNotAllowed
            | Self::WrongSecret
            | Self::CredentialExpired
            | Self::CredentialNotYetValid
            | Self::Replayed
            | Self::ClientDisabled
            | Self::ClientExpired
            | Self::ClientDisabledByOperator => INVALID_CLIENT,
            Self::SeveralResources => bad_request(
                OAuthError::InvalidTarget,
                "a token is for one resource: send the parameter resource once",
            ),
            Self::ResourceMissing => bad_request(
                OAuthError::InvalidTarget,
                "the parameter resource is missing, and this client has no default",
            ),
            Self::UnknownResource | Self::ResourceNotGranted => INVALID_TARGET,
            Self::MalformedScope => {
                bad_request(OAuthError::InvalidScope, "the parameter scope is malformed")
            }
            Self::ScopeNotGranted => bad_request(
                OAuthError::InvalidScope,
                "the parameter scope names a scope that this client does not have there",
            ),
            Self::NoRegistry
            | Self::NoSigningKey
            | Self::SigningFailed
            | Self::ClockBehind
            | Self::ClockAhead => unavailable("the server is not ready: try again later"),
            Self::Overloaded | Self::DeadlinePassed | Self::Stopping => {
                unavailable("the server is busy: try again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_keep_to_the_characters_of_rfc_6749_section_5_2() {
        let allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        let answers = Denial::ALL.into_iter().map(Denial::answer);
        for answer in answers.chain([TOO_MANY_FAILURES]) {
            assert!(answer.description.bytes().all(allowed), "{answer:?}");
        }
    }

    #[test]
    fn all_has_each_at_its_own_place() {
        for (at, denial) in Denial::ALL.into_iter().enumerate() {
            assert_eq!(denial as usize, at, "{denial:?}");
        }
    }

    #[test]
    fn reasons_are_distinct() {
        let reasons: std::collections::BTreeSet<_> =
            Denial::ALL.iter().map(|denial| denial.reason()).collect();
        assert_eq!(reasons.len(), Denial::ALL.len());
    }
}
