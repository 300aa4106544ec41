//! `grantd dev` as a newcomer uses it: a state that is kept, a registry that is watched, a NATS server
//! that may be there or not.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    BILLING, Grantd, NatsServer, Registry, events, eventually_async, secret, verify, verify_with,
};

/// Longest until a change of a file is served: 1 s where the file system sends events, 5 s where it
/// does not, and a busy machine.
const SERVED: Duration = Duration::from_secs(15);

/// Longest until an event is in the stream.
const SHIPPED: Duration = Duration::from_secs(20);

const LATECOMER: &str = r#"
[client.latecomer]
name = "Comes later"
owner = "team-fleet"

[client.latecomer.grants]
billing = ["invoice:read"]

[[client.latecomer.secret]]
hash = "@latecomer.1"
created = 2026-01-01
"#;

#[tokio::test]
async fn a_state_that_is_kept_keeps_keys_and_journal() {
    let state = TempDir::new().unwrap();
    let mut grantd = Grantd::dev().state(state.path()).start();
    let old = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    assert!(grantd.stop().success());
    let before = events(state.path());

    let grantd = Grantd::dev().state(state.path()).start();
    let jwks = grantd.https().get(&grantd.ready.jwks_uri).await.json();
    verify_with(&jwks, &old.text("access_token"));
    let answer = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    verify(&grantd, &answer).await;
    let after = events(state.path());
    assert_eq!(after[..before.len()], before[..], "the old events stand");
    let sequences: Vec<u64> = after
        .iter()
        .map(|event| event["sequence"].as_str().unwrap().parse().unwrap())
        .collect();
    let expected: Vec<u64> = (1..=u64::try_from(after.len()).unwrap()).collect();
    assert_eq!(sequences, expected, "no gap, none twice");
}

#[tokio::test]
async fn a_killed_daemon_loses_no_record_of_a_token() {
    let state = TempDir::new().unwrap();
    let mut grantd = Grantd::dev().state(state.path()).start();
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(
            grantd
                .ask()
                .of("reader")
                .resource(BILLING)
                .send()
                .await
                .granted(),
        );
    }
    grantd.kill();
    let grantd = Grantd::dev().state(state.path()).start();
    let jwks = grantd.https().get(&grantd.ready.jwks_uri).await.json();
    let recorded = events(state.path());
    for token in tokens {
        let id = verify_with(&jwks, &token.text("access_token")).claims["jti"].clone();
        let count = recorded
            .iter()
            .filter(|event| event["data"]["jti"] == id)
            .count();
        assert_eq!(count, 1, "a token that left has its record, once");
    }
}

#[test]
fn a_second_daemon_on_the_same_state_refuses() {
    let state = TempDir::new().unwrap();
    let _first = Grantd::dev().state(state.path()).start();
    let output = Grantd::dev().state(state.path()).refuse();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("another") || words.contains("in use"),
        "{words}"
    );
    assert!(output.stdout.is_empty(), "it was never ready");
}

#[test]
fn an_unknown_argument_is_wrong_usage() {
    let output = Grantd::dev().argument("--no-such-flag").refuse();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_change_of_the_registry_is_served_without_a_restart() {
    let grantd = Grantd::dev().start();
    let ask = || grantd.ask().of("latecomer").resource(BILLING);
    ask().send().await.refused(401, "invalid_client");
    Registry::empty()
        .file("latecomer.toml", LATECOMER)
        .write(&grantd.registry());
    eventually_async("the new client gets a token", SERVED, async || {
        (ask().send().await.status == 200).then_some(())
    })
    .await;
    std::fs::remove_file(grantd.registry().join("latecomer.toml")).unwrap();
    eventually_async("the client that is gone gets none", SERVED, async || {
        (ask().send().await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_bad_file_leaves_the_last_good_registry() {
    let grantd = Grantd::dev().start();
    std::fs::write(grantd.registry().join("bad.toml"), "[client.x]\nnmae = 1\n").unwrap();
    eventually_async("the rejection is recorded", SERVED, async || {
        events(&grantd.ready.state)
            .iter()
            .any(|event| event["type"] == "dev.grantd.registry.rejected.v1")
            .then_some(())
    })
    .await;
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
}

#[tokio::test]
async fn every_event_reaches_the_stream_as_it_stands_in_the_journal() {
    let server = NatsServer::start();
    let grantd = Grantd::dev().nats(&server.url()).start();
    let answer = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let id = verify(&grantd, &answer).await.claims["jti"].clone();
    let shipped = shipped(&server, &id).await;
    let recorded: Vec<Value> = events(&grantd.ready.state)
        .into_iter()
        .take(shipped.len())
        .collect();
    assert_eq!(shipped, recorded, "each once, in order, the same bytes");
}

#[tokio::test]
async fn an_outage_of_nats_stops_neither_a_start_nor_a_token() {
    let mut server = NatsServer::start();
    let url = server.url();
    server.stop();
    let grantd = Grantd::dev().nats(&url).start();
    let answer = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let id = verify(&grantd, &answer).await.claims["jti"].clone();
    server.run();
    shipped(&server, &id).await;
}

/// The stream's events, once that of this token is among them.
async fn shipped(server: &NatsServer, id: &Value) -> Vec<Value> {
    let context = async_nats::jetstream::new(server.connect().await);
    eventually_async("the event is in the stream", SHIPPED, async || {
        let mut names = context.stream_names();
        let name = names.next().await?.ok()?;
        let stream = context.get_stream(name).await.ok()?;
        let mut stored = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.ok()?;
            assert!(
                message.subject.starts_with("grantd.audit."),
                "{}",
                message.subject
            );
            stored.push(serde_json::from_slice::<Value>(&message.payload).unwrap());
        }
        stored
            .iter()
            .any(|event| event["data"]["jti"] == *id)
            .then_some(stored)
    })
    .await
}

#[tokio::test]
async fn no_secret_is_in_the_log_or_in_the_arguments() {
    let grantd = Grantd::dev().start();
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let secrets = [secret("reader", 1), grantd.ready.client_secret.clone()];
    let pid = grantd.ready.pid;
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let seen = [arguments, environment, grantd.log().into_bytes()].concat();
    let seen = String::from_utf8_lossy(&seen);
    assert!(secrets.iter().all(|secret| !seen.contains(secret.as_str())));
}
