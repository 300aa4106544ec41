//! What can be said of a client only beside its resources and the policy. Pure.

use std::collections::HashMap;
use std::ops::Range;

use super::credentials::SecretDef;
use super::cross::Registry;
use super::define::{ClientDef, ResourceDef};
use super::findings::{Findings, Found};
use crate::domain::{Digest, Lifetime, MAX_SCOPES, ScopeName};
use crate::registry::diagnostic::{Problem, Rule};
use crate::registry::file::Given;
use crate::registry::suggest;

/// Longest `scope` of one grant in bytes: half of the 8 KiB that common servers take as a header,
/// for a token carries it.
const MAX_SCOPE_TEXT: usize = 4096;

/// Notes what is wrong with a client's references.
pub(super) fn examine_client(
    at: Found<'_, ClientDef>,
    registry: &Registry<'_>,
    found: &mut Findings,
) {
    let def = at.def;
    let id = def.id.get_ref();
    registry.check_owner(
        at,
        ("client", id.as_str(), def.id.span()),
        &def.owner,
        found,
    );
    registry.check_lifetime(at, &def.token_lifetime, found);
    for grant in &def.grants {
        let name = grant.resource.get_ref().as_str();
        match registry.resources.get(name) {
            Some(resource) => {
                examine_scopes(at, *resource, &grant.scopes, grant.resource.span(), found);
                shared_claims(at, *resource, found);
            }
            None if registry.may_be_defined(name) => {}
            None => {
                found.error(|| {
                    let names = registry.resources.names();
                    let message = format!(
                        "client `{id}` is granted scopes on an undefined resource `{name}`"
                    );
                    Problem::error(at.place(grant.resource.span()), &message)
                        .rule(Rule::UndefinedReference)
                        .advise(&suggest::advice(name, "resources", names))
                });
            }
        }
    }
    if let Some(default) = def.default_resource.good() {
        let granted = || {
            def.grants
                .iter()
                .map(|grant| grant.resource.get_ref().as_str())
        };
        let name = default.get_ref().as_str();
        if !granted().any(|it| it == name) {
            found.error(|| {
                let message =
                    format!("the default resource `{name}` is not among the grants of `{id}`");
                Problem::error(at.place(default.span()), &message)
                    .rule(Rule::UndefinedReference)
                    .advise(&suggest::advice(name, "grants", granted()))
            });
        }
    }
    if def.secrets.is_empty() && !at.file.partial {
        found.warning(|| {
            let message = format!("client `{id}` has no credential: it can't ask for a token");
            Problem::warning(at.place(def.id.span()), &message)
                .rule(Rule::NoCredential)
                .advise(&format!("make one: `grantd secret new --client {id}`"))
        });
    }
}

fn examine_scopes(
    at: Found<'_, ClientDef>,
    resource: Found<'_, ResourceDef>,
    scopes: &Given<Vec<toml::Spanned<ScopeName>>>,
    key: Range<usize>,
    found: &mut Findings,
) {
    let Some(scopes) = scopes.good() else { return };
    let defined = || {
        resource
            .def
            .scopes
            .iter()
            .map(|(name, _)| name.get_ref().as_str())
    };
    let name = resource.def.name.get_ref();
    for scope in scopes.get_ref() {
        let scope_name = scope.get_ref().as_str();
        let unread = resource.file.partial && resource.file.source().text().contains(scope_name);
        if !unread && !defined().any(|it| it == scope_name) {
            found.error(|| {
                let message = format!("resource `{name}` has no scope `{scope_name}`");
                Problem::error(at.place(scope.span()), &message)
                    .rule(Rule::UndefinedReference)
                    .advise(&suggest::advice(scope_name, "scopes", defined()))
                    .also(
                        resource.place(resource.def.name.span()),
                        "the resource is defined here",
                    )
            });
        }
    }
    let count = scopes.get_ref().len();
    if count == 0 && defined().next().is_some() {
        found.error(|| {
            let message = format!(
                "client `{}` is granted no scope on `{name}`",
                at.def.id.get_ref()
            );
            Problem::error(at.place(key.clone()), &message).advise(&suggest::advice(
                "",
                "name some of its scopes",
                defined(),
            ))
        });
    }
    let length: usize = scopes
        .get_ref()
        .iter()
        .map(|scope| scope.get_ref().as_str().len() + 1)
        .sum();
    if count > MAX_SCOPES || length > MAX_SCOPE_TEXT {
        found.error(|| {
            let message = format!(
                "{count} scopes of {length} bytes are too many: at most {MAX_SCOPES} and {MAX_SCOPE_TEXT} bytes"
            );
            Problem::error(at.place(key), &message)
                .advise("each token carries them: a scope that means the whole is shorter")
        });
    }
}

/// A claim that both set would have two values: nobody should have to know which one wins.
fn shared_claims(at: Found<'_, ClientDef>, resource: Found<'_, ResourceDef>, found: &mut Findings) {
    for (claim, _) in &at.def.claims {
        let name = claim.get_ref();
        let other = resource
            .def
            .claims
            .iter()
            .find(|(other, _)| other.get_ref() == name);
        if let Some((other, _)) = other {
            found.error(|| {
                let message = format!(
                    "the claim `{name}` is set by client `{}` and by resource `{}`",
                    at.def.id.get_ref(),
                    resource.def.name.get_ref()
                );
                Problem::error(at.place(claim.span()), &message)
                    .rule(Rule::Duplicate)
                    .advise("set it at one of the two")
                    .also(resource.place(other.span()), "set for all clients here")
            });
        }
    }
}

/// Notes a secret that the policy does not allow.
pub(super) fn examine_secret(
    at: Found<'_, ClientDef>,
    secret: &SecretDef,
    registry: &Registry<'_>,
    found: &mut Findings,
) {
    let Some(most) = registry.policy.max_secret_lifetime else {
        return;
    };
    let (message, span) = match (&secret.created, &secret.expires) {
        (_, Given::Missing) => (
            format!("a secret without an end: the policy allows {most}"),
            secret.at.clone(),
        ),
        (Given::Missing, _) => (
            format!("a secret without `created`: the policy allows {most} from there"),
            secret.at.clone(),
        ),
        (Given::Good(created), Given::Good(expires)) => {
            // The day that a date names is not counted: from the 1st to the 3rd are two days.
            let day = match expires.get_ref().whole_day {
                true => Lifetime::from_days(1),
                false => Lifetime::ZERO,
            };
            let life = expires.get_ref().at.minus(day).since(created.get_ref().at);
            if life <= most {
                return;
            }
            let message = format!("a secret that lives {life}: the policy allows {most}");
            (message, expires.span())
        }
        (Given::Broken, _) | (_, Given::Broken) => return,
    };
    found.error(|| {
        let problem = Problem::error(at.place(span), &message)
            .rule(Rule::Policy)
            .advise("make a new secret in time: a client may have several");
        registry.with_rule(problem, |policy| {
            policy.max_secret_lifetime.good().map(toml::Spanned::span)
        })
    });
}

/// A hash is made for one client's id: at another it can never match.
pub(super) fn unique_hash<'a>(
    at: Found<'a, ClientDef>,
    secret: &'a SecretDef,
    seen: &mut HashMap<Digest, (Found<'a, ClientDef>, Range<usize>)>,
    found: &mut Findings,
) {
    let digest = *secret.verifier.get_ref().digest();
    match seen.get(&digest) {
        None => {
            seen.insert(digest, (at, secret.verifier.span()));
        }
        Some((first, _)) if std::ptr::eq(first.def, at.def) => {}
        Some((first, span)) => found.error(|| {
            Problem::error(
                at.place(secret.verifier.span()),
                "two clients have the same hash",
            )
            .rule(Rule::Duplicate)
            .advise("a hash holds for one client's id: make a secret for each client")
            .also(first.place(span.clone()), "first written here")
        }),
    }
}
