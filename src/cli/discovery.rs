//! An issuer's metadata, from the issuer itself (RFC 8414). Touches: net.

use super::https::{Client, Deadline, HttpsFault, Reply};
use super::json::{InvalidObject, Object, shown};
use crate::domain::Issuer;

/// Why the metadata can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiscoveryFault {
    /// No answer.
    #[error(transparent)]
    Https(#[from] HttpsFault),
    /// The server can't answer now.
    #[error("{} answers {}: it is starting, stopping, not ready or has too much to do", reply.url, reply.status)]
    Busy {
        /// What it answered.
        reply: Box<Reply>,
    },
    /// There is no metadata there.
    #[error(
        "{url} answers {status}: is {issuer} the issuer? The operator finds it in grantd.toml, and each token has it as iss"
    )]
    Missing {
        /// What was asked for last.
        url: String,
        /// The status.
        status: u16,
        /// What --issuer says.
        issuer: Issuer,
    },
    /// Not metadata.
    #[error("what {url} answers is no metadata of a token server")]
    Invalid {
        /// What was asked for.
        url: String,
        /// What is wrong.
        source: InvalidObject,
    },
    /// The metadata is another issuer's (RFC 8414 section 3.3).
    #[error(
        "{url} belongs to the issuer {found:?}, not to {asked}: --issuer must be that of the server, letter by letter"
    )]
    WrongIssuer {
        /// What was asked for.
        url: String,
        /// What the metadata says.
        found: String,
        /// What --issuer says.
        asked: Issuer,
    },
    /// A member is missing or no https URL.
    #[error("the metadata at {url} has no {member} that is an https URL")]
    NoEndpoint {
        /// What was asked for.
        url: String,
        /// Which.
        member: &'static str,
    },
}

impl DiscoveryFault {
    /// Whether the same may work a little later.
    pub(super) const fn passes(&self) -> bool {
        match self {
            Self::Https(fault) => fault.passes(),
            Self::Busy { .. } => true,
            _ => false,
        }
    }
}

/// The issuer's metadata.
#[derive(Debug)]
pub(super) struct Metadata {
    url: String,
    members: Object,
}

impl Metadata {
    /// Where tokens are asked for.
    pub(super) fn token_endpoint(&self) -> Result<&str, DiscoveryFault> {
        self.endpoint("token_endpoint")
    }

    /// Where the keys are.
    pub(super) fn jwks_uri(&self) -> Result<&str, DiscoveryFault> {
        self.endpoint("jwks_uri")
    }

    fn endpoint(&self, member: &'static str) -> Result<&str, DiscoveryFault> {
        let found = self.members.text(member);
        let is_https = |url: &&str| {
            url::Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host())
        };
        found
            .filter(is_https)
            .ok_or_else(|| DiscoveryFault::NoEndpoint {
                url: self.url.clone(),
                member,
            })
    }
}

/// Fetches the metadata: under the name of RFC 8414 section 3, and where there is none, under that of
/// OpenID Connect Discovery.
pub(super) fn discover(
    client: &Client,
    issuer: &Issuer,
    deadline: Deadline,
) -> Result<Metadata, DiscoveryFault> {
    let text = issuer.as_str();
    let origin = text.strip_suffix(issuer.path()).unwrap_or(text);
    let inserted = format!(
        "{origin}/.well-known/oauth-authorization-server{}",
        issuer.path()
    );
    let mut reply = client.fetch(&inserted, deadline)?;
    if reply.status == 404 {
        reply = client.fetch(
            &format!("{text}/.well-known/openid-configuration"),
            deadline,
        )?;
    }
    match reply.status {
        200 => read(reply, issuer),
        status if is_busy(status) => Err(DiscoveryFault::Busy {
            reply: Box::new(reply),
        }),
        status => Err(DiscoveryFault::Missing {
            url: reply.url,
            status,
            issuer: issuer.clone(),
        }),
    }
}

/// Whether a status says "not now" (RFC 6585 section 4, RFC 9110 section 15.6).
pub(super) const fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

fn read(reply: Reply, issuer: &Issuer) -> Result<Metadata, DiscoveryFault> {
    let url = reply.url;
    let members = match Object::parse(&reply.body) {
        Ok(members) => members,
        Err(source) => return Err(DiscoveryFault::Invalid { url, source }),
    };
    let found = members.text("issuer").unwrap_or_default();
    if found != issuer.as_str() {
        return Err(DiscoveryFault::WrongIssuer {
            found: shown(found),
            asked: issuer.clone(),
            url,
        });
    }
    Ok(Metadata { url, members })
}
