//! From definitions that passed to the snapshot that requests see. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::DEFAULT_TOKEN_LIFETIME;
use super::credentials::SecretDef;
use super::cross::Registry;
use super::define::{ClientDef, ResourceDef, fitting};
use super::findings::Found;
use crate::domain::CredentialId;
use crate::registry::digest::Digests;
use crate::registry::file::Given;
use crate::registry::snapshot::{Client, Policy, Resource, ResourceGrant, Snapshot, StoredSecret};

/// The snapshot of a registry without problems, and the digest of each client. What says the same as in the
/// snapshot `before` is the same object, so that a difference is seen by its address.
pub(super) fn snapshot(registry: &Registry<'_>, before: Option<&Snapshot>) -> (Snapshot, Digests) {
    let resources: HashMap<&str, Arc<Resource>> = registry
        .resources
        .sorted()
        .iter()
        .filter_map(|found| {
            let name = found.def.name.get_ref().as_str();
            let known = before.and_then(|before| before.resources.get(name));
            let resource = resource(found.def, &registry.policy)?;
            Some((name, kept_or(known, resource)))
        })
        .collect();
    let clients = registry
        .clients
        .sorted()
        .iter()
        .map(|found| {
            let known = before.and_then(|before| before.clients.get(found.def.id.get_ref()));
            kept_or(known, client(*found, &resources))
        })
        .collect();
    Snapshot::assemble_with_digests(
        resources.into_values().collect(),
        clients,
        registry.policy.clone(),
    )
}

/// Whether the resources and the policy of a registry are those of a snapshot.
pub(super) fn says_the_same(registry: &Registry<'_>, snapshot: &Snapshot) -> bool {
    let resources = registry.resources.sorted();
    let same = |found: &Found<'_, ResourceDef>| {
        let known = snapshot.resources.get(found.def.name.get_ref());
        let now = resource(found.def, &registry.policy);
        known.is_some_and(|known| now.is_some_and(|now| **known == now))
    };
    registry.policy == snapshot.policy
        && resources.len() == snapshot.resources.len()
        && resources.iter().all(same)
}

fn kept_or<T: PartialEq>(known: Option<&Arc<T>>, now: T) -> Arc<T> {
    match known {
        Some(known) if **known == now => Arc::clone(known),
        _ => Arc::new(now),
    }
}

fn value<T: Clone>(given: &Given<T>) -> Option<T> {
    given.good().map(|value| value.get_ref().clone())
}

fn resource(def: &ResourceDef, policy: &Policy) -> Option<Resource> {
    let ResourceDef {
        name,
        identifier,
        title,
        absent: _,
        owner,
        token_lifetime,
        algorithm,
        claims,
        scopes,
    } = def;
    let mut scopes: Vec<_> = scopes
        .iter()
        .map(|(name, description)| (name.get_ref().clone(), description.clone()))
        .collect();
    scopes.sort();
    Some(Resource {
        name: name.get_ref().clone(),
        // Without one there was a problem, and no snapshot is built.
        identifier: value(identifier)?,
        title: title.clone().unwrap_or_else(|| name.get_ref().to_string()),
        owner: value(owner),
        token_lifetime: value(token_lifetime)
            .unwrap_or(DEFAULT_TOKEN_LIFETIME.min(policy.max_token_lifetime)),
        algorithm: value(algorithm),
        scopes,
        claims: claims
            .iter()
            .map(|(name, value)| (name.get_ref().clone(), value.clone()))
            .collect(),
    })
}

/// A client without problems, with its grants on these resources.
pub(super) fn client(
    found: Found<'_, ClientDef>,
    resources: &HashMap<&str, Arc<Resource>>,
) -> Client {
    let ClientDef {
        id,
        title,
        absent: _,
        owner,
        expires,
        disabled,
        token_lifetime,
        default_resource,
        claims,
        grants,
        secrets,
    } = found.def;
    let mut grants: Vec<ResourceGrant> = grants
        .iter()
        .filter_map(|grant| {
            let resource = resources.get(grant.resource.get_ref().as_str())?;
            let mut scopes: Vec<_> = value(&grant.scopes)?
                .into_iter()
                .map(toml::Spanned::into_inner)
                .collect();
            scopes.sort();
            Some(ResourceGrant::new(Arc::clone(resource), fitting(scopes)))
        })
        .collect();
    grants.shrink_to_fit();
    grants.sort_by(|a, b| a.resource.name.cmp(&b.resource.name));
    let default_grant = match default_resource.good() {
        Some(name) => grants
            .iter()
            .position(|grant| grant.resource.name.as_str() == name.get_ref()),
        None => (grants.len() == 1).then_some(0),
    };
    let mut secrets: Vec<StoredSecret> = secrets.iter().map(secret).collect();
    secrets.sort_by(|a, b| (a.created, a.expires, &a.id).cmp(&(b.created, b.expires, &b.id)));
    Client {
        id: id.get_ref().clone(),
        title: title.clone().unwrap_or_else(|| id.get_ref().to_string()),
        owner: value(owner),
        disabled: *disabled,
        expires: expires.map(|moment| moment.at),
        token_lifetime: value(token_lifetime),
        grants,
        default_grant,
        secrets,
        claims: claims
            .iter()
            .map(|(name, value)| (name.get_ref().clone(), value.clone()))
            .collect(),
    }
}

fn secret(def: &SecretDef) -> StoredSecret {
    let SecretDef {
        at: _,
        absent: _,
        verifier,
        label,
        created,
        not_before,
        expires,
    } = def;
    let moment = |given: &Given<super::values::Moment>| value(given).map(|moment| moment.at);
    StoredSecret {
        id: CredentialId::of_secret(verifier.get_ref()),
        verifier: *verifier.get_ref(),
        label: label.clone(),
        created: moment(created),
        not_before: moment(not_before),
        expires: moment(expires),
        last_use: Default::default(),
    }
}
