//! `grantd audit`: the same events from the files, a live daemon and a stream; findings where there are.

use std::path::Path;
use std::process::{Command, Output};

use grantd::admin::{Accept, AdminPorts, Door, Kind, Look, SOCKET, bind, serve};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::ship::{Marks, Shipper, ship_settings};
use crate::support::{NatsServer, python, repository};

fn audit(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grantd"))
        .arg("audit")
        .args(args)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_live_daemon_and_stream_hold_the_same_bytes() {
    let server = NatsServer::start();
    let state = TempDir::new().unwrap();
    let journal = state.path().join("journal");
    let shipper = Shipper::start(&journal, ship_settings(&server.url()), &Marks::default());
    shipper.record(1500).await;
    shipper.caught_up().await;
    let listener = bind(&Door {
        kind: Kind::Admin,
        path: state.path().join(SOCKET),
        group: None,
        mode: 0o600,
    })
    .unwrap();
    let ports = AdminPorts {
        tail: shipper.journal.tail(),
        tasks: shipper.tasks.clone(),
        journal: shipper.journal.clone(),
        changes: tokio::sync::mpsc::channel(1).0,
        keys: tokio::sync::mpsc::channel(1).0,
        look: Look::new(|| panic!("nobody asks for a status here")),
        accept: Accept::new(|_, _| async { Err("nothing is held back here".to_owned()) }),
    };
    shipper.tasks.spawn("admin", serve(listener, ports));
    let dir = state.path().to_str().unwrap().to_owned();
    let url = server.url();

    let (dir, url, live, stream) = tokio::task::spawn_blocking(move || {
        let live = audit(&["export", "--state", &dir]);
        let from_stream = ["--nats", &url, "--stream", "AUDIT", "--instance", "auth-1"];
        let stream = audit(&[&["export"], &from_stream[..]].concat());
        let verified = text(&audit(&["verify", "--state", &dir]));
        assert!(
            verified.contains("(live daemon)") && verified.contains("good"),
            "{verified}"
        );
        let verified = text(&audit(
            &[&["verify", "--format", "json"], &from_stream[..]].concat(),
        ));
        let report: Value = serde_json::from_str(&verified).unwrap();
        assert_eq!(report["ok"], true);
        assert_eq!(report["lines"], 1502);
        let last = text(&audit(&[&["tail", "-n", "3"], &from_stream[..]].concat()));
        assert_eq!(last.lines().count(), 3);
        assert_eq!(last, text(&audit(&["tail", "-n", "3", "--state", &dir])));
        (dir, url, live, stream)
    })
    .await
    .unwrap();
    assert_eq!(text(&live), text(&stream));
    assert_eq!(text(&live).lines().count(), 1502);
    shipper.stop().await;
    drop(url);

    let (files, dir) = tokio::task::spawn_blocking(move || {
        let files = audit(&["export", "--state", &dir]);
        (files, dir)
    })
    .await
    .unwrap();
    assert!(text(&files).starts_with(&text(&live)));
    an_auditor_agrees(files.stdout.as_slice());
    found_by_what_is_known(&dir, &text(&files));
}

/// Python checks the chain, and each event against its schema; both notice a change.
fn an_auditor_agrees(lines: &[u8]) {
    let chain = text(&python("audit_chain.py", &[], lines));
    assert!(chain.contains("events, good, head "), "{chain}");
    let schemas = repository("docs/schemas/audit");
    let schemas = schemas.to_str().unwrap();
    let valid = text(&python("audit_schema.py", &[schemas], lines));
    assert!(valid.contains("dev.grantd.token.denied.v1"), "{valid}");

    let text = String::from_utf8(lines.to_owned()).unwrap();
    let altered = text.replacen("192.0.2.7", "192.0.2.8", 1);
    let output = python("audit_chain.py", &[], altered.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    let without: Vec<&str> = text
        .lines()
        .enumerate()
        .filter(|(at, _)| *at != 7)
        .map(|(_, line)| line)
        .collect();
    let output = python("audit_chain.py", &[], without.join("\n").as_bytes());
    assert_eq!(output.status.code(), Some(1));
    let odd = text.replacen("\"proved\":true", "\"proved\":true,\"odd\":1", 1);
    let output = python("audit_schema.py", &[schemas], odd.as_bytes());
    assert_eq!(output.status.code(), Some(1));
}

fn found_by_what_is_known(dir: &str, lines: &str) {
    let event: Value = serde_json::from_str(lines.lines().nth(100).unwrap()).unwrap();
    let request = event["data"]["request_id"].as_str().unwrap();
    let found = text(&audit(&[
        "find",
        "--state",
        dir,
        "--request-id",
        request,
        "--format",
        "json",
    ]));
    assert_eq!(found.trim_end(), lines.lines().nth(100).unwrap());
    let found = text(&audit(&[
        "find",
        "--state",
        dir,
        "--client",
        "nightly-invoices",
        "--since",
        "1h",
    ]));
    assert_eq!(found.lines().count(), 1500);
    assert!(
        found.lines().all(|row| row.contains("  token.denied  ")),
        "aligned rows"
    );
    let nothing = audit(&["find", "--state", dir, "--jti", "0123"]);
    assert!(nothing.status.success() && nothing.stdout.is_empty());
    assert_eq!(audit(&["find", "--state", dir]).status.code(), Some(2));
    assert_eq!(
        audit(&["find", "--state", dir, "--since", "noon"])
            .status
            .code(),
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_altered_or_missing_is_found() {
    let state = TempDir::new().unwrap();
    let journal = state.path().join("journal");
    let shipper = Shipper::start(
        &journal,
        ship_settings("nats://127.0.0.1:1"),
        &Marks::default(),
    );
    shipper.record(50).await;
    shipper.stop().await;
    let segment = segment(&journal);
    let good = std::fs::read_to_string(&segment).unwrap();
    let dir = state.path().to_str().unwrap();
    assert!(text(&audit(&["verify", "--state", dir])).contains("good"));

    let verify = |content: &str| {
        std::fs::write(&segment, content).unwrap();
        let output = audit(&["verify", "--state", dir]);
        assert_eq!(output.status.code(), Some(1), "{content}");
        String::from_utf8(output.stdout).unwrap()
    };
    let altered = verify(&good.replacen("192.0.2.7", "192.0.2.8", 1));
    assert!(altered.contains("does not match its bytes"), "{altered}");
    let lines: Vec<&str> = good.lines().collect();
    let mut without = lines.clone();
    without.remove(20);
    let missing = verify(&(without.join("\n") + "\n"));
    assert!(missing.contains("where line 21 should"), "{missing}");
    assert!(missing.contains("BAD: 1 finding"), "{missing}");
    let mut doubled = lines.clone();
    doubled.insert(20, lines[19]);
    assert!(verify(&(doubled.join("\n") + "\n")).contains("line 20 is there twice"));

    // An unfinished write at the end was never acknowledged: no finding.
    std::fs::write(&segment, format!("{good}{{\"specversion\":")).unwrap();
    let torn = text(&audit(&["verify", "--state", dir]));
    assert!(
        torn.contains("unfinished write") && torn.contains("good"),
        "{torn}"
    );
    let head = lines.last().unwrap().rsplit('"').nth(1).unwrap();
    let expected = audit(&["verify", "--state", dir, "--expect-head", head]);
    assert!(expected.status.success());
    let other = audit(&["verify", "--state", dir, "--expect-head", &"0".repeat(64)]);
    assert_eq!(other.status.code(), Some(1));
}

fn segment(journal: &Path) -> std::path::PathBuf {
    let mut segments: Vec<_> = std::fs::read_dir(journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| std::fs::metadata(path).unwrap().len() > 0)
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    assert_eq!(segments.len(), 1);
    segments.pop().unwrap()
}

#[test]
fn a_held_lock_without_a_socket_is_said() {
    let state = TempDir::new().unwrap();
    std::fs::create_dir(state.path().join("journal")).unwrap();
    let lock = std::fs::File::create(state.path().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let dir = state.path().to_str().unwrap();
    let output = audit(&["verify", "--state", dir]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("its admin socket can't be reached"),
        "{words}"
    );
    drop(lock);
    assert!(text(&audit(&["verify", "--state", dir])).contains("there are no events"));
}

#[test]
fn a_wrong_folder_is_said() {
    let output = audit(&["tail", "--state", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no journal in /nonexistent"));
    let url = [
        "--nats",
        "nats://user:pw@localhost:4222",
        "--stream",
        "A",
        "--instance",
        "a",
    ];
    let output = audit(&[&["tail"], &url[..]].concat());
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_mistyped_state_directory_is_said_and_never_made() {
    let folder = TempDir::new().unwrap();
    let run = |place: &Path, command: &[&str]| {
        let mut grantd = Command::new(env!("CARGO_BIN_EXE_grantd"));
        grantd.args(command).arg("--state").arg(place);
        grantd.output().unwrap()
    };
    let words = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let there = folder.path().join("other");
    std::fs::create_dir(&there).unwrap();
    for place in [folder.path().join("typo"), there.clone()] {
        for command in [
            &["keys", "rotate"][..],
            &["keys", "accept-clock"],
            &["audit", "tail"],
            &["audit", "verify"],
            &["audit", "export"],
        ] {
            let output = run(&place, command);
            let said = words(&output);
            assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
            assert!(said.contains("state directory"), "{command:?}: {said}");
        }
    }
    assert!(!folder.path().join("typo").exists());
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 0);

    // A deployment that has not served yet.
    std::fs::create_dir(there.join("journal")).unwrap();
    for command in [&["audit", "tail"], &["audit", "verify"]] {
        let output = run(&there, command);
        assert_eq!(output.status.code(), Some(0), "{}", words(&output));
        assert!(words(&output).contains("there are no events in"));
    }
}
