//! The digest of a registry: over what it says, not over how it is written. Pure.
//!
//! **Invariant:** two registries have the same digest when, and only when, every request would be
//! answered the same and every person would read the same: order, layout, comments and file names
//! do not count; a description does.
//!
//! It is over the policy, the digest of each resource and the digest of each client, all resources and all clients
//! in the order of their digests. So a registry of 100,000 clients is digested anew by what changed and one pass
//! over 3 MB.

use std::sync::Arc;

use serde_json::Value;

use super::policy::{Field, FieldSet, NamePatterns, NeverTogether, RequiredFields, TwoOwners};
use super::snapshot::{Client, Policy, Resource, ResourceGrant, StoredSecret};
use crate::domain::{Digest, UnixSeconds};

/// Names this form: another form of the same content has another digest.
pub(super) const LABEL: &str = "grantd registry v2";

/// Begins what the digest of one resource is made of.
const RESOURCE_LABEL: &str = "resource";

/// Begins what the digest of one client is made of.
const CLIENT_LABEL: &str = "client";

/// Most changes that are put in their places one by one: each moves half of the list, so that a hundred take as
/// long as sorting it.
const FEW: usize = 100;

/// The digests of all clients, in their own order: one client that changes does not cost the others.
#[derive(Debug, Default)]
pub(super) struct Digests(Vec<Digest>);

impl Digests {
    /// Of these clients.
    pub(super) fn of<'a>(clients: impl Iterator<Item = &'a Client>) -> Self {
        let mut form = Form::default();
        let mut digests: Vec<_> = clients.map(|it| form.digest_of_client(it)).collect();
        digests.sort_unstable();
        Self(digests)
    }

    /// Takes out those of some clients, as they were, and takes in those of others.
    pub(super) fn replace<'a>(
        &mut self,
        gone: impl Iterator<Item = &'a Client>,
        come: impl Iterator<Item = &'a Client>,
    ) {
        let (gone, come) = (Self::of(gone), Self::of(come));
        if gone.0.len() + come.0.len() > FEW {
            self.0.retain(|it| gone.0.binary_search(it).is_err());
            self.0.extend(come.0);
            self.0.sort_unstable();
            return;
        }
        for digest in gone.0 {
            if let Ok(at) = self.0.binary_search(&digest) {
                self.0.remove(at);
            }
        }
        for digest in come.0 {
            let at = self.0.binary_search(&digest).unwrap_or_else(|at| at);
            self.0.insert(at, digest);
        }
    }

    /// The digest of a registry with these clients.
    pub(super) fn registry<'a>(
        &self,
        policy: &Policy,
        resources: impl Iterator<Item = &'a Arc<Resource>>,
    ) -> Digest {
        let mut one = Form::default();
        let digests = resources.map(|it| one.digest(RESOURCE_LABEL, |form| form.resource(it)));
        let mut resources: Vec<Digest> = digests.collect();
        resources.sort_unstable();
        let mut form = Form::default();
        form.text(LABEL);
        form.policy(policy);
        for digests in [&resources, &self.0] {
            form.0
                .reserve(digests.len().saturating_mul(size_of::<Digest>()));
            form.list(digests, |form, it| form.0.extend_from_slice(it.as_bytes()));
        }
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

    fn policy(&mut self, policy: &Policy) {
        let Policy {
            owner,
            max_token_lifetime,
            max_secret_lifetime,
            require_owner,
            max_removed_clients,
            allowed_auth_methods,
            required_fields,
            names,
            two_owners,
            never_together,
        } = policy;
        self.optional(owner.as_ref(), |form, it| form.text(it.as_str()));
        self.number(max_token_lifetime.seconds());
        self.optional(max_secret_lifetime.as_ref(), |form, it| {
            form.number(it.seconds());
        });
        self.number(u64::from(*require_owner));
        self.optional(max_removed_clients.as_ref(), |form, it| {
            form.text(&it.to_string());
        });
        self.optional(allowed_auth_methods.as_ref(), |form, it| {
            form.list(it, |form, method| form.text(method.name()));
        });
        let RequiredFields {
            client,
            resource,
            secret,
        } = required_fields;
        self.fields(*client);
        self.fields(*resource);
        self.fields(*secret);
        let NamePatterns {
            client,
            resource,
            scope,
            owner,
        } = names;
        for pattern in [client, resource, scope, owner] {
            self.optional(pattern.as_ref(), |form, it| form.text(it.as_str()));
        }
        self.list(two_owners, |form, it| {
            let TwoOwners {
                resource,
                scopes,
                owner,
            } = it;
            form.text(resource.as_str());
            form.list(scopes, |form, it| form.text(it.as_str()));
            form.text(owner.as_str());
        });
        self.list(never_together, |form, it| {
            let NeverTogether { grants, reason } = it;
            form.list(grants, |form, it| form.text(&it.to_string()));
            form.optional(reason.as_ref(), |form, it| form.text(it));
        });
    }

    fn fields<F: Field>(&mut self, fields: FieldSet<F>) {
        let names: Vec<&str> = fields.iter().map(Field::name).collect();
        self.list(&names, |form, it| form.text(it));
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
                last_use: _,
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
