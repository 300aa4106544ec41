//! What lands in the way of a daemon: each has a clear message and the right answer, and nothing is
//! lost.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{BILLING, Grantd, Registry, events, eventually_async};

/// Longest until a change of the registry is noticed.
const NOTICED: Duration = Duration::from_secs(15);

async fn still_serves(grantd: &Grantd) {
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
}

/// Waits until the registry is refused, and checks that the last good one is served.
async fn is_rejected(grantd: &Grantd, what: &str) {
    eventually_async(what, NOTICED, async || {
        events(&grantd.ready.state)
            .iter()
            .any(|event| event["type"] == "dev.grantd.registry.rejected.v1")
            .then_some(())
    })
    .await;
    still_serves(grantd).await;
}

#[test]
fn a_port_in_use_is_named() {
    let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = first.local_addr().unwrap().to_string();
    let output = Grantd::dev().listen(&address).refuse();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&address), "{words}");
}

#[test]
fn a_state_that_is_no_folder_is_named() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    std::fs::write(&state, "a file").unwrap();
    let output = Grantd::dev().state(&state).refuse();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(state.to_str().unwrap()), "{words}");
}

#[test]
fn a_registry_folder_that_is_missing_empty_or_broken_is_named() {
    let cases = [
        (Grantd::dev().no_registry(), 1, "does not exist"),
        (
            Grantd::dev().registry(Registry::empty()),
            3,
            "no *.toml file",
        ),
        (
            Grantd::dev().registry(Registry::empty().file("a.toml", "[client.x]\nnmae = 1\n")),
            3,
            "nmae",
        ),
    ];
    for (dev, code, why) in cases {
        let output = dev.refuse();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}");
        assert!(words.contains(why), "{words}");
    }
}

#[tokio::test]
async fn a_nats_url_that_does_not_resolve_stops_neither_start_nor_tokens() {
    let grantd = Grantd::dev().nats("nats://nowhere.invalid:4222").start();
    still_serves(&grantd).await;
}

#[tokio::test]
async fn a_file_that_is_no_toml_leaves_the_last_good_registry() {
    let grantd = Grantd::dev().start();
    std::fs::write(grantd.registry().join("bad.toml"), "this is = = no toml\n").unwrap();
    is_rejected(&grantd, "a file that is no TOML").await;
}

#[tokio::test]
async fn a_file_that_is_no_utf_8_leaves_the_last_good_registry() {
    let grantd = Grantd::dev().start();
    std::fs::write(grantd.registry().join("bad.toml"), b"name = \"\xff\xfe\"\n").unwrap();
    is_rejected(&grantd, "a file that is no UTF-8").await;
}

#[tokio::test]
async fn a_huge_file_leaves_the_last_good_registry() {
    let grantd = Grantd::dev().start();
    let file = std::fs::File::create(grantd.registry().join("huge.toml")).unwrap();
    // Sparse: it takes no space, and a daemon that read it would need 100 MB.
    file.set_len(100 * 1000 * 1000).unwrap();
    is_rejected(&grantd, "a file of 100 MB").await;
}

#[tokio::test]
async fn a_fifo_leaves_the_last_good_registry_and_blocks_nothing() {
    let grantd = Grantd::dev().start();
    let fifo = grantd.registry().join("fifo.toml");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    is_rejected(&grantd, "a FIFO").await;
}

#[tokio::test]
async fn a_registry_that_goes_away_or_is_emptied_keeps_its_clients() {
    for remove in [remove_whole as fn(&Path), remove_files] {
        let grantd = Grantd::dev().start();
        remove(&grantd.registry());
        is_rejected(&grantd, "a registry that went away").await;
    }
}

fn remove_whole(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
}

fn remove_files(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
}
