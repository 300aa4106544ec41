//! What is held back, and that nothing else is.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;

use super::*;
use crate::registry::check::{Definitions, Rules, check};
use crate::registry::snapshot::Policy;
use crate::registry::source::Source;

/// The registry of this text.
fn registry(text: &str) -> Snapshot {
    let source = Arc::new(Source::new("policy/all.toml", text.as_bytes().to_vec()));
    let file = Arc::new(Definitions::of(source));
    match check(&[file], &Rules::default()) {
        Ok(checked) => checked.snapshot,
        Err(problems) => panic!("{problems:#?}\n{text}"),
    }
}

const API: &str = r#"
[resource.billing]
identifier = "urn:example:billing"
owner = "team-billing"
[resource.billing.scopes]
create = "Create payments"
release = "Release payments"
"#;

/// A registry with these clients, each disabled or not, and this policy.
fn clients(clients: &[(&str, bool)], policy: &str) -> Snapshot {
    let mut text = format!("{API}\n[policy]\n{policy}\n");
    for (name, disabled) in clients {
        let grants = "grants = { billing = [\"create\"] }";
        writeln!(text, "[client.{name}]\ndisabled = {disabled}\n{grants}").unwrap();
    }
    registry(&text)
}

const FOUR: [(&str, bool); 5] = [
    ("a", false),
    ("b", false),
    ("c", false),
    ("d", false),
    ("off", true),
];

fn gone(held: &Held) -> Vec<(&str, Leaving)> {
    held.reasons
        .iter()
        .flat_map(|reason| match reason {
            Reason::Removal { gone, .. } => gone.as_slice(),
            Reason::OldPolicy(_) => &[],
        })
        .map(|it| (it.client.as_str(), it.how))
        .collect()
}

#[test]
fn more_removals_than_the_limit_are_held() {
    let old = clients(&FOUR, "max_removed_clients = 1");
    let one_gone = clients(
        &[("b", false), ("c", false), ("d", false)],
        "max_removed_clients = 1",
    );
    assert_eq!(
        hold(&old, &one_gone),
        None,
        "one may go, and who was disabled is none"
    );
    let two_gone = clients(
        &[("b", true), ("c", false), ("d", false)],
        "max_removed_clients = 1",
    );
    let held = hold(&old, &two_gone).unwrap();
    assert_eq!(
        gone(&held),
        [("a", Leaving::Removed), ("b", Leaving::Disabled)]
    );
    assert_eq!(
        held.to_string(),
        "2 of 4 enabled clients would go away (1 removed, 1 disabled), where the policy allows 1 at once (max_removed_clients = 1): a, b"
    );
    let back = hold(&two_gone, &old);
    assert_eq!(back, None, "who comes back is not held");
}

#[test]
fn the_stricter_of_two_policies_judges() {
    let none = "";
    let strict = "max_removed_clients = 1";
    let loose = "max_removed_clients = \"100%\"";
    let rest = [("c", false), ("d", false)];
    for (before, after, judge) in [
        (none, none, None),
        (none, loose, None),
        (loose, loose, None),
        (loose, none, None),
        (strict, none, Some(Judge::Old)),
        (strict, loose, Some(Judge::Old)),
        (strict, strict, Some(Judge::New)),
        (none, strict, Some(Judge::New)),
        (loose, strict, Some(Judge::New)),
    ] {
        let held = hold(&clients(&FOUR, before), &clients(&rest, after));
        let found = held.as_ref().map(|held| match &held.reasons[..] {
            [
                Reason::Removal {
                    judge,
                    allowed: 1,
                    enabled: 4,
                    ..
                },
            ] => *judge,
            other => panic!("{other:?}"),
        });
        assert_eq!(found, judge, "{before:?} to {after:?}");
    }
}

#[test]
fn a_share_is_of_the_clients_that_were_enabled() {
    let many: Vec<String> = (0..40).map(|at| format!("c{at}")).collect();
    let named = |count: usize| -> Vec<(&str, bool)> {
        let names = many.iter().skip(count).map(|name| (name.as_str(), false));
        names.collect()
    };
    let policy = "max_removed_clients = \"5%\"";
    let old = clients(&named(0), policy);
    assert_eq!(hold(&old, &clients(&named(2), policy)), None);
    let held = hold(&old, &clients(&named(3), policy)).unwrap();
    assert_eq!(gone(&held).len(), 3);
    let all = hold(&old, &clients(&[], policy)).unwrap().to_string();
    assert!(all.ends_with(", c16, c17, and 30 more"), "{all}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_rule_that_is_loosened_and_used_at_once_is_held() {
    let client = |lines: &str, grants: &str| {
        format!("[client.ledger]\n{lines}\ngrants = {{ billing = [{grants}] }}\n")
    };
    let good = client("owner = \"team-ledger\"", "\"create\"");
    let secret = "[[client.ledger.secret]]\n\
         hash = \"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n";
    let together = "[[policy.never_together]]\n\
         grants = [\"billing/create\", \"billing/release\"]\nreason = \"one person, one step\"\n";
    for (rule, after, words) in [
        (
            "max_token_lifetime = \"20m\"",
            client(
                "owner = \"team-ledger\"\ntoken_lifetime = \"30m\"",
                "\"create\"",
            ),
            "tokens of client `ledger` live 30m: at most 20m are allowed",
        ),
        (
            "require_owner = true",
            client("", "\"create\""),
            "client `ledger` has no owner",
        ),
        (
            "required_fields = { client = [\"owner\"] }",
            client("", "\"create\""),
            "client `ledger` has no `owner`",
        ),
        (
            "names = { owner = \"team-[a-z]+\" }",
            client("owner = \"someone\"", "\"create\""),
            "the owner `someone` of client `ledger` does not have the form `team-[a-z]+`",
        ),
        (
            "names = { client = \"[a-z]+\" }",
            format!("{good}[client.a1]\ngrants = {{ billing = [\"create\"] }}"),
            "the name of client `a1` does not have the form `[a-z]+`",
        ),
        (
            "max_secret_lifetime = \"10d\"",
            format!("{good}{secret}created = 2026-01-01\nexpires = 2026-01-12"),
            "secret:AAAAAAAAAAAA of client `ledger` lives 11d: at most 10d are allowed",
        ),
        (
            "max_secret_lifetime = \"10d\"",
            format!("{good}{secret}"),
            "secret:AAAAAAAAAAAA of client `ledger` has no life of at most 10d: it lacks `created` \
             or `expires`",
        ),
        (
            "required_fields = { secret = [\"label\"] }",
            format!("{good}{secret}"),
            "secret:AAAAAAAAAAAA of client `ledger` has no `label`",
        ),
        (
            together,
            client("owner = \"team-ledger\"", "\"create\", \"release\""),
            "client `ledger` may not have `billing/create` and `billing/release` together: one \
             person, one step",
        ),
    ] {
        let old = registry(&format!("{API}[policy]\n{rule}\n{good}"));
        let kept = registry(&format!("{API}[policy]\n{good}"));
        assert_eq!(hold(&old, &kept), None, "loosened, not used: {rule}");
        let new = registry(&format!("{API}[policy]\n{after}"));
        let held = hold(&old, &new).unwrap_or_else(|| panic!("{rule}"));
        let [Reason::OldPolicy(broken)] = &held.reasons[..] else {
            panic!("{held:?}");
        };
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert_eq!(broken[0].to_string(), words);
        assert!(rule.contains(broken[0].broken.rule()), "{rule}");
        assert!(held.to_string().contains(words), "{held}");
    }
}

#[test]
fn a_second_owner_stays_another_one() {
    let rule = "[policy.two_owners.billing]\nscopes = [\"release\"]\nowner = \"team-risk\"\n";
    let old = registry(&format!("{API}[policy]\n{rule}"));
    let taken = API.replace("team-billing", "team-risk");
    let new = registry(&format!("{taken}[policy]\n"));
    let held = hold(&old, &new).unwrap();
    assert_eq!(
        held.to_string(),
        "against the policy before the change: resource `billing` has no owner besides the second \
         one, `team-risk` (two_owners)"
    );
    let nobody = API.replace("owner = \"team-billing\"\n", "");
    assert!(hold(&old, &registry(&nobody)).is_some());
    let unguarded = taken.replace("release = \"Release payments\"\n", "");
    assert_eq!(hold(&old, &registry(&unguarded)), None, "the scope is gone");
}

#[test]
fn violations_name_the_object_and_come_in_order() {
    let snapshot = registry(
        "[resource.r2]\nidentifier = \"urn:r2\"\n[resource.r1]\nidentifier = \"urn:r1\"\n\
         scopes = { s = \"S\" }\n[client.c]\ngrants = { r1 = [\"s\"] }\n",
    );
    let policy = registry(
        "[policy]\nmax_token_lifetime = \"1m\"\nrequire_owner = true\n\
         names = { scope = \"[a-z]:[a-z]\", resource = \"r1\" }\n\
         required_fields = { client = [\"expires\", \"secret\", \"name\"], resource = [\"scopes\"] }\n\
         [resource.r1]\nidentifier = \"urn:r1\"\nowner = \"o\"\nscopes = { \"s:s\" = \"S\" }\n",
    )
    .policy;
    let told: Vec<String> = violations(&policy, &snapshot)
        .iter()
        .map(|it| format!("{}: {}", it.broken.rule(), it.object))
        .collect();
    assert_eq!(
        told,
        [
            "max_token_lifetime: resource `r1`",
            "require_owner: resource `r1`",
            "max_token_lifetime: resource `r2`",
            "require_owner: resource `r2`",
            "required_fields: resource `r2`",
            "names: resource `r2`",
            "names: scope `s` of resource `r1`",
            "require_owner: client `c`",
            "required_fields: client `c`",
            "required_fields: client `c`",
            "required_fields: client `c`",
        ]
    );
}

/// Clients by a letter: `None` is not there, else whether it is disabled.
type States = BTreeMap<char, bool>;

fn states() -> impl Strategy<Value = States> {
    btree_map(prop::char::range('a', 'h'), any::<bool>(), 0..8)
}

fn of(states: &States, policy: &str, noise: &str) -> Snapshot {
    let names: Vec<String> = states.keys().map(char::to_string).collect();
    let list: Vec<(&str, bool)> = names
        .iter()
        .map(String::as_str)
        .zip(states.values().copied())
        .collect();
    let mut snapshot = clients(&list, policy);
    if !noise.is_empty() {
        let more = registry(&format!(
            "{API}\n[resource.{noise}]\nidentifier = \"urn:{noise}\"\n"
        ));
        snapshot.resources.extend(more.resources);
    }
    snapshot
}

fn leaving(old: &States, new: &States) -> Vec<(char, Leaving)> {
    let enabled = old.iter().filter(|(_, disabled)| !**disabled);
    enabled
        .filter_map(|(name, _)| match new.get(name) {
            None => Some((*name, Leaving::Removed)),
            Some(true) => Some((*name, Leaving::Disabled)),
            Some(false) => None,
        })
        .collect()
}

proptest! {
    #[test]
    fn held_is_what_takes_more_than_the_limit(
        old in states(), new in states(), limit in 1..5_usize,
    ) {
        let policy = format!("max_removed_clients = {limit}");
        let held = hold(&of(&old, &policy, ""), &of(&new, &policy, ""));
        let leaving = leaving(&old, &new);
        prop_assert_eq!(held.is_some(), leaving.len() > limit);
        if let Some(held) = held {
            let told: Vec<_> = gone(&held)
                .into_iter()
                .map(|(name, how)| (name.chars().next().unwrap(), how))
                .collect();
            prop_assert_eq!(told, leaving);
        }
    }

    /// Neither what else the commit does nor the limit itself is in the hash.
    #[test]
    fn the_hash_is_of_what_goes_away(
        old in states(), new in states(), more in btree_set(prop::char::range('p', 'z'), 0..4),
        first in 1..3_usize, second in 1..3_usize,
    ) {
        let limit = |most: usize| format!("max_removed_clients = {most}");
        let plain = hold(&of(&old, &limit(first), ""), &of(&new, &limit(first), ""));
        // Others come, and one that was disabled goes.
        let mut grown = new.clone();
        grown.extend(more.into_iter().map(|name| (name, false)));
        grown.retain(|name, _| old.get(name) != Some(&true));
        let other = hold(&of(&old, &limit(second), "fleet"), &of(&grown, &limit(second), "stock"));
        if let (Some(plain), Some(other)) = (plain, other) {
            prop_assert_eq!(plain.hash, other.hash);
        }
    }

    #[test]
    fn other_removals_have_another_hash(old in states(), one in states(), two in states()) {
        let policy = "max_removed_clients = 1";
        let old_snapshot = of(&old, policy, "");
        let held = |new: &States| hold(&old_snapshot, &of(new, policy, ""));
        if let (Some(first), Some(second)) = (held(&one), held(&two)) {
            let same = leaving(&old, &one) == leaving(&old, &two);
            prop_assert_eq!(first.hash == second.hash, same);
        }
    }

    #[test]
    fn nothing_is_held_where_nothing_goes_and_the_policy_stays(
        old in states(), added in states(), policy in prop::sample::select(POLICIES),
    ) {
        let mut new = added;
        new.extend(old.clone());
        prop_assert_eq!(hold(&of(&old, policy, ""), &of(&new, policy, "stock")), None);
        let snapshot = of(&new, policy, "");
        prop_assert_eq!(violations(&snapshot.policy, &snapshot), []);
    }
}

const POLICIES: &[&str] = &[
    "",
    "max_removed_clients = 1",
    "max_removed_clients = \"1%\"",
    "names = { client = \"[a-z]\", scope = \"[a-z]+\" }\nmax_token_lifetime = \"15m\"",
    "two_owners.billing = { scopes = [\"release\"], owner = \"team-risk\" }",
    "never_together = [{ grants = [\"billing/create\", \"billing/release\"] }]",
];

#[test]
fn no_rule_is_no_violation() {
    let snapshot = clients(&FOUR, "");
    let lenient = Policy::of_lifetime(crate::domain::Lifetime::from_days(30));
    assert_eq!(violations(&lenient, &snapshot), []);
}
