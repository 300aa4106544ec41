//! What a change of the registry means, object by object. Pure.
//!
//! Stage of the registry flow: `check → diff → audit`.
//!
//! **Invariant:** `apply(old, &diff(old, new))` says the same as `new`: nothing that the digest
//! covers is missing from the changes.

use std::collections::HashMap;
use std::sync::Arc;

use super::snapshot::{Client, Policy, Resource, ResourceGrant, Snapshot};
use crate::domain::{ClientId, ResourceName};

/// One change, of one object.
#[derive(Clone, Debug)]
pub enum Change {
    /// A client that was not there.
    ClientAdded(Arc<Client>),
    /// A client that is gone.
    ClientRemoved(Arc<Client>),
    /// A client that says something else now.
    ClientChanged {
        /// As it was.
        before: Arc<Client>,
        /// As it is.
        after: Arc<Client>,
        /// What of it changed, in the order of [`ClientPart`]; never empty.
        parts: Vec<ClientPart>,
    },
    /// A resource that was not there.
    ResourceAdded(Arc<Resource>),
    /// A resource that is gone.
    ResourceRemoved(Arc<Resource>),
    /// A resource that says something else now.
    ResourceChanged {
        /// As it was.
        before: Arc<Resource>,
        /// As it is.
        after: Arc<Resource>,
        /// What of it changed, in the order of [`ResourcePart`]; never empty.
        parts: Vec<ResourcePart>,
    },
    /// The policy says something else now.
    PolicyChanged {
        /// As it was.
        before: Box<Policy>,
        /// As it is.
        after: Box<Policy>,
    },
}

/// A part of a client that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the field of `Client` of that name")]
pub enum ClientPart {
    Title,
    Owner,
    Disabled,
    Expires,
    TokenLifetime,
    Grants,
    DefaultGrant,
    Secrets,
    Claims,
}

/// A part of a resource that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the field of `Resource` of that name")]
pub enum ResourcePart {
    Identifier,
    Title,
    Owner,
    TokenLifetime,
    Algorithm,
    Scopes,
    Claims,
}

/// How many objects a set of changes adds, changes and removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named by what it counts")]
pub struct Counts {
    pub clients_added: usize,
    pub clients_changed: usize,
    pub clients_removed: usize,
    pub resources_added: usize,
    pub resources_changed: usize,
    pub resources_removed: usize,
    pub policy_changed: bool,
}

/// Every change from one snapshot to another: the policy, then resources, then clients, each in
/// the order of their names.
#[must_use]
pub fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.policy != new.policy {
        changes.push(Change::PolicyChanged {
            before: Box::new(old.policy.clone()),
            after: Box::new(new.policy.clone()),
        });
    }
    for name in names(&old.resources, &new.resources) {
        let (before, after) = (old.resources.get(name), new.resources.get(name));
        changes.extend(resource_change(before, after));
    }
    for id in names(&old.clients, &new.clients) {
        changes.extend(client_change(old.clients.get(id), new.clients.get(id)));
    }
    changes
}

/// The snapshot that these changes make of `old`.
#[must_use]
pub fn apply(old: &Snapshot, changes: &[Change]) -> Snapshot {
    let mut resources: HashMap<ResourceName, Arc<Resource>> = old.resources.clone();
    let mut clients: HashMap<ClientId, Arc<Client>> = old.clients.clone();
    let mut policy = old.policy.clone();
    for change in changes {
        match change {
            Change::ClientAdded(client) | Change::ClientChanged { after: client, .. } => {
                clients.insert(client.id.clone(), Arc::clone(client));
            }
            Change::ClientRemoved(client) => {
                clients.remove(&client.id);
            }
            Change::ResourceAdded(resource)
            | Change::ResourceChanged {
                after: resource, ..
            } => {
                resources.insert(resource.name.clone(), Arc::clone(resource));
            }
            Change::ResourceRemoved(resource) => {
                resources.remove(&resource.name);
            }
            Change::PolicyChanged { after, .. } => policy = after.as_ref().clone(),
        }
    }
    let clients = clients
        .into_values()
        .map(|client| relink(client, &resources))
        .collect();
    Snapshot::assemble(resources.into_values().collect(), clients, policy)
}

impl Change {
    /// Who or what changed, as the registry spells its table: `client.nightly-invoices`.
    #[must_use]
    pub fn object(&self) -> String {
        match self {
            Self::ClientAdded(client)
            | Self::ClientRemoved(client)
            | Self::ClientChanged { after: client, .. } => format!("client.{}", client.id),
            Self::ResourceAdded(resource)
            | Self::ResourceRemoved(resource)
            | Self::ResourceChanged {
                after: resource, ..
            } => {
                format!("resource.{}", resource.name)
            }
            Self::PolicyChanged { .. } => "policy".to_owned(),
        }
    }
}

impl Counts {
    /// Counts changes by kind.
    #[must_use]
    pub fn of(changes: &[Change]) -> Self {
        let mut counts = Self::default();
        for change in changes {
            match change {
                Change::ClientAdded(_) => counts.clients_added += 1,
                Change::ClientChanged { .. } => counts.clients_changed += 1,
                Change::ClientRemoved(_) => counts.clients_removed += 1,
                Change::ResourceAdded(_) => counts.resources_added += 1,
                Change::ResourceChanged { .. } => counts.resources_changed += 1,
                Change::ResourceRemoved(_) => counts.resources_removed += 1,
                Change::PolicyChanged { .. } => counts.policy_changed = true,
            }
        }
        counts
    }
}

/// Each name of either side once, in order.
fn names<'a, K: Ord, V>(old: &'a HashMap<K, V>, new: &'a HashMap<K, V>) -> Vec<&'a K> {
    let mut names: Vec<&K> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn resource_change(
    before: Option<&Arc<Resource>>,
    after: Option<&Arc<Resource>>,
) -> Option<Change> {
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some(Change::ResourceAdded(Arc::clone(after))),
        (Some(before), None) => Some(Change::ResourceRemoved(Arc::clone(before))),
        (Some(before), Some(after)) => {
            let parts = resource_parts(before, after);
            (!parts.is_empty()).then(|| Change::ResourceChanged {
                before: Arc::clone(before),
                after: Arc::clone(after),
                parts,
            })
        }
    }
}

fn client_change(before: Option<&Arc<Client>>, after: Option<&Arc<Client>>) -> Option<Change> {
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some(Change::ClientAdded(Arc::clone(after))),
        (Some(before), None) => Some(Change::ClientRemoved(Arc::clone(before))),
        (Some(before), Some(after)) => {
            let parts = client_parts(before, after);
            (!parts.is_empty()).then(|| Change::ClientChanged {
                before: Arc::clone(before),
                after: Arc::clone(after),
                parts,
            })
        }
    }
}

fn resource_parts(old: &Resource, new: &Resource) -> Vec<ResourcePart> {
    let Resource {
        name: _,
        identifier,
        title,
        owner,
        token_lifetime,
        algorithm,
        scopes,
        claims,
    } = old;
    let parts = [
        (ResourcePart::Identifier, *identifier != new.identifier),
        (ResourcePart::Title, *title != new.title),
        (ResourcePart::Owner, *owner != new.owner),
        (
            ResourcePart::TokenLifetime,
            *token_lifetime != new.token_lifetime,
        ),
        (ResourcePart::Algorithm, *algorithm != new.algorithm),
        (ResourcePart::Scopes, *scopes != new.scopes),
        (ResourcePart::Claims, *claims != new.claims),
    ];
    changed(parts)
}

fn client_parts(old: &Client, new: &Client) -> Vec<ClientPart> {
    let Client {
        id: _,
        title,
        owner,
        disabled,
        expires,
        token_lifetime,
        grants,
        default_grant: _,
        secrets,
        claims,
    } = old;
    let parts = [
        (ClientPart::Title, *title != new.title),
        (ClientPart::Owner, *owner != new.owner),
        (ClientPart::Disabled, *disabled != new.disabled),
        (ClientPart::Expires, *expires != new.expires),
        (
            ClientPart::TokenLifetime,
            *token_lifetime != new.token_lifetime,
        ),
        (ClientPart::Grants, !same_grants(grants, &new.grants)),
        (
            ClientPart::DefaultGrant,
            default_name(old) != default_name(new),
        ),
        (ClientPart::Secrets, *secrets != new.secrets),
        (ClientPart::Claims, *claims != new.claims),
    ];
    changed(parts)
}

fn changed<P, const N: usize>(parts: [(P, bool); N]) -> Vec<P> {
    parts
        .into_iter()
        .filter_map(|(part, changed)| changed.then_some(part))
        .collect()
}

/// A change of the resource itself is the resource's change, not that of each of its clients.
fn same_grants(old: &[ResourceGrant], new: &[ResourceGrant]) -> bool {
    old.len() == new.len()
        && old
            .iter()
            .zip(new)
            .all(|(old, new)| old.resource.name == new.resource.name && old.scopes == new.scopes)
}

fn default_name(client: &Client) -> Option<&ResourceName> {
    let grant = client.grants.get(client.default_grant?)?;
    Some(&grant.resource.name)
}

/// The same client with its grants on the resources as they are now.
fn relink(client: Arc<Client>, resources: &HashMap<ResourceName, Arc<Resource>>) -> Arc<Client> {
    let linked = |grant: &ResourceGrant| {
        resources
            .get(&grant.resource.name)
            .is_some_and(|resource| Arc::ptr_eq(resource, &grant.resource))
    };
    if client.grants.iter().all(linked) {
        return client;
    }
    let grants = client
        .grants
        .iter()
        .filter_map(|grant| {
            let resource = resources.get(&grant.resource.name)?;
            Some(ResourceGrant::new(
                Arc::clone(resource),
                grant.scopes.clone(),
            ))
        })
        .collect();
    Arc::new(Client {
        grants,
        ..client.as_ref().clone()
    })
}
