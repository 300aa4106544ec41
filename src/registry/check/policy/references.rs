//! Whether the policy speaks of resources and scopes that can be. Pure.

use std::ops::Range;

use toml::Spanned;

use super::{PolicyDef, TwoOwnersDef};
use crate::domain::ScopeName;
use crate::registry::check::cross::Registry;
use crate::registry::check::define::ResourceDef;
use crate::registry::check::findings::{Findings, Found};
use crate::registry::check::rules::advice;
use crate::registry::diagnostic::Problem;
use crate::registry::file::Given;
use crate::registry::policy::{Broken, Object, TwoOwners, Violation};
use crate::registry::suggest;

/// Notes what the policy says of resources and scopes that can't be.
pub(in crate::registry::check) fn examine_policy(registry: &Registry<'_>, found: &mut Findings) {
    let Some(at) = registry.policy_at else { return };
    for rule in &at.def.two_owners {
        examine_second_owner(registry, at, rule, found);
    }
    for rule in &at.def.never_together {
        for grant in rule.grants.good().into_iter().flat_map(Spanned::get_ref) {
            let name = grant.get_ref();
            let resource = name.resource.as_str();
            if let Some(resource) = known_resource(registry, at, (resource, grant.span()), found)
                && let Some(scope) = &name.scope
            {
                known_scope(at, resource, (scope.as_str(), grant.span()), found);
            }
        }
    }
}

fn examine_second_owner(
    registry: &Registry<'_>,
    at: Found<'_, PolicyDef>,
    rule: &TwoOwnersDef,
    found: &mut Findings,
) {
    let name = (rule.resource.get_ref().as_str(), rule.resource.span());
    let Some(resource) = known_resource(registry, at, name, found) else {
        return;
    };
    for scope in &rule.scopes {
        let name = (scope.get_ref().as_str(), scope.span());
        known_scope(at, resource, name, found);
    }
    let Some(second) = rule.owner.good() else {
        return;
    };
    let first = match &resource.def.owner {
        Given::Good(owner) => Some(owner),
        Given::Missing if !resource.file.partial => None,
        Given::Missing | Given::Broken => return,
    };
    if TwoOwners::differ(first.map(Spanned::get_ref), second.get_ref()) {
        return;
    }
    found.error(|| {
        let object = Object::Resource(resource.def.name.get_ref().clone());
        let broken = Broken::OneOwner {
            second: second.get_ref().clone(),
        };
        let advice = advice(&object, &broken);
        let violation = Violation { object, broken };
        let place = first.map_or(resource.def.name.span(), Spanned::span);
        let label = match first {
            Some(_) => "the resource's own owner",
            None => "the resource has no owner",
        };
        Problem::error(at.place(second.span()), &violation.to_string())
            .advise(&advice)
            .also(resource.place(place), label)
    });
}

/// The resource that the policy means, or a problem.
fn known_resource<'a>(
    registry: &Registry<'a>,
    at: Found<'_, PolicyDef>,
    (name, span): (&str, Range<usize>),
    found: &mut Findings,
) -> Option<Found<'a, ResourceDef>> {
    let resource = registry.resources.get(name).copied();
    if resource.is_none() && !registry.may_be_defined(name) {
        found.error(|| {
            let names = registry.resources.keys().copied();
            let message = format!("the policy has a rule for an undefined resource `{name}`");
            Problem::error(at.place(span), &message).advise(&suggest::advice(
                name,
                "resources",
                names,
            ))
        });
    }
    resource
}

/// Notes a scope that the resource does not have.
fn known_scope(
    at: Found<'_, PolicyDef>,
    resource: Found<'_, ResourceDef>,
    (scope, span): (&str, Range<usize>),
    found: &mut Findings,
) {
    let defined = || resource.def.scopes.iter().map(|(name, _)| name.get_ref());
    let unread = resource.file.partial && resource.file.source().text().contains(scope);
    if unread || defined().any(|name| name.as_str() == scope) {
        return;
    }
    found.error(|| {
        let name = resource.def.name.get_ref();
        let names = defined().map(ScopeName::as_str);
        Problem::error(
            at.place(span),
            &format!("resource `{name}` has no scope `{scope}`"),
        )
        .advise(&suggest::advice(scope, "scopes", names))
        .also(
            resource.place(resource.def.name.span()),
            "the resource is defined here",
        )
    });
}
