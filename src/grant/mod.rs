//! What a proved client gets: resource, scopes, lifetime. Pure.
//!
//! Stage of the request flow: `client_auth → grant → mint`.
//!
//! **Invariant:** a [`Grant`] is never more than what the registry says of its client; it lives no longer
//! than its resource, its client, the policy and the credential that got it allow.

use std::sync::Arc;

use crate::client_auth::Proof;
use crate::domain::{Algorithm, Denial, Lifetime, UnixSeconds, split_scope};
use crate::http::{AskedResource, TokenRequest};
use crate::registry::snapshot::{Client, Resource, ResourceGrant, Snapshot};

/// What is granted, before it is signed.
#[derive(Debug)]
pub struct Grant {
    client: Arc<Client>,
    resource: Arc<Resource>,
    scope: Arc<str>,
    lifetime: Lifetime,
}

/// What a request asks for, whoever it is of.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The `resource` parameter.
    pub resource: &'a AskedResource,
    /// The `scope` parameter.
    pub scope: Option<&'a str>,
}

/// What the registry gives a client, were it proved: no [`Grant`], which takes a [`Proof`].
#[derive(Debug)]
pub struct Terms<'a> {
    /// The resource, with all that the client has there.
    pub granted: &'a ResourceGrant,
    /// The scopes, separated by single spaces.
    pub scope: Arc<str>,
    /// What bounds the lifetime, the resource's own first; the least of them is the lifetime.
    pub bounds: [Option<(Bound, Lifetime)>; 5],
}

/// What bounds the lifetime of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The resource's `token_lifetime`, or the default.
    Resource,
    /// The client's `token_lifetime`.
    Client,
    /// The policy's `max_token_lifetime`.
    Policy,
    /// The client's `expires`.
    ClientEnd,
    /// The `expires` of the credential that got it.
    CredentialEnd,
}

/// Decides a request of a proved client.
///
/// # Errors
/// The [`Denial`] that says which rule refused it.
pub fn decide(
    request: &TokenRequest,
    proof: &Proof,
    registry: &Snapshot,
    now: UnixSeconds,
) -> Result<Grant, Denial> {
    let client = proof.client();
    let asked = Asked {
        resource: &request.resource,
        scope: request.scope.as_deref(),
    };
    let terms = weigh(asked, client, proof.credential().expires, registry, now)?;
    Ok(Grant {
        client: Arc::clone(client),
        resource: Arc::clone(&terms.granted.resource),
        lifetime: terms.lifetime(),
        scope: terms.scope,
    })
}

/// What a client would be granted by a credential with this end. [`decide`] gives that to a client that
/// proved itself, and `explain` tells it.
///
/// # Errors
/// The [`Denial`] that says which rule refused it.
pub fn weigh<'a>(
    asked: Asked<'_>,
    client: &'a Client,
    credential_expires: Option<UnixSeconds>,
    registry: &Snapshot,
    now: UnixSeconds,
) -> Result<Terms<'a>, Denial> {
    let granted = choose_resource(asked.resource, client, registry)?;
    let scope = choose_scope(asked.scope, granted)?;
    let end = |bound, end: Option<UnixSeconds>| end.map(|end| (bound, end.since(now)));
    Ok(Terms {
        granted,
        scope,
        bounds: [
            Some((Bound::Resource, granted.resource.token_lifetime)),
            client.token_lifetime.map(|most| (Bound::Client, most)),
            Some((Bound::Policy, registry.policy.max_token_lifetime)),
            end(Bound::ClientEnd, client.expires),
            end(Bound::CredentialEnd, credential_expires),
        ],
    })
}

/// The claims that the registry adds to a token: the client's, then those of the resource. One of the client
/// stands before one of the same name.
pub fn static_claims<'a>(
    client: &'a Client,
    resource: &'a Resource,
) -> impl Iterator<Item = (&'a String, &'a serde_json::Value)> {
    let others = resource.claims.iter();
    client
        .claims
        .iter()
        .chain(others.filter(|(name, _)| !client.claims.contains_key(name.as_str())))
}

/// RFC 8707 section 2, with exactly one resource for a token. An unknown resource and one that the client
/// may not use differ for the operator alone.
///
/// # Errors
/// The [`Denial`] that says why there is none.
pub fn choose_resource<'a>(
    asked: &AskedResource,
    client: &'a Client,
    registry: &Snapshot,
) -> Result<&'a ResourceGrant, Denial> {
    match asked {
        AskedResource::Several => Err(Denial::SeveralResources),
        AskedResource::None => client
            .default_grant
            .and_then(|at| client.grants.get(at))
            .ok_or(Denial::ResourceMissing),
        AskedResource::One(identifier) => {
            let resource = registry
                .by_identifier
                .get(identifier.as_str())
                .ok_or(Denial::UnknownResource)?;
            client
                .grant_on(&resource.name)
                .ok_or(Denial::ResourceNotGranted)
        }
    }
}

/// RFC 6749 section 3.3: all or nothing of what was asked for; left out, all that the client has there.
/// Order and case are kept; a name that is there twice is granted once.
///
/// # Errors
/// [`Denial::MalformedScope`] or [`Denial::ScopeNotGranted`].
pub fn choose_scope(asked: Option<&str>, granted: &ResourceGrant) -> Result<Arc<str>, Denial> {
    let Some(list) = asked else {
        return Ok(Arc::clone(&granted.scope));
    };
    if *list == *granted.scope {
        return Ok(Arc::clone(&granted.scope));
    }
    let mut names = split_scope(list).map_err(|_| Denial::MalformedScope)?;
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    for name in &names {
        granted
            .scopes
            .binary_search_by(|scope| scope.as_str().cmp(name))
            .map_err(|_| Denial::ScopeNotGranted)?;
    }
    Ok(Arc::from(names.join(" ")))
}

impl Terms<'_> {
    /// The bound that is met first; the earlier named one of two that are alike.
    #[must_use]
    pub fn tightest(&self) -> Option<(Bound, Lifetime)> {
        let bounds = self.bounds.iter().flatten().copied();
        bounds.min_by_key(|(_, lifetime)| *lifetime)
    }

    /// How long the token may live.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        self.tightest()
            .map_or(Lifetime::ZERO, |(_, lifetime)| lifetime)
    }
}

impl Grant {
    /// The client: `client_id` and `sub`.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The resource: `aud`.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The scopes, separated by single spaces; empty when the resource has none.
    #[must_use]
    pub const fn scope(&self) -> &Arc<str> {
        &self.scope
    }

    /// How long the token may live from now, at least a second: what has ended was refused before.
    #[must_use]
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// What the token is to be signed with, where the resource says so.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.resource.algorithm
    }
}

#[cfg(test)]
mod tests;
