//! Where the objects of a registry stand in its files. Pure.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;
use toml::Spanned;

use super::define::{ClientDef, Definitions, ResourceDef};
use super::findings::Found;
use super::policy::PolicyDef;
use crate::domain::{ClientId, CredentialId};
use crate::registry::file::Given;
use crate::registry::object::{Object, Spot};
use crate::registry::source::Place;

/// The places of all objects of a registry. A name that is defined twice has its first place.
#[derive(Default)]
pub struct Places<'a> {
    clients: HashMap<&'a str, Found<'a, ClientDef>>,
    resources: HashMap<&'a str, Found<'a, ResourceDef>>,
    policy: Option<Found<'a, PolicyDef>>,
}

impl<'a> Places<'a> {
    /// The places of what these files define.
    #[must_use]
    pub fn of(files: &'a [Arc<Definitions>]) -> Self {
        let mut places = Self::default();
        for file in files.iter().map(Arc::as_ref) {
            for def in &file.clients {
                let name = def.id.get_ref().as_str();
                places.clients.entry(name).or_insert(Found { file, def });
            }
            for def in &file.resources {
                let name = def.name.get_ref().as_str();
                places.resources.entry(name).or_insert(Found { file, def });
            }
            if let (None, Some(def)) = (places.policy, &file.policy) {
                places.policy = Some(Found { file, def });
            }
        }
        places
    }

    /// Where this spot of an object stands; the object's first line where the spot has no line of its
    /// own. `None` for an object that is not here.
    #[must_use]
    pub fn find(&self, object: &Object, spot: &Spot) -> Option<Place> {
        match object {
            Object::Client(id) => {
                let found = *self.clients.get(id.as_str())?;
                let span = client_spot(found.def, spot);
                Some(found.place(span.unwrap_or_else(|| found.def.id.span())))
            }
            Object::Resource(name) => {
                let found = *self.resources.get(name.as_str())?;
                let span = resource_spot(found.def, spot);
                Some(found.place(span.unwrap_or_else(|| found.def.name.span())))
            }
            Object::Policy => {
                let found = self.policy?;
                let span = policy_spot(found.def, spot);
                Some(found.place(span.unwrap_or_else(|| found.def.at.clone())))
            }
        }
    }
}

impl Places<'_> {
    /// Which of a client's secrets this is, counted from 1 in the order of its file.
    #[must_use]
    pub fn secret_number(&self, client: &ClientId, id: &CredentialId) -> Option<usize> {
        let def = self.clients.get(client.as_str())?.def;
        let mut ids = def
            .secrets
            .iter()
            .map(|it| CredentialId::of_secret(it.verifier.get_ref()));
        Some(ids.position(|it| it == *id)? + 1)
    }
}

fn span<T>(given: &Given<T>) -> Option<Range<usize>> {
    given.good().map(Spanned::span)
}

fn claim(claims: &[(Spanned<String>, Value)], wanted: &str) -> Option<Range<usize>> {
    let found = claims.iter().find(|(name, _)| name.get_ref() == wanted)?;
    Some(found.0.span())
}

fn client_spot(def: &ClientDef, spot: &Spot) -> Option<Range<usize>> {
    match spot {
        Spot::Key("owner") => span(&def.owner),
        Spot::Key("token_lifetime") => span(&def.token_lifetime),
        Spot::Key("default_resource") => span(&def.default_resource),
        Spot::Grant(resource) => {
            let grants = def.grants.iter();
            let mut named =
                grants.filter(|grant| grant.resource.get_ref().as_str() == resource.as_str());
            Some(named.next()?.resource.span())
        }
        Spot::Secret(id) => {
            let mut secrets = def.secrets.iter();
            let found = secrets.find(|it| CredentialId::of_secret(it.verifier.get_ref()) == *id)?;
            Some(found.at.clone())
        }
        Spot::Claim(name) => claim(&def.claims, name),
        Spot::Whole | Spot::Key(_) | Spot::Scope(_) => None,
    }
}

fn resource_spot(def: &ResourceDef, spot: &Spot) -> Option<Range<usize>> {
    match spot {
        Spot::Key("identifier") => span(&def.identifier),
        Spot::Key("owner") => span(&def.owner),
        Spot::Key("token_lifetime") => span(&def.token_lifetime),
        Spot::Key("algorithm") => span(&def.algorithm),
        Spot::Scope(scope) => {
            let found = def
                .scopes
                .iter()
                .find(|(name, _)| name.get_ref() == scope)?;
            Some(found.0.span())
        }
        Spot::Claim(name) => claim(&def.claims, name),
        Spot::Whole | Spot::Key(_) | Spot::Grant(_) | Spot::Secret(_) => None,
    }
}

fn policy_spot(def: &PolicyDef, spot: &Spot) -> Option<Range<usize>> {
    match spot {
        Spot::Key("max_token_lifetime") => span(&def.max_token_lifetime),
        Spot::Key("max_secret_lifetime") => span(&def.max_secret_lifetime),
        Spot::Key("require_owner") => span(&def.require_owner),
        Spot::Key("owner") => span(&def.owner),
        Spot::Key("max_removed_clients") => span(&def.max_removed_clients),
        Spot::Key("allowed_auth_methods") => span(&def.allowed_auth_methods),
        _ => None,
    }
}
