//! Identifiers of resources (the audience of a token) and of the issuer. Pure.

use std::fmt;
use std::sync::Arc;

/// Longest resource or issuer identifier in bytes: it stands in each token and each event.
pub const MAX_IDENTIFIER: usize = 512;

/// The identifier of a protected resource: an absolute URI without a fragment (RFC 8707 section 2).
/// It is what a client sends as `resource` and what a token names as `aud`.
///
/// Compared as a simple string (RFC 3986 section 6.2.1): kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceIdentifier(Arc<str>);

/// The identifier of this authorization server: an `https` URL without query or fragment
/// (RFC 8414 section 2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer(Arc<str>);

/// Why a text is no identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentifier {
    /// Not an absolute URI.
    #[error("not an absolute URI: {0}")]
    NotAbsolute(url::ParseError),
    /// It has a fragment, which RFC 8707 section 2 and RFC 8414 section 2 forbid.
    #[error("it has a fragment (#…): leave it out")]
    Fragment,
    /// Longer than [`MAX_IDENTIFIER`].
    #[error("longer than {MAX_IDENTIFIER} bytes")]
    TooLong,
    /// White space or a character outside of printable ASCII: not a URI (RFC 3986 section 2).
    #[error("it has a character that a URI may not have: percent-encode it")]
    Character,
    /// The issuer is no `https` URL.
    #[error("an issuer must be an https URL")]
    NotHttps,
    /// The issuer has a query.
    #[error("an issuer has no query (?…): leave it out")]
    Query,
    /// The issuer has a user name or a password.
    #[error("an issuer has no user information: leave out what stands before the @")]
    UserInfo,
    /// The issuer is not spelled as a client would spell it.
    #[error("an issuer must be spelled in its normal form: {0}")]
    NotNormal(String),
    /// The issuer ends in a slash, which libraries treat in different ways.
    #[error("an issuer must not end in a slash: verifiers compare it as a string")]
    TrailingSlash,
}

impl ResourceIdentifier {
    /// A resource identifier.
    ///
    /// # Errors
    /// [`InvalidIdentifier`] when it is no absolute URI, has a fragment, or is too long.
    pub fn parse(text: &str) -> Result<Self, InvalidIdentifier> {
        check_uri(text).map(|_| Self(Arc::from(text)))
    }

    /// The identifier as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Issuer {
    /// An issuer identifier.
    ///
    /// # Errors
    /// [`InvalidIdentifier`] when RFC 8414 section 2 does not allow it.
    pub fn parse(text: &str) -> Result<Self, InvalidIdentifier> {
        let url = check_uri(text)?;
        if url.scheme() != "https" {
            return Err(InvalidIdentifier::NotHttps);
        }
        if url.query().is_some() {
            return Err(InvalidIdentifier::Query);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidIdentifier::UserInfo);
        }
        if text.ends_with('/') {
            return Err(InvalidIdentifier::TrailingSlash);
        }
        // Clients that normalize it (RFC 3986 section 6) must ask at the same place.
        if url.as_str().trim_end_matches('/') != text {
            return Err(InvalidIdentifier::NotNormal(url.as_str().to_owned()));
        }
        Ok(Self(Arc::from(text)))
    }

    /// The issuer as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, as a client asks its certificate for it: without a port, and an IPv6 address without
    /// its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        }
    }

    /// The path of the issuer, empty or with its leading slash: `/tenant`.
    #[must_use]
    pub fn path(&self) -> &str {
        let authority = self.0.find("://").map_or(0, |at| at + 3);
        let rest = self.0.get(authority..).unwrap_or_default();
        rest.find('/')
            .and_then(|at| rest.get(at..))
            .unwrap_or_default()
    }
}

fn check_uri(text: &str) -> Result<url::Url, InvalidIdentifier> {
    if text.len() > MAX_IDENTIFIER {
        return Err(InvalidIdentifier::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidIdentifier::Character);
    }
    if text.contains('#') {
        return Err(InvalidIdentifier::Fragment);
    }
    url::Url::parse(text).map_err(InvalidIdentifier::NotAbsolute)
}

impl fmt::Display for ResourceIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for ResourceIdentifier {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_resource_is_an_absolute_uri_without_fragment() {
        assert!(ResourceIdentifier::parse("https://api.example.com/billing").is_ok());
        assert!(ResourceIdentifier::parse("urn:example:billing").is_ok());
        for text in [
            "",
            "billing",
            "/billing",
            "https://a/#x",
            "https://a/b c",
            "https://é.example",
        ] {
            assert!(ResourceIdentifier::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_issuer_is_an_https_url_and_knows_its_path() {
        assert_eq!(
            Issuer::parse("https://auth.example.com").unwrap().path(),
            ""
        );
        assert_eq!(
            Issuer::parse("https://auth.example.com:8443/t/1")
                .unwrap()
                .path(),
            "/t/1"
        );
        for text in [
            "http://auth.example.com",
            "https://auth.example.com/",
            "https://auth.example.com/?a=b",
            "https://u:p@auth.example.com",
            "https:auth.example.com",
            "https://auth.example.com/t/../x",
            "https://Auth.example.com",
            "https://auth.example.com:443",
        ] {
            assert!(Issuer::parse(text).is_err(), "{text}");
        }
    }
}
