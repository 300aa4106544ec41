//! What can only be said of all files together: names, references, the policy. Pure.

use std::cmp::Ordering;
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
use crate::registry::diagnostic::{Problem, Rule};
use crate::registry::file::Given;
use crate::registry::snapshot::Policy;
use crate::registry::source::Source;

/// All definitions by name, and the policy that holds.
pub(super) struct Registry<'a> {
    pub(super) resources: ByName<'a, ResourceDef>,
    pub(super) clients: ByName<'a, ClientDef>,
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
    let registry = examine_resources(files, rules, found);
    let book = Rulebook::of(registry.policy_at);
    let mut hashes = HashMap::with_capacity(registry.clients.sorted().len());
    for client in registry.clients.sorted().iter().copied() {
        examine_client(client, &registry, found);
        book.examine_client(client, found);
        for secret in &client.def.secrets {
            examine_secret(client, secret, &registry, found);
            unique_hash(client, secret, &mut hashes, found);
        }
    }
    registry
}

/// Looks at names, policy and resources, which is all that a client depends on.
pub(super) fn examine_resources<'a>(
    files: &'a [Arc<Definitions>],
    rules: &Rules,
    found: &mut Findings,
) -> Registry<'a> {
    let policy_at = the_policy(files, rules, found);
    let unread = files
        .iter()
        .any(|file| file.partial && is_policy_file(file, rules));
    let registry = Registry {
        resources: by_name(files, "resource", found, |file| file.resources.as_slice()),
        clients: by_name(files, "client", found, |file| file.clients.as_slice()),
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
    for resource in registry.resources.sorted().iter().copied() {
        examine_resource(resource, &registry, rules, found);
        book.examine_resource(resource, found);
        unique_identifier(resource, &mut identifiers, found);
    }
    registry
}

/// A definition by what names it.
trait Defined {
    /// The name, and where it stands.
    fn name(&self) -> (&str, Range<usize>);
}

impl Defined for ResourceDef {
    fn name(&self) -> (&str, Range<usize>) {
        (self.name.get_ref().as_str(), self.name.span())
    }
}

impl Defined for ClientDef {
    fn name(&self) -> (&str, Range<usize>) {
        (self.id.get_ref().as_str(), self.id.span())
    }
}

/// Definitions by name, the first of each.
pub(super) struct ByName<'a, T> {
    names: HashMap<&'a str, Found<'a, T>>,
    /// The same in the order of files and names, so that "first" means what a reader expects.
    sorted: Vec<Found<'a, T>>,
}

impl<'a, T> ByName<'a, T> {
    /// The definition of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Found<'a, T>> {
        self.names.get(name)
    }

    /// All names, in any order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.names.keys().copied()
    }

    /// All definitions, in the order of files and names.
    pub(super) fn sorted(&self) -> &[Found<'a, T>] {
        &self.sorted
    }
}

fn by_name<'a, T: Defined>(
    files: &'a [Arc<Definitions>],
    what: &str,
    found: &mut Findings,
    defs: impl Fn(&'a Definitions) -> &'a [T],
) -> ByName<'a, T> {
    let count = files.iter().map(|file| defs(file).len()).sum();
    let mut names: HashMap<&str, Found<'a, T>> = HashMap::with_capacity(count);
    let mut sorted = Vec::with_capacity(count);
    for file in files {
        for def in defs(file) {
            let here = Found {
                file: file.as_ref(),
                def,
            };
            let (name, span) = def.name();
            let first: &Found<'_, T> = match names.entry(name) {
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(here);
                    sorted.push(here);
                    continue;
                }
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            };
            found.error(|| {
                let message = format!("{what} `{name}` is defined twice");
                Problem::error(here.place(span), &message)
                    .rule(Rule::Duplicate)
                    .advise("a name is defined once, in whatever file: rename or remove one")
                    .also(first.place(first.def.name().1), "first defined here")
            });
        }
    }
    // Files come in the order of their paths, mostly: then this is one look at each.
    sorted.sort_by(|a, b| {
        let files = || a.file.source().path().cmp(b.file.source().path());
        let same = std::ptr::eq(a.file, b.file);
        let order = if same { Ordering::Equal } else { files() };
        order.then_with(|| a.def.name().0.cmp(b.def.name().0))
    });
    ByName { names, sorted }
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
                    .rule(Rule::Policy)
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
                        .rule(Rule::Policy)
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
                .rule(Rule::Duplicate)
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
