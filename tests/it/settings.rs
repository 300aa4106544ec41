//! `grantd serve` and its `grantd.toml`: what is set holds, and what would break a promise is refused
//! with the reason.

use std::path::Path;

use crate::support::{BILLING, Grantd, verify};

/// What the daemon said when it refused to start, with code 1.
#[track_caller]
fn refused(output: &std::process::Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(output.stdout.is_empty());
    words
}

#[tokio::test]
async fn it_serves_what_its_settings_say() {
    let mut grantd = Grantd::serve()
        .setting("limits.body_size = \"1KiB\"")
        .start();
    let answer = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    assert_eq!(
        verify(&grantd, &answer).await.text("iss"),
        "https://auth.test"
    );
    let body = "a".repeat(1025);
    grantd
        .ask()
        .body(body)
        .send()
        .await
        .refused(413, "invalid_request");
    assert!(grantd.stop().success());
}

#[tokio::test]
async fn checklist_60_an_issuer_with_a_path_has_its_documents_where_rfc_8414_says() {
    let grantd = Grantd::serve().issuer("https://auth.test/tenant").start();
    let metadata = grantd
        .https()
        .get("/.well-known/oauth-authorization-server/tenant")
        .await;
    assert_eq!(metadata.status, 200);
    assert_eq!(metadata.json()["issuer"], "https://auth.test/tenant");
    let openid = grantd
        .https()
        .get("/tenant/.well-known/openid-configuration")
        .await;
    assert_eq!(openid.json(), metadata.json());
    let endpoint = metadata.text("token_endpoint");
    assert_eq!(endpoint, "https://auth.test/tenant/oauth2/token");
    let answer = grantd
        .ask()
        .path(&endpoint)
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    assert_eq!(
        verify(&grantd, &answer).await.text("iss"),
        "https://auth.test/tenant"
    );
    for elsewhere in ["/oauth2/token", "/.well-known/oauth-authorization-server"] {
        assert_eq!(
            grantd.https().get(elsewhere).await.status,
            404,
            "{elsewhere}"
        );
    }
}

#[test]
fn a_setting_that_does_not_exist_is_named() {
    let words = refused(
        &Grantd::serve()
            .setting("limits.body_sise = \"1KiB\"")
            .refuse(),
    );
    assert!(words.contains("body_sise"), "{words}");
}

#[test]
fn all_wrong_values_are_named_at_once() {
    let serve = Grantd::serve()
        .issuer("http://auth.test")
        .setting("limits.body_size = \"much\"")
        .setting("limits.request_time = \"0s\"");
    let words = refused(&serve.refuse());
    for name in ["issuer", "body_size", "request_time"] {
        assert!(words.contains(name), "{name} is not in: {words}");
    }
}

#[test]
fn settings_that_break_promise_3_are_refused_with_the_arithmetic() {
    let serve = Grantd::serve()
        .setting("keys.verifier_cache_max = \"24h\"")
        .setting("keys.publish_lead = \"1h\"");
    let words = refused(&serve.refuse());
    assert!(
        words.contains("publish_lead") && words.contains("verifier_cache_max"),
        "{words}"
    );
}

#[test]
fn an_empty_folder_of_keys_may_be_a_lost_disk() {
    let serve = Grantd::serve().prepare(|state: &Path| {
        std::fs::remove_dir_all(state.join("keys")).unwrap();
        std::fs::create_dir(state.join("keys")).unwrap();
    });
    let words = refused(&serve.refuse());
    assert!(words.contains("keys"), "{words}");
}

#[test]
fn a_certificate_that_does_not_match_its_key_is_refused() {
    let serve = Grantd::serve().prepare(|state: &Path| {
        let other = rcgen::KeyPair::generate().unwrap();
        std::fs::write(state.join("key.pem"), other.serialize_pem()).unwrap();
    });
    let words = refused(&serve.refuse());
    assert!(
        words.contains("key.pem") && words.contains("certificate.pem"),
        "{words}"
    );
}
