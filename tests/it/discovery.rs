//! The metadata and the keys: lines 60, 61 and 66 of the security checklist.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use hyper::Method;
use serde_json::Value;

use crate::support::{BILLING, shared, verify};

#[tokio::test]
async fn checklist_60_the_metadata_says_what_is_supported() {
    let grantd = shared();
    let answer = grantd
        .https()
        .get("/.well-known/oauth-authorization-server")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let metadata = answer.json();
    assert_eq!(metadata["issuer"], grantd.ready.issuer.as_str());
    assert_eq!(
        metadata["token_endpoint"],
        grantd.ready.token_endpoint.as_str()
    );
    assert_eq!(metadata["jwks_uri"], grantd.ready.jwks_uri.as_str());
    assert_eq!(
        metadata["grant_types_supported"],
        serde_json::json!(["client_credentials"])
    );
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        serde_json::json!(["client_secret_basic", "client_secret_post"])
    );
    assert!(
        metadata["response_types_supported"].is_array(),
        "RFC 8414 section 2: required"
    );
    assert!(!metadata.to_string().contains("\"none\""));
}

#[tokio::test]
async fn checklist_60_libraries_that_know_only_openid_find_the_same_document() {
    let grantd = shared();
    let first = grantd
        .https()
        .get("/.well-known/oauth-authorization-server")
        .await;
    let second = grantd
        .https()
        .get("/.well-known/openid-configuration")
        .await;
    assert_eq!(first.json(), second.json());
}

#[tokio::test]
async fn checklist_60_the_endpoints_of_the_metadata_work() {
    let grantd = shared();
    let metadata = grantd
        .https()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    let endpoint = metadata["token_endpoint"].as_str().unwrap();
    let ask = grantd.ask().path(endpoint).of("reader").resource(BILLING);
    let answer = ask.send().await.granted();
    verify(&grantd, &answer).await;
}

#[tokio::test]
async fn checklist_61_the_keys_are_public_ones_only() {
    let grantd = shared();
    let answer = grantd.https().get(&grantd.ready.jwks_uri).await;
    assert_eq!(answer.status, 200);
    let jwks = answer.json();
    let keys = jwks["keys"].as_array().unwrap();
    assert!(keys.len() >= 2, "an active key and its next: {jwks}");
    let mut ids = BTreeSet::new();
    for key in keys {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(key.get(private).is_none(), "{private} is published");
        }
        assert_eq!(key["use"], "sig");
        assert!(key["alg"].is_string());
        assert_eq!(
            key["kid"].as_str().unwrap(),
            thumbprint(key),
            "a stable thumbprint"
        );
        assert!(ids.insert(key["kid"].to_string()), "a key is there twice");
    }
}

/// RFC 7638: SHA-256 over the required members in the order of their names.
fn thumbprint(key: &Value) -> String {
    let members = match key["kty"].as_str().unwrap() {
        "EC" => &["crv", "kty", "x", "y"][..],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        other => panic!("a key of an unknown type: {other}"),
    };
    let members: Vec<_> = members
        .iter()
        .map(|name| format!("\"{name}\":{}", key[name]))
        .collect();
    let text = format!("{{{}}}", members.join(","));
    BASE64URL_NOPAD.encode(digest(&SHA256, text.as_bytes()).as_ref())
}

#[tokio::test]
async fn checklist_61_the_keys_may_be_cached_and_read_from_anywhere() {
    let grantd = shared();
    let answer = grantd.https().get(&grantd.ready.jwks_uri).await;
    let cache = answer.header("cache-control").unwrap();
    let age = cache.strip_prefix("public, max-age=").expect(cache);
    assert!(
        (1..=86_400).contains(&age.parse::<u64>().unwrap()),
        "{cache}"
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let tag = answer.header("etag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [
        tag.to_owned(),
        format!("W/{tag}"),
        format!("\"x\", {tag}"),
        "*".to_owned(),
    ] {
        let again = grantd
            .https()
            .bare(
                Method::GET,
                &grantd.ready.jwks_uri,
                &[("if-none-match", &known)],
            )
            .await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
        assert_eq!(again.header("etag"), Some(tag));
    }
    let other = grantd
        .https()
        .bare(
            Method::GET,
            &grantd.ready.jwks_uri,
            &[("if-none-match", "\"x\"")],
        )
        .await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn checklist_66_head_and_options_of_the_documents() {
    let grantd = shared();
    for path in ["/.well-known/oauth-authorization-server", "/oauth2/jwks"] {
        let whole = grantd.https().get(path).await;
        let head = grantd.https().bare(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(
            head.header("content-type"),
            whole.header("content-type"),
            "{path}"
        );
        assert_eq!(
            head.header("content-length"),
            whole.header("content-length"),
            "{path}"
        );
        let options = grantd.https().bare(Method::OPTIONS, path, &[]).await;
        assert_eq!(options.status, 204, "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let answer = grantd.https().bare(method, path, &[]).await;
            assert_eq!(answer.status, 405, "{path}");
            assert!(answer.header("allow").unwrap().contains("GET"), "{path}");
        }
    }
}

#[tokio::test]
async fn checklist_66_an_unknown_path_is_not_repeated() {
    let grantd = shared();
    for path in [
        "/",
        "/zq9-echo",
        "/oauth2/token/zq9-echo",
        "/oauth2//token",
        "/OAUTH2/TOKEN",
        "/oauth2/token/",
        "/oauth2/%74oken",
        "/.well-known/zq9-echo?<script>zq9-echo</script>",
    ] {
        let path = path.replace('<', "%3C").replace('>', "%3E");
        let answer = grantd.https().get(&path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            !format!("{:?}{:?}", answer.headers, answer.body).contains("zq9-echo"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        answer.request_id();
    }
}

#[tokio::test]
async fn the_second_listener_says_that_the_daemon_is_alive_and_ready() {
    let grantd = shared();
    for (path, word) in [
        ("/healthz", ""),
        ("/readyz", "generation"),
        ("/metrics", "grantd_"),
    ] {
        let (status, body) = plain(&grantd, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body.contains(word), "{path}: {body}");
    }
    let (status, _) = plain(&grantd, "/oauth2/token").await;
    assert_eq!(status, 404);
}

/// Gets a path of the second listener, which speaks plain HTTP.
async fn plain(grantd: &crate::support::Grantd, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(grantd.metrics())
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}
