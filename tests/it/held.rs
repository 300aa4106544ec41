//! A change that takes away more than a guard allows is held back until an operator releases it, by the hash of
//! what goes away: told everywhere, also across a restart, and nothing else is let through.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    BILLING, Deployment, Grantd, Registry, Tmpfs, events, eventually, eventually_async, failed,
    grantd, said,
};

/// Longest until a change of the folder is seen, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// One client may go at once.
const POLICY: &str = "[policy]\nmax_removed_clients = 1\n";

const CLIENTS: [&str; 4] = ["ann", "bob", "cleo", "dan"];

fn client(name: &str) -> String {
    format!(
        "[client.{name}.grants]\nbilling = [\"invoice:read\"]\n\n\
         [[client.{name}.secret]]\nhash = \"@{name}.1\"\ncreated = 2026-01-01\n"
    )
}

fn put(folder: &Path, path: &str, text: &str) {
    Registry::empty().file(path, text).write(folder);
}

fn put_all(folder: &Path) {
    put(folder, "policy/policy.toml", POLICY);
    for name in CLIENTS {
        put(folder, &format!("team/{name}.toml"), &client(name));
    }
}

fn remove(folder: &Path, names: &[&str]) {
    for name in names {
        fs::remove_file(folder.join(format!("team/{name}.toml"))).unwrap();
    }
}

async fn asks(grantd: &Grantd, name: &str) -> u16 {
    let ask = grantd.ask().of(name).resource(BILLING);
    ask.send().await.status
}

/// The hash of the change that waits, once one does which takes away so many.
fn held(grantd: &Grantd, gone: usize) -> String {
    let words = format!("{gone} of 11 enabled clients would go away");
    let degraded = eventually("a change is held back", SOON, || {
        let degraded = grantd.readyz()["degraded"].to_string();
        degraded.contains(&words).then_some(degraded)
    });
    let (_, rest) = degraded.split_once("grantd registry accept ").unwrap();
    rest.split(['`', '"']).next().unwrap().to_owned()
}

fn of_kind(state: &Path, kind: &str) -> Vec<Value> {
    let kind = format!("dev.grantd.{kind}.v1");
    let all = events(state);
    all.into_iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

fn accept(state: &Path, hash: &str) -> Output {
    let state = state.display().to_string();
    grantd(&["registry", "accept", hash, "--state", &state])
}

/// `/readyz`, status, metric, log and event say what waits and what it takes away.
fn is_told_everywhere(deployment: &Deployment, grantd: &Grantd, hash: &str, digest: &Value) {
    let shown = grantd.readyz();
    assert_eq!(shown["ready"], true);
    assert_eq!(shown["digest"], *digest);
    assert_eq!(grantd.metric("grantd_registry_held"), 1.0);
    assert_eq!(grantd.metric("grantd_registry_problems"), 0.0);
    let status = crate::support::grantd(&["status", "--config", &deployment.config()]);
    let status = said(&status);
    assert!(status.contains(&format!("change {hash}\n")), "{status}");
    for name in ["ann", "bob", "cleo"] {
        assert!(status.contains(name), "{status}");
    }
    let logged = |line: &Value| line["change"] == hash && line["level"] == "ERROR";
    assert!(grantd.log_lines().iter().any(logged), "{}", grantd.log());
    let event = eventually("the event is recorded", SOON, || {
        of_kind(&grantd.ready.state, "registry.held").pop()
    });
    assert_eq!(event["data"]["change"], hash);
    assert_eq!(event["data"]["registry"]["digest"], *digest);
    let why = event["data"]["reasons"][0]["what"].as_str().unwrap();
    assert!(why.contains("would go away"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_takes_away_too_much_waits_until_it_is_released() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    put_all(&folder);
    let mut grantd = deployment.serve();
    let state = deployment.path("state");
    let digest = grantd.readyz()["digest"].clone();
    remove(&folder, &["ann", "bob", "cleo"]);
    let hash = held(&grantd, 3);
    is_told_everywhere(&deployment, &grantd, &hash, &digest);
    assert_eq!(asks(&grantd, "ann").await, 200);

    // Another change beside it keeps the hash, and is told once.
    put(&folder, "more.toml", &client("eve"));
    let looks = || grantd.metric("grantd_registry_looks_total");
    let before = looks();
    // Two looks that agree, and one more.
    eventually("the folder was looked at", SOON, || {
        (looks() > before + 3.0).then_some(())
    });
    assert_eq!(held(&grantd, 3), hash);
    assert_eq!(asks(&grantd, "eve").await, 401);
    assert_eq!(of_kind(&state, "registry.held").len(), 1);

    // A restart forgets nothing.
    assert!(grantd.stop().success());
    let grantd = deployment.serve();
    assert_eq!(held(&grantd, 3), hash);
    is_told_everywhere(&deployment, &grantd, &hash, &digest);
    assert_eq!(asks(&grantd, "ann").await, 200);

    is_released(&deployment, &grantd, &hash).await;
    let served = grantd.readyz();
    assert_eq!(served["degraded"], serde_json::json!([]));
    assert_ne!(served["digest"], digest);
    assert_eq!(grantd.metric("grantd_registry_held"), 0.0);
    let applied = of_kind(&state, "registry.applied").pop().unwrap();
    assert_eq!(applied["data"]["previous_digest"], digest);
    assert_eq!(applied["data"]["clients"]["removed"], 3);
    assert_eq!(applied["data"]["clients"]["added"], 1);
    for (name, status) in [("ann", 401), ("cleo", 401), ("dan", 200), ("eve", 200)] {
        assert_eq!(asks(&grantd, name).await, status, "{name}");
    }
    let words = failed(&accept(&state, &hash), 1);
    assert!(
        words.contains("no change of the registry is held back"),
        "{words}"
    );
}

/// A wrong hash is refused, and says which one waits; the right one is served at once, and recorded.
async fn is_released(deployment: &Deployment, grantd: &Grantd, hash: &str) {
    let state = deployment.path("state");
    let words = failed(&accept(&state, &"0".repeat(64)), 1);
    assert!(words.contains(hash), "{words}");
    failed(&accept(&state, "not-a-hash"), 2);
    assert_eq!(asks(grantd, "ann").await, 200);
    assert!(of_kind(&state, "admin.registry_accepted").is_empty());

    let child = Command::new(env!("CARGO_BIN_EXE_grantd"))
        .args(["registry", "accept", hash, "--format", "json", "--state"])
        .arg(&state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let answer: Value = serde_json::from_str(&said(&child.wait_with_output().unwrap())).unwrap();
    let served = grantd.readyz();
    assert_eq!(answer["change"], hash);
    assert_eq!(answer["digest"], served["digest"]);
    assert_eq!(answer["generation"], served["generation"]);
    let accepted = of_kind(&state, "admin.registry_accepted");
    assert_eq!(accepted.len(), 1);
    let accepted = &accepted[0]["data"];
    assert_eq!(accepted["change"], hash);
    assert_eq!(accepted["pid"], pid);
    assert_eq!(accepted["uid"], rustix::process::geteuid().as_raw());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_of_one_change_and_what_is_taken_back_waits_no_more() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    put_all(&folder);
    let grantd = deployment.serve();
    let state = deployment.path("state");
    remove(&folder, &["ann", "bob"]);
    let two = held(&grantd, 2);
    remove(&folder, &["cleo"]);
    let three = held(&grantd, 3);
    assert_ne!(two, three);
    let words = failed(&accept(&state, &two), 1);
    assert!(words.contains(&three), "{words}");
    assert_eq!(asks(&grantd, "ann").await, 200);

    // The file is mended instead.
    put_all(&folder);
    eventually("nothing waits any more", SOON, || {
        (grantd.readyz()["degraded"] == serde_json::json!([])).then_some(())
    });
    assert_eq!(grantd.metric("grantd_registry_held"), 0.0);
    // One at a time is no matter for the guard.
    remove(&folder, &["ann"]);
    eventually_async("one goes", SOON, async || {
        (asks(&grantd, "ann").await == 401).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_start_refuses_a_change_that_is_held_back() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    put_all(&folder);
    let mut grantd = deployment.serve();
    assert!(grantd.stop().success());
    remove(&folder, &["ann", "bob"]);
    let output = deployment.command().arg("--strict").output().unwrap();
    let words = failed(&output, 1);
    for expected in ["is held back", "2 of 11 enabled clients", "--strict"] {
        assert!(words.contains(expected), "{words}");
    }
}

/// The disk is full between the release and what comes of it, and then the power fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_outlives_a_kill_before_it_is_applied() {
    let disk = Tmpfs::new("64m");
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    put_all(&folder);
    let state = disk.folder("state");
    copy(&deployment.path("state"), &state);
    let place = state.display().to_string();
    deployment.set("dir = \"state\"", &format!("dir = {place:?}"));
    let mut grantd = deployment.serve();
    remove(&folder, &["ann", "bob"]);
    let hash = held(&grantd, 2);
    // The store has room for the release, the kept registry has none for the change.
    disk.fill(3 << 19);
    let mut asking = Command::new(env!("CARGO_BIN_EXE_grantd"))
        .args(["registry", "accept", &hash, "--state", &place])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the change waits for room", SOON, || {
        (grantd.metric("grantd_registry_keep_waiting") == 1.0).then_some(())
    });
    assert_eq!(of_kind(&state, "admin.registry_accepted").len(), 1);
    grantd.kill();
    asking.wait().unwrap();
    disk.resize("128m");

    let grantd = deployment.serve();
    eventually_async(
        "it is applied without being asked again",
        SOON,
        async || (asks(&grantd, "ann").await == 401).then_some(()),
    )
    .await;
    assert_eq!(grantd.readyz()["degraded"], serde_json::json!([]));
    assert_eq!(of_kind(&state, "admin.registry_accepted").len(), 1);
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}
