//! What must hold of registry files, for any bytes. Pure.

use std::sync::Arc;

use super::check::{Checked, Definitions, Rules, check, expiries};
use super::diagnostic::{Problem, Renderer, to_json};
use super::diff::diff;
use super::guard::{hold, violations};
use super::mask;
use super::policy::TwoOwners;
use super::snapshot::Snapshot;
use super::source::{Place, Source};
use crate::domain::{Algorithm, Lifetime, ResourceName, ScopeName, UnixSeconds};

/// Most characters of an excerpt: the longest part of a line, a mask at its end, two dots.
const MAX_SHOWN: usize = 160 + 8 + 2;

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// One registry file.
///
/// # Panics
/// Where a problem's place is not in the file, or what is shown of it carries a secret or a control
/// character; where an accepted registry breaks its own policy, or says another thing when it is
/// written anew.
pub fn registry_file(data: &[u8]) {
    let anywhere = outcome("team/a.toml", data);
    let policy = outcome("policy/a.toml", data);
    for (refused, source) in [&anywhere, &policy]
        .into_iter()
        .filter_map(|it| it.as_ref().err())
    {
        assert!(!refused.is_empty());
        shown(refused, source);
    }
    let Ok((checked, source)) = policy else {
        assert!(anywhere.is_err(), "refused only where policies may stand");
        return;
    };
    shown(&checked.warnings, &source);
    let snapshot = &checked.snapshot;
    keeps_its_policy(snapshot);
    let _told = expiries(
        snapshot,
        UnixSeconds::new(1_800_000_000),
        Lifetime::from_days(400),
    );
    if let Ok((anywhere, _)) = &anywhere {
        same(&anywhere.snapshot, snapshot);
    }
    let commented = format!("# first\n{}\n# last", source.text());
    rewritten(&commented, snapshot);
    let table: Result<toml::Table, _> = toml::from_str(source.text());
    let table = table.unwrap_or_default();
    for text in [toml::to_string(&table), toml::to_string_pretty(&table)] {
        rewritten(&text.unwrap_or_default(), snapshot);
    }
}

type Outcome = Result<(Checked, Arc<Source>), (Vec<Problem>, Arc<Source>)>;

fn outcome(path: &str, bytes: &[u8]) -> Outcome {
    let source = Arc::new(Source::new(path, bytes.to_vec()));
    let file = Arc::new(Definitions::of(Arc::clone(&source)));
    let rules = Rules {
        algorithms: Algorithm::ALL.to_vec(),
        ..Rules::default()
    };
    match check(&[file], &rules) {
        Ok(checked) => Ok((checked, source)),
        Err(problems) => Err((problems, source)),
    }
}

/// The same registry in other words.
fn rewritten(text: &str, snapshot: &Snapshot) {
    match outcome("policy/b.toml", text.as_bytes()) {
        Ok((again, _)) => same(&again.snapshot, snapshot),
        Err((problems, _)) => {
            let told = Renderer::new("", false).render_all(&problems);
            assert!(told.is_empty(), "refused in other words:\n{told}");
        }
    }
}

fn same(one: &Snapshot, other: &Snapshot) {
    assert_eq!(one.digest, other.digest);
    assert!(diff(one, other).is_empty());
}

fn keeps_its_policy(snapshot: &Snapshot) {
    let policy = &snapshot.policy;
    assert_eq!(
        violations(policy, snapshot),
        [],
        "accepted against its own rules"
    );
    assert_eq!(hold(snapshot, snapshot), None, "no change, and held");
    keeps_the_form_of_rules(snapshot);
    for resource in snapshot.resources.values() {
        assert!(resource.owner.is_some() || !policy.require_owner);
        assert!(resource.token_lifetime <= policy.max_token_lifetime);
    }
    for client in snapshot.clients.values() {
        assert!(client.owner.is_some() || !policy.require_owner);
        assert!(
            client
                .default_grant
                .is_none_or(|at| at < client.grants.len())
        );
        for grant in &client.grants {
            let resource = snapshot.resources.get(&grant.resource.name);
            assert!(resource.is_some_and(|it| Arc::ptr_eq(it, &grant.resource)));
            let has = |name| grant.resource.scopes.iter().any(|(scope, _)| scope == name);
            assert!(grant.scopes.iter().all(has));
            assert!(client.grant_on(&grant.resource.name).is_some());
        }
        for secret in &client.secrets {
            let life = secret.created.zip(secret.expires);
            let life = life.map(|(created, expires)| expires.since(created));
            // An end that is a date lasts that day out, which the policy does not count.
            let kept =
                |most: Lifetime| life.is_some_and(|life| life.seconds() <= most.seconds() + DAY);
            assert!(policy.max_secret_lifetime.is_none_or(kept));
        }
    }
}

/// No rule contradicts itself or the resources: it could be kept by somebody.
fn keeps_the_form_of_rules(snapshot: &Snapshot) {
    let policy = &snapshot.policy;
    let named = |resource: &ResourceName, scope: Option<&ScopeName>| {
        let resource = snapshot.resources.get(resource);
        resource.is_some_and(|it| {
            scope.is_none_or(|scope| it.scopes.iter().any(|(name, _)| name == scope))
        })
    };
    if let Some(limit) = policy.max_removed_clients {
        assert!((1..=100).contains(&limit.of(100)) || limit.of(0) > 100);
    }
    let methods = policy.allowed_auth_methods.as_deref();
    assert!(
        methods.is_none_or(|methods| methods.is_sorted_by(|a, b| a < b) && !methods.is_empty())
    );
    for rule in &policy.two_owners {
        assert!(!rule.scopes.is_empty());
        assert!(
            rule.scopes
                .iter()
                .all(|scope| named(&rule.resource, Some(scope)))
        );
        let first = snapshot.resources.get(&rule.resource).map(|it| &it.owner);
        assert!(first.is_some_and(|first| TwoOwners::differ(first.as_ref(), &rule.owner)));
    }
    for rule in &policy.never_together {
        assert!(rule.grants.len() >= 2 && rule.grants.is_sorted_by(|a, b| a < b));
        assert!(
            rule.grants
                .iter()
                .all(|it| named(&it.resource, it.scope.as_ref()))
        );
    }
    let owners = policy
        .owner
        .iter()
        .chain(policy.two_owners.iter().map(|it| &it.owner));
    for owner in owners {
        let pattern = policy.names.owner.as_ref();
        assert!(pattern.is_none_or(|pattern| pattern.matches(owner.as_str())));
    }
}

/// Problems point into their file, and can be shown to anyone.
fn shown(problems: &[Problem], source: &Source) {
    for problem in problems {
        assert!(!problem.message.is_empty());
        inside(&problem.place, source);
        if let Some(also) = &problem.also {
            inside(&also.place, source);
        }
    }
    let json = to_json(problems);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    let plain = Renderer::new("registry.d", false).render_all(problems);
    assert!(!Renderer::new("", true).render_all(problems).is_empty() || problems.is_empty());
    for text in [&json, &plain] {
        assert!(
            mask::generated_secrets(text).is_empty(),
            "a secret is shown"
        );
        let quiet = |character| character == '\n' || mask::shown(character) == character;
        assert!(text.chars().all(quiet), "a control character is shown");
    }
}

fn inside(place: &Place, source: &Source) {
    let Some(spot) = &place.spot else { return };
    let line = source.text().split('\n').nth(spot.line.wrapping_sub(1));
    let width = line.map(|line| line.chars().count());
    let on_the_line = width.is_some_and(|width| (1..=width + 1).contains(&spot.column));
    assert!(
        on_the_line,
        "{}:{} is not in the file",
        spot.line, spot.column
    );
    assert!(
        spot.text.get(spot.mark.clone()).is_some(),
        "the mark is not in its excerpt"
    );
    assert!(spot.text.chars().count() <= MAX_SHOWN);
}
