//! The rules of `[policy]` as operators and clients meet them: in `grantd check`, at a request, in the metadata.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    BILLING, Deployment, Grantd, Registry, events_of, eventually_async, failed, grantd, repository,
    said,
};

/// Longest until a change of a file is served: 5 s where no events arrive, and a busy machine.
const SERVED: Duration = Duration::from_secs(15);

fn methods(list: &str) -> Registry {
    let text = format!("[policy]\nallowed_auth_methods = [{list}]\n");
    Registry::company().file("policy/policy.toml", &text)
}

async fn listed(grantd: &Grantd) -> serde_json::Value {
    let path = "/.well-known/oauth-authorization-server";
    let metadata = grantd.https().get(path).await.json();
    metadata["token_endpoint_auth_methods_supported"].clone()
}

#[tokio::test]
async fn a_method_that_the_policy_does_not_allow_is_refused_like_a_wrong_secret() {
    let grantd = Grantd::dev()
        .registry(methods("\"client_secret_basic\""))
        .start();
    let basic = || grantd.ask().basic("reader").resource(BILLING);
    let post = || grantd.ask().of("reader").resource(BILLING);
    basic().send().await.granted();
    let refused = post().send().await.refused(401, "invalid_client");
    let wrong = grantd
        .ask()
        .with_secret("reader", "wrong")
        .resource(BILLING)
        .send()
        .await;
    assert_eq!(refused.body, wrong.body, "it tells nothing");
    assert_eq!(
        refused.header("www-authenticate"),
        wrong.header("www-authenticate")
    );
    let event = &events_of(&grantd, &refused)[0]["data"];
    assert_eq!(event["reason"], "auth_method_not_allowed");
    assert_eq!(event["client_id"], "reader");
    assert_eq!(event["auth_method"], "client_secret_post");
    assert!(
        event["credential_id"].is_string(),
        "the secret was right: {event}"
    );
    assert_eq!(listed(&grantd).await, json!(["client_secret_basic"]));

    methods("\"client_secret_post\"").write(&grantd.registry());
    eventually_async("the other method is served", SERVED, async || {
        (post().send().await.status == 200).then_some(())
    })
    .await;
    basic().send().await.refused(401, "invalid_client");
    assert_eq!(listed(&grantd).await, json!(["client_secret_post"]));
}

#[test]
fn check_shows_what_breaks_a_rule_and_the_rule() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    let policy = "[[policy.never_together]]\n\
        grants = [\"billing/invoice:read\", \"fleet\"]\nreason = \"nobody sees both\"\n";
    Registry::empty()
        .file("policy/rules.toml", policy)
        .write(&folder);
    let path = folder.display().to_string();
    let words = failed(&grantd(&["check", &path]), 3);
    for told in [
        "client `roamer` may not have `billing/invoice:read` and `fleet` together: nobody sees both",
        "client `chooser` may not have",
        "policy/rules.toml:2:10",
        "the policy says so",
    ] {
        assert!(words.contains(told), "{told}: {words}");
    }
}

#[test]
fn a_policy_that_contradicts_itself_is_refused() {
    let folder = TempDir::new().unwrap();
    let policy = "[policy]\nmax_removed_clients = \"0%\"\nnames = { client = \"(\" }\n\
        two_owners.billing = { scopes = [\"invoice:read\"], owner = \"team-billing\" }\n";
    Registry::company()
        .file("policy/rules.toml", policy)
        .write(folder.path());
    let path = folder.path().display().to_string();
    let words = failed(&grantd(&["check", &path]), 3);
    for told in [
        "no client could ever be removed",
        "this is no regular expression: unclosed group",
        "resource `billing` has no owner besides the second one, `team-billing`",
    ] {
        assert!(words.contains(told), "{told}: {words}");
    }
}

/// Its policy forbids what the demo client may do: that one is not in the folder.
#[tokio::test]
async fn dev_serves_the_example_with_all_its_rules() {
    let path = repository("registry.d").display().to_string();
    said(&grantd(&["check", &path]));
    let mut example = Registry::empty();
    for file in [
        "policy/policy.toml",
        "billing/api.toml",
        "platform/api.toml",
        "billing/nightly-invoices.toml",
        "warehouse/api.toml",
    ] {
        let text = std::fs::read_to_string(repository("registry.d").join(file)).unwrap();
        example = example.file(file, &text);
    }
    let grantd = Grantd::dev().registry(example).start();
    let ready = &grantd.ready;
    grantd
        .ask()
        .with_secret(&ready.client_id, &ready.client_secret)
        .send()
        .await
        .granted();
}
