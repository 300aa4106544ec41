//! Holds the files to the rules of their policy, at the place of what breaks one. Pure.
//!
//! The words are those of [`Violation`], so that `check` and a change that is held back say the
//! same. What a file lacks may stand in a line that could not be read: then nothing is said of it.

use std::ops::Range;

use toml::Spanned;

use super::credentials::SecretDef;
use super::define::{ClientDef, GrantDef, ResourceDef};
use super::findings::{Findings, Found};
use super::policy::{NeverTogetherDef, PolicyDef};
use crate::domain::{CredentialId, Owner};
use crate::registry::diagnostic::Problem;
use crate::registry::file::Given;
use crate::registry::policy::{
    Broken, ClientField, Field, FieldSet, GrantName, NamePattern, Object, ResourceField,
    SecretField, Together, Violation,
};

/// The rules of a policy, ready to be asked of each object. What no rule is about costs nothing.
pub(super) struct Rulebook<'a>(Option<Rules<'a>>);

struct Rules<'a> {
    at: Found<'a, PolicyDef>,
    client: FieldSet<ClientField>,
    resource: FieldSet<ResourceField>,
    secret: FieldSet<SecretField>,
    together: Together<'a>,
}

impl<'a> Rulebook<'a> {
    /// The rules of this policy.
    pub(super) fn of(policy: Option<Found<'a, PolicyDef>>) -> Self {
        Self(policy.map(|at| {
            let required = &at.def.required_fields;
            let rules = at.def.never_together.iter();
            Rules {
                at,
                client: set(&required.client),
                resource: set(&required.resource),
                secret: set(&required.secret),
                together: Together::of(rules.filter_map(|it| it.rule.as_ref())),
            }
        }))
    }

    /// Notes what a resource has against the rules.
    pub(super) fn examine_resource(&self, at: Found<'_, ResourceDef>, found: &mut Findings) {
        let Some(rules) = &self.0 else { return };
        let names = &rules.at.def.names;
        let name = at.def.name.get_ref();
        let object = || Object::Resource(name.clone());
        let here = at.def.name.span();
        if !at.file.partial {
            let required = &rules.at.def.required_fields.resource;
            let absent = rules.without_owner(rules.resource, ResourceField::Owner);
            let lacking = absent.and(at.def.absent);
            rules.missing(at, (lacking, required), (here.clone(), &object), found);
        }
        rules.name(at, &names.resource, (name.as_str(), here, &object), found);
        rules.owner(at, &at.def.owner, &object, found);
        if names.scope.good().is_some() {
            for (scope, _) in &at.def.scopes {
                let text = scope.get_ref().as_str();
                let object = || Object::Scope(name.clone(), scope.get_ref().clone());
                rules.name(at, &names.scope, (text, scope.span(), &object), found);
            }
        }
    }

    /// Notes what a client and its secrets have against the rules.
    pub(super) fn examine_client(&self, at: Found<'_, ClientDef>, found: &mut Findings) {
        let Some(rules) = &self.0 else { return };
        if at.file.is_exempt() {
            return;
        }
        let id = at.def.id.get_ref();
        let object = || Object::Client(id.clone());
        let here = at.def.id.span();
        if !at.file.partial {
            let required = &rules.at.def.required_fields;
            let wanted = rules.without_owner(rules.client, ClientField::Owner);
            let lacking = wanted.and(at.def.absent);
            let spot = (here.clone(), &object as &dyn Fn() -> Object);
            rules.missing(at, (lacking, &required.client), spot, found);
            if !rules.secret.is_empty() {
                for secret in &at.def.secrets {
                    rules.secret(at, secret, found);
                }
            }
        }
        let pattern = &rules.at.def.names.client;
        rules.name(at, pattern, (id.as_str(), here, &object), found);
        rules.owner(at, &at.def.owner, &object, found);
        if !rules.together.is_empty() {
            rules.grants(at, found);
        }
    }
}

impl Rules<'_> {
    /// The required fields without the owner, where `require_owner` says the same.
    fn without_owner<F: Field + PartialEq>(&self, fields: FieldSet<F>, owner: F) -> FieldSet<F> {
        let required = self.at.def.require_owner.good();
        if required.is_some_and(|required| *required.get_ref()) {
            return fields.iter().filter(|field| *field != owner).collect();
        }
        fields
    }

    fn note<T>(
        &self,
        at: Found<'_, T>,
        (here, rule): (Range<usize>, Option<Range<usize>>),
        (object, broken): (Object, Broken),
        found: &mut Findings,
    ) {
        found.error(|| {
            let advice = advice(&object, &broken);
            let violation = Violation { object, broken };
            let problem = Problem::error(at.place(here), &violation.to_string()).advise(&advice);
            match rule {
                Some(rule) => problem.also(self.at.place(rule), "the policy says so"),
                None => problem,
            }
        });
    }

    fn missing<T, F: Field + PartialEq>(
        &self,
        at: Found<'_, T>,
        (lacking, required): (FieldSet<F>, &Given<Vec<Spanned<F>>>),
        (here, object): (Range<usize>, &dyn Fn() -> Object),
        found: &mut Findings,
    ) {
        for field in lacking.iter() {
            let mut words = required.good().into_iter().flat_map(Spanned::get_ref);
            let rule = words.find(|word| *word.get_ref() == field);
            let spot = (here.clone(), rule.map(Spanned::span));
            let broken = Broken::FieldMissing(field.name());
            self.note(at, spot, (object(), broken), found);
        }
    }

    fn secret(&self, at: Found<'_, ClientDef>, secret: &SecretDef, found: &mut Findings) {
        let object = || {
            let id = CredentialId::of_secret(secret.verifier.get_ref());
            Object::Secret(at.def.id.get_ref().clone(), id)
        };
        let required = &self.at.def.required_fields.secret;
        let lacking = self.secret.and(secret.absent);
        self.missing(at, (lacking, required), (secret.at.clone(), &object), found);
    }

    fn name<T>(
        &self,
        at: Found<'_, T>,
        pattern: &Given<NamePattern>,
        (name, here, object): (&str, Range<usize>, &dyn Fn() -> Object),
        found: &mut Findings,
    ) {
        if let Some(pattern) = pattern.good()
            && !pattern.get_ref().matches(name)
        {
            let broken = Broken::Name {
                pattern: pattern.get_ref().to_string(),
            };
            let spot = (here, Some(pattern.span()));
            self.note(at, spot, (object(), broken), found);
        }
    }

    fn owner<T>(
        &self,
        at: Found<'_, T>,
        owner: &Given<Owner>,
        object: &dyn Fn() -> Object,
        found: &mut Findings,
    ) {
        let pattern = self.at.def.names.owner.good();
        if let (Some(pattern), Some(owner)) = (pattern, owner.good())
            && !pattern.get_ref().matches(owner.get_ref().as_str())
        {
            let broken = Broken::OwnerName {
                owner: owner.get_ref().clone(),
                pattern: pattern.get_ref().to_string(),
            };
            let spot = (owner.span(), Some(pattern.span()));
            self.note(at, spot, (object(), broken), found);
        }
    }

    fn grants(&self, at: Found<'_, ClientDef>, found: &mut Findings) {
        let grants = &at.def.grants;
        let resources = grants.iter().map(|it| it.resource.get_ref().as_str());
        let has = |wanted: &GrantName| place_of(grants, wanted).is_some();
        for rule in self.together.broken(resources, has) {
            let places = rule.grants.iter().filter_map(|it| place_of(grants, it));
            // The one that came last made it whole.
            let here = places.max_by_key(|span| span.start).unwrap_or_default();
            let defs = self.at.def.never_together.iter();
            let spot = (here, defs.filter(|def| def.rule.as_ref() == Some(rule)));
            let spot = (spot.0, spot.1.map(span_of).next().flatten());
            let broken = Broken::Together {
                grants: rule.grants.clone(),
                reason: rule.reason.clone(),
            };
            let object = Object::Client(at.def.id.get_ref().clone());
            self.note(at, spot, (object, broken), found);
        }
    }
}

fn span_of(def: &NeverTogetherDef) -> Option<Range<usize>> {
    def.grants.good().map(Spanned::span)
}

fn set<F: Field>(given: &Given<Vec<Spanned<F>>>) -> FieldSet<F> {
    let fields = given.good().into_iter().flat_map(Spanned::get_ref);
    fields.map(|field| *field.get_ref()).collect()
}

/// Where among a client's grants this one stands.
fn place_of(grants: &[GrantDef], wanted: &GrantName) -> Option<Range<usize>> {
    let resource = wanted.resource.as_str();
    let grant = grants.iter().find(|it| it.resource.get_ref() == resource)?;
    let Some(scope) = &wanted.scope else {
        return Some(grant.resource.span());
    };
    let scopes = grant.scopes.good()?.get_ref();
    let found = scopes.iter().find(|it| it.get_ref() == scope);
    found.map(Spanned::span)
}

/// What to write instead.
pub(super) fn advice(object: &Object, broken: &Broken) -> String {
    match broken {
        Broken::TokenLifetime { most, .. } | Broken::SecretLifetime { most, .. } => {
            format!("write at most \"{most}\"")
        }
        Broken::OwnerMissing => "say which team answers for it: `owner = \"team-…\"`".to_owned(),
        Broken::FieldMissing("name") => {
            "give it a name for people that says more than its own: `name = \"…\"`".to_owned()
        }
        Broken::FieldMissing("secret") => match object {
            Object::Client(id) => format!("make one: `grantd secret new --client {id}`"),
            _ => "write it".to_owned(),
        },
        Broken::FieldMissing(field) => format!("write `{field} = …`"),
        Broken::Name { .. } => "the whole name must match: choose another".to_owned(),
        Broken::OwnerName { .. } => "the whole name must match: name another owner".to_owned(),
        Broken::OneOwner { .. } => {
            "the two must differ: give the resource another owner, or the rule".to_owned()
        }
        Broken::Together { .. } => {
            "take one of them away, or make two clients of this one".to_owned()
        }
    }
}
