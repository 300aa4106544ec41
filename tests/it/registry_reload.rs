//! A registry that changes while it is served: a good change is live soon, a bad one changes nothing and
//! is told everywhere. What else may happen to the folder is in `converge.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    Ask, BILLING, Deployment, Grantd, Registry, Steady, WorkTree, events, eventually,
    eventually_async, grantd, said,
};

/// Longest from the last write to the first token, where the file system sends events: a second by
/// `docs/registry.md`, and a machine that is busy with other tests.
const LIVE: Duration = Duration::from_secs(5);

/// The same where the folder is only looked at: 5 s, and a busy machine.
const LIVE_BY_POLLING: Duration = Duration::from_secs(10);

/// A client that comes and goes.
const LATECOMER: &str = r#"
[client.latecomer.grants]
billing = ["invoice:read"]

[[client.latecomer.secret]]
hash = "@latecomer.1"
created = 2026-01-01
"#;

/// A problem in line 2.
const BAD: &str = r#"[client.x]
nmae = "a typing error"

[client.x.grants]
billing = ["invoice:read"]
"#;

fn put(grantd: &Grantd, path: &str, text: &str) {
    Registry::empty().file(path, text).write(&grantd.registry());
}

/// How long it takes until this client gets this answer.
async fn until(grantd: &Grantd, status: u16, most: Duration) -> Duration {
    let start = Instant::now();
    eventually_async("the change is served", most, async || {
        let answer = grantd.ask().of("latecomer").resource(BILLING).send().await;
        (answer.status == status).then_some(())
    })
    .await;
    start.elapsed()
}

/// Adds the client and takes it away, so often; the longest time that it took. Another client is served
/// meanwhile.
async fn come_and_go(grantd: Grantd, rounds: usize, most: Duration) -> Duration {
    let grantd = Arc::new(grantd);
    let load = Steady::of(&grantd, [reads]);
    let mut longest = Duration::ZERO;
    for _ in 0..rounds {
        put(&grantd, "team/latecomer.toml", LATECOMER);
        longest = longest.max(until(&grantd, 200, most).await);
        std::fs::remove_file(grantd.registry().join("team/latecomer.toml")).unwrap();
        longest = longest.max(until(&grantd, 401, most).await);
    }
    load.all_granted().await;
    longest
}

fn reads(ask: Ask) -> Ask {
    ask.of("reader").resource(BILLING)
}

#[expect(clippy::print_stderr, reason = "a figure that people want to see")]
fn report(what: &str, longest: Duration) {
    eprintln!("{what}: live {longest:?} after the last write at the latest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_live_soon_after_the_last_write() {
    let longest = come_and_go(Deployment::new().serve_alone(), 5, LIVE).await;
    report("with events", longest);
    assert!(longest < LIVE, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_events_a_change_is_live_by_polling() {
    let deployment = Deployment::new();
    deployment.set("# events = true", "events = false");
    let longest = come_and_go(deployment.serve_alone(), 2, LIVE_BY_POLLING).await;
    report("by polling", longest);
    assert!(longest < LIVE_BY_POLLING, "{longest:?}");
}

/// The first event of this type that is in the journal behind so many lines.
fn event_behind(grantd: &Grantd, lines: usize, kind: &str) -> Value {
    let kind = format!("dev.grantd.{kind}.v1");
    eventually("the event is recorded", LIVE_BY_POLLING, || {
        let all = events(&grantd.ready.state);
        all.into_iter().skip(lines).find(|it| it["type"] == kind)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_change_is_told_everywhere_until_it_is_healed() {
    let grantd = Arc::new(Deployment::new().serve_alone());
    let good = grantd.readyz();
    assert_eq!(good["degraded"], serde_json::json!([]));
    assert_eq!(grantd.metric("grantd_registry_problems"), 0.0);
    let lines = events(&grantd.ready.state).len();
    let load = Steady::of(&grantd, [reads]);

    put(&grantd, "team/bad.toml", BAD);
    let rejected = event_behind(&grantd, lines, "registry.rejected");
    let problem = &rejected["data"]["problems"][0];
    assert_eq!(problem["file"], "team/bad.toml");
    assert_eq!(problem["line"], 2);
    assert_eq!(problem["column"], 1);
    assert!(problem["what"].as_str().unwrap().contains("nmae"));
    assert_eq!(rejected["data"]["registry"]["digest"], good["digest"]);
    is_degraded(&grantd, &good);
    // The last good registry is served whole: no part of another change beside the bad file.
    let lines = events(&grantd.ready.state).len();
    put(&grantd, "team/latecomer.toml", LATECOMER);
    put(&grantd, "team/bad.toml", &format!("\n{BAD}"));
    let again = event_behind(&grantd, lines, "registry.rejected");
    assert_eq!(again["data"]["problems"][0]["line"], 3);
    let late = grantd.ask().of("latecomer").resource(BILLING).send().await;
    late.refused(401, "invalid_client");

    let lines = events(&grantd.ready.state).len();
    std::fs::remove_file(grantd.registry().join("team/bad.toml")).unwrap();
    until(&grantd, 200, LIVE).await;
    let applied = event_behind(&grantd, lines, "registry.applied");
    assert_eq!(applied["data"]["clients"]["added"], 1);
    assert_eq!(applied["data"]["previous_digest"], good["digest"]);
    let healed = eventually("/readyz shows no problem", LIVE, || {
        let shown = grantd.readyz();
        (shown["degraded"] == serde_json::json!([])).then_some(shown)
    });
    assert_eq!(healed["digest"], applied["data"]["registry"]["digest"]);
    assert_eq!(grantd.metric("grantd_registry_problems"), 0.0);
    load.all_granted().await;
}

/// The log, the metrics and `/readyz` say what is wrong, where, and that tokens are issued all the same.
fn is_degraded(grantd: &Grantd, good: &Value) {
    let logged = eventually("the problem is logged", LIVE, || {
        let lines = grantd.log_lines();
        lines
            .into_iter()
            .find(|line| line["file"] == "team/bad.toml")
    });
    assert_eq!(logged["line"], 2, "{logged}");
    assert!(
        logged["message"].as_str().unwrap().contains("nmae"),
        "{logged}"
    );
    assert_eq!(grantd.metric("grantd_registry_problems"), 1.0);
    assert_eq!(grantd.metric("grantd_registry_rejected_total"), 1.0);
    let (status, _) = grantd.monitor("/readyz");
    assert_eq!(status, 200, "degraded is not down");
    let shown = grantd.readyz();
    let degraded = shown["degraded"].to_string();
    assert!(degraded.contains("team/bad.toml:2:1"), "{degraded}");
    assert!(degraded.contains("last good registry"), "{degraded}");
    assert_eq!(shown["ready"], true);
    assert_eq!(shown["digest"], good["digest"]);
}

/// A commit; the next differs in the scope of one client and in the lifetime of another's tokens.
const OLD: (&str, &str) = (
    r#"
[client.widens.grants]
billing = ["invoice:read"]

[[client.widens.secret]]
hash = "@widens.1"
created = 2026-01-01
"#,
    r#"
[client.shortens]
token_lifetime = "10m"

[client.shortens.grants]
billing = ["invoice:read"]

[[client.shortens.secret]]
hash = "@shortens.1"
created = 2026-01-01
"#,
);

/// A commit, and what the registry of it is called.
struct Commit {
    id: String,
    digest: String,
}

/// A registry in a work tree with both commits; it stands at the first.
fn two_commits(folder: &Path) -> (WorkTree, [Commit; 2]) {
    let tree = WorkTree::new(folder);
    let commit = |(widens, shortens): (&str, &str)| {
        let files = Registry::empty().file("a/widens.toml", widens);
        files.file("z/shortens.toml", shortens).write(folder);
        let id = tree.commit("a change");
        let checked = grantd(&["check", "--format", "json", &folder.display().to_string()]);
        let checked: Value = serde_json::from_str(&said(&checked)).unwrap();
        assert_eq!(checked["commit"], id.as_str());
        let digest = checked["digest"].as_str().unwrap().to_owned();
        Commit { id, digest }
    };
    let old = commit(OLD);
    let widens = OLD.0.replace(
        "[\"invoice:read\"]",
        "[\"invoice:read\", \"invoice:write\"]",
    );
    let shortens = OLD.1.replace("10m", "2m");
    let new = commit((&widens, &shortens));
    tree.checkout(&old.id);
    (tree, [old, new])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commit_of_a_work_tree_is_in_every_record() {
    let deployment = Deployment::new();
    let (tree, [old, new]) = two_commits(&deployment.path("registry.d"));
    let grantd = deployment.serve();
    let first = event_behind(&grantd, 0, "registry.applied");
    is_at(&grantd, &first, &old);
    let lines = events(&grantd.ready.state).len();
    tree.checkout(&new.id);
    let second = event_behind(&grantd, lines, "registry.applied");
    is_at(&grantd, &second, &new);
    assert_eq!(second["data"]["clients"]["changed"], 2);
    assert_eq!(second["data"]["previous_digest"], old.digest.as_str());
    let answer = grantd.ask().of("widens").resource(BILLING).send().await;
    let issued = &crate::support::events_of(&grantd, &answer.granted())[0];
    assert_eq!(issued["data"]["registry"], second["data"]["registry"]);
}

/// `registry.applied` and `/readyz` name this commit and its digest.
fn is_at(grantd: &Grantd, applied: &Value, commit: &Commit) {
    let registry = &applied["data"]["registry"];
    assert_eq!(registry["digest"], commit.digest.as_str());
    assert_eq!(registry["commit"], commit.id.as_str());
    let shown = eventually("/readyz names the commit", LIVE, || {
        let shown = grantd.readyz();
        (shown["commit"] == commit.id.as_str()).then_some(shown)
    });
    assert_eq!(shown["digest"], commit.digest.as_str());
    assert_eq!(shown["generation"], registry["generation"]);
}
