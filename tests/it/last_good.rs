//! The last good registry across a restart: a start on a broken folder serves what was served last, says so
//! everywhere, and heals by itself. What was kept is served right or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use grantd::store::{KeptMark, OnCorruption, Store};

use crate::clock::libfaketime;
use crate::support::{
    BILLING, Deployment, Grantd, Load, Registry, Seed, Steady, Tmpfs, events, eventually,
    eventually_async, failed, grantd, long_or, said,
};

/// Longest until a change of the folder is served, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A client that comes later.
const LATECOMER: &str = r#"
[client.latecomer.grants]
billing = ["invoice:read"]

[[client.latecomer.secret]]
hash = "@latecomer.1"
created = 2026-01-01
"#;

/// A problem in line 2.
const BAD: &str = "[client.x]\nnmae = \"a typing error\"\n";

fn put(folder: &Path, path: &str, text: &str) {
    Registry::empty().file(path, text).write(folder);
}

/// What the folder says, as the digest that a daemon would show.
fn digest_of(folder: &Path) -> String {
    let folder = folder.display().to_string();
    let checked = grantd(&["check", "--format", "json", &folder]);
    let checked: Value = serde_json::from_str(&said(&checked)).unwrap();
    checked["digest"].as_str().unwrap().to_owned()
}

fn serves(grantd: &Grantd, digest: &str) {
    eventually("the registry is served", SOON, || {
        (grantd.readyz()["digest"] == digest).then_some(())
    });
}

/// The last event of this type.
fn last(state: &Path, kind: &str) -> Value {
    let kind = format!("dev.grantd.{kind}.v1");
    eventually("the event is recorded", SOON, || {
        let all = events(state);
        all.into_iter().rev().find(|event| event["type"] == kind)
    })
}

async fn gets_a_token(grantd: &Grantd, client: &str) {
    let ask = grantd.ask().of(client).resource(BILLING);
    ask.send().await.granted();
}

/// A deployment that has served the company, then a client more.
fn served() -> (Deployment, String) {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    let mut grantd = deployment.serve();
    put(&folder, "team/latecomer.toml", LATECOMER);
    let digest = digest_of(&folder);
    serves(&grantd, &digest);
    assert!(grantd.stop().success());
    (deployment, digest)
}

/// A way in which a folder is no registry: what is said of it, what does it, what undoes it.
struct Breakage(&'static str, fn(&Path), fn(&Path));

fn breakages() -> [Breakage; 3] {
    fn aside(folder: &Path) -> PathBuf {
        folder.with_extension("aside")
    }
    [
        Breakage(
            "bad.toml:2:1",
            |folder| put(folder, "bad.toml", BAD),
            |folder| fs::remove_file(folder.join("bad.toml")).unwrap(),
        ),
        Breakage(
            "does not exist",
            |folder| fs::rename(folder, aside(folder)).unwrap(),
            |folder| fs::rename(aside(folder), folder).unwrap(),
        ),
        Breakage(
            "holds no *.toml file",
            |folder| {
                fs::rename(folder, aside(folder)).unwrap();
                fs::create_dir(folder).unwrap();
            },
            |folder| {
                fs::remove_dir(folder).unwrap();
                fs::rename(aside(folder), folder).unwrap();
            },
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_missing_or_empty_folder_serves_the_last_good_registry_until_it_heals() {
    let (deployment, digest) = served();
    let folder = deployment.path("registry.d");
    let mut generation = 2;
    for Breakage(words, break_it, mend_it) in breakages() {
        break_it(&folder);
        let mut grantd = deployment.serve();
        gets_a_token(&grantd, "latecomer").await;
        is_told_everywhere(&deployment, &grantd, &digest, words);
        let shown = grantd.readyz()["generation"].as_u64().unwrap();
        assert!(shown > generation, "{shown} after {generation}");
        generation = shown;

        mend_it(&folder);
        eventually("it heals by itself", SOON, || {
            (grantd.readyz()["degraded"] == serde_json::json!([])).then_some(())
        });
        assert_eq!(grantd.metric("grantd_registry_restored"), 0.0);
        assert_eq!(grantd.metric("grantd_registry_last_good_age_seconds"), 0.0);
        let applied = &last(&grantd.ready.state, "registry.applied")["data"];
        assert_eq!(applied["previous_digest"], digest.as_str());
        assert_eq!(applied["registry"]["digest"], digest.as_str());
        generation += 1;
        assert_eq!(applied["registry"]["generation"], generation);
        assert!(grantd.stop().success());
    }
}

/// `/readyz`, status, metrics, log and events say what is served and what is wrong with the folder.
fn is_told_everywhere(deployment: &Deployment, grantd: &Grantd, digest: &str, words: &str) {
    let shown = grantd.readyz();
    assert_eq!(shown["ready"], true);
    assert_eq!(shown["digest"], digest);
    let degraded = shown["degraded"].to_string();
    for said in [
        words,
        "last good registry is served",
        "kept from a run before",
    ] {
        assert!(degraded.contains(said), "{said:?} is not in {degraded}");
    }
    assert_eq!(grantd.metric("grantd_registry_restored"), 1.0);
    assert_eq!(grantd.metric("grantd_registry_last_good_too_old"), 0.0);
    let status = said(&crate::support::grantd(&[
        "status",
        "--config",
        &deployment.config(),
    ]));
    assert!(status.starts_with("ready, degraded\n"), "{status}");
    assert!(status.contains("kept from a run before\n"), "{status}");
    assert!(status.contains(digest), "{status}");
    let logged = |line: &Value| {
        line["message"] == "the last good registry is served, as it was kept"
            && line["digest"] == digest
    };
    assert!(grantd.log_lines().iter().any(logged), "{}", grantd.log());
    let restored = &last(&grantd.ready.state, "registry.restored")["data"];
    assert_eq!(restored["registry"]["digest"], digest);
    assert_eq!(restored["registry"]["generation"], shown["generation"]);
    assert!(restored["accepted_at"].as_str() <= restored["seen_until"].as_str());
    let rejected = &last(&grantd.ready.state, "registry.rejected")["data"];
    assert_eq!(rejected["registry"]["digest"], digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_change_of_a_start_is_told_against_the_kept_registry() {
    let (deployment, digest) = served();
    let folder = deployment.path("registry.d");
    fs::remove_file(folder.join("team/latecomer.toml")).unwrap();
    let newcomer = LATECOMER.replace("latecomer", "newcomer");
    put(&folder, "a.toml", &newcomer);
    put(&folder, "b.toml", &newcomer.replace("newcomer", "other"));
    let grantd = deployment.serve();
    gets_a_token(&grantd, "newcomer").await;
    let applied = &last(&grantd.ready.state, "registry.applied")["data"];
    assert_eq!(applied["previous_digest"], digest.as_str());
    assert_eq!(applied["clients"]["added"], 2);
    assert_eq!(applied["clients"]["removed"], 1);
    assert_eq!(applied["clients"]["changed"], 0);
    let old = grantd.ask().of("latecomer").resource(BILLING);
    old.send().await.refused(401, "invalid_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_last_good_registry_nothing_is_issued_until_it_heals() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    for Breakage(words, break_it, mend_it) in breakages() {
        break_it(&folder);
        let mut grantd = deployment.serve_judged(&mut deployment.command());
        let shown = eventually("it says why", SOON, || {
            let shown = grantd.readyz();
            shown["reasons"]
                .to_string()
                .contains(words)
                .then_some(shown)
        });
        assert_eq!(shown["ready"], false);
        assert_eq!(grantd.monitor("/readyz").0, 503);
        // Nobody is told that a client is unknown while no registry is there.
        for client in ["reader", "nobody"] {
            let ask = grantd.ask().of(client).resource(BILLING);
            ask.send().await.refused(503, "temporarily_unavailable");
        }
        mend_it(&folder);
        eventually("it heals by itself", SOON, || {
            (grantd.readyz()["ready"] == true).then_some(())
        });
        gets_a_token(&grantd, "reader").await;
        assert!(grantd.stop().success());
        fs::remove_dir_all(deployment.path("state/registry")).unwrap();
    }
}

fn strict(deployment: &Deployment) -> Command {
    let mut command = deployment.command();
    command.arg("--strict");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_start_refuses_what_check_refuses() {
    let fresh = Deployment::new();
    let (kept, _) = served();
    for deployment in [&fresh, &kept] {
        let folder = deployment.path("registry.d");
        let before = events(&deployment.path("state")).len();
        for Breakage(words, break_it, mend_it) in breakages() {
            break_it(&folder);
            let output = strict(deployment).output().unwrap();
            let said = failed(&output, 1);
            let checked = grantd(&["check", "--config", &deployment.config()]);
            let checked = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert!(said.contains(checked.trim_end()), "{said}\n--\n{checked}");
            let file = words.split(':').next().unwrap();
            assert!(said.contains(file), "{said}");
            assert!(said.contains("not started (--strict)"), "{said}");
            mend_it(&folder);
        }
        assert_eq!(events(&deployment.path("state")).len(), before);
        let grantd = deployment.serve_by(&mut strict(deployment));
        gets_a_token(&grantd, "reader").await;
    }
}

/// Versions of one file.
fn version(number: usize) -> String {
    LATECOMER.replace(
        "[client.latecomer.grants]",
        &format!("[client.latecomer]\nname = \"version {number}\"\n\n[client.latecomer.grants]"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_changes_leaves_the_one_or_the_other_registry() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    let mut seed = Seed::new();
    put(&folder, "version.toml", &version(0));
    let mut before = digest_of(&folder);
    let mut grantd = deployment.serve();
    for round in 1..=long_or(60, 6) {
        serves(&grantd, &before);
        let load = Load::start(&grantd, 4);
        load.until_tokens(10).await;
        put(&folder, "version.toml", &version(round));
        let after = digest_of(&folder);
        // From before the look at the folder to some time behind the change.
        std::thread::sleep(Duration::from_millis(seed.below(250)));
        grantd.kill();
        let received = load.over_by_itself().await;
        assert!(received.refused.is_empty(), "{:?}", received.refused);

        put(&folder, "bad.toml", BAD);
        grantd = deployment.serve();
        let found = grantd.readyz()["digest"].as_str().unwrap().to_owned();
        assert!(
            found == before || found == after,
            "{found} is neither {before} nor {after}"
        );
        gets_a_token(&grantd, "latecomer").await;
        assert_eq!(grantd.metric("grantd_registry_kept_broken"), 0.0);
        fs::remove_file(folder.join("bad.toml")).unwrap();
        before = after;
    }
    serves(&grantd, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_9_a_flipped_bit_is_served_right_or_refused_loudly() {
    let (deployment, digest) = served();
    let folder = deployment.path("registry.d");
    put(&folder, "bad.toml", BAD);
    let kept = deployment.path("state/registry");
    let whole: Vec<(PathBuf, Vec<u8>)> = ["base", "log"]
        .map(|name| kept.join(name))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .into();
    let mut seed = Seed::new();
    let (mut served, mut refused) = (0, 0);
    for round in 0..long_or(200, 8) {
        let _none_yet = fs::remove_dir_all(kept.join("broken"));
        for (path, bytes) in &whole {
            fs::write(path, bytes).unwrap();
        }
        // The first round flips nothing: the floor of successes.
        if round > 0 {
            let (path, bytes) = &whole[round % 2];
            let mut bytes = bytes.clone();
            let at = usize::try_from(seed.below(bytes.len() as u64)).unwrap();
            bytes[at] ^= 1 << seed.below(8);
            fs::write(path, bytes).unwrap();
        }
        let mut grantd = deployment.serve_judged(&mut deployment.command());
        let shown = eventually("it is clear how it stands", SOON, || {
            let shown = grantd.readyz();
            (shown["ready"] == true || shown["reasons"].to_string().contains("bad.toml"))
                .then_some(shown)
        });
        if shown["ready"] == true {
            assert_eq!(shown["digest"], digest.as_str());
            served += 1;
        } else {
            is_refused_loudly(&grantd, &shown, &kept).await;
            refused += 1;
        }
        assert!(grantd.stop().success());
    }
    assert!(
        served > 0 && refused > 0,
        "{served} served, {refused} refused"
    );

    // The damage is over once the folder is good, and the alarm once somebody has looked.
    fs::remove_file(folder.join("bad.toml")).unwrap();
    let mut grantd = deployment.serve();
    assert_eq!(grantd.readyz()["digest"], digest.as_str());
    assert!(grantd.stop().success());
    put(&folder, "bad.toml", BAD);
    let grantd = deployment.serve();
    assert_eq!(grantd.readyz()["digest"], digest.as_str());
}

async fn is_refused_loudly(grantd: &Grantd, shown: &Value, kept: &Path) {
    assert_eq!(shown["digest"], Value::Null);
    let reasons = shown["reasons"].to_string();
    assert!(reasons.contains("kept can't be used"), "{reasons}");
    let aside = kept.join("broken");
    assert!(reasons.contains(aside.to_str().unwrap()), "{reasons}");
    assert!(aside.join("base").exists(), "kept as evidence");
    assert_eq!(grantd.metric("grantd_registry_kept_broken"), 1.0);
    assert!(
        grantd
            .log()
            .contains("the last good registry can't be used")
    );
    let ask = grantd.ask().of("reader").resource(BILLING);
    ask.send().await.refused(503, "temporarily_unavailable");
}

/// The daemon at another time than this.
fn later(deployment: &Deployment, time: &str) -> Command {
    let mut command = deployment.command();
    command
        .env("LD_PRELOAD", libfaketime())
        .env("FAKETIME", time)
        .env("DONT_FAKE_MONOTONIC", "1");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_good_registry_that_is_too_old_is_an_alarm_or_refused() {
    let (deployment, digest) = served();
    let folder = deployment.path("registry.d");
    put(&folder, "bad.toml", BAD);
    let old = "longer ago than registry.last_good_max_age (1d)";

    let mut grantd = deployment.serve_by(&mut later(&deployment, "+23h"));
    assert!(!grantd.readyz()["degraded"].to_string().contains(old));
    assert!(grantd.stop().success());

    let mut grantd = deployment.serve_by(&mut later(&deployment, "+25h"));
    let shown = grantd.readyz();
    assert!(shown["degraded"].to_string().contains(old), "{shown}");
    assert_eq!(grantd.metric("grantd_registry_last_good_too_old"), 1.0);
    assert!(grantd.metric("grantd_registry_last_good_age_seconds") >= 90_000.0);
    gets_a_token(&grantd, "reader").await;
    assert!(grantd.stop().success());

    deployment.set(
        "# last_good_too_old = \"alarm\"",
        "last_good_too_old = \"refuse\"",
    );
    let mut grantd = deployment.serve_judged(&mut later(&deployment, "+26h"));
    let shown = eventually("it says why", SOON, || {
        let shown = grantd.readyz();
        shown["reasons"].to_string().contains(old).then_some(shown)
    });
    assert_eq!(shown["ready"], false);
    assert_eq!(shown["digest"], digest.as_str());
    let ask = grantd.ask().of("reader").resource(BILLING);
    ask.send().await.refused(503, "temporarily_unavailable");
    fs::remove_file(folder.join("bad.toml")).unwrap();
    eventually("it heals by itself", SOON, || {
        (grantd.readyz()["ready"] == true).then_some(())
    });
    gets_a_token(&grantd, "reader").await;
    assert!(grantd.stop().success());
}

/// The same without a restart: the folder breaks under a daemon that runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_refuses_too_once_the_folder_has_been_broken_for_too_long() {
    let deployment = Deployment::new();
    deployment.set(
        "# last_good_too_old = \"alarm\"",
        "last_good_too_old = \"refuse\"",
    );
    deployment.set(
        "# last_good_max_age = \"24h\"",
        "last_good_max_age = \"2s\"",
    );
    let grantd = deployment.serve();
    gets_a_token(&grantd, "reader").await;
    put(&deployment.path("registry.d"), "bad.toml", BAD);
    eventually("it is not ready", SOON, || {
        (grantd.readyz()["ready"] == false).then_some(())
    });
    let ask = || grantd.ask().of("reader").resource(BILLING);
    ask().send().await.refused(503, "temporarily_unavailable");
    fs::remove_file(deployment.path("registry.d/bad.toml")).unwrap();
    eventually("it heals by itself", SOON, || {
        (grantd.readyz()["ready"] == true).then_some(())
    });
    ask().send().await.granted();
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_5_a_change_waits_for_room_to_be_kept() {
    let disk = Tmpfs::new("64m");
    let grantd = Grantd::dev().state(&disk.folder("state")).start();
    let before = grantd.readyz();
    // The store has room for its mark, the kept registry has not.
    disk.fill(3 << 19);
    put(&grantd.registry(), "latecomer.toml", LATECOMER);
    eventually_async("the change waits", SOON, async || {
        let degraded = grantd.readyz()["degraded"].to_string();
        degraded
            .contains("waits until it can be kept")
            .then_some(())
    })
    .await;
    assert_eq!(grantd.metric("grantd_registry_keep_waiting"), 1.0);
    assert_eq!(grantd.readyz()["digest"], before["digest"]);
    disk.resize("128m");
    eventually_async("the change is served", SOON, async || {
        (grantd.readyz()["digest"] != before["digest"]).then_some(())
    })
    .await;
    assert_eq!(grantd.metric("grantd_registry_keep_waiting"), 0.0);
}

/// The store of a daemon that stopped.
fn store_of(state: &Path) -> Store {
    let open = || Store::open(&state.join("db"), OnCorruption::Refuse).ok();
    eventually("the store opens", SOON, open)
}

/// The end comes after a base was written anew, and before its event and the mark: the mark is that of the
/// registry before.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_registry_that_was_never_served_gets_its_event() {
    for broken in [false, true] {
        let deployment = Deployment::new();
        let state = deployment.path("state");
        let mut grantd = deployment.serve();
        let digest = grantd.readyz()["digest"].clone();
        assert!(grantd.stop().success());
        let store = store_of(&state);
        let mark = store.kept_mark().unwrap().unwrap();
        let earlier = KeptMark { number: 0, ..mark };
        store.registry_applied(earlier).unwrap();
        drop(store);
        if broken {
            put(&deployment.path("registry.d"), "bad.toml", BAD);
        }
        let mut grantd = deployment.serve();
        assert_eq!(grantd.readyz()["digest"], digest);
        let applied = last(&state, "registry.applied");
        assert_eq!(applied["data"]["registry"]["digest"], digest);
        assert_eq!(applied["data"]["registry"]["generation"], 2);
        assert_eq!(applied["data"].get("previous_digest"), None);
        assert!(grantd.stop().success());
        let store = store_of(&state);
        assert!(store.kept_mark().unwrap().unwrap().number >= mark.number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_5_a_start_without_room_to_keep_serves_what_was_kept() {
    // Tokens leave a sixteenth of the disk free.
    let disk = Tmpfs::new("12m");
    let state = disk.folder("state");
    let mut grantd = Grantd::serve().state(&state).start();
    let before = grantd.readyz()["digest"].clone();
    assert!(grantd.stop().success());
    // The store has room for its mark and the journal for tokens, the kept registry has not.
    disk.fill(3 << 19);
    let grantd = Grantd::serve().state(&state).start();
    assert_eq!(grantd.readyz()["digest"], before);
    gets_a_token(&grantd, "reader").await;
    let restored = last(&state, "registry.restored");
    assert_eq!(restored["data"]["registry"]["digest"], before);
    assert_eq!(grantd.metric("grantd_registry_keep_waiting"), 1.0);
    disk.resize("64m");
    eventually_async("the folder's is kept and served", SOON, async || {
        let generation = &grantd.readyz()["generation"];
        (*generation != restored["data"]["registry"]["generation"]).then_some(())
    })
    .await;
    assert_eq!(grantd.metric("grantd_registry_keep_waiting"), 0.0);
    let applied = last(&state, "registry.applied");
    assert_eq!(
        applied["data"]["registry"]["generation"],
        grantd.readyz()["generation"]
    );
}

/// Requests are served while the log is folded into a new base, and the next start finds the last registry.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_folded_under_load_and_stays_bounded() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    let grantd = Arc::new(deployment.serve());
    let load = Steady::of(
        &grantd,
        [|ask: crate::support::Ask| ask.of("reader").resource(BILLING)],
    );
    let log = deployment.path("state/registry/log");
    let mut digest = String::new();
    let mut longest = 0;
    for round in 0..6 {
        let long = format!("{}\n# {}", version(round), "x".repeat(300_000));
        put(&folder, "version.toml", &long);
        digest = digest_of(&folder);
        serves(&grantd, &digest);
        longest = longest.max(fs::metadata(&log).unwrap().len());
    }
    assert!(longest > 900_000, "{longest}");
    eventually("the log is folded", SOON, || {
        (fs::metadata(&log).unwrap().len() < 900_000).then_some(())
    });
    load.all_granted().await;
    grantd.signal(Signal::KILL);
    put(&folder, "bad.toml", BAD);
    let state = deployment.path("state");
    eventually("the state is free", SOON, || {
        let lock = fs::File::open(state.join("lock")).unwrap();
        let free = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::fs::flock(&lock, free).ok()
    });
    let again = deployment.serve();
    assert_eq!(again.readyz()["digest"], digest.as_str());
    gets_a_token(&again, "latecomer").await;
}
