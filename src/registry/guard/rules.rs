//! Holds a whole snapshot to the rules of a policy, its own or another's. Pure.

use std::collections::HashSet;

use crate::domain::{ClientId, CredentialId, Lifetime, Owner};
use crate::registry::policy::{
    Broken, ClientField, Field, FieldSet, GrantName, NamePattern, Object, ResourceField,
    SecretField, Together, TwoOwners, Violation,
};
use crate::registry::snapshot::{Client, Policy, Resource, Snapshot, StoredSecret};

/// Whatever in this snapshot breaks a rule of this policy, in order. The time that it takes grows
/// with the snapshot, and with no more than the rules that each client could break.
///
/// Two rules are not about what a registry says, and break nothing here: `max_removed_clients`
/// is about a change, `allowed_auth_methods` about requests. What a rule names and the snapshot
/// does not have, a resource or a scope, breaks nothing either: nobody can have it.
#[must_use]
pub fn violations(policy: &Policy, snapshot: &Snapshot) -> Vec<Violation> {
    let mut found = Vec::new();
    for resource in snapshot.resources.values() {
        examine_resource(policy, resource, &mut found);
    }
    for rule in &policy.two_owners {
        if let Some(resource) = snapshot.resources.get(&rule.resource) {
            let names: HashSet<&str> = resource.scopes.iter().map(|it| it.0.as_str()).collect();
            let guarded = rule.scopes.iter().any(|it| names.contains(it.as_str()));
            if guarded && !TwoOwners::differ(resource.owner.as_ref(), &rule.owner) {
                found.push(Violation {
                    object: Object::Resource(resource.name.clone()),
                    broken: Broken::OneOwner {
                        second: rule.owner.clone(),
                    },
                });
            }
        }
    }
    let together = Together::of(&policy.never_together);
    for client in snapshot.clients.values() {
        examine_client(policy, client, &mut found);
        if !together.is_empty() {
            examine_grants(&together, client, &mut found);
        }
    }
    found.sort_unstable();
    found
}

fn examine_resource(policy: &Policy, resource: &Resource, found: &mut Vec<Violation>) {
    let names = &policy.names;
    let object = || Object::Resource(resource.name.clone());
    let mut note = |object: Object, broken: Broken| found.push(Violation { object, broken });
    if resource.token_lifetime > policy.max_token_lifetime {
        note(
            object(),
            Broken::TokenLifetime {
                found: resource.token_lifetime,
                most: policy.max_token_lifetime,
            },
        );
    }
    if policy.require_owner && resource.owner.is_none() {
        note(object(), Broken::OwnerMissing);
    }
    let required = policy.required_fields.resource;
    if !required.is_empty() {
        for field in required.and(lacking_resource(resource)).iter() {
            note(object(), Broken::FieldMissing(field.name()));
        }
    }
    if let Some(broken) = wrong_name(names.resource.as_ref(), resource.name.as_str()) {
        note(object(), broken);
    }
    if let Some(broken) = wrong_owner(names.owner.as_ref(), resource.owner.as_ref()) {
        note(object(), broken);
    }
    if names.scope.is_some() {
        for (scope, _) in &resource.scopes {
            if let Some(broken) = wrong_name(names.scope.as_ref(), scope.as_str()) {
                note(Object::Scope(resource.name.clone(), scope.clone()), broken);
            }
        }
    }
}

fn examine_client(policy: &Policy, client: &Client, found: &mut Vec<Violation>) {
    let names = &policy.names;
    let mut note = |broken: Broken| {
        found.push(Violation {
            object: Object::Client(client.id.clone()),
            broken,
        });
    };
    let most = policy.max_token_lifetime;
    if let Some(lifetime) = client.token_lifetime.filter(|it| *it > most) {
        note(Broken::TokenLifetime {
            found: lifetime,
            most,
        });
    }
    if policy.require_owner && client.owner.is_none() {
        note(Broken::OwnerMissing);
    }
    let required = policy.required_fields.client;
    if !required.is_empty() {
        for field in required.and(lacking_client(client)).iter() {
            note(Broken::FieldMissing(field.name()));
        }
    }
    let name = wrong_name(names.client.as_ref(), client.id.as_str());
    let owner = wrong_owner(names.owner.as_ref(), client.owner.as_ref());
    name.into_iter().chain(owner).for_each(note);
    if policy.max_secret_lifetime.is_some() || !policy.required_fields.secret.is_empty() {
        for secret in &client.secrets {
            examine_secret(policy, &client.id, secret, found);
        }
    }
}

fn examine_secret(
    policy: &Policy,
    client: &ClientId,
    secret: &StoredSecret,
    found: &mut Vec<Violation>,
) {
    let mut note = |broken: Broken| {
        let id: CredentialId = secret.id.clone();
        found.push(Violation {
            object: Object::Secret(client.clone(), id),
            broken,
        });
    };
    if let Some(most) = policy.max_secret_lifetime {
        let life = life(secret);
        if life.is_none_or(|life| life > most) {
            note(Broken::SecretLifetime { found: life, most });
        }
    }
    let required = policy.required_fields.secret;
    for field in required.and(lacking_secret(secret)).iter() {
        note(Broken::FieldMissing(field.name()));
    }
}

/// How long a secret lives, as `check` counts: an end at midnight is read as a date, whose day is
/// not counted. A snapshot does not tell one from a moment that was written so, and the lenient
/// reading is the one under which nothing is held that `check` would accept.
fn life(secret: &StoredSecret) -> Option<Lifetime> {
    let (created, expires) = secret.created.zip(secret.expires)?;
    let day = Lifetime::from_days(1);
    let end = if expires.get() % day.seconds() == 0 {
        expires.minus(day)
    } else {
        expires
    };
    Some(end.since(created))
}

fn examine_grants(together: &Together<'_>, client: &Client, found: &mut Vec<Violation>) {
    let resources = client.grants.iter().map(|it| it.resource.name.as_str());
    let has = |wanted: &GrantName| {
        client.grant_on(&wanted.resource).is_some_and(|grant| {
            let scope = wanted.scope.as_ref();
            scope.is_none_or(|scope| grant.scopes.binary_search(scope).is_ok())
        })
    };
    for rule in together.broken(resources, has) {
        found.push(Violation {
            object: Object::Client(client.id.clone()),
            broken: Broken::Together {
                grants: rule.grants.clone(),
                reason: rule.reason.clone(),
            },
        });
    }
}

fn wrong_name(pattern: Option<&NamePattern>, name: &str) -> Option<Broken> {
    let pattern = pattern.filter(|pattern| !pattern.matches(name))?;
    Some(Broken::Name {
        pattern: pattern.to_string(),
    })
}

fn wrong_owner(pattern: Option<&NamePattern>, owner: Option<&Owner>) -> Option<Broken> {
    let (pattern, owner) = pattern.zip(owner)?;
    (!pattern.matches(owner.as_str())).then(|| Broken::OwnerName {
        owner: owner.clone(),
        pattern: pattern.to_string(),
    })
}

fn lacking_resource(resource: &Resource) -> FieldSet<ResourceField> {
    FieldSet::of([
        (
            ResourceField::Name,
            resource.title == resource.name.as_str(),
        ),
        (ResourceField::Owner, resource.owner.is_none()),
        (ResourceField::Algorithm, resource.algorithm.is_none()),
        (ResourceField::Claims, resource.claims.is_empty()),
        (ResourceField::Scopes, resource.scopes.is_empty()),
    ])
}

fn lacking_client(client: &Client) -> FieldSet<ClientField> {
    FieldSet::of([
        (ClientField::Name, client.title == client.id.as_str()),
        (ClientField::Owner, client.owner.is_none()),
        (ClientField::Expires, client.expires.is_none()),
        (ClientField::TokenLifetime, client.token_lifetime.is_none()),
        (ClientField::DefaultResource, client.default_grant.is_none()),
        (ClientField::Claims, client.claims.is_empty()),
        (ClientField::Secret, client.secrets.is_empty()),
    ])
}

fn lacking_secret(secret: &StoredSecret) -> FieldSet<SecretField> {
    FieldSet::of([
        (SecretField::Label, secret.label.is_none()),
        (SecretField::Created, secret.created.is_none()),
        (SecretField::NotBefore, secret.not_before.is_none()),
        (SecretField::Expires, secret.expires.is_none()),
    ])
}
