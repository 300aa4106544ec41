//! What changes are told as, each as a reviewer reads it. Pure.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::sync::Arc;

use super::{Class, Facts, Statement, explain};
use crate::domain::{ClientId, Digest, UnixSeconds};
use crate::registry::check::{Definitions, Rules, check};
use crate::registry::diff::diff;
use crate::registry::snapshot::Snapshot;
use crate::registry::source::Source;

/// 2026-11-29T12:00:00Z.
const NOW: u64 = 1_795_953_600;

/// Two resources and one client; `#` begins the places that the cases change.
const BASE: &str = r#"
[resource.billing]
identifier = "https://billing.example.com"
name = "Billing API"
owner = "team-billing"
#billing
[resource.billing.scopes]
"invoice:read" = "Read invoices"
"invoice:write" = "Write invoices"
#scopes
[resource.fleet]
identifier = "https://fleet.example.com"
owner = "team-fleet"
[resource.fleet.scopes]
"vehicle:read" = "Read vehicles"

[client.ledger]
owner = "team-ledger"
#ledger
[client.ledger.grants]
billing = ["invoice:read"]
#grants
#secrets
"#;

const POLICY: &str = "[policy]\nmax_secret_lifetime = \"180d\"\n#policy\n";

fn hash(of: &str) -> String {
    format!("sha256:{}", Digest::of(of.as_bytes()).to_base64url())
}

fn secret(of: &str, more: &str) -> String {
    format!(
        "[[client.ledger.secret]]\nhash = \"{}\"\ncreated = 2026-10-01\nexpires = 2027-01-31\n{more}",
        hash(of)
    )
}

/// The base with these lines put in, each at its place.
fn registry(put: &[(&str, &str)]) -> Snapshot {
    let (mut text, mut policy) = (BASE.to_owned(), POLICY.to_owned());
    let old = secret("old", "label = \"cron\"\n");
    let put = [&[("secrets", old.as_str())], put].concat();
    for (place, lines) in put {
        let mark = format!("#{place}\n");
        for text in [&mut text, &mut policy] {
            *text = text.replace(&mark, &format!("{lines}\n{mark}"));
        }
    }
    // A line that begins with `-` takes another one away; one with `~` is put in its stead.
    for text in [&mut text, &mut policy] {
        let gone: Vec<String> = text
            .lines()
            .filter_map(|line| Some(line.strip_prefix('-')?.to_owned()))
            .collect();
        let kept = text
            .lines()
            .filter(|line| !line.starts_with('-') && !gone.iter().any(|gone| gone == line));
        *text = kept
            .map(|line| format!("{}\n", line.trim_start_matches('~')))
            .collect();
    }
    let files = [("a.toml", text), ("policy/p.toml", policy)];
    let files: Vec<_> = files
        .into_iter()
        .map(|(path, text)| Arc::new(Definitions::of(Arc::new(Source::new(path, text.into())))))
        .collect();
    let checked = check(&files, &Rules::default());
    checked.unwrap().snapshot
}

fn facts() -> Facts<'static> {
    Facts {
        now: UnixSeconds::new(NOW),
        last_use: HashMap::new(),
        places: None,
    }
}

fn between(old: &Snapshot, new: &Snapshot, facts: &Facts<'_>) -> Vec<Statement> {
    explain(old, new, &diff(old, new), facts)
}

/// `class kind: text` of each statement.
fn told(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<String> {
    let said = between(&registry(old), &registry(new), &facts());
    let docs = include_str!("../../../docs/plan.md");
    for kind in said.iter().map(|it| it.kind) {
        assert!(
            docs.contains(&format!("`{kind}`")),
            "{kind} is not documented"
        );
    }
    let line = |it: &Statement| format!("{} {}: {}", it.class.name(), it.kind, it.text);
    said.iter().map(line).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_part_is_told_in_words() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "grants",
            "-billing = [\"invoice:read\"]\n~billing = [\"invoice:read\", \"invoice:write\"]",
            &["widens client.gains: client ledger gains invoice:write on Billing API (billing)"],
        ),
        (
            "grants",
            "fleet = [\"vehicle:read\"]",
            &[
                "widens client.gains: client ledger gains vehicle:read on fleet",
                "breaks client.default_resource: a request of client ledger that names no resource is \
             refused; it meant billing",
            ],
        ),
        (
            "ledger",
            "disabled = true",
            &["breaks client.disabled: client ledger is disabled"],
        ),
        (
            "ledger",
            "expires = 2027-06-30",
            &[
                "breaks client.expires_earlier: client ledger ends at the end of 2027-06-30; it had no end",
            ],
        ),
        (
            "ledger",
            "token_lifetime = \"5m\"",
            &[
                "other client.token_lifetime_changed: tokens of client ledger live at most 5m; it was as \
             long as the resource says",
            ],
        ),
        (
            "ledger",
            "name = \"The ledger\"",
            &["other client.name: client ledger is called The ledger, was ledger"],
        ),
        (
            "ledger",
            "-owner = \"team-ledger\"\n~owner = \"team-x\"",
            &["other client.owner: client ledger passes from team-ledger to team-x"],
        ),
        (
            "ledger",
            "claims = { department = 4711 }",
            &[
                "widens client.claim_added: tokens of client ledger carry the claim department = 4711",
            ],
        ),
        (
            "billing",
            "token_lifetime = \"30m\"",
            &[
                "widens resource.token_lifetime_longer: resource billing: tokens live 30m, were 15m, for 1 \
             client",
            ],
        ),
        (
            "billing",
            "algorithm = \"ES256\"",
            &[
                "breaks resource.algorithm: resource billing: tokens are signed with ES256, no longer with \
             the daemon's default, for 1 client",
            ],
        ),
        (
            "billing",
            "claims = { tenant = \"acme\" }",
            &[
                "widens resource.claim_added: tokens for resource billing carry the claim tenant = \"acme\"",
            ],
        ),
        (
            "billing",
            "-owner = \"team-billing\"\n~owner = \"team-x\"",
            &["other resource.owner: resource billing passes from team-billing to team-x"],
        ),
        (
            "billing",
            "-identifier = \"https://billing.example.com\"\n~identifier = \"urn:b\"",
            &[
                "widens resource.identifier: resource billing: tokens are for urn:b, no longer for \
               https://billing.example.com; 1 client gets them, and a request for the old name is refused",
            ],
        ),
        (
            "scopes",
            "\"payment:release\" = \"Release payments\"",
            &[
                "other resource.scope_added: resource billing has a new scope payment:release: Release \
             payments",
            ],
        ),
        (
            "scopes",
            "-\"invoice:write\" = \"Write invoices\"",
            &[
                "other resource.scope_removed: resource billing: scope invoice:write is removed; no client \
             had it",
            ],
        ),
        (
            "policy",
            "max_token_lifetime = \"2h\"",
            &["widens policy.loosened: policy: a token may live 2h, was 1h"],
        ),
        (
            "policy",
            "-max_secret_lifetime = \"180d\"\n~max_secret_lifetime = \"170d\"",
            &["other policy.tightened: policy: a secret may live 170d, was 180d"],
        ),
        (
            "policy",
            "-max_secret_lifetime = \"180d\"",
            &["widens policy.loosened: policy: a secret may live without a limit, was 180d"],
        ),
    ];
    for (place, lines, expected) in cases {
        assert_eq!(told(&[], &[(place, lines)]), *expected, "{place}: {lines}");
    }
    assert!(cases.iter().all(|(place, lines, _)| {
        let same = [(*place, *lines)];
        told(&same, &same).is_empty()
    }));
}

#[test]
fn the_other_way_round_too() {
    for (place, lines, expected) in [
        (
            "ledger",
            "disabled = true",
            "widens client.enabled: client ledger is enabled again, with access to Billing API (billing)",
        ),
        (
            "ledger",
            "expires = 2027-06-30",
            "widens client.expires_later: client ledger has no end any more; it was the end of 2027-06-30",
        ),
        (
            "ledger",
            "token_lifetime = \"5m\"",
            "widens client.token_lifetime_longer: tokens of client ledger live as long as the resource says; it was at most 5m",
        ),
        (
            "ledger",
            "claims = { department = 4711 }",
            "breaks client.claim_removed: tokens of client ledger no longer carry the claim department; it was 4711",
        ),
        (
            "billing",
            "token_lifetime = \"30m\"",
            "other resource.token_lifetime_shorter: resource billing: tokens live 15m, were 30m, for 1 client",
        ),
        (
            "policy",
            "max_token_lifetime = \"2h\"",
            "other policy.tightened: policy: a token may live 1h, was 2h",
        ),
    ] {
        assert_eq!(told(&[(place, lines)], &[]), [expected], "{place}: {lines}");
    }
}

#[test]
fn a_secret_is_told_with_its_last_use() {
    let old = registry(&[("secrets", &secret("new", "label = \"next\"\n"))]);
    let mut facts = facts();
    let ledger = ClientId::parse("ledger").unwrap();
    let client = old.clients.get(&ledger).unwrap();
    let gone = client
        .secrets
        .iter()
        .position(|it| it.label.as_deref() == Some("next"));
    let gone = gone.unwrap();
    let id = client.secrets.get(gone).unwrap().id.as_str().to_owned();
    let last = registry(&[]);
    let number = gone + 1;
    let uses = [
        (None, ""),
        (Some(None), "; no use of it is on record"),
        (Some(Some(NOW - 180)), "; it was last used 3 minutes ago"),
    ];
    for (used, words) in uses {
        if let Some(used) = used {
            let known = facts.last_use.entry(ledger.clone()).or_default();
            known.insert(id.clone(), used.map(UnixSeconds::new));
        }
        let said = between(&old, &last, &facts);
        let [one] = said.as_slice() else {
            unreachable!("{said:?}")
        };
        let text = format!("secret {number} (next) of ledger is removed{words}");
        assert_eq!((one.class, one.text.to_string()), (Class::Breaks, text));
    }
    let said = between(&last, &old, &facts);
    let [one] = said.as_slice() else {
        unreachable!("{said:?}")
    };
    let text =
        format!("secret {number} (next) of ledger is added, good until the end of 2027-01-31");
    assert_eq!((one.class, one.text.to_string()), (Class::Widens, text));
}

/// A registry with so many more clients, each with a grant on `fleet` or not.
fn fleet(clients: usize, granted: bool, resource: bool) -> Snapshot {
    let mut text = String::new();
    for number in 0..clients {
        let grants = match granted {
            true => "{ billing = [\"invoice:read\"], fleet = [\"vehicle:read\"] }",
            false => "{ billing = [\"invoice:read\"] }",
        };
        text.push_str(&format!(
            "[client.c{number}]\ndefault_resource = \"billing\"\ngrants = {grants}\n"
        ));
    }
    let gone = match resource {
        true => String::new(),
        false => "-[resource.fleet]\n-identifier = \"https://fleet.example.com\"\n\
                  -owner = \"team-fleet\"\n-[resource.fleet.scopes]\n-\"vehicle:read\" = \"Read vehicles\""
            .to_owned(),
    };
    registry(&[("secrets", &format!("{text}\n{gone}"))])
}

#[test]
fn what_many_lose_is_told_once() {
    let old = fleet(212, true, true);
    for (resource, kind, text) in [
        (
            false,
            "resource.removed",
            "resource fleet: 212 clients lose access, for it is removed",
        ),
        (
            true,
            "resource.clients_lose",
            "resource fleet: 212 clients lose access",
        ),
    ] {
        let said = between(&old, &fleet(212, false, resource), &facts());
        let [one] = said.as_slice() else {
            unreachable!("{said:?}")
        };
        assert_eq!((one.class, one.kind), (Class::Breaks, kind));
        assert_eq!(one.text.to_string(), text);
        assert_eq!(one.about.clients.len(), 212);
    }
    // A few are named one by one.
    let said = between(&fleet(2, true, true), &fleet(2, false, true), &facts());
    let texts: Vec<String> = said.iter().map(|it| it.text.to_string()).collect();
    let expected = [
        "client c0 loses access to fleet",
        "client c1 loses access to fleet",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn new_and_gone_clients_are_told_by_their_risk() {
    let more = "[client.new]\ndisabled = true\ngrants = { fleet = [\"vehicle:read\"] }\n";
    assert_eq!(
        told(&[], &[("secrets", more)]),
        [
            "widens client.added: client new is new, of nobody; it is disabled; it has no credential yet",
            "widens client.gains: client new gains vehicle:read on fleet",
        ]
    );
    let gone = told(&[("secrets", more)], &[]);
    assert_eq!(
        gone,
        ["other client.removed: client new is removed; it was disabled"]
    );
}

/// Tokens for one's audience under another name: who reads it must see whose it was.
#[test]
fn an_audience_that_changes_hands_is_told() {
    let gone = "-[resource.fleet]\n-identifier = \"https://fleet.example.com\"\n\
                -owner = \"team-fleet\"\n-[resource.fleet.scopes]\n-\"vehicle:read\" = \"Read vehicles\"\n\
                ~[resource.mine]\n~identifier = \"https://fleet.example.com\" ";
    let said = told(&[], &[("secrets", gone)]);
    let taken = said
        .iter()
        .any(|it| it.ends_with("; this was the audience of fleet"));
    assert!(taken, "{said:#?}");
}
