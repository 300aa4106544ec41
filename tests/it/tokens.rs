//! The access token and the answer round it: lines 54 to 59 and 62 to 65 of the security checklist.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::{BILLING, FLEET, Grantd, PLAIN, Registry, events_of, secret, shared, verify};

/// How far the clocks of one machine may seem to differ: a request may begin and end in two seconds.
const SECOND: u64 = 1;

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test]
async fn checklist_54_the_token_is_that_of_rfc_9068() {
    let grantd = shared();
    let before = now();
    let answer = grantd
        .ask()
        .of("writer")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let token = verify(&grantd, &answer).await;
    let header: BTreeSet<_> = token.header.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        header,
        BTreeSet::from(["alg", "kid", "typ"].map(String::from))
    );
    assert_eq!(token.header["typ"], "at+jwt");
    assert_eq!(token.header["alg"], "ES256", "the default");
    let claims: BTreeSet<_> = token.claims.as_object().unwrap().keys().cloned().collect();
    let expected = [
        "aud",
        "client_id",
        "exp",
        "iat",
        "iss",
        "jti",
        "scope",
        "sub",
    ];
    assert_eq!(claims, BTreeSet::from(expected.map(String::from)));
    assert_eq!(token.text("iss"), grantd.ready.issuer);
    assert_eq!(token.text("aud"), BILLING, "a string, not an array");
    assert_eq!(token.text("scope"), "invoice:read invoice:write");
    assert!(token.seconds("iat") + SECOND >= before && token.seconds("iat") <= now() + SECOND);
    assert_eq!(token.seconds("exp") - token.seconds("iat"), 15 * 60);
}

#[tokio::test]
async fn checklist_54_a_token_without_scopes_has_no_empty_scope() {
    let grantd = shared();
    let answer = grantd
        .ask()
        .of("minimal")
        .resource(PLAIN)
        .send()
        .await
        .granted();
    let token = verify(&grantd, &answer).await;
    assert!(
        token.claims.get("scope").is_none_or(|scope| scope != ""),
        "{:?}",
        token.claims
    );
}

#[tokio::test]
async fn checklist_55_the_subject_is_the_client() {
    let grantd = shared();
    let answer = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let token = verify(&grantd, &answer).await;
    assert_eq!(
        (token.text("sub"), token.text("client_id")),
        ("reader", "reader")
    );
}

#[tokio::test]
async fn checklist_56_each_token_has_an_id_of_its_own() {
    let grantd = shared();
    let mut ids = BTreeSet::new();
    for _ in 0..50 {
        let answer = grantd
            .ask()
            .of("reader")
            .resource(BILLING)
            .send()
            .await
            .granted();
        let token = verify(&grantd, &answer).await;
        let id = token.text("jti").to_owned();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "128 bits: {id}"
        );
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn checklist_57_a_token_lives_no_longer_than_its_resource_says() {
    let grantd = shared();
    let answer = grantd
        .ask()
        .of("roamer")
        .resource(FLEET)
        .send()
        .await
        .granted();
    let token = verify(&grantd, &answer).await;
    assert_eq!(token.seconds("exp") - token.seconds("iat"), 5 * 60);
    assert_eq!(answer.json()["expires_in"], 5 * 60);
}

#[tokio::test]
async fn checklist_57_a_token_does_not_outlive_its_client_or_its_secret() {
    let end = now() + 120;
    let moment = jiff::Timestamp::from_second(i64::try_from(end).unwrap()).unwrap();
    let leaving = format!(
        r#"
[client.leaving]
name = "Leaves soon"
owner = "team-fleet"
expires = {moment}

[client.leaving.grants]
billing = ["invoice:read"]

[[client.leaving.secret]]
hash = "@leaving.1"
created = 2026-01-01

[client.changing]
name = "Changes its secret"
owner = "team-fleet"

[client.changing.grants]
billing = ["invoice:read"]

[[client.changing.secret]]
hash = "@changing.1"
created = 2026-01-01
expires = {moment}
"#
    );
    let grantd = Grantd::dev()
        .registry(Registry::company().file("leaving.toml", &leaving))
        .start();
    for client in ["leaving", "changing"] {
        let answer = grantd
            .ask()
            .of(client)
            .resource(BILLING)
            .send()
            .await
            .granted();
        let token = verify(&grantd, &answer).await;
        assert_eq!(token.seconds("exp"), end, "{client}");
        assert_eq!(
            answer.json()["expires_in"],
            end - token.seconds("iat"),
            "{client}"
        );
    }
}

#[tokio::test]
async fn each_algorithm_signs_what_its_resource_asks_for() {
    let mut registry = Registry::company();
    let algorithms = ["ES256", "ES384", "EdDSA", "RS256", "PS256"];
    for algorithm in algorithms {
        let name = algorithm.to_lowercase();
        let text = format!(
            "[resource.{name}]\nidentifier = \"urn:example:{name}\"\nname = \"Signed with {algorithm}\"\n\
             owner = \"team-fleet\"\nalgorithm = \"{algorithm}\"\n\
             [client.uses-{name}]\nname = \"Uses {algorithm}\"\nowner = \"team-fleet\"\n\
             grants.{name} = []\n\
             [[client.uses-{name}.secret]]\nhash = \"@uses-{name}.1\"\ncreated = 2026-01-01\n"
        );
        registry = registry.file(&format!("{name}.toml"), &text);
    }
    let grantd = Grantd::dev().registry(registry).start();
    for algorithm in algorithms {
        let client = format!("uses-{}", algorithm.to_lowercase());
        let answer = grantd.ask().of(&client).send().await.granted();
        assert_eq!(verify(&grantd, &answer).await.header["alg"], algorithm);
    }
}

#[tokio::test]
async fn a_client_may_have_a_shorter_lifetime_than_its_resource() {
    let hasty = r#"
[client.hasty]
name = "Short tokens"
owner = "team-fleet"
token_lifetime = "90s"

[client.hasty.grants]
billing = ["invoice:read"]

[[client.hasty.secret]]
hash = "@hasty.1"
created = 2026-01-01
"#;
    let grantd = Grantd::dev()
        .registry(Registry::company().file("hasty.toml", hasty))
        .start();
    let answer = grantd
        .ask()
        .of("hasty")
        .resource(BILLING)
        .send()
        .await
        .granted();
    assert_eq!(answer.json()["expires_in"], 90);
}

#[tokio::test]
async fn checklist_62_and_64_the_answer_is_that_of_rfc_6749() {
    let grantd = shared();
    for ask in [grantd.ask().of("reader"), grantd.ask().of("reader").http2()] {
        let answer = ask.resource(BILLING).send().await.granted();
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("pragma"), Some("no-cache"));
        assert_eq!(answer.text("token_type"), "Bearer");
        assert!(
            answer.json()["expires_in"].is_u64(),
            "a number, not a string"
        );
    }
    let answer = grantd.ask().send().await.refused(401, "invalid_client");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
}

#[tokio::test]
async fn checklist_63_a_refusal_repeats_nothing_that_was_sent() {
    let grantd = shared();
    let mark = "zq9-echo-zq9";
    let asks = [
        grantd.ask().with_secret(mark, mark),
        grantd.ask().of("reader").resource(mark),
        grantd.ask().of("reader").resource(BILLING).scope(mark),
        grantd.ask().without("grant_type").with("grant_type", mark),
        grantd.ask().of("reader").query(mark),
        grantd.ask().of("reader").content_type(Some(mark)),
        grantd.ask().header("authorization", mark),
    ];
    for ask in asks {
        let answer = ask.send().await;
        assert_ne!(answer.status, 200);
        assert!(!format!("{:?}{:?}", answer.headers, answer.body).contains(mark));
    }
}

#[tokio::test]
async fn checklist_65_the_token_endpoint_is_for_no_browser() {
    let grantd = shared();
    let ask = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .header("origin", "https://evil.example");
    let answer = ask.send().await.granted();
    let cors = answer
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("access-control-"));
    assert!(!cors, "{:?}", answer.headers);
    assert_eq!(answer.header("server"), None);
}

#[tokio::test]
async fn an_issued_token_is_on_disk_before_it_is_in_the_answer() {
    let grantd = shared();
    let answer = grantd
        .ask()
        .of("writer")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let token = verify(&grantd, &answer).await;
    let events = crate::support::events(&grantd.ready.state);
    let event = events
        .iter()
        .find(|event| event["data"]["jti"] == token.claims["jti"])
        .expect("promise 1: no waiting here, the record is there already");
    let data = &event["data"];
    assert_eq!(event["type"], "dev.grantd.token.issued.v1");
    assert_eq!(event["subject"], "writer");
    assert_eq!(data["client_id"], "writer");
    assert_eq!(data["auth_method"], "client_secret_post");
    assert_eq!(data["kid"], token.header["kid"]);
    assert_eq!(data["resource"], BILLING);
    assert_eq!(data["scope"], "invoice:read invoice:write");
    assert_eq!(data["request_id"], answer.request_id());
    assert!(
        data["remote"].as_str().unwrap().starts_with("127."),
        "{data}"
    );
    let line = event.to_string();
    assert!(
        !line.contains(&answer.text("access_token")),
        "never the token itself"
    );
    assert!(!line.contains(&secret("writer", 1)), "never the secret");
}

#[tokio::test]
async fn an_event_knows_why_and_never_the_secret() {
    let grantd = shared();
    let typed = secret("reader", 9);
    // A secret that was typed into the wrong field: it has the form of no client id.
    let answer = grantd
        .ask()
        .with_secret(&typed, "reader")
        .send()
        .await
        .refused(401, "invalid_client");
    let event = events_of(&grantd, &answer)[0].to_string();
    assert!(event.contains("unknown_client"), "{event}");
    assert!(!event.contains(&typed), "{event}");
    let answer = grantd
        .ask()
        .with_secret("nobody", "x")
        .send()
        .await
        .refused(401, "invalid_client");
    assert_eq!(
        events_of(&grantd, &answer)[0]["data"]["unknown_client_id"],
        "nobody"
    );
}

#[tokio::test]
async fn what_the_demo_client_was_given_works() {
    let grantd = shared();
    let ready = &grantd.ready;
    let ask = grantd
        .ask()
        .with_secret(&ready.client_id, &ready.client_secret);
    let answer = ask.resource(&ready.resource).send().await.granted();
    let token = verify(&grantd, &answer).await;
    assert_eq!(token.text("client_id"), ready.client_id);
    let scopes: BTreeSet<_> = answer.text("scope").split(' ').map(String::from).collect();
    assert_eq!(scopes, ready.scopes.iter().cloned().collect());
    assert!(ready.registry.is_dir() && ready.state.is_dir());
    assert!(Duration::from_secs(answer.json()["expires_in"].as_u64().unwrap()) > Duration::ZERO);
}
