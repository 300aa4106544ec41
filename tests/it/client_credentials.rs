//! The client credentials grant, line by line of the security checklist: lines 1 to 21 and 49 to 52.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use hyper::Method;
use serde_json::json;

use crate::support::{
    Answer, BILLING, FLEET, Grantd, PLAIN, Registry, events_of, secret, shared, verify,
};

/// The bytes that a client sees, but for those that must differ from answer to answer.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (
        answer.status,
        headers,
        String::from_utf8_lossy(&answer.body).into_owned(),
    )
}

/// The reason that the operator sees.
fn event(grantd: &Grantd, answer: &Answer) -> serde_json::Value {
    events_of(grantd, answer)[0].clone()
}

fn reason(grantd: &Grantd, answer: &Answer) -> String {
    event(grantd, answer)["data"]["reason"]
        .as_str()
        .expect("a refusal has a reason")
        .to_owned()
}

#[tokio::test]
async fn a_client_gets_a_token_over_http_1_and_http_2() {
    let grantd = shared();
    let first = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let second = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .http2()
        .send()
        .await
        .granted();
    for answer in [first, second] {
        let token = verify(&grantd, &answer).await;
        assert_eq!(token.text("client_id"), "reader");
        assert_eq!(token.text("aud"), BILLING);
    }
}

#[tokio::test]
async fn checklist_01_only_post_is_allowed() {
    let grantd = shared();
    for method in [
        Method::GET,
        Method::PUT,
        Method::HEAD,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        let answer = grantd
            .ask()
            .of("reader")
            .resource(BILLING)
            .method(method.clone())
            .send()
            .await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
        if method != Method::HEAD {
            answer.refused(405, "invalid_request");
        }
    }
}

#[tokio::test]
async fn checklist_02_the_body_must_be_a_form() {
    let grantd = shared();
    let ask = || grantd.ask().of("reader").resource(BILLING);
    for wrong in [
        None,
        Some("application/json"),
        Some("text/plain"),
        Some("multipart/form-data"),
        Some(""),
    ] {
        ask()
            .content_type(wrong)
            .send()
            .await
            .refused(415, "invalid_request");
    }
    for right in [
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=iso-8859-1",
        "Application/X-WWW-Form-URLEncoded",
    ] {
        ask().content_type(Some(right)).send().await.granted();
    }
}

#[tokio::test]
async fn checklist_03_a_repeated_parameter_is_refused() {
    let grantd = shared();
    let ask = || {
        grantd
            .ask()
            .of("reader")
            .resource(BILLING)
            .scope("invoice:read")
    };
    for again in [
        &b"grant_type=client_credentials"[..],
        b"client_id=reader",
        b"client_secret=x",
        b"scope=invoice%3Aread",
        b"%73cope=invoice%3Aread",
        b"s%63%6Fpe=",
        b"gr%61nt_type=client_credentials",
    ] {
        let answer = ask()
            .and_raw(again)
            .send()
            .await
            .refused(400, "invalid_request");
        assert_eq!(reason(&grantd, &answer), "repeated_parameter");
    }
}

#[tokio::test]
async fn checklist_04_unknown_parameters_are_ignored_and_empty_ones_count_as_left_out() {
    let grantd = shared();
    let answer = grantd
        .ask()
        .of("reader")
        .with("audience", "https://elsewhere.example")
        .with("audience", "twice")
        .with("resource", "")
        .with("scope", "")
        .with("client_assertion", "")
        .send()
        .await
        .granted();
    assert_eq!(verify(&grantd, &answer).await.text("aud"), BILLING);
    grantd
        .ask()
        .without("grant_type")
        .with("grant_type", "")
        .of("reader")
        .send()
        .await
        .refused(400, "invalid_request");
}

#[tokio::test]
async fn checklist_05_parameters_in_the_query_are_refused() {
    let grantd = shared();
    for query in [
        "grant_type=client_credentials",
        "client_id=reader",
        "resource=https%3A%2F%2Fbilling.example.com%2Fapi",
        "anything",
    ] {
        let answer = grantd
            .ask()
            .of("reader")
            .resource(BILLING)
            .query(query)
            .send()
            .await;
        let answer = answer.refused(400, "invalid_request");
        assert_eq!(reason(&grantd, &answer), "query_parameters");
    }
    let query = format!("client_id=reader&client_secret={}", secret("reader", 1));
    let answer = grantd
        .ask()
        .query(&query)
        .send()
        .await
        .refused(400, "invalid_request");
    let events = serde_json::to_string(&events_of(&grantd, &answer)).unwrap();
    assert!(
        !events.contains(&secret("reader", 1)),
        "a secret in the query is never recorded"
    );
}

#[tokio::test]
async fn checklist_06_a_malformed_body_is_refused() {
    let grantd = shared();
    for more in [
        &b"scope=%"[..],
        b"scope=%4",
        b"scope=%zz",
        b"scope=%FF",
        b"scope=\xff",
        b"scope=%C3",
        b"scope=%00",
        b"scope=a%0D%0Ab",
        b"scope=a\nb",
        b"unknown=%00",
        b"%zz=a",
    ] {
        let answer = grantd
            .ask()
            .of("reader")
            .resource(BILLING)
            .and_raw(more)
            .send()
            .await;
        let answer = answer.refused(400, "invalid_request");
        assert_eq!(reason(&grantd, &answer), "malformed_body", "{more:?}");
    }
}

#[tokio::test]
async fn checklist_06_more_parameters_than_the_limit_are_refused() {
    let grantd = shared();
    let many = "a=1&".repeat(100);
    grantd
        .ask()
        .of("reader")
        .and_raw(many.as_bytes())
        .send()
        .await
        .refused(400, "invalid_request");
}

#[tokio::test]
async fn checklist_09_grant_types() {
    let grantd = shared();
    let ask = || {
        grantd
            .ask()
            .without("grant_type")
            .of("reader")
            .resource(BILLING)
    };
    ask().send().await.refused(400, "invalid_request");
    for other in [
        "authorization_code",
        "password",
        "refresh_token",
        "CLIENT_CREDENTIALS",
        "client_credentials ",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ] {
        ask()
            .with("grant_type", other)
            .send()
            .await
            .refused(400, "unsupported_grant_type");
    }
}

#[tokio::test]
async fn checklist_10_a_content_coding_is_refused() {
    let grantd = shared();
    for coding in ["gzip", "deflate", "br", "zstd", "identity, gzip"] {
        let ask = grantd
            .ask()
            .of("reader")
            .resource(BILLING)
            .header("content-encoding", coding);
        ask.send().await.refused(415, "invalid_request");
    }
}

#[tokio::test]
async fn checklist_12_two_methods_are_refused() {
    let grantd = shared();
    let answer = grantd
        .ask()
        .basic("reader")
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .refused(400, "invalid_request");
    assert_eq!(reason(&grantd, &answer), "two_methods");
    grantd
        .ask()
        .basic("reader")
        .with("client_secret", "wrong")
        .send()
        .await
        .refused(400, "invalid_request");
    for ask in [grantd.ask().of("reader"), grantd.ask().basic("reader")] {
        ask.with("client_assertion", "e30.e30.e30")
            .with(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .send()
            .await
            .refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn checklist_13_basic_is_split_at_the_first_colon_and_form_decoded() {
    let grantd = shared();
    let secret = secret("reader", 1);
    let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
    for pair in [
        format!("reader:{secret}"),
        format!("%72eade%72:{secret}"),
        format!("reader:{}", secret.replacen("grantd", "%67rantd", 1)),
    ] {
        grantd
            .ask()
            .header("authorization", &basic(&pair))
            .resource(BILLING)
            .send()
            .await
            .granted();
    }
    for pair in [
        format!("reader%3A{secret}"),
        format!("reader:{secret}:"),
        format!("reader::{secret}"),
        format!("reader+:{secret}"),
        format!("reader:{secret}%"),
        format!("reader:{secret}%25"),
        format!("r\u{e9}ader:{secret}"),
        "reader".to_owned(),
        String::new(),
    ] {
        let ask = grantd
            .ask()
            .header("authorization", &basic(&pair))
            .resource(BILLING);
        ask.send().await.refused(401, "invalid_client");
    }
    for header in [
        "Basic",
        "Basic !!!!",
        "Basic cmVhZGVy=",
        "Bearer cmVhZGVyOng=",
        "BasiccmVhZGVyOng=",
    ] {
        let answer = grantd
            .ask()
            .header("authorization", header)
            .resource(BILLING)
            .send()
            .await;
        let answer = answer.refused(401, "invalid_client");
        assert_eq!(
            reason(&grantd, &answer),
            "malformed_authorization",
            "{header}"
        );
    }
}

#[tokio::test]
async fn checklist_14_the_scheme_has_no_case_and_stands_once() {
    let grantd = shared();
    let pair = BASE64.encode(format!("reader:{}", secret("reader", 1)).as_bytes());
    for scheme in ["basic", "BASIC", "bAsIc"] {
        let header = format!("{scheme} {pair}");
        grantd
            .ask()
            .header("authorization", &header)
            .resource(BILLING)
            .send()
            .await
            .granted();
    }
    let answer = grantd
        .ask()
        .basic("reader")
        .basic("reader")
        .resource(BILLING)
        .send()
        .await
        .refused(400, "invalid_request");
    assert_eq!(reason(&grantd, &answer), "repeated_authorization");
}

#[tokio::test]
async fn checklist_15_a_failure_to_authenticate_names_the_scheme() {
    let grantd = shared();
    let asks = [
        grantd.ask().with_basic("reader", "wrong"),
        grantd.ask().with_secret("reader", "wrong"),
        grantd.ask().with("client_id", "reader"),
        grantd.ask(),
    ];
    for ask in asks {
        let answer = ask
            .resource(BILLING)
            .send()
            .await
            .refused(401, "invalid_client");
        let scheme = answer
            .header("www-authenticate")
            .expect("a 401 names a scheme");
        assert!(scheme.starts_with("Basic realm=\""), "{scheme}");
    }
}

#[tokio::test]
async fn checklist_16_client_id_in_the_body_must_be_that_of_the_credentials() {
    let grantd = shared();
    let ask = || grantd.ask().basic("reader").resource(BILLING);
    ask().with("client_id", "reader").send().await.granted();
    let answer = ask()
        .with("client_id", "writer")
        .send()
        .await
        .refused(401, "invalid_client");
    assert_eq!(reason(&grantd, &answer), "client_id_mismatch");
    assert_eq!(event(&grantd, &answer)["data"]["client_id"], "reader");
}

#[tokio::test]
async fn checklist_17_a_method_that_the_client_does_not_have_is_refused() {
    let grantd = shared();
    grantd
        .ask()
        .with("client_id", "reader")
        .with("client_assertion", "e30.e30.e30")
        .with(
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        )
        .resource(BILLING)
        .send()
        .await
        .refused(401, "invalid_client");
}

#[tokio::test]
async fn checklist_18_and_21_every_failure_to_authenticate_looks_the_same() {
    let grantd = shared();
    let valid = secret("reader", 1);
    let cases = [
        ("unknown", valid.clone(), "unknown_client"),
        ("Not A Name", valid.clone(), "unknown_client"),
        ("reader", secret("reader", 2), "wrong_secret"),
        ("reader", secret("writer", 1), "wrong_secret"),
        ("reader", "password".to_owned(), "wrong_secret"),
        ("reader", valid.to_uppercase(), "wrong_secret"),
        ("reader", format!("{valid} "), "wrong_secret"),
        ("disabled", secret("disabled", 1), "client_disabled"),
        ("disabled", secret("reader", 1), "wrong_secret"),
        ("expired", secret("expired", 1), "client_expired"),
        ("rotating", secret("rotating", 3), "credential_expired"),
        (
            "rotating",
            secret("rotating", 4),
            "credential_not_yet_valid",
        ),
    ];
    let mut first = None;
    for (client, secret, why) in cases {
        for ask in [
            grantd.ask().with_secret(client, &secret),
            grantd.ask().with_basic(client, &secret),
        ] {
            let answer = ask
                .resource(BILLING)
                .send()
                .await
                .refused(401, "invalid_client");
            let seen = seen(&answer);
            assert_eq!(
                first.get_or_insert_with(|| seen.clone()),
                &seen,
                "{client}: {why}"
            );
            assert_eq!(reason(&grantd, &answer), why, "{client}");
            // A credential that matched is named, although it proves nothing any more.
            let matched = !matches!(why, "unknown_client" | "wrong_secret");
            let data = &event(&grantd, &answer)["data"];
            assert_eq!(
                data["credential_id"].is_string(),
                matched,
                "{client}: {data}"
            );
        }
    }
    for ask in [
        grantd.ask().with_secret("reader", ""),
        grantd.ask().with("client_id", "reader"),
        grantd.ask(),
    ] {
        let answer = ask.resource(BILLING).send().await;
        assert_eq!(first.as_ref(), Some(&seen(&answer)));
    }
}

#[tokio::test]
async fn checklist_18_an_empty_secret_is_none() {
    let grantd = shared();
    for ask in [
        grantd.ask().with_secret("reader", ""),
        grantd.ask().with_basic("reader", ""),
    ] {
        ask.resource(BILLING)
            .send()
            .await
            .refused(401, "invalid_client");
    }
}

#[tokio::test]
async fn checklist_19_two_secrets_are_valid_during_a_change() {
    let grantd = shared();
    let mut credentials = Vec::new();
    for (number, label) in [(1, "old"), (2, "new")] {
        let ask = grantd
            .ask()
            .with_secret("rotating", &secret("rotating", number));
        let answer = ask.resource(BILLING).send().await.granted();
        let event = &events_of(&grantd, &answer)[0];
        assert_eq!(event["data"]["credential_label"], label);
        credentials.push(event["data"]["credential_id"].clone());
    }
    assert_ne!(
        credentials[0], credentials[1],
        "the event says which secret it was"
    );
}

#[tokio::test]
async fn checklist_20_a_word_behind_a_hash_is_never_accepted() {
    let label = b"grantd client secret v1\0weak\0password";
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, label);
    let hash = format!("sha256:{}", BASE64URL_NOPAD.encode(hash.as_ref()));
    let client = format!(
        "[client.weak]\nname = \"Weak\"\nowner = \"team-fleet\"\n[client.weak.grants]\nbilling = [\"invoice:read\"]\n\
         [[client.weak.secret]]\nhash = \"{hash}\"\ncreated = 2026-01-01\n"
    );
    let grantd = Grantd::dev()
        .registry(Registry::company().file("weak.toml", &client))
        .start();
    let ask = grantd
        .ask()
        .with_secret("weak", "password")
        .resource(BILLING);
    let answer = ask.send().await.refused(401, "invalid_client");
    assert_eq!(reason(&grantd, &answer), "wrong_secret");
}

#[tokio::test]
async fn checklist_49_scopes() {
    let grantd = shared();
    let ask = |scope: &str| grantd.ask().of("writer").resource(BILLING).scope(scope);
    for scope in [
        "invoice:read",
        "invoice:write",
        "invoice:write invoice:read",
    ] {
        let answer = ask(scope).send().await.granted();
        assert_eq!(answer.text("scope"), scope, "order and case are kept");
        assert_eq!(verify(&grantd, &answer).await.text("scope"), scope);
    }
    let answer = ask("invoice:read invoice:read").send().await.granted();
    assert_eq!(answer.text("scope"), "invoice:read");
    for (scope, why) in [
        ("invoice:read ", "malformed_scope"),
        (" invoice:read", "malformed_scope"),
        ("invoice:read  invoice:write", "malformed_scope"),
        ("invoice:read\"", "malformed_scope"),
        ("invoice\\read", "malformed_scope"),
        ("invoïce", "malformed_scope"),
        (" ", "malformed_scope"),
        ("Invoice:Read", "scope_not_granted"),
        ("invoice:read invoice:delete", "scope_not_granted"),
        ("vehicle:read", "scope_not_granted"),
        ("*", "scope_not_granted"),
    ] {
        let answer = ask(scope).send().await.refused(400, "invalid_scope");
        assert_eq!(reason(&grantd, &answer), why, "{scope:?}");
    }
}

#[tokio::test]
async fn checklist_49_a_scope_that_only_others_have_refuses_the_whole_request() {
    let grantd = shared();
    let ask = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .scope("invoice:read invoice:write");
    ask.send().await.refused(400, "invalid_scope");
}

#[tokio::test]
async fn checklist_50_a_token_is_for_exactly_one_resource() {
    let grantd = shared();
    let ask = || grantd.ask().of("roamer");
    for resource in [BILLING, FLEET] {
        let answer = ask().resource(resource).send().await.granted();
        assert_eq!(
            verify(&grantd, &answer).await.claims["aud"],
            json!(resource)
        );
    }
    let answer = ask()
        .resource(BILLING)
        .resource(FLEET)
        .send()
        .await
        .refused(400, "invalid_target");
    assert_eq!(reason(&grantd, &answer), "several_resources");
    ask()
        .resource(BILLING)
        .resource(BILLING)
        .send()
        .await
        .refused(400, "invalid_target");
    ask()
        .resource(BILLING)
        .resource("")
        .send()
        .await
        .refused(400, "invalid_target");
}

#[tokio::test]
async fn checklist_50_an_unknown_resource_and_a_forbidden_one_look_the_same() {
    let grantd = shared();
    let mut first = None;
    for (resource, why) in [
        (FLEET, "resource_not_granted"),
        ("https://nowhere.example/", "unknown_resource"),
        ("billing", "unknown_resource"),
        ("https://billing.example.com/api/", "unknown_resource"),
        ("HTTPS://billing.example.com/api", "unknown_resource"),
        ("https://billing.example.com/api#x", "unknown_resource"),
    ] {
        let answer = grantd.ask().of("reader").resource(resource).send().await;
        let answer = answer.refused(400, "invalid_target");
        assert_eq!(
            first.get_or_insert_with(|| seen(&answer)),
            &seen(&answer),
            "{resource}"
        );
        assert_eq!(reason(&grantd, &answer), why, "{resource}");
    }
}

#[tokio::test]
async fn checklist_50_a_resource_that_is_left_out() {
    let grantd = shared();
    for (client, resource) in [("reader", BILLING), ("chooser", FLEET), ("minimal", PLAIN)] {
        let answer = grantd.ask().of(client).send().await.granted();
        assert_eq!(verify(&grantd, &answer).await.text("aud"), resource);
    }
    let answer = grantd
        .ask()
        .of("roamer")
        .send()
        .await
        .refused(400, "invalid_target");
    assert!(
        answer.text("error_description").contains("resource"),
        "it names the parameter"
    );
    assert_eq!(reason(&grantd, &answer), "resource_missing");
}

#[tokio::test]
async fn checklist_51_scope_left_out_means_what_was_granted_there_and_no_more() {
    let grantd = shared();
    for (client, resource, scope) in [
        ("reader", BILLING, "invoice:read"),
        ("writer", BILLING, "invoice:read invoice:write"),
        ("roamer", FLEET, "vehicle:read"),
    ] {
        let answer = grantd
            .ask()
            .of(client)
            .resource(resource)
            .send()
            .await
            .granted();
        assert_eq!(answer.text("scope"), scope);
    }
    let answer = grantd
        .ask()
        .of("minimal")
        .resource(PLAIN)
        .send()
        .await
        .granted();
    assert!(answer.json().get("scope").is_none());
    grantd
        .ask()
        .of("minimal")
        .resource(PLAIN)
        .scope("any")
        .send()
        .await
        .refused(400, "invalid_scope");
}

#[tokio::test]
async fn checklist_52_there_is_no_refresh_token() {
    let grantd = shared();
    let answer = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let members: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        members,
        ["access_token", "expires_in", "scope", "token_type"]
    );
}
