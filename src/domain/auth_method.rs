//! How a client proves who it is, by the registered names. Pure.

/// A client authentication method (RFC 7591 section 2, "OAuth Token Endpoint Authentication
/// Methods").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuthMethod {
    /// The secret in the `Authorization` header (RFC 6749 section 2.3.1, RFC 7617).
    ClientSecretBasic,
    /// The secret in the body (RFC 6749 section 2.3.1).
    ClientSecretPost,
}

impl AuthMethod {
    /// Every method that grantd offers, in the order in which the metadata lists them.
    pub const ALL: [Self; 2] = [Self::ClientSecretBasic, Self::ClientSecretPost];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }
}
