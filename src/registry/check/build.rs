//! From definitions that passed to the snapshot that requests see. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::DEFAULT_TOKEN_LIFETIME;
use super::credentials::SecretDef;
use super::cross::Registry;
use super::define::{ClientDef, ResourceDef};
use super::findings::Found;
use crate::domain::CredentialId;
use crate::registry::file::Given;
use crate::registry::snapshot::{Client, Policy, Resource, ResourceGrant, Snapshot, StoredSecret};

/// The snapshot of a registry without problems.
pub(super) fn snapshot(registry: &Registry<'_>) -> Snapshot {
    let resources: HashMap<&str, Arc<Resource>> = registry
        .resources
        .iter()
        .filter_map(|(name, found)| {
            resource(found.def, &registry.policy).map(|resource| (*name, Arc::new(resource)))
        })
        .collect();
    let clients = registry
        .clients
        .values()
        .map(|found| Arc::new(client(*found, &resources)))
        .collect();
    Snapshot::assemble(
        resources.into_values().collect(),
        clients,
        registry.policy.clone(),
    )
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

fn client(found: Found<'_, ClientDef>, resources: &HashMap<&str, Arc<Resource>>) -> Client {
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
            Some(ResourceGrant::new(Arc::clone(resource), scopes))
        })
        .collect();
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
