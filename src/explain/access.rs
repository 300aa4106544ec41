//! Who can do what: every client of a resource, or every resource of a client. Pure.

use std::sync::Arc;

use super::words;
use crate::client_auth;
use crate::domain::{ClientId, Denial, ResourceName, ScopeName, UnixSeconds};
use crate::registry::overlay::Overlay;
use crate::registry::snapshot::{Client, Resource, ResourceGrant, Snapshot};
use crate::registry::suggest;

/// One client with what it has on one resource.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// The client.
    pub client: &'a Client,
    /// What it has there.
    pub grant: &'a ResourceGrant,
    /// Whether it may use it.
    pub state: State,
    /// How many of its secrets may be used now.
    pub usable: usize,
    /// When the last of these expires; `None` where one has no end, or none may be used.
    pub until: Option<UnixSeconds>,
}

/// Whether a client may ask for a token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It may.
    Active,
    /// It is switched off.
    Disabled,
    /// Its time has passed.
    Expired,
    /// It may, but has no secret that may be used now.
    NoSecret,
}

/// A name that the registry does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No such client.
    #[error("the registry has no client {asked:?}: {advice}")]
    Client {
        /// What was asked for.
        asked: String,
        /// What may be meant.
        advice: String,
    },
    /// No such resource.
    #[error("no resource has the identifier or the name {asked:?}: {advice}")]
    Resource {
        /// What was asked for.
        asked: String,
        /// What may be meant.
        advice: String,
    },
    /// No such scope.
    #[error("resource `{resource}` has no scope {asked:?}: {advice}")]
    Scope {
        /// Where.
        resource: ResourceName,
        /// What was asked for.
        asked: String,
        /// What may be meant.
        advice: String,
    },
}

/// The resource with this identifier or name.
///
/// # Errors
/// [`Unknown::Resource`] when there is none.
pub fn resource<'a>(asked: &str, registry: &'a Snapshot) -> Result<&'a Arc<Resource>, Unknown> {
    let by_identifier = registry.by_identifier.get(asked);
    by_identifier
        .or_else(|| registry.resources.get(asked))
        .ok_or_else(|| Unknown::Resource {
            asked: shown(asked),
            advice: words::unknown_resource(asked, registry),
        })
}

/// The client with this id.
///
/// # Errors
/// [`Unknown::Client`] when there is none.
pub fn client<'a>(asked: &str, registry: &'a Snapshot) -> Result<&'a Arc<Client>, Unknown> {
    registry.clients.get(asked).ok_or_else(|| Unknown::Client {
        asked: shown(asked),
        advice: suggest::advice(
            asked,
            "clients",
            registry.clients.keys().map(ClientId::as_str),
        ),
    })
}

/// Every client that has something on a resource, or this one scope of it, in the order of their ids.
///
/// # Errors
/// [`Unknown::Scope`] when the resource has no such scope.
pub fn of_resource<'a>(
    resource: &Resource,
    scope: Option<&str>,
    registry: &'a Snapshot,
    now: UnixSeconds,
) -> Result<Vec<Access<'a>>, Unknown> {
    if let Some(asked) = scope {
        let defined = || resource.scopes.iter().map(|(name, _)| name.as_str());
        if !defined().any(|name| name == asked) {
            return Err(Unknown::Scope {
                resource: resource.name.clone(),
                asked: shown(asked),
                advice: suggest::advice(asked, "scopes", defined()),
            });
        }
    }
    let has = |grant: &ResourceGrant| {
        scope.is_none_or(|asked| grant.scopes.iter().any(|name| name.as_str() == asked))
    };
    let mut found: Vec<Access<'a>> = registry
        .clients
        .values()
        .filter_map(|client| {
            let grant = client.grant_on(&resource.name).filter(|grant| has(grant))?;
            Some(access(client, grant, now))
        })
        .collect();
    found.sort_unstable_by_key(|access| &access.client.id);
    Ok(found)
}

/// Everything that a client has, in the order of the resources' names.
#[must_use]
pub fn of_client(client: &Client, now: UnixSeconds) -> Vec<Access<'_>> {
    let grants = client.grants.iter();
    grants.map(|grant| access(client, grant, now)).collect()
}

fn access<'a>(client: &'a Client, grant: &'a ResourceGrant, now: UnixSeconds) -> Access<'a> {
    let usable = || {
        let secrets = client.secrets.iter();
        secrets.filter(|secret| client_auth::usable(secret, now).is_ok())
    };
    let ends: Option<Vec<UnixSeconds>> = usable().map(|secret| secret.expires).collect();
    let count = usable().count();
    Access {
        client,
        grant,
        state: match client_auth::admit(client, &Overlay::default(), now) {
            Err(Denial::ClientDisabled) => State::Disabled,
            Err(_) => State::Expired,
            Ok(()) if count == 0 => State::NoSecret,
            Ok(()) => State::Active,
        },
        usable: count,
        until: ends.and_then(|ends| ends.into_iter().max()),
    }
}

impl State {
    /// As tables and JSON spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::NoSecret => "no-secret",
        }
    }
}

impl Access<'_> {
    /// The names of the scopes that it has.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.grant.scopes.iter().map(ScopeName::as_str)
    }
}

/// What was asked for, cut for a message.
fn shown(asked: &str) -> String {
    asked.chars().take(128).collect()
}
