//! The disk: full, bounded, damaged, gone. A token never leaves without its event, and whatever can
//! come back comes back without a restart (faults F5, F8, F9).

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantd::store::{OnCorruption, Store, StoreError};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    BILLING, Grantd, Load, Received, Registry, Tmpfs, assert_recorded, assert_whole_journal,
    events, eventually, eventually_async, issued, jwks, verify_all,
};

/// Longest until a change of the disk is noticed and acted on.
const NOTICED: Duration = Duration::from_secs(15);

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

/// Each refusal is a 503 that says nothing of the disk to the client.
fn assert_unavailable(received: &Received) {
    for (status, body) in &received.refused {
        assert_eq!(*status, 503, "{body}");
        assert!(body.contains("temporarily_unavailable"), "{body}");
    }
    assert!(received.broken.is_empty(), "{:?}", received.broken);
}

/// Waits until it says that it is not ready, for this reason.
async fn not_ready(grantd: &Grantd, why: &str) {
    eventually_async(why, NOTICED, async || {
        let said = grantd.readyz();
        (said["ready"] == false && said["reasons"].to_string().contains(why)).then_some(())
    })
    .await;
}

async fn ready_again(grantd: &Grantd) {
    eventually_async("it is ready again", NOTICED, async || {
        (grantd.readyz()["ready"] == true).then_some(())
    })
    .await;
}

/// Those who did not prove who they are get their answer, whatever the disk.
async fn refusals_are_answered(grantd: &Grantd) {
    for client in ["reader", "nobody"] {
        let ask = grantd.ask().with_secret(client, "wrong").resource(BILLING);
        ask.send().await.refused(401, "invalid_client");
    }
}

/// Every token has its event, and every event of a token that token: none was made in vain, for
/// nothing was killed.
async fn assert_nothing_lost(grantd: &mut Grantd, tokens: &[String]) -> Vec<Value> {
    let verified = verify_all(&jwks(grantd).await, tokens);
    assert_eq!(grantd.stop().code(), Some(0));
    let recorded = assert_whole_journal(&grantd.ready.state);
    assert_recorded(&verified, &recorded);
    assert_eq!(issued(&recorded).count(), tokens.len());
    recorded
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_5_a_disk_that_fills_under_load_refuses_and_goes_on_when_it_has_grown() {
    // A sixteenth of it, 4 MiB, is not for tokens. The journal looks at it once a second.
    let disk = Tmpfs::new("64m");
    let mut grantd = Grantd::dev().state(&disk.folder("state")).start();
    let load = Load::start(&grantd, 16);
    load.until_tokens(100).await;
    disk.fill(9 << 19);
    load.until_refused(200).await;
    not_ready(&grantd, "the disk is full").await;
    refusals_are_answered(&grantd).await;
    assert!(disk.free() > 0, "room is left for keys and state");

    let so_far = load.tokens();
    disk.resize("128m");
    load.until_tokens(so_far + 100).await;
    ready_again(&grantd).await;
    let received = load.end().await;
    assert_unavailable(&received);
    assert_nothing_lost(&mut grantd, &received.tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_5_a_disk_without_a_byte_left_loses_nothing() {
    let disk = Tmpfs::new("8m");
    let mut grantd = Grantd::dev().state(&disk.folder("state")).start();
    let load = Load::start(&grantd, 16);
    load.until_tokens(100).await;
    // At once, before anybody could look: the journal's own writes find it full.
    disk.fill(0);
    load.until_refused(200).await;
    not_ready(&grantd, "the disk is full").await;
    refusals_are_answered(&grantd).await;
    let so_far = load.tokens();
    disk.resize("64m");
    load.until_tokens(so_far + 100).await;
    ready_again(&grantd).await;
    let received = load.end().await;
    assert_unavailable(&received);
    assert_nothing_lost(&mut grantd, &received.tokens).await;
}

/// What is kept in place finds no room either, for as long as the disk is full: that ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn fault_5_a_change_waits_for_room_on_a_full_disk() {
    let disk = Tmpfs::new("64m");
    let mut grantd = Grantd::dev().state(&disk.folder("state")).start();
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    disk.fill(0);
    not_ready(&grantd, "the disk is full").await;
    let generation = grantd.readyz()["generation"].clone();
    Registry::empty()
        .file("latecomer.toml", LATECOMER)
        .write(&grantd.registry());
    eventually_async("the change waits", NOTICED, async || {
        grantd
            .log()
            .contains("a registry waits for room on the disk")
            .then_some(())
    })
    .await;
    assert_eq!(grantd.readyz()["generation"], generation);
    disk.resize("128m");
    eventually_async("the change is served", NOTICED, async || {
        (grantd.readyz()["generation"] != generation).then_some(())
    })
    .await;
    ready_again(&grantd).await;
    assert_eq!(grantd.stop().code(), Some(0));
}

/// A commit that a full disk can't take is refused before it is begun, so the store can be used afterwards.
#[test]
fn fault_5_the_store_outlives_a_full_disk() {
    let disk = Tmpfs::new("16m");
    let open = || Store::open(&disk.folder("db"), OnCorruption::Refuse);
    let store = open().unwrap();
    store.set_registry_generation(1).unwrap();
    disk.fill(0);
    // More than fits into what the file has already.
    for _ in 0..100 {
        let full = store.set_ship_mark(&[7; 900]);
        assert!(matches!(full, Err(StoreError::NoRoom { .. })), "{full:?}");
    }
    disk.resize("32m");
    store.set_registry_generation(2).unwrap();
    drop(store);
    // sled gives its lock back a moment later.
    let store = eventually("it opens again", NOTICED, || open().ok());
    assert_eq!(store.registry_generation().unwrap(), 2);
    assert_eq!(store.ship_mark().unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_at_its_bound_refuses_and_says_so() {
    let state = TempDir::new().unwrap();
    let serve = || {
        Grantd::serve()
            .state(state.path())
            .setting("audit.keep = { bytes = \"1MiB\" }")
    };
    let grantd = serve().start();
    let load = Load::start(&grantd, 16);
    load.until_refused(100).await;
    let received = load.end().await;
    assert_unavailable(&received);
    assert!(received.tokens.len() > 500, "{}", received.tokens.len());
    not_ready(&grantd, "the journal is full").await;
    refusals_are_answered(&grantd).await;
    // There is room for what the daemon itself must record.
    Registry::empty()
        .file("latecomer.toml", LATECOMER)
        .write(&grantd.registry());
    eventually_async("the change is recorded", NOTICED, async || {
        let applied = |event: &Value| event["type"] == "dev.grantd.registry.applied.v1";
        let recorded = events(state.path());
        let last = recorded.iter().rev().find(|event| applied(event))?;
        (last["data"]["clients"]["added"] == 1).then_some(())
    })
    .await;
    let mut grantd = grantd;
    assert_nothing_lost(&mut grantd, &received.tokens).await;

    // Its next start is no different, and a larger bound is all that it needs.
    let mut grantd = serve().start();
    not_ready(&grantd, "the journal is full").await;
    assert_eq!(grantd.stop().code(), Some(0));
    let grantd = Grantd::serve().state(state.path()).start();
    let ask = grantd.ask().of("reader").resource(BILLING);
    ask.send().await.granted();
}

/// A state whose journal has this many tokens, each in a commit of its own, of a daemon that was killed.
async fn killed_state(tokens: usize) -> (TempDir, Vec<String>) {
    let state = TempDir::new().unwrap();
    let mut grantd = Grantd::dev().state(state.path()).start();
    let mut received = Vec::new();
    for _ in 0..tokens {
        let ask = grantd.ask().of("reader").resource(BILLING);
        received.push(ask.send().await.granted().text("access_token"));
    }
    grantd.kill();
    (state, received)
}

/// The last segment with lines in it.
fn last_segment(state: &Path) -> PathBuf {
    let segments = std::fs::read_dir(state.join("journal")).unwrap();
    let mut segments: Vec<_> = segments
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "jsonl"))
        .filter(|path| path.metadata().unwrap().len() > 0)
        .collect();
    segments.sort();
    segments.pop().expect("a segment with lines")
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_9_a_flipped_byte_in_an_acknowledged_line_refuses_the_start() {
    let (state, _tokens) = killed_state(5).await;
    let segment = last_segment(state.path());
    let text = std::fs::read(&segment).unwrap();
    let second = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let at = second + 100;
    let file = std::fs::File::options().write(true).open(&segment).unwrap();
    file.write_all_at(&[text[at] ^ 1], at as u64).unwrap();

    let refused = Grantd::dev().state(state.path()).refuse();
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{words}");
    for said in [
        segment.to_str().unwrap(),
        &format!("damaged at byte {second}"),
        "restore this file from a backup",
        "Nothing was changed",
    ] {
        assert!(words.contains(said), "{said:?} is not in: {words}");
    }
    let mut damaged = text.clone();
    damaged[at] ^= 1;
    assert_eq!(
        std::fs::read(&segment).unwrap(),
        damaged,
        "kept as evidence"
    );

    // Repaired from a copy, it starts.
    std::fs::write(&segment, &text).unwrap();
    let grantd = Grantd::dev().state(state.path()).start();
    let ask = grantd.ask().of("reader").resource(BILLING);
    ask.send().await.granted();
    assert_whole_journal(state.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_line_is_moved_aside_and_said() {
    let (state, tokens) = killed_state(5).await;
    let segment = last_segment(state.path());
    let text = std::fs::read(&segment).unwrap();
    // A commit that was never acknowledged: the beginning of a line, behind those that were.
    let first = text.iter().position(|byte| *byte == b'\n').unwrap();
    let torn = [&text[..], &text[..first / 2]].concat();
    std::fs::write(&segment, &torn).unwrap();

    let mut grantd = Grantd::dev().state(state.path()).start();
    let verified = verify_all(&jwks(&grantd).await, &tokens);
    assert!(grantd.stop().success());
    let recorded = assert_whole_journal(state.path());
    assert_recorded(&verified, &recorded);
    let aside: Vec<_> = std::fs::read_dir(state.path().join("journal/torn"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read(&aside[0]).unwrap(), &text[..first / 2]);
    let said: Vec<_> = recorded
        .iter()
        .filter(|event| event["type"] == "dev.grantd.daemon.journal_recovered.v1")
        .collect();
    assert_eq!(said.len(), 1, "{recorded:?}");
    let said = &said[0]["data"];
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert_eq!(said["segment"], name);
    assert_eq!(said["bytes"], first / 2);
    let moved_to = said["moved_to"].as_str().unwrap();
    assert!(aside[0].ends_with(moved_to), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_8_a_journal_that_is_removed_under_the_daemon_ends_it() {
    for remove in [remove_folder as fn(&Path), replace_folder, remove_segments] {
        let mut grantd = Grantd::dev().start();
        let load = Load::start(&grantd, 4);
        load.until_tokens(20).await;
        remove(&grantd.ready.state.join("journal"));
        let ended = grantd.ended(NOTICED);
        let received = load.over_by_itself().await;
        assert_eq!(ended.code(), Some(1), "{ended}");
        for (status, body) in &received.refused {
            assert_eq!(*status, 503, "{body}");
        }
        let log = grantd.log();
        assert!(log.contains("was removed or replaced"), "{log}");
    }
}

fn remove_folder(journal: &Path) {
    // The keeper may make a file meanwhile.
    while std::fs::remove_dir_all(journal).is_err() {}
}

fn replace_folder(journal: &Path) {
    std::fs::rename(journal, journal.with_extension("old")).unwrap();
    std::fs::create_dir(journal).unwrap();
}

fn remove_segments(journal: &Path) {
    for entry in std::fs::read_dir(journal).unwrap() {
        let _gone = std::fs::remove_file(entry.unwrap().path());
    }
}
