//! `grantd explain` and `grantd access`: what they say is what the daemon does.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    BILLING, Deployment, FLEET, Grantd, PLAIN, Registry, events_of, failed, grantd, repository,
    said, secret, verify,
};

/// Clients and a resource whose tokens differ from the company's in all that a registry may say.
const MORE: &str = r#"
[resource.ledger]
identifier = "urn:example:ledger"
token_lifetime = "40m"
algorithm = "ES256"

[resource.ledger.scopes]
post = "Post entries"

[resource.ledger.claims]
tenant = "acme"

[client.bounded]
token_lifetime = "3m"
default_resource = "ledger"

[client.bounded.grants]
billing = ["invoice:read"]
ledger = ["post"]

[client.bounded.claims]
site = { name = "hamburg", floor = 2 }

[[client.bounded.secret]]
hash = "@bounded.1"
label = "only"

[client.bare.grants]
ledger = ["post"]
"#;

/// A client, the number and the label of its secret, what it asks for.
type Case = (
    &'static str,
    u8,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
);

const CASES: [Case; 26] = [
    ("reader", 1, None, None, None),
    ("reader", 1, None, Some(BILLING), Some("invoice:read")),
    ("reader", 1, None, Some(BILLING), Some("invoice:write")),
    ("reader", 1, None, Some(FLEET), None),
    ("reader", 1, None, Some("https://nowhere.example/"), None),
    ("reader", 1, None, None, Some("invoice:read  invoice:write")),
    ("reader", 1, None, None, Some("no:such")),
    ("writer", 1, None, None, Some("invoice:write invoice:read")),
    ("writer", 1, None, None, Some("invoice:write invoice:write")),
    ("roamer", 1, None, None, None),
    ("roamer", 1, None, Some(FLEET), None),
    ("chooser", 1, None, None, None),
    ("chooser", 1, None, Some(BILLING), None),
    ("minimal", 1, None, None, None),
    ("minimal", 1, None, Some(PLAIN), Some("invoice:read")),
    ("disabled", 1, None, None, None),
    ("expired", 1, None, None, None),
    ("rotating", 1, Some("old"), None, None),
    ("rotating", 2, Some("new"), None, None),
    ("rotating", 3, Some("gone"), None, None),
    ("rotating", 4, Some("to come"), None, None),
    ("nobody", 1, None, None, None),
    ("bounded", 1, Some("only"), None, None),
    ("bounded", 1, None, Some(BILLING), None),
    ("bounded", 1, None, None, Some("post")),
    ("bare", 1, None, None, None),
];

fn explain(folder: &Path, case: &Case) -> (Option<i32>, Value) {
    let (client, _, label, resource, scope) = case;
    let folder = folder.display().to_string();
    let mut line = vec!["explain", "--format", "json", "--client", client, &folder];
    for (flag, value) in [
        ("--credential", label),
        ("--resource", resource),
        ("--scope", scope),
    ] {
        line.extend(value.iter().flat_map(|value| [flag, value]));
    }
    let output = grantd(&line);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = serde_json::from_slice(&output.stdout);
    let told = told.unwrap_or_else(|error| panic!("{line:?}: {error}: {words}"));
    (output.status.code(), told)
}

async fn compare(daemon: &Grantd, case: &Case) -> bool {
    let (client, number, _, resource, scope) = *case;
    let mut ask = daemon.ask().with_secret(client, &secret(client, number));
    if let Some(resource) = resource {
        ask = ask.resource(resource);
    }
    if let Some(scope) = scope {
        ask = ask.scope(scope);
    }
    let answer = ask.send().await;
    let (code, told) = explain(&daemon.registry(), case);
    let granted = answer.status == 200;
    assert_eq!(told["granted"], granted, "{case:?}: {told}");
    assert_eq!(code, Some(if granted { 0 } else { 3 }), "{case:?}");
    if !granted {
        let event = &events_of(daemon, &answer)[0]["data"];
        assert_eq!(told["reason"], event["reason"], "{case:?}: {told}");
        assert_eq!(told["answer"]["status"], answer.status, "{case:?}");
        assert_eq!(told["answer"]["error"], answer.text("error"), "{case:?}");
        let description = answer.text("error_description");
        assert_eq!(told["answer"]["error_description"], description, "{case:?}");
        assert_eq!(told["token"], Value::Null, "{case:?}");
        return false;
    }
    let token = verify(daemon, &answer).await;
    let told = &told["token"];
    assert_eq!(told["aud"], token.claims["aud"], "{case:?}");
    let scope = token.claims.get("scope").cloned().unwrap_or(json!(""));
    assert_eq!(told["scope"], scope, "{case:?}");
    assert_eq!(told["alg"], token.header["alg"], "{case:?}");
    let lifetime = token.claims["exp"].as_u64().unwrap() - token.claims["iat"].as_u64().unwrap();
    assert_eq!(told["expires_in"], lifetime, "{case:?}");
    assert_eq!(told["bounds"][0]["seconds"], lifetime, "{case:?}");
    // Every claim is either explained or of RFC 9068.
    let known = [
        "iss",
        "sub",
        "aud",
        "client_id",
        "scope",
        "iat",
        "exp",
        "jti",
    ];
    let mut extra = token.claims.as_object().unwrap().clone();
    extra.retain(|name, _| !known.contains(&name.as_str()));
    assert_eq!(told["claims"], Value::Object(extra), "{case:?}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_the_daemon_does() {
    let deployment = Deployment::new();
    Registry::empty()
        .file("more.toml", MORE)
        .write(&deployment.path("registry.d"));
    let daemon = deployment.serve_alone();
    let mut granted = 0;
    for case in &CASES {
        granted += usize::from(compare(&daemon, case).await);
    }
    assert!((10..CASES.len() - 9).contains(&granted), "{granted}");
}

/// A folder with the company and more, and its path.
fn company() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let registry = Registry::company().file("more.toml", MORE);
    registry.write(folder.path());
    let path = folder.path().display().to_string();
    (folder, path)
}

#[test]
fn people_see_the_verdict_first_and_every_rule() {
    let (_folder, path) = company();
    let output = grantd(&[
        "explain",
        "--client",
        "bounded",
        "--resource",
        "ledger",
        &path,
    ]);
    let text = said(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "result: granted", "{text}");
    assert_eq!(lines[1], "");
    for words in [
        "pass  client      bounded: \"bounded\"",
        "pass  credential  secret:",
        "pass  active      enabled, without an end",
        "pass  resource    ledger: urn:example:ledger",
        "pass  scope       none is named: all that it has there, post",
        "lifetime          3m, by the client's token_lifetime",
        "                  the resource's token_lifetime would allow 40m",
        "                  the policy's max_token_lifetime would allow 1h",
        "tenant            \"acme\"",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(words)),
            "{words}: {text}"
        );
    }
    let wrong = ["--scope", "invoice:wirte", "--client", "reader"];
    let output = grantd(&[&["explain"], &wrong[..], &[&path]].concat());
    failed(&output, 3);
    let text = String::from_utf8(output.stdout).unwrap();
    let first = "result: REFUSED, scope_not_granted: the client gets 400 invalid_scope";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("did you mean `invoice:write`?"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour into a pipe: {text}");
}

#[test]
fn a_moment_may_be_named() {
    let (_folder, path) = company();
    let at = |client, when: &str| {
        let output = grantd(&["explain", "--client", client, "--at", when, &path]);
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        (output.status.code(), text)
    };
    // `expires = 2026-01-31` holds until the end of that day.
    assert_eq!(at("expired", "2026-01-31T23:59:59Z").0, Some(0));
    let (code, text) = at("expired", "2026-02-01");
    assert_eq!(code, Some(3));
    assert!(
        text.contains("FAIL  active      it expired at 2026-02-01T00:00:00Z"),
        "{text}"
    );
    let (code, text) = at("rotating", "2999-01-01");
    assert_eq!(code, Some(0));
    let row = |words: &str| text.lines().any(|line| line.contains(words));
    assert!(
        row("gone     expired  until 2026-02-02T00:00:00Z"),
        "{text}"
    );
    assert!(row("to come  usable   from 2999-01-01T00:00:00Z"), "{text}");
    let words = failed(
        &grantd(&["explain", "--client", "x", "--at", "soon", &path]),
        2,
    );
    assert!(words.contains("write a date"), "{words}");
}

#[test]
fn what_can_not_be_read_is_a_failure_and_what_is_refused_is_shown() {
    let (folder, path) = company();
    let gone = format!("{path}/gone");
    for command in [
        &["explain", "--client", "reader"][..],
        &["access", "--client", "reader"],
    ] {
        let words = failed(&grantd(&[command, &[&gone]].concat()), 1);
        assert!(words.contains("does not exist"), "{words}");
    }
    let line = [
        "explain",
        "--client",
        "reader",
        "--credential",
        "spare",
        &path,
    ];
    let words = failed(&grantd(&line), 1);
    assert!(words.contains("has no secret \"spare\""), "{words}");
    for (line, advice) in [
        (
            ["access", "--client", "raeder", &path],
            "did you mean `reader`?",
        ),
        (
            ["access", "--resource", "biling", &path],
            "did you mean `billing`?",
        ),
    ] {
        let words = failed(&grantd(&line), 1);
        assert!(words.contains(advice), "{words}");
    }
    let line = [
        "access",
        "--resource",
        "billing",
        "--scope",
        "invoice:raed",
        &path,
    ];
    let words = failed(&grantd(&line), 1);
    assert!(words.contains("did you mean `invoice:read`?"), "{words}");
    failed(&grantd(&["access", &path]), 2);
    failed(
        &grantd(&["access", "--client", "a", "--resource", "b", &path]),
        2,
    );
    std::fs::write(folder.path().join("bad.toml"), "[client.x]\nnmae = 1\n").unwrap();
    for command in [
        &["explain", "--client", "reader"][..],
        &["access", "--client", "reader"],
    ] {
        let words = failed(&grantd(&[command, &[&path]].concat()), 3);
        assert!(words.contains("bad.toml:2:1"), "{words}");
    }
}

#[test]
fn access_lists_the_clients_of_a_resource() {
    let (_folder, path) = company();
    let line = ["access", "--resource", BILLING, "--at", "2026-07-01", &path];
    let output = grantd(&line);
    let text = said(&output);
    let expected = "\
CLIENT    STATE     SECRETS                 OWNER         SCOPES
bounded   active    1 of 1, without an end  -             invoice:read
chooser   active    1 of 1, without an end  team-fleet    invoice:read
disabled  disabled  1 of 1, without an end  team-fleet    invoice:read
expired   expired   1 of 1, without an end  team-fleet    invoice:read
reader    active    1 of 1, without an end  team-billing  invoice:read
roamer    active    1 of 1, without an end  team-fleet    invoice:read
rotating  active    2 of 4, without an end  team-fleet    invoice:read
writer    active    1 of 1, without an end  team-billing  invoice:read invoice:write
";
    assert_eq!(text, expected);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("of team-billing: 8 clients"), "{words}");

    let writes = ["--scope", "invoice:write", "--format", "json", &path];
    let told = said(&grantd(
        &[&["access", "--resource", "billing"], &writes[..]].concat(),
    ));
    let told: Value = serde_json::from_str(&told).unwrap();
    let clients = told["resource"]["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 1, "{told}");
    assert_eq!(clients[0]["client"], "writer");
    assert_eq!(
        clients[0]["scopes"],
        json!(["invoice:read", "invoice:write"])
    );
    assert_eq!(
        clients[0]["secrets"],
        json!({"count": 1, "usable": 1, "usable_until": null})
    );
    assert_eq!(told["resource"]["identifier"], BILLING);
}

#[test]
fn access_lists_the_resources_of_a_client() {
    let (_folder, path) = company();
    let text = said(&grantd(&["access", "--client", "chooser", &path]));
    let expected = "\
RESOURCE         STATE   SECRETS                 OWNER         SCOPES
billing          active  1 of 1, without an end  team-billing  invoice:read
fleet (default)  active  1 of 1, without an end  team-fleet    vehicle:read
";
    assert_eq!(text, expected);
    let told = said(&grantd(&[
        "access", "--client", "bare", "--format", "json", &path,
    ]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["client"]["state"], "no-secret", "{told}");
    assert_eq!(told["client"]["resources"][0]["default"], true, "{told}");
}

/// What is listed is what `explain` grants, client by client.
#[test]
fn access_and_explain_agree_on_the_example() {
    let folder = repository("registry.d").display().to_string();
    let told = said(&grantd(&[
        "access",
        "--resource",
        "billing",
        "--format",
        "json",
        &folder,
    ]));
    let told: Value = serde_json::from_str(&told).unwrap();
    let clients = told["resource"]["clients"].as_array().unwrap();
    assert!(clients.len() >= 3, "{told}");
    for client in clients {
        let id = client["client"].as_str().unwrap();
        let line = [
            "explain",
            "--client",
            id,
            "--resource",
            "billing",
            "--format",
            "json",
            &folder,
        ];
        let explained = grantd(&line);
        let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
        let active = client["state"] == "active";
        assert_eq!(explained["granted"], active, "{id}: {explained}");
        if active {
            let scopes = explained["token"]["scope"].as_str().unwrap();
            let scopes: Vec<&str> = scopes.split(' ').collect();
            assert_eq!(client["scopes"], json!(scopes), "{id}");
        }
    }
}

#[test]
fn a_hundred_thousand_clients_are_listed_in_order() {
    let folder = TempDir::new().unwrap();
    let api = "[resource.api]\nidentifier = \"urn:x\"\n\n[resource.api.scopes]\nread = \"Read\"\n";
    std::fs::write(folder.path().join("api.toml"), api).unwrap();
    for file in 0..100 {
        let mut text = String::new();
        for client in 0..1000 {
            let id = file * 1000 + client;
            writeln!(text, "[client.c{id:06}.grants]\napi = [\"read\"]").unwrap();
        }
        std::fs::write(folder.path().join(format!("{file}.toml")), text).unwrap();
    }
    let path = folder.path().display().to_string();
    let text = said(&grantd(&["access", "--resource", "api", &path]));
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(rows.len(), 100_000);
    assert!(rows.is_sorted());
    assert_eq!(rows[99_999], "c099999  no-secret  0 of 0   -      read");
}
