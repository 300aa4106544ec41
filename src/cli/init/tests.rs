//! `grantd init` and `grantd keys` on real folders. Touches: fs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use clap::Parser;
use tempfile::TempDir;

#[derive(Parser)]
struct Init {
    #[command(flatten)]
    args: Args,
}

#[derive(Parser)]
struct Keys {
    #[command(flatten)]
    args: super::super::keys::Args,
}

/// Exit, stdout, stderr.
type Said = (Exit, String, String);

fn with_io(command: impl FnOnce(&mut Io<'_>) -> Exit) -> Said {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = command(&mut Io {
        out: &mut out,
        err: &mut err,
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (exit, text(out), text(err))
}

fn init(dir: &Path, more: &[&str]) -> Said {
    let dir = dir.to_str().unwrap();
    let line = [&["init", "--dir", dir], more].concat();
    let parsed = Init::try_parse_from(line).unwrap();
    with_io(|io| run(&parsed.args, io))
}

fn keys(state: &Path, more: &[&str]) -> Said {
    let state = state.to_str().unwrap();
    let line = [&["keys"], more, &["--state", state]].concat();
    let parsed = Keys::try_parse_from(line).unwrap();
    with_io(|io| super::super::keys::run(&parsed.args, io))
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_new_deployment_has_settings_folders_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new");
    let more = [
        "--algorithm",
        "ES256",
        "--algorithm",
        "EdDSA",
        "--issuer",
        "https://auth.example.com",
        "--format",
        "json",
    ];
    let (exit, out, err) = init(&dir, &more);
    assert_eq!(exit, Exit::Done, "{err}");
    assert_eq!(json(&out)["signing"].as_array().unwrap().len(), 2);
    let text = fs::read_to_string(dir.join("grantd.toml")).unwrap();
    assert!(!text.contains('@'), "{text}");
    let settings: toml::Table = text.parse().unwrap();
    assert_eq!(
        settings["issuer"].as_str(),
        Some("https://auth.example.com")
    );
    assert_eq!(settings["state"]["dir"].as_str(), Some("state"));
    assert_eq!(settings["keys"]["algorithms"].as_array().unwrap().len(), 2);
    assert!(dir.join("registry.d/policy").is_dir());
    let (exit, out, _) = keys(&dir.join("state"), &["list", "--format", "json"]);
    assert_eq!(exit, Exit::Done);
    let listed = json(&out);
    let states: Vec<&str> = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].as_str().unwrap())
        .collect();
    assert_eq!(states.iter().filter(|state| **state == "active").count(), 2);
    assert_eq!(states.iter().filter(|state| **state == "next").count(), 2);
    let (_, table, _) = keys(&dir.join("state"), &["list"]);
    assert!(table.starts_with("KID"), "{table}");
    assert_eq!(table.lines().count(), 5);
}

#[test]
fn keys_that_are_there_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(init(folder.path(), &[]).0, Exit::Done);
    let state = folder.path().join("state");
    let before = keys(&state, &["list"]).1;
    let (exit, _, err) = init(folder.path(), &[]);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("already"), "{err}");
    assert_eq!(keys(&state, &["list"]).1, before);
}

#[test]
fn a_settings_file_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("grantd.toml"), "mine").unwrap();
    let (exit, out, _) = init(folder.path(), &[]);
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("was there"), "{out}");
    assert_eq!(
        fs::read_to_string(folder.path().join("grantd.toml")).unwrap(),
        "mine"
    );
}

#[test]
fn other_folders_and_a_seal_are_named_in_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (keys_dir, seal) = (folder.path().join("private"), folder.path().join("seal"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&seal)
        .unwrap();
    file.write_all(&[5; 32]).unwrap();
    let (keys_dir, seal) = (keys_dir.to_str().unwrap(), seal.to_str().unwrap());
    let (exit, _, err) = init(
        folder.path(),
        &["--keys", keys_dir, "--sealing-key-file", seal],
    );
    assert_eq!(exit, Exit::Done, "{err}");
    let text = fs::read_to_string(folder.path().join("grantd.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    assert_eq!(settings["keys"]["dir"].as_str(), Some("private"));
    assert_eq!(settings["keys"]["sealing_key_file"].as_str(), Some("seal"));
    for entry in fs::read_dir(keys_dir).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("PRIVATE"), "sealed");
    }
}

#[test]
fn a_stopped_daemon_is_rotated_and_a_running_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), &[]);
    let state = folder.path().join("state");
    let (exit, _, err) = keys(&state, &["rotate"]);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("has not been published yet"), "{err}");
    let listed = json(&keys(&state, &["list", "--format", "json"]).1);
    let active = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["state"] == "active")
        .unwrap();
    let kid = active["kid"].as_str().unwrap();
    let running = StateDir::open(&state).unwrap();
    let (exit, _, err) = keys(&state, &["rotate", "--compromised", kid]);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("in use by process"), "{err}");
    drop(running);
    let (exit, out, err) = keys(&state, &["rotate", "--compromised", kid]);
    assert_eq!(exit, Exit::Done, "{err}");
    assert!(
        out.contains("is withdrawn") && out.contains("signs"),
        "{out}"
    );
    assert!(err.contains("lead had not passed"), "{err}");
}

#[test]
fn lost_keys_are_replaced_on_demand_alone() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), &[]);
    let state = folder.path().join("state");
    fs::write(state.join("journal/00000000000000000001.jsonl"), "").unwrap();
    fs::remove_dir_all(state.join("keys")).unwrap();
    let (exit, _, err) = init(folder.path(), &[]);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("--keys-lost"), "{err}");
    let (exit, out, err) = init(folder.path(), &["--keys-lost"]);
    assert_eq!(exit, Exit::Done, "{err}");
    assert!(out.contains("signing   ES256"), "{out}");
    let (_, table, _) = keys(&state, &["list"]);
    assert_eq!(table.lines().count(), 3);
}

#[test]
fn an_init_that_was_cut_short_is_finished_by_the_next() {
    let folder = TempDir::new().unwrap();
    let (exit, _, err) = init(folder.path(), &["--algorithm", "ES256"]);
    assert_eq!(exit, Exit::Done, "{err}");
    // As a kill leaves it: one ring of two, and no settings.
    std::fs::remove_file(folder.path().join("grantd.toml")).unwrap();
    let both = ["--algorithm", "ES256", "--algorithm", "EdDSA"];
    let (exit, out, err) = init(folder.path(), &both);
    assert_eq!(exit, Exit::Done, "{err}");
    assert!(out.contains("EdDSA") && out.contains("ES256"), "{out}");
    assert!(folder.path().join("grantd.toml").exists());
    let (exit, _, err) = init(folder.path(), &both);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("there are signing keys"), "{err}");
}

#[test]
fn a_path_that_lies_elsewhere_is_written_whole() {
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let elsewhere = state.path().join("s");
    let (exit, _, err) = init(folder.path(), &["--state", elsewhere.to_str().unwrap()]);
    assert_eq!(exit, Exit::Done, "{err}");
    let text = std::fs::read_to_string(folder.path().join("grantd.toml")).unwrap();
    assert!(
        text.contains(&format!("dir = \"{}\"", elsewhere.display())),
        "{text}"
    );
    assert!(text.contains("dir = \"registry.d\""), "{text}");
}

#[test]
fn a_key_id_that_begins_with_a_hyphen_is_no_option() {
    let kid = format!("-{}", "A".repeat(42));
    let line = ["keys", "rotate", "--compromised", &kid, "--state", "."];
    assert!(Keys::try_parse_from(line).is_ok());
}
