//! What can only be said of all files together: names, references, the policy. Pure.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::Rules;
use super::clients::{examine_client, examine_secret, unique_hash};
use super::define::{ClientDef, Definitions, ResourceDef};
use super::findings::{Findings, Found};
use super::policy::{PolicyDef, examine_policy, is_policy_file, resolve_policy, the_policy};
use super::rules::Rulebook;
use crate::domain::{Algorithm, Lifetime, Owner};
use crate::registry::diagnostic::Problem;
use crate::registry::file::Given;
use crate::registry::snapshot::Policy;
use crate::registry::source::Source;

/// All definitions by name, and the policy that holds.
pub(super) struct Registry<'a> {
    pub(super) resources: HashMap<&'a str, Found<'a, ResourceDef>>,
    pub(super) clients: HashMap<&'a str, Found<'a, ClientDef>>,
    pub(super) policy: Policy,
    pub(super) policy_at: Option<Found<'a, PolicyDef>>,
    partial: Vec<&'a Source>,
}

/// Looks at everything and notes what is wrong.
pub(super) fn examine<'a>(
    files: &'a [Arc<Definitions>],
    rules: &Rules,
    found: &mut Findings,
) -> Registry<'a> {
    let policy_at = the_policy(files, rules, found);
    let unread = files
        .iter()
        .any(|file| file.partial && is_policy_file(file, rules));
    let registry = Registry {
        resources: by_name(files, "resource", found, |file| {
            file.resources
                .iter()
                .map(|def| (def.name.get_ref().as_str(), def.name.span(), def))
                .collect()
        }),
        clients: by_name(files, "client", found, |file| {
            file.clients
                .iter()
                .map(|def| (def.id.get_ref().as_str(), def.id.span(), def))
                .collect()
        }),
        policy: resolve_policy(policy_at, unread),
        policy_at,
        partial: files
            .iter()
            .filter(|file| file.partial)
            .map(|file| file.source().as_ref())
            .collect(),
    };
    examine_policy(&registry, found);
    let book = Rulebook::of(policy_at);
    let mut identifiers = HashMap::new();
    for resource in sorted(&registry.resources) {
        examine_resource(resource, &registry, rules, found);
        book.examine_resource(resource, found);
        unique_identifier(resource, &mut identifiers, found);
    }
    let mut hashes = HashMap::new();
    for client in sorted(&registry.clients) {
        examine_client(client, &registry, found);
        book.examine_client(client, found);
        for secret in &client.def.secrets {
            examine_secret(client, secret, &registry, found);
            unique_hash(client, secret, &mut hashes, found);
        }
    }
    registry
}

/// Definitions in the order of files and places, so that "first" means what a reader expects.
fn sorted<'a, T>(map: &HashMap<&'a str, Found<'a, T>>) -> Vec<Found<'a, T>> {
    let mut all: Vec<_> = map.iter().collect();
    all.sort_by_key(|(name, found)| (found.file.source().path(), **name));
    all.into_iter().map(|(_, found)| *found).collect()
}

fn by_name<'a, T>(
    files: &'a [Arc<Definitions>],
    what: &str,
    found: &mut Findings,
    defs: impl Fn(&'a Definitions) -> Vec<(&'a str, Range<usize>, &'a T)>,
) -> HashMap<&'a str, Found<'a, T>> {
    let mut all = HashMap::new();
    let mut spans: HashMap<&str, Range<usize>> = HashMap::new();
    for file in files {
        for (name, span, def) in defs(file) {
            let here = Found {
                file: file.as_ref(),
                def,
            };
            let first: &Found<'_, T> = match all.entry(name) {
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(here);
                    spans.insert(name, span);
                    continue;
                }
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            };
            let first_span = spans.get(name).cloned().unwrap_or_default();
            found.error(|| {
                let message = format!("{what} `{name}` is defined twice");
                Problem::error(here.place(span), &message)
                    .advise("a name is defined once, in whatever file: rename or remove one")
                    .also(first.place(first_span), "first defined here")
            });
        }
    }
    all
}

impl Registry<'_> {
    /// Adds the place of the policy's rule, where there is one, as the second place.
    pub(super) fn with_rule(
        &self,
        problem: Problem,
        rule: impl Fn(&PolicyDef) -> Option<Range<usize>>,
    ) -> Problem {
        let place = self
            .policy_at
            .and_then(|found| rule(found.def).map(|span| found.place(span)));
        match place {
            Some(place) => problem.also(place, "the policy says so"),
            None => problem,
        }
    }

    /// Whether a name that is not defined may be defined in a line that could not be read.
    pub(super) fn may_be_defined(&self, name: &str) -> bool {
        self.partial
            .iter()
            .any(|source| source.text().contains(name))
    }

    /// Notes a lifetime above the policy's.
    pub(super) fn check_lifetime<T>(
        &self,
        at: Found<'_, T>,
        given: &Given<Lifetime>,
        found: &mut Findings,
    ) {
        let most = self.policy.max_token_lifetime;
        if let Some(lifetime) = given.good()
            && *lifetime.get_ref() > most
        {
            found.error(|| {
                let message = format!(
                    "a lifetime of {} is above the policy's {most}",
                    lifetime.get_ref()
                );
                let problem = Problem::error(at.place(lifetime.span()), &message)
                    .advise(&format!("write at most \"{most}\""));
                self.with_rule(problem, |policy| {
                    policy.max_token_lifetime.good().map(toml::Spanned::span)
                })
            });
        }
    }

    /// Notes a missing owner, where the policy requires one.
    pub(super) fn check_owner<T>(
        &self,
        at: Found<'_, T>,
        named: (&str, &str, Range<usize>),
        given: &Given<Owner>,
        found: &mut Findings,
    ) {
        let (what, name, span) = named;
        if self.policy.require_owner && given.is_missing() && !at.file.partial {
            found.error(|| {
                let problem =
                    Problem::error(at.place(span), &format!("{what} `{name}` has no owner"))
                        .advise("say which team answers for it: `owner = \"team-…\"`");
                self.with_rule(problem, |policy| {
                    policy.require_owner.good().map(toml::Spanned::span)
                })
            });
        }
    }
}

fn examine_resource(
    at: Found<'_, ResourceDef>,
    registry: &Registry<'_>,
    rules: &Rules,
    found: &mut Findings,
) {
    let def = at.def;
    let named = ("resource", def.name.get_ref().as_str(), def.name.span());
    registry.check_owner(at, named, &def.owner, found);
    registry.check_lifetime(at, &def.token_lifetime, found);
    if let Some(algorithm) = def.algorithm.good()
        && !rules.algorithms.contains(algorithm.get_ref())
    {
        found.error(|| {
            let names: Vec<&str> = rules
                .algorithms
                .iter()
                .copied()
                .map(Algorithm::name)
                .collect();
            let message = format!("there are no {} keys", algorithm.get_ref());
            Problem::error(at.place(algorithm.span()), &message).advise(&format!(
                "grantd.toml lists {}: choose one of these, or have the other added there first",
                names.join(", ")
            ))
        });
    }
}

fn unique_identifier<'a>(
    at: Found<'a, ResourceDef>,
    seen: &mut HashMap<&'a str, Found<'a, ResourceDef>>,
    found: &mut Findings,
) {
    let Some(identifier) = at.def.identifier.good() else {
        return;
    };
    if let Some(first) = seen.get(identifier.get_ref().as_str()) {
        let first_span = first.def.identifier.good().map(toml::Spanned::span);
        found.error(|| {
            let message = format!(
                "the identifier `{}` belongs to two resources",
                identifier.get_ref()
            );
            Problem::error(at.place(identifier.span()), &message)
                .advise("a token for one would be good at the other: give each its own")
                .also(
                    first.place(first_span.unwrap_or_default()),
                    "first used here",
                )
        });
    } else {
        seen.insert(identifier.get_ref().as_str(), at);
    }
}
