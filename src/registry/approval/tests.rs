//! Who is asked, change by change: always by the registry before it. Pure.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use super::{Approval, approvals};
use crate::domain::Owner;
use crate::registry::check::{Definitions, Rules, check};
use crate::registry::diff::diff;
use crate::registry::snapshot::Snapshot;
use crate::registry::source::Source;

const BASE: &str = r#"
[resource.billing]
identifier = "urn:billing"
owner = "b"
scopes = { read = "Read", release = "Release payments" }
[resource.fleet]
identifier = "urn:fleet"
owner = "f"
scopes = { read = "Read" }
[resource.free]
identifier = "urn:free"

[client.ledger]
owner = "l"
default_resource = "billing"
grants = { billing = ["read"], fleet = ["read"] }
[client.stray]
grants = { free = [] }
"#;

const POLICY: &str = "[policy]\nowner = \"p\"\n[policy.two_owners]\n\
                      billing = { scopes = [\"release\"], owner = \"risk\" }\n";

fn registry(text: &str, policy: &str) -> Snapshot {
    let files = [("a.toml", text), ("policy/p.toml", policy)];
    let files: Vec<_> = files
        .into_iter()
        .map(|(path, text)| Arc::new(Definitions::of(Arc::new(Source::new(path, text.into())))))
        .collect();
    check(&files, &Rules::default()).unwrap().snapshot
}

fn asked(old: &Snapshot, new: &Snapshot) -> Vec<Approval> {
    approvals(old, &diff(old, new))
}

/// The approvers of the base with these texts replaced: `a b|c` is a, and one of b and c.
fn of(replaced: &[(&str, &str)]) -> String {
    let (mut text, mut policy) = (BASE.to_owned(), POLICY.to_owned());
    for (from, to) in replaced {
        assert!(text.contains(from) || policy.contains(from), "{from}");
        text = text.replace(from, to);
        policy = policy.replace(from, to);
    }
    names(&asked(&registry(BASE, POLICY), &registry(&text, &policy)))
}

fn names(approvals: &[Approval]) -> String {
    let one = |approval: &Approval| {
        let names: Vec<String> = approval.one_of.iter().map(ToString::to_string).collect();
        names.join("|")
    };
    approvals.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_change_asks_the_owners_that_it_concerns() {
    const GRANTS: &str = "{ billing = [\"read\"], fleet = [\"read\"] }";
    let all = "{ billing = [\"read\", \"release\"], fleet = [\"read\"] }";
    let fewer = "{ billing = [\"read\"] }";
    let ledger = "[client.ledger]\n";
    for (replaced, expected) in [
        (vec![], ""),
        // A scope that needs a second owner, and none that only the client's owner could give.
        (vec![(GRANTS, all)], "b risk"),
        (vec![(GRANTS, fewer)], "f|l"),
        (
            vec![(
                "grants = { free = [] }",
                "grants = { free = [], fleet = [\"read\"] }\ndefault_resource = \"free\"",
            )],
            "f",
        ),
        (vec![(ledger, "[client.ledger]\ndisabled = true\n")], "l"),
        (
            vec![(ledger, "[client.ledger]\nexpires = 2030-01-01\n")],
            "l",
        ),
        (
            vec![(ledger, "[client.ledger]\ntoken_lifetime = \"5m\"\n")],
            "l",
        ),
        (vec![(ledger, "[client.ledger]\nname = \"L\"\n")], "l"),
        // Claims are access: each API that reads them is asked.
        (
            vec![(ledger, "[client.ledger]\nclaims = { x = 1 }\n")],
            "b f l",
        ),
        (vec![("owner = \"l\"", "owner = \"m\"")], "l m"),
        (vec![("owner = \"b\"\n", "owner = \"m\"\n")], "b m"),
        (
            vec![(
                "owner = \"b\"\n",
                "owner = \"b\"\ntoken_lifetime = \"20m\"\n",
            )],
            "b",
        ),
        (
            vec![("owner = \"b\"\n", "owner = \"b\"\nclaims = { x = 1 }\n")],
            "b",
        ),
        (
            vec![("read = \"Read\", release", "read = \"Reads\", release")],
            "b",
        ),
        // What nobody owns is the policy owner's.
        (
            vec![(
                "identifier = \"urn:free\"",
                "identifier = \"urn:free\"\ntoken_lifetime = \"20m\"",
            )],
            "p",
        ),
        (
            vec![("[client.stray]\n", "[client.stray]\nowner = \"s\"\n")],
            "p s",
        ),
        (
            vec![(
                "owner = \"p\"",
                "owner = \"p\"\nmax_token_lifetime = \"2h\"",
            )],
            "p",
        ),
        (vec![("owner = \"p\"", "owner = \"q\"")], "p q"),
        // Who changes an owner and uses it at once is judged by the one before.
        (
            vec![("owner = \"b\"\n", "owner = \"l\"\n"), (GRANTS, all)],
            "b l risk",
        ),
        (
            vec![("owner = \"risk\"", "owner = \"x\""), (GRANTS, all)],
            "b p risk",
        ),
        (vec![("[client.stray]\ngrants = { free = [] }\n", "")], "p"),
    ] {
        assert_eq!(of(&replaced), expected, "{replaced:?}");
    }
}

#[test]
fn what_is_lost_is_told_by_its_scopes() {
    const ALL: &str = "billing = [\"read\", \"release\"], fleet = [\"read\"]";
    let of = |grants: &str| {
        let now = "billing = [\"read\"], fleet = [\"read\"]";
        registry(&BASE.replace(now, grants), POLICY)
    };
    for (grants, expected) in [
        (
            "billing = [\"read\"], fleet = [\"read\"]",
            "client ledger loses release on billing",
        ),
        (
            "billing = [\"read\", \"release\"]",
            "client ledger loses access to fleet",
        ),
    ] {
        let approvals = asked(&of(ALL), &of(grants));
        let reasons = approvals.iter().flat_map(|it| &it.reasons);
        let told: Vec<String> = reasons.map(|it| it.text.to_string()).collect();
        assert_eq!(told, [expected]);
    }
}

#[test]
fn what_is_new_asks_its_own_owner_and_those_of_what_it_gains_on() {
    let new = "[client.stray]\n";
    let client =
        "[client.n]\nowner = \"n\"\ngrants = { billing = [\"release\"] }\n[client.stray]\n";
    assert_eq!(of(&[(new, client)]), "b n risk");
    let resource = "[resource.n]\nidentifier = \"urn:n\"\nowner = \"n\"\n[client.stray]\n";
    assert_eq!(of(&[(new, resource)]), "n");
    let both = "[resource.n]\nidentifier = \"urn:n\"\nowner = \"n\"\n\
                [client.n]\nowner = \"m\"\ngrants = { n = [] }\n[client.stray]\n";
    assert_eq!(of(&[(new, both)]), "m n");
    let nobodys = "[client.n]\ngrants = { free = [] }\n[client.stray]\n";
    assert_eq!(of(&[(new, nobodys)]), "p");
}

/// Tokens are good by their audience, whatever the resource is called here.
#[test]
fn an_audience_under_another_name_asks_its_owner() {
    let mallory = "[resource.mine]\nidentifier = \"urn:billing\"\nowner = \"m\"\n\
                   scopes = { release = \"x\" }\n[client.m]\nowner = \"m\"\ngrants = { mine = [\"release\"] }\n\
                   [client.stray]\n";
    let moved = of(&[
        ("identifier = \"urn:billing\"", "identifier = \"urn:old\""),
        ("[client.stray]\n", mallory),
    ]);
    assert_eq!(moved, "b m risk");
    // Two that change places: both owners.
    let swapped = of(&[
        ("urn:billing", "urn:tmp"),
        ("urn:fleet", "urn:billing"),
        ("urn:tmp", "urn:fleet"),
    ]);
    assert_eq!(swapped, "b f");
}

#[test]
fn where_nobody_is_named_nobody_can_approve() {
    let without = "[policy]\n";
    let old = registry(BASE, without);
    let text = BASE.replace("[client.stray]\n", "[client.stray]\ndisabled = true\n");
    let approvals = asked(&old, &registry(&text, without));
    assert_eq!(names(&approvals), "nobody is named");
    let everybody: Vec<Owner> = ["b", "f", "l", "p"]
        .iter()
        .map(|name| Owner::parse(name).unwrap())
        .collect();
    assert!(approvals.iter().all(|it| !it.is_given(&everybody)));
    // Naming the first owner of the policy is for somebody outside of the registry to approve.
    let first = asked(&old, &registry(BASE, "[policy]\nowner = \"m\"\n"));
    assert_eq!(names(&first), "m nobody is named");
}
