//! A small registry for the unit tests of the stages that read one. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::deadlines::Deadlines;
use super::snapshot::{Client, Policy, Resource, ResourceGrant, Snapshot, StoredSecret};
use crate::domain::{
    ClientId, CredentialId, Digest, GeneratedSecret, Lifetime, ResourceIdentifier, ResourceName,
    ScopeName,
};

/// The secret whose verifier [`client`] holds.
pub(crate) fn secret() -> GeneratedSecret {
    GeneratedSecret::from_entropy(&Zeroizing::new([9; 32]))
}

/// A resource of this name with the scopes `read` and `write`.
pub(crate) fn resource(name: &str) -> Resource {
    let scope = |name| (ScopeName::parse(name).expect("a scope"), String::new());
    Resource {
        name: ResourceName::parse(name).expect("a name"),
        identifier: ResourceIdentifier::parse(&format!("https://{name}.example.com"))
            .expect("an identifier"),
        title: name.to_owned(),
        owner: None,
        token_lifetime: Lifetime::from_minutes(15),
        algorithm: None,
        scopes: vec![scope("read"), scope("write")],
        claims: serde_json::Map::new(),
    }
}

/// A client `ledger` with [`secret`], which may read and write on each of these resources.
pub(crate) fn client(resources: &[Arc<Resource>]) -> Client {
    let id = ClientId::parse("ledger").expect("a name");
    let verifier = secret().verifier(&id);
    let grants: Vec<ResourceGrant> = resources
        .iter()
        .map(|resource| ResourceGrant {
            resource: Arc::clone(resource),
            scopes: resource
                .scopes
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            scope: Arc::from("read write"),
        })
        .collect();
    Client {
        title: "Ledger".to_owned(),
        owner: None,
        disabled: false,
        expires: None,
        token_lifetime: None,
        default_grant: (grants.len() == 1).then_some(0),
        grants,
        secrets: vec![StoredSecret {
            id: CredentialId::of_secret(&verifier),
            verifier,
            label: None,
            created: None,
            not_before: None,
            expires: None,
            last_use: Default::default(),
        }],
        claims: serde_json::Map::new(),
        id,
    }
}

/// A registry of these resources and this client.
pub(crate) fn snapshot(resources: Vec<Arc<Resource>>, client: Client) -> Snapshot {
    Snapshot {
        deadlines: Deadlines::of(std::iter::once(&client)),
        clients: HashMap::from([(client.id.clone(), Arc::new(client))]),
        by_identifier: resources
            .iter()
            .map(|resource| (resource.identifier.clone(), Arc::clone(resource)))
            .collect(),
        resources: resources
            .into_iter()
            .map(|resource| (resource.name.clone(), resource))
            .collect(),
        policy: Policy::of_lifetime(Lifetime::from_hours(1)),
        digest: Digest::ZERO,
    }
}
