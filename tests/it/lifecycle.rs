//! From start to stop: SIGTERM drains, a second one does not wait, SIGHUP looks again, and one daemon
//! at a time works on a state.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{
    BILLING, Grantd, Load, Protocol, Received, Registry, Tmpfs, Token, assert_recorded,
    assert_whole_journal, events, eventually, eventually_async, exchange, issued, jwks, secret,
    verify, verify_all, verify_with,
};

/// Longest until the daemon has done what a signal asks.
const DONE: Duration = Duration::from_secs(15);

/// The drain of a daemon whose clients never finish (`limits.drain_time` is 15 s): a stop that does
/// not wait must end well before it.
const AT_ONCE: Duration = Duration::from_secs(5);

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

async fn token(grantd: &Grantd) -> Token {
    let ask = grantd.ask().of("reader").resource(BILLING);
    verify(grantd, &ask.send().await.granted()).await
}

fn last_type(state: &std::path::Path) -> String {
    let events = events(state);
    let last = events.last().expect("a journal has events");
    last["type"].as_str().unwrap().to_owned()
}

/// Waits until the log says so.
fn logged(grantd: &Grantd, words: &str) {
    eventually(words, DONE, || grantd.log().contains(words).then_some(()));
}

/// A token request of which the server has the head and the first byte of the body; and the rest.
async fn begun(grantd: &Grantd) -> (TlsStream<TcpStream>, Vec<u8>) {
    let body = format!(
        "grant_type=client_credentials&client_id=reader&client_secret={}",
        secret("reader", 1)
    );
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n",
        grantd.https().authority(),
        body.len()
    );
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    let (first, rest) = body.as_bytes().split_at(1);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream.flush().await.unwrap();
    (stream, rest.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_answers_every_request_that_it_took() {
    let state = TempDir::new().unwrap();
    let mut grantd = Grantd::dev().state(state.path()).start();
    let keys = jwks(&grantd).await;
    let load = Load::start(&grantd, 32);
    load.until_tokens(300).await;
    grantd.signal(Signal::TERM);
    let ended = grantd.ended(DONE);
    let received = load.over_by_itself().await;
    assert_eq!(ended.code(), Some(0));
    assert_eq!(last_type(state.path()), "dev.grantd.daemon.stopped.v1");

    let Received {
        tokens,
        refused,
        broken,
        ..
    } = received;
    assert!(refused.is_empty(), "{refused:?}");
    let recorded = assert_whole_journal(state.path());
    assert_recorded(&verify_all(&keys, &tokens), &recorded);
    assert_eq!(
        issued(&recorded).count(),
        tokens.len(),
        "a token that was made has arrived: {broken:?}"
    );
    assert!(broken.is_empty(), "requests without an answer: {broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_a_request_that_has_begun() {
    let mut grantd = Grantd::dev().start();
    let (mut stream, rest) = begun(&grantd).await;
    // The server has read the head once it has answered something that came later.
    let keys = jwks(&grantd).await;
    grantd.signal(Signal::TERM);
    logged(&grantd, "accepting nothing new");
    let answer = exchange(&mut stream, &rest).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let token = verify_with(&keys, body["access_token"].as_str().unwrap());
    assert_eq!(grantd.ended(DONE).code(), Some(0));
    let recorded = assert_whole_journal(&grantd.ready.state);
    assert_recorded(&[token], &recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_stops_at_once_and_loses_nothing() {
    let state = TempDir::new().unwrap();
    let mut grantd = Grantd::dev().state(state.path()).start();
    let known = token(&grantd).await;
    let (_stream, _never_sent) = begun(&grantd).await;
    jwks(&grantd).await;
    grantd.signal(Signal::TERM);
    logged(&grantd, "accepting nothing new");
    let before = Instant::now();
    grantd.signal(Signal::TERM);
    let ended = grantd.ended(DONE);
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
    assert!(ended.code().is_some(), "it ended by itself: {ended}");
    assert!(grantd.log().contains("told to stop twice"));

    let grantd = Grantd::dev().state(state.path()).start();
    let after = token(&grantd).await;
    let recorded = assert_whole_journal(state.path());
    assert_recorded(&[known, after], &recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_looks_at_the_registry_where_no_events_come() {
    let grantd = Grantd::serve().setting("registry.events = false").start();
    Registry::empty()
        .file("latecomer.toml", LATECOMER)
        .write(&grantd.registry());
    grantd.signal(Signal::HUP);
    logged(&grantd, "looking at the registry again");
    eventually_async("the new client gets a token", DONE, async || {
        let ask = grantd.ask().of("latecomer").resource(BILLING);
        (ask.send().await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_20_a_storm_of_sighups_is_harmless() {
    let mut grantd = Grantd::dev().start();
    let load = Load::start(&grantd, 4);
    load.until_tokens(20).await;
    let files = open_files(&grantd);
    for _ in 0..1000 {
        grantd.signal(Signal::HUP);
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    let so_far = load.tokens();
    load.until_tokens(so_far + 50).await;
    let received = load.end().await;
    assert!(received.broken.is_empty(), "{:?}", received.broken);
    assert!(received.refused.is_empty(), "{:?}", received.refused);
    assert!(open_files(&grantd) <= files + 8, "it leaks no file");
    let recorded = assert_whole_journal(&grantd.ready.state);
    let applied = recorded
        .iter()
        .filter(|event| event["type"] == "dev.grantd.registry.applied.v1");
    assert_eq!(applied.count(), 1, "nothing has changed");
    assert_eq!(grantd.stop().code(), Some(0));
}

fn open_files(grantd: &Grantd) -> usize {
    let folder = format!("/proc/{}/fd", grantd.ready.pid);
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_21_a_second_daemon_is_told_the_process_of_the_first() {
    let state = TempDir::new().unwrap();
    let mut first = Grantd::dev().state(state.path()).start();
    token(&first).await;
    let settings = std::fs::read(state.path().join("grantd.toml")).unwrap();
    for second in [
        Grantd::dev().state(state.path()).refuse(),
        Grantd::serve().state(state.path()).refuse(),
    ] {
        let words = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{words}");
        let named = format!("in use by process {}", first.ready.pid);
        assert!(words.contains(&named), "{words}");
        assert!(words.contains(state.path().to_str().unwrap()), "{words}");
    }
    token(&first).await;
    assert_whole_journal(state.path());
    let kept = std::fs::read(state.path().join("grantd.toml")).unwrap();
    assert_eq!(kept, settings, "nothing of the first was changed");
    assert_eq!(first.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_21_a_second_daemon_with_the_same_settings_is_told_the_process_too() {
    let state = TempDir::new().unwrap();
    let first = Grantd::serve().state(state.path()).start();
    let address = first.https().authority().replace("localhost", "127.0.0.1");
    let second = Grantd::serve()
        .state(state.path())
        .listen(&address, &first.metrics().to_string())
        .refuse();
    let words = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{words}");
    let named = format!("in use by process {}", first.ready.pid);
    assert!(words.contains(&named), "{words}");
    token(&first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_keys_tokens_chain_and_lineage() {
    let state = TempDir::new().unwrap();
    let mut tokens = Vec::new();
    let mut keys = None;
    for _ in 0..3 {
        let mut grantd = Grantd::serve().state(state.path()).start();
        let published = jwks(&grantd).await;
        assert_eq!(keys.get_or_insert(published.clone()), &published);
        for _ in 0..5 {
            let ask = grantd.ask().of("reader").resource(BILLING);
            tokens.push(ask.send().await.granted().text("access_token"));
        }
        let verified = verify_all(&published, &tokens);
        assert_recorded(&verified, &assert_whole_journal(state.path()));
        assert_eq!(grantd.stop().code(), Some(0));
        assert_eq!(last_type(state.path()), "dev.grantd.daemon.stopped.v1");
    }
    let recorded = assert_whole_journal(state.path());
    let begun =
        |event: &&serde_json::Value| event["type"] == "dev.grantd.daemon.lineage_started.v1";
    assert_eq!(recorded.iter().filter(begun).count(), 1);
}

#[test]
fn a_state_that_can_not_be_written_is_refused() {
    let disk = Tmpfs::new("16m");
    let state = disk.folder("state");
    assert!(Grantd::dev().state(&state).start().stop().success());
    disk.read_only();
    for refused in [
        Grantd::serve().state(&state).refuse(),
        Grantd::dev().state(&state).refuse(),
        Grantd::dev().state(&disk.folder("none")).refuse(),
    ] {
        let words = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{words}");
        assert!(words.contains(disk.folder("").to_str().unwrap()), "{words}");
        assert!(words.contains("Read-only file system"), "{words}");
        assert!(refused.stdout.is_empty(), "it was never ready");
    }
}

#[test]
fn a_metrics_port_in_use_is_named() {
    let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = first.local_addr().unwrap().to_string();
    let output = Grantd::serve().listen("127.0.0.1:0", &address).refuse();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&address), "{words}");
}
