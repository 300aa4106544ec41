//! Properties of the pure stages: reading, checking, comparing. Pure.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::domain::{Lifetime, UnixSeconds};
use crate::registry::approval::approvals;
use crate::registry::check::{Definitions, Rules, check, expiries};
use crate::registry::diagnostic::{Renderer, to_json};
use crate::registry::diff::{Change, Counts, apply, diff};
use crate::registry::guard::{Reason, hold, violations};
use crate::registry::meaning::{Class, Facts, Statement, explain};
use crate::registry::object::Object;
use crate::registry::snapshot::Snapshot;
use crate::registry::source::Source;

/// A small registry as data, from which files are written in any layout.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    resources: Vec<(String, ModelResource)>,
    clients: Vec<(String, ModelClient)>,
    max_minutes: u8,
    rules: &'static str,
}

/// Rules that every model keeps.
const RULES: &[&str] = &[
    "",
    "owner = \"team-a\"",
    "owner = \"team-b\"",
    "max_removed_clients = 3",
    "max_removed_clients = \"3%\"",
    "allowed_auth_methods = [\"client_secret_post\"]",
    "allowed_auth_methods = [\"client_secret_basic\"]",
    "allowed_auth_methods = [\"client_secret_basic\", \"client_secret_post\"]",
    "required_fields = { secret = [\"created\"] }",
    "names = { client = \"c.\", scope = \"s.\" }",
    "names = { resource = \"r.\" }",
];

#[derive(Clone, Debug, PartialEq)]
struct ModelResource {
    path: u8,
    minutes: Option<u8>,
    scopes: u8,
    tenant: Option<u8>,
}

#[derive(Clone, Debug, PartialEq)]
struct ModelClient {
    title: Option<u8>,
    disabled: bool,
    year: Option<u8>,
    grants: u8,
    secrets: u8,
}

fn models() -> impl Strategy<Value = Model> {
    let resource = (
        any::<u8>(),
        prop::option::of(1..30_u8),
        0..5_u8,
        prop::option::of(0..3_u8),
    )
        .prop_map(|(path, minutes, scopes, tenant)| ModelResource {
            path,
            minutes,
            scopes,
            tenant,
        });
    let client = (
        prop::option::of(0..3_u8),
        any::<bool>(),
        prop::option::of(0..9_u8),
        1..8_u8,
        0..4_u8,
    )
        .prop_map(|(title, disabled, year, grants, secrets)| ModelClient {
            title,
            disabled,
            year,
            grants,
            secrets,
        });
    (
        btree_map("r[0-3]", resource, 1..4),
        btree_map("c[0-5]", client, 0..6),
        30..60_u8,
        prop::sample::select(RULES),
    )
        .prop_map(|(resources, clients, max_minutes, rules)| Model {
            resources: resources.into_iter().collect(),
            clients: clients.into_iter().collect(),
            max_minutes,
            rules,
        })
}

fn resource_text(name: &str, resource: &ModelResource) -> String {
    let mut text = format!(
        "[resource.{name}]\nidentifier = \"urn:{name}:{}\"\n",
        resource.path
    );
    if let Some(minutes) = resource.minutes {
        writeln!(text, "token_lifetime = \"{minutes}m\"").unwrap();
    }
    if let Some(tenant) = resource.tenant {
        writeln!(text, "claims = {{ tenant = {tenant} }}").unwrap();
    }
    writeln!(text, "[resource.{name}.scopes]").unwrap();
    for scope in 0..resource.scopes {
        writeln!(text, "s{scope} = \"Scope {scope}\"").unwrap();
    }
    text
}

fn client_text(name: &str, client: &ModelClient, model: &Model, reversed: bool) -> String {
    let mut text = format!("[client.{name}]\ndisabled = {}\n", client.disabled);
    if let Some(title) = client.title {
        writeln!(text, "name = \"Title {title}\"").unwrap();
    }
    if let Some(year) = client.year {
        writeln!(text, "expires = 203{year}-06-30").unwrap();
    }
    let mut grants: Vec<String> = model
        .resources
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == 0 || client.grants & (1 << at) != 0)
        .map(|(_, (resource, it))| {
            let mut scopes: Vec<String> = (0..it.scopes).map(|at| format!("\"s{at}\"")).collect();
            scopes.truncate(usize::from(client.grants % 3) + 1);
            if reversed {
                scopes.reverse();
            }
            format!("{resource} = [{}]\n", scopes.join(", "))
        })
        .collect();
    let mut secrets: Vec<String> = (0..client.secrets)
        .map(|at| {
            let start = crate::domain::Digest::of(format!("{name}{at}").as_bytes());
            let hash = start.to_base64url();
            format!(
                "[[client.{name}.secret]]\nhash = \"sha256:{hash}\"\ncreated = 2026-01-0{}\n",
                at + 1
            )
        })
        .collect();
    if reversed {
        grants.reverse();
        secrets.reverse();
    }
    format!(
        "{text}[client.{name}.grants]\n{}{}",
        grants.concat(),
        secrets.concat()
    )
}

/// The model as files: `spread` chooses the file of each table, `reversed` another order.
fn files(model: &Model, spread: &[u8], reversed: bool) -> Vec<Arc<Definitions>> {
    let mut tables: Vec<String> = model
        .resources
        .iter()
        .map(|(name, it)| resource_text(name, it))
        .chain(
            model
                .clients
                .iter()
                .map(|(name, it)| client_text(name, it, model, reversed)),
        )
        .collect();
    if reversed {
        tables.reverse();
    }
    let mut texts = vec![String::new(); 4];
    for (at, table) in tables.iter().enumerate() {
        let file = usize::from(spread.get(at).copied().unwrap_or(0)) % texts.len();
        if reversed {
            texts[file].push_str("# a comment\n\n");
        }
        texts[file].push_str(table);
    }
    let policy = format!(
        "[policy]\nmax_token_lifetime = \"{}m\"\n{}\n",
        model.max_minutes, model.rules
    );
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("{at}.toml"), text.clone()))
        .chain([("policy/p.toml".to_owned(), policy)])
        .map(|(path, text)| Arc::new(Definitions::of(Arc::new(Source::new(&path, text.into())))))
        .collect()
}

fn facts() -> Facts<'static> {
    Facts {
        // Amid the years in which clients of the models end.
        now: UnixSeconds::new(2_000_000_000),
        last_use: std::collections::HashMap::new(),
        places: None,
    }
}

fn snapshot(model: &Model) -> Snapshot {
    check(&files(model, &[], false), &Rules::default())
        .unwrap()
        .snapshot
}

proptest! {
    #[test]
    fn layout_never_changes_the_digest(model in models(), spread in vec(any::<u8>(), 0..10)) {
        let here = check(&files(&model, &[], false), &Rules::default()).unwrap().snapshot;
        let there = check(&files(&model, &spread, true), &Rules::default()).unwrap().snapshot;
        prop_assert_eq!(here.digest, there.digest);
        prop_assert!(diff(&here, &there).is_empty());
    }

    #[test]
    fn a_change_of_meaning_changes_the_digest(one in models(), other in models()) {
        let (old, new) = (snapshot(&one), snapshot(&other));
        prop_assert_eq!(old.digest == new.digest, diff(&old, &new).is_empty());
    }

    #[test]
    fn applying_a_difference_gives_the_other(one in models(), other in models()) {
        let (old, new) = (snapshot(&one), snapshot(&other));
        let changes = diff(&old, &new);
        let applied = apply(&old, &changes);
        prop_assert_eq!(applied.digest, new.digest);
        // Grants point to the resources as they are now, not as they were.
        for client in applied.clients.values() {
            for grant in &client.grants {
                prop_assert!(Arc::ptr_eq(&grant.resource, &applied.resources[&grant.resource.name]));
            }
        }
        let counts = Counts::of(&changes);
        prop_assert_eq!(
            old.clients.len() + counts.clients_added,
            new.clients.len() + counts.clients_removed
        );
    }

    /// Nothing changes in silence, and nothing is told of nothing.
    #[test]
    fn every_change_is_told_and_needs_somebody(one in models(), other in models()) {
        let (old, new) = (snapshot(&one), snapshot(&other));
        let changes = diff(&old, &new);
        let said = explain(&old, &new, &changes, &facts());
        prop_assert_eq!(said.is_empty(), changes.is_empty());
        prop_assert_eq!(approvals(&old, &changes).is_empty(), changes.is_empty());
        let objects: Vec<String> = said.iter().map(|it| it.object.to_string()).collect();
        for change in &changes {
            // What a client loses by its resource is told of the resource.
            let told = objects.contains(&change.object());
            prop_assert!(told || change.object().starts_with("client."), "{}", change.object());
        }
        prop_assert!(said.is_sorted_by_key(|it| it.class));
    }

    /// Whoever may do more, or for longer, is among what is told first.
    #[test]
    fn what_widens_access_is_told_as_that(one in models(), other in models()) {
        let (old, new) = (snapshot(&one), snapshot(&other));
        let said = explain(&old, &new, &diff(&old, &new), &facts());
        let widens = |object: Object| {
            said.iter().any(|it: &Statement| it.class == Class::Widens && it.object == object)
        };
        for client in new.clients.values() {
            let of = || Object::Client(client.id.clone());
            let Some(before) = old.clients.get(&client.id) else {
                prop_assert!(widens(of()));
                continue;
            };
            for grant in &client.grants {
                let had = before.grant_on(&grant.resource.name);
                let more = |scope| !had.is_some_and(|had| had.scopes.contains(scope));
                if had.is_none() || grant.scopes.iter().any(more) {
                    prop_assert!(widens(of()));
                }
                let Some(had) = had else { continue };
                let resource = || Object::Resource(grant.resource.name.clone());
                let (was, is) = (&had.resource, &grant.resource);
                if is.token_lifetime > was.token_lifetime || is.identifier != was.identifier {
                    prop_assert!(widens(resource()));
                }
                if is.claims.iter().any(|(name, value)| was.claims.get(name) != Some(value)) {
                    prop_assert!(widens(resource()));
                }
            }
            let later = match (before.expires, client.expires) {
                (Some(_), None) => true,
                (Some(was), Some(is)) => is > was,
                (None, _) => false,
            };
            let secret = |it: &_| !before.secrets.contains(it);
            if later || (before.disabled && !client.disabled) || client.secrets.iter().any(secret) {
                prop_assert!(widens(of()));
            }
        }
        if new.policy.max_token_lifetime > old.policy.max_token_lifetime {
            prop_assert!(widens(Object::Policy));
        }
    }

    /// What is accepted keeps its rules, and is held back only for what went away.
    #[test]
    fn an_accepted_registry_keeps_its_rules(one in models(), other in models()) {
        let (old, new) = (snapshot(&one), snapshot(&other));
        prop_assert_eq!(violations(&new.policy, &new), []);
        if let Some(held) = hold(&old, &new) {
            let removal = held.reasons.iter().any(|it| matches!(it, Reason::Removal { .. }));
            prop_assert!(removal || old.policy != new.policy);
        }
        let same_rules = snapshot(&Model { clients: Vec::new(), ..one.clone() });
        let grown = hold(&same_rules, &old);
        prop_assert_eq!(grown, None, "where nobody was, nobody goes");
    }

    #[test]
    fn a_snapshot_holds_what_the_policy_allows(model in models()) {
        let snapshot = snapshot(&model);
        for client in snapshot.clients.values() {
            for grant in &client.grants {
                let resource = &snapshot.resources[&grant.resource.name];
                prop_assert!(resource.token_lifetime <= snapshot.policy.max_token_lifetime);
                for scope in &grant.scopes {
                    prop_assert!(resource.scopes.iter().any(|(name, _)| name == scope));
                }
                prop_assert!(client.grant_on(&grant.resource.name).is_some());
            }
        }
    }

    /// No bytes at all make the reader panic, and its problems can be shown.
    #[test]
    fn any_bytes_are_read(bytes in vec(any::<u8>(), 0..400)) {
        read(bytes);
    }

    /// Nor do texts that look much like a registry.
    #[test]
    fn any_near_miss_is_read(parts in vec(prop::sample::select(PARTS), 0..60)) {
        read(parts.concat().into_bytes());
    }

    #[test]
    fn expiry_is_told_from_the_window_on(now in 0..4_000_000_000_u64, days in 0..400_u64) {
        let model = Model {
            resources: vec![("r".into(), ModelResource { path: 0, minutes: None, scopes: 1, tenant: None })],
            clients: vec![("c".into(), ModelClient { title: None, disabled: false, year: Some(5), grants: 1, secrets: 1 })],
            max_minutes: 30,
            rules: "",
        };
        let snapshot = snapshot(&model);
        // 2035-07-01T00:00:00Z
        let end = 2_066_860_800;
        let found = expiries(&snapshot, UnixSeconds::new(now), Lifetime::from_days(days));
        prop_assert_eq!(found.len(), usize::from(now + days * 86_400 >= end));
        prop_assert!(found.iter().all(|expiry| expiry.passed == (now >= end)));
    }
}

/// Each rule, alone, is another registry, and no two of them are the same.
#[test]
fn every_rule_is_in_the_digest_and_in_the_difference() {
    let registry = |rules: &str| {
        let text = format!(
            "[resource.r0]\nidentifier = \"urn:r0\"\nowner = \"o\"\n\
             scopes = {{ sa = \"A\", sb = \"B\", sc = \"C\" }}\n[policy]\n{rules}\n"
        );
        let file = Definitions::of(Arc::new(Source::new("policy/p.toml", text.into())));
        check(&[Arc::new(file)], &Rules::default())
            .unwrap()
            .snapshot
    };
    let more = [
        "two_owners.r0 = { scopes = [\"sa\"], owner = \"p\" }",
        "two_owners.r0 = { scopes = [\"sa\"], owner = \"q\" }",
        "two_owners.r0 = { scopes = [\"sa\", \"sb\"], owner = \"p\" }",
        "never_together = [{ grants = [\"r0/sa\", \"r0/sb\"] }]",
        "never_together = [{ grants = [\"r0/sa\", \"r0/sb\"], reason = \"x\" }]",
        "never_together = [{ grants = [\"r0/sa\", \"r0/sc\"] }]",
        "names = { owner = \"o\" }",
        "required_fields = { resource = [\"owner\"] }",
        "required_fields = { resource = [\"owner\", \"scopes\"] }",
        "required_fields = { client = [\"owner\"] }",
        "require_owner = true",
        "max_secret_lifetime = \"1d\"",
    ];
    let all: Vec<Snapshot> = RULES.iter().chain(&more).map(|it| registry(it)).collect();
    for (at, old) in all.iter().enumerate() {
        for (other, new) in all.iter().enumerate() {
            let changes = diff(old, new);
            assert_eq!(old.digest == new.digest, at == other, "{at} {other}");
            let told = matches!(changes[..], [Change::PolicyChanged { .. }]);
            assert_eq!(told, at != other, "{at} {other}");
            assert_eq!(apply(old, &changes).digest, new.digest);
        }
    }
}

const PARTS: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    " = ",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "\n",
    "\r\n",
    ",",
    ".",
    "#",
    "client",
    "resource",
    "policy",
    "never_together",
    "two_owners",
    "names",
    "required_fields",
    "max_removed_clients",
    "\"5%\"",
    "(",
    "secret",
    "grants",
    "scopes",
    "claims",
    "hash",
    "expires",
    "password",
    "name",
    "x",
    "\\",
    "2027-06-30",
    "99999-99-99",
    "1e999",
    "0x",
    "true",
    "\u{202e}",
    "é",
    "\0",
    "\t",
    "[client.a]\n",
    "[resource.a]\n",
    "identifier = \"urn:a\"\n",
    "grants = { a = [] }\n",
    "secret = [{}]\n",
    "grantd_secret_",
    "aaaaaaaaaaaaaaaaaaaaaaaaa",
    "-----BEGIN PRIVATE KEY-----",
    "sha256:",
];

fn read(bytes: Vec<u8>) {
    let file = Arc::new(Definitions::of(Arc::new(Source::new("a.toml", bytes))));
    if let Err(problems) = check(&[file], &Rules::default()) {
        assert!(!problems.is_empty());
        let text = Renderer::new("", false).render_all(&problems);
        let styled = Renderer::new("registry.d", true).render_all(&problems);
        assert!(!text.is_empty() && !styled.is_empty());
        assert!(!text.contains('\u{202e}') && !text.contains('\0'));
        assert!(serde_json::from_str::<serde_json::Value>(&to_json(&problems)).is_ok());
    }
}
