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
    let granted = choose_resource(&request.resource, client, registry)?;
    let scope = choose_scope(request.scope.as_deref(), granted)?;
    Ok(Grant {
        client: Arc::clone(client),
        resource: Arc::clone(&granted.resource),
        scope,
        lifetime: lifetime(proof, &granted.resource, registry, now),
    })
}

/// RFC 8707 section 2, with exactly one resource for a token. An unknown resource and one that the client
/// may not use differ for the operator alone.
fn choose_resource<'a>(
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
fn choose_scope(asked: Option<&str>, granted: &ResourceGrant) -> Result<Arc<str>, Denial> {
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

fn lifetime(proof: &Proof, resource: &Resource, registry: &Snapshot, now: UnixSeconds) -> Lifetime {
    let ends = [proof.client().expires, proof.credential().expires];
    ends.into_iter()
        .flatten()
        .map(|end| end.since(now))
        .chain(proof.client().token_lifetime)
        .chain([registry.policy.max_token_lifetime])
        .fold(resource.token_lifetime, Lifetime::min)
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
