//! The digest of a registry: over what it says, not over how it is written. Pure.
//!
//! **Invariant:** two registries have the same digest when, and only when, every request would be
//! answered the same and every person would read the same: order, layout, comments and file names
//! do not count; a description does.
//!
//! It is over the policy, the digest of each resource and the digest of each client, both in the order of their
//! names. So a registry of 100,000 clients is digested anew by what changed and one pass over 3 MB.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::snapshot::{Client, Policy, Resource, ResourceGrant, StoredSecret};
use crate::domain::{ClientId, Digest, UnixSeconds};

/// Names this form: another form of the same content has another digest.
const LABEL: &str = "grantd registry v2";

/// Begins what the digest of one resource is made of.
const RESOURCE_LABEL: &str = "resource";

/// Begins what the digest of one client is made of.
const CLIENT_LABEL: &str = "client";

/// Most changes that are put in their places one by one: each moves half of the list, so that a hundred take as
/// long as sorting it.
const FEW: usize = 100;

/// The digest of each client, in the order of their ids: one that changes does not cost those of the others.
#[derive(Debug, Default)]
pub(super) struct Digests(Vec<(ClientId, Digest)>);

impl Digests {
    /// Of these clients.
    pub(super) fn of<'a>(clients: impl Iterator<Item = &'a Client>) -> Self {
        let mut form = Form::default();
        let mut digests: Vec<_> = clients
            .map(|client| (client.id.clone(), form.digest_of_client(client)))
            .collect();
        digests.sort_unstable();
        Self(digests)
    }

    /// Takes out those of some clients, and takes in, or anew, those of others.
    pub(super) fn replace(&mut self, removed: &[ClientId], changed: &[Arc<Client>]) {
        let mut form = Form::default();
        if removed.len() + changed.len() > FEW {
            let old: HashSet<&ClientId> = removed
                .iter()
                .chain(changed.iter().map(|client| &client.id))
                .collect();
            self.0.retain(|(id, _)| !old.contains(id));
            let new = changed.iter();
            self.0
                .extend(new.map(|client| (client.id.clone(), form.digest_of_client(client))));
            // Two runs in order: sorting them is one merge, once the second is sorted.
            self.0.sort();
            return;
        }
        for id in removed {
            if let Ok(at) = self.place(id) {
                self.0.remove(at);
            }
        }
        for client in changed {
            let entry = (client.id.clone(), form.digest_of_client(client));
            match self.place(&client.id) {
                Ok(at) => {
                    if let Some(place) = self.0.get_mut(at) {
                        *place = entry;
                    }
                }
                Err(at) => self.0.insert(at, entry),
            }
        }
    }

    fn place(&self, id: &ClientId) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(id))
    }

    /// The digest of a registry with these clients.
    pub(super) fn registry<'a>(
        &self,
        policy: &Policy,
        resources: impl Iterator<Item = &'a Arc<Resource>>,
    ) -> Digest {
        let mut form = Form::default();
        form.text(LABEL);
        form.policy(policy);
        let mut resources: Vec<_> = resources.collect();
        resources.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut one = Form::default();
        form.list(&resources, |form, it| {
            let digest = one.digest(RESOURCE_LABEL, |form| form.resource(it));
            form.0.extend_from_slice(digest.as_bytes());
        });
        form.0.reserve(self.0.len().saturating_mul(32));
        form.list(&self.0, |form, (_, digest)| {
            form.0.extend_from_slice(digest.as_bytes())
        });
        Digest::of(&form.0)
    }
}

/// Bytes that only one content has: texts and lists by their length, options by a mark.
#[derive(Default)]
struct Form(Vec<u8>);

impl Form {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        // A length in memory always fits.
        self.number(u64::try_from(length).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.length(items.len());
        for item in items {
            write(self, item);
        }
    }

    fn moment(&mut self, moment: Option<UnixSeconds>) {
        self.optional(moment.as_ref(), |form, it| form.number(it.get()));
    }

    /// The digest of one object; the buffer is used again.
    fn digest(&mut self, label: &str, write: impl FnOnce(&mut Self)) -> Digest {
        self.0.clear();
        self.text(label);
        write(self);
        Digest::of(&self.0)
    }

    fn digest_of_client(&mut self, client: &Client) -> Digest {
        self.digest(CLIENT_LABEL, |form| form.client(client))
    }

    fn policy(&mut self, policy: &Policy) {
        let Policy {
            max_token_lifetime,
            max_secret_lifetime,
            require_owner,
        } = policy;
        self.number(max_token_lifetime.seconds());
        self.optional(max_secret_lifetime.as_ref(), |form, it| {
            form.number(it.seconds());
        });
        self.number(u64::from(*require_owner));
    }

    fn claims(&mut self, claims: &serde_json::Map<String, Value>) {
        let mut sorted: Vec<_> = claims.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        self.list(&sorted, |form, (name, value)| {
            form.text(name);
            form.json(value);
        });
    }

    fn json(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                self.0.push(b'[');
                self.list(items, Form::json);
            }
            Value::Object(map) => {
                self.0.push(b'{');
                self.claims(map);
            }
            Value::String(text) => {
                self.0.push(b'"');
                self.text(text);
            }
            other => {
                self.0.push(b'=');
                self.text(&other.to_string());
            }
        }
    }

    fn resource(&mut self, resource: &Resource) {
        let Resource {
            name,
            identifier,
            title,
            owner,
            token_lifetime,
            algorithm,
            scopes,
            claims,
        } = resource;
        self.text(name.as_str());
        self.text(identifier.as_str());
        self.text(title);
        self.optional(owner.as_ref(), |form, it| form.text(it.as_str()));
        self.number(token_lifetime.seconds());
        self.optional(algorithm.as_ref(), |form, it| form.text(it.name()));
        self.list(scopes, |form, (name, description)| {
            form.text(name.as_str());
            form.text(description);
        });
        self.claims(claims);
    }

    fn client(&mut self, client: &Client) {
        let Client {
            id,
            title,
            owner,
            disabled,
            expires,
            token_lifetime,
            grants,
            default_grant,
            secrets,
            claims,
        } = client;
        self.text(id.as_str());
        self.text(title);
        self.optional(owner.as_ref(), |form, it| form.text(it.as_str()));
        self.number(u64::from(*disabled));
        self.moment(*expires);
        self.optional(token_lifetime.as_ref(), |form, it| {
            form.number(it.seconds());
        });
        self.list(grants, |form, grant| {
            // `scope` spells `scopes` again.
            let ResourceGrant {
                resource,
                scopes,
                scope: _,
            } = grant;
            form.text(resource.name.as_str());
            form.list(scopes, |form, it| form.text(it.as_str()));
        });
        self.optional(default_grant.as_ref(), |form, it| form.length(*it));
        self.list(secrets, |form, secret| {
            // The id is made from the verifier.
            let StoredSecret {
                id: _,
                verifier,
                label,
                created,
                not_before,
                expires,
            } = secret;
            form.0.extend_from_slice(verifier.digest().as_bytes());
            form.optional(label.as_ref(), |form, it| form.text(it));
            form.moment(*created);
            form.moment(*not_before);
            form.moment(*expires);
        });
        self.claims(claims);
    }
}
