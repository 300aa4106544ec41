//! Signing keys as an operator and a verifier see them: published before they sign, there until their
//! last token has expired, rotated on demand, refused when they can't be trusted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    BILLING, Deployment, Grantd, Registry, events, eventually_async, failed, said, verify,
    verify_with,
};

/// Longest until the second in which the daemon looks after its keys has come.
const SOON: Duration = Duration::from_secs(10);

/// Every algorithm that signs.
const ALGORITHMS: [&str; 5] = ["ES256", "EdDSA", "RS256", "PS256", "ES384"];

/// The keys of `keys list --format json`.
fn listed(deployment: &Deployment) -> Vec<Value> {
    let list: Value =
        serde_json::from_str(&said(&deployment.keys(&["list", "--format", "json"]))).unwrap();
    list["keys"].as_array().unwrap().clone()
}

/// The one key in this state.
#[track_caller]
fn the(keys: &[Value], state: &str) -> Value {
    let mut found = keys.iter().filter(|key| key["state"] == state);
    let key = found.next().unwrap_or_else(|| panic!("no {state} key"));
    assert!(found.next().is_none(), "more than one {state} key");
    key.clone()
}

fn kid(key: &Value) -> String {
    key["kid"].as_str().unwrap().to_owned()
}

async fn jwks(grantd: &Grantd) -> Value {
    grantd.https().get(&grantd.ready.jwks_uri).await.json()
}

async fn published(grantd: &Grantd) -> Vec<String> {
    let jwks = jwks(grantd).await;
    let mut kids: Vec<String> = jwks["keys"].as_array().unwrap().iter().map(kid).collect();
    kids.sort();
    kids
}

fn sorted(keys: &[&Value]) -> Vec<String> {
    let mut kids: Vec<String> = keys.iter().map(|key| kid(key)).collect();
    kids.sort();
    kids
}

/// A token of the reader, and the key that signed it.
async fn token(grantd: &Grantd) -> (String, String) {
    let answer = grantd.ask().of("reader").resource(BILLING).send().await;
    let answer = answer.granted();
    let token = verify(grantd, &answer).await;
    let signed = token.header["kid"].as_str().unwrap().to_owned();
    (answer.text("access_token"), signed)
}

/// The key events of a kind that name this key.
fn key_events(grantd: &Grantd, kind: &str, kid: &str) -> usize {
    let kind = format!("dev.grantd.key.{kind}.v1");
    let all = events(&grantd.ready.state);
    all.iter()
        .filter(|event| event["type"] == kind && event["data"]["kid"] == kid)
        .count()
}

fn file_of(deployment: &Deployment, kid: &str) -> PathBuf {
    let files = deployment.key_files();
    let mut named = files
        .into_iter()
        .filter(|file| file.to_str().unwrap().contains(kid));
    named.next().expect("the key has a file")
}

/// Sets a time in a key file.
fn backdate(file: &Path, field: &str, moment: &str) {
    let text = fs::read_to_string(file).unwrap();
    let old = text
        .lines()
        .find(|line| line.starts_with(&format!("{field} = ")));
    let old = old.unwrap_or_else(|| panic!("no {field} in {}", file.display()));
    fs::write(file, text.replace(old, &format!("{field} = \"{moment}\""))).unwrap();
}

/// A deployment that has served, whose next key was published long enough ago. It is stopped.
async fn with_a_ready_next_key() -> Deployment {
    let deployment = Deployment::new();
    let mut grantd = deployment.serve();
    next_is_published(&deployment).await;
    assert!(grantd.stop().success());
    let next = the(&listed(&deployment), "next");
    let file = file_of(&deployment, &kid(&next));
    for field in ["created", "published", "not_before"] {
        backdate(&file, field, "2026-01-01T00:00:00Z");
    }
    deployment
}

/// Waits until the lead of the next key has begun; the key.
async fn next_is_published(deployment: &Deployment) -> Value {
    eventually_async("the next key is published", SOON, async || {
        let next = the(&listed(deployment), "next");
        (!next["published"].is_null()).then_some(next)
    })
    .await
}

#[tokio::test]
async fn the_next_key_is_published_long_before_it_signs() {
    let deployment = Deployment::new();
    let stopped = listed(&deployment);
    let mut grantd = deployment.serve();
    let next = next_is_published(&deployment).await;
    let live = listed(&deployment);
    let active = the(&live, "active");
    assert_eq!(
        sorted(&[&active, &next]),
        sorted(&stopped.iter().collect::<Vec<_>>())
    );
    assert_eq!(published(&grantd).await, sorted(&[&active, &next]));
    assert_eq!(token(&grantd).await.1, kid(&active));
    assert_eq!(next["next_step"]["what"], "signs");

    let table = said(&deployment.keys(&["list"]));
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("KID") && lines[0].ends_with("NEXT STEP"),
        "{table}"
    );
    assert_eq!(lines.len(), 3, "{table}");
    for (key, step) in [(&active, "retires 2"), (&next, "signs 2")] {
        let line = lines.iter().find(|line| line.starts_with(&kid(key)));
        let line = line.unwrap_or_else(|| panic!("no line for {key}: {table}"));
        assert!(
            line.contains(key["state"].as_str().unwrap()) && line.contains(step),
            "{line}"
        );
    }
    assert!(grantd.stop().success());
    assert_eq!(listed(&deployment), live, "stopped, the files say the same");
}

#[tokio::test]
async fn a_rotation_waits_for_the_lead_and_says_until_when() {
    let deployment = Deployment::new();
    let mut grantd = deployment.serve();
    let next = next_is_published(&deployment).await;
    let before = token(&grantd).await.1;
    let ready = next["not_before"].as_str().unwrap();
    let words = failed(&deployment.keys(&["rotate"]), 1);
    assert!(words.contains(ready), "{ready} is not in {words}");
    let words = failed(&deployment.keys(&["rotate", "--algorithm", "ES256"]), 1);
    assert!(words.contains(ready), "{words}");
    let words = failed(&deployment.keys(&["rotate", "--algorithm", "RS256"]), 1);
    assert!(words.contains("RS256 is not listed"), "{words}");
    assert_eq!(token(&grantd).await.1, before, "nothing changed");
    assert!(grantd.stop().success());
    // On the files of a stopped daemon the same rule holds.
    let words = failed(&deployment.keys(&["rotate"]), 1);
    assert!(words.contains("may sign from"), "{words}");
}

#[tokio::test]
async fn a_key_whose_lead_has_passed_signs_on_demand() {
    let deployment = with_a_ready_next_key().await;
    let grantd = deployment.serve();
    let keys = listed(&deployment);
    let (active, next) = (kid(&the(&keys, "active")), kid(&the(&keys, "next")));
    let (old_token, old_kid) = token(&grantd).await;
    assert_eq!(old_kid, active);

    let words = said(&deployment.keys(&["rotate"]));
    assert!(
        words.contains(&format!("{next} signs; it was published for")),
        "{words}"
    );
    assert_eq!(token(&grantd).await.1, next, "at once");
    let keys = listed(&deployment);
    assert_eq!(kid(&the(&keys, "retiring")), active);
    let fresh = the(&keys, "next");
    let all: Vec<&Value> = keys.iter().collect();
    assert_eq!(
        published(&grantd).await,
        sorted(&all),
        "retiring, active and next"
    );
    verify_with(&jwks(&grantd).await, &old_token);
    assert_eq!(key_events(&grantd, "activated", &next), 1);
    assert_eq!(key_events(&grantd, "retired", &active), 1);
    assert_eq!(key_events(&grantd, "created", &kid(&fresh)), 1);
    failed(&deployment.keys(&["rotate"]), 1);
}

#[tokio::test]
async fn a_compromised_key_is_gone_at_once_though_its_relief_is_unknown() {
    let deployment = Deployment::new();
    let grantd = deployment.serve();
    let next = kid(&next_is_published(&deployment).await);
    let (old_token, active) = token(&grantd).await;
    let output = deployment.keys(&["rotate", "--compromised", &active]);
    let words = said(&output);
    assert!(words.contains(&format!("{active} is withdrawn")), "{words}");
    assert!(words.contains(&format!("{next} signs")), "{words}");
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warning.contains("its lead had not passed"), "{warning}");
    assert!(warning.contains("until their cache ends"), "{warning}");

    assert!(!published(&grantd).await.contains(&active), "at once");
    assert_eq!(token(&grantd).await.1, next, "at once");
    let jwks = jwks(&grantd).await;
    let accepted = std::panic::catch_unwind(|| verify_with(&jwks, &old_token));
    assert!(accepted.is_err(), "no published key verifies it");
    assert_eq!(key_events(&grantd, "withdrawn", &active), 1);
    assert_eq!(key_events(&grantd, "activated", &next), 1);
    let words = failed(&deployment.keys(&["rotate", "--compromised", &active]), 1);
    assert!(words.contains(&active), "{words}");
}

#[tokio::test]
async fn the_answer_says_when_the_lead_of_the_relief_had_passed() {
    let deployment = with_a_ready_next_key().await;
    let grantd = deployment.serve();
    let active = token(&grantd).await.1;
    let line = ["rotate", "--compromised", &active, "--format", "json"];
    let answer: Value = serde_json::from_str(&said(&deployment.keys(&line))).unwrap();
    let ring = &answer["rotated"][0];
    assert_eq!(ring["lead_passed"], true, "{answer}");
    assert_eq!(ring["withdrawn"], active.as_str(), "{answer}");
    assert_eq!(ring["signs"], token(&grantd).await.1.as_str(), "{answer}");
}

/// Spoils the key folder; afterwards the daemon must refuse with all of these words.
struct Spoiled {
    how: fn(&Deployment, &Path),
    words: &'static [&'static str],
}

const SPOILED: [Spoiled; 6] = [
    Spoiled {
        how: |_, file| fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap(),
        words: &["others can read it", "chmod 600", "--compromised"],
    },
    Spoiled {
        how: |_, file| {
            let text = fs::read_to_string(file).unwrap();
            let body = text.split_once("PRIVATE KEY-----\n").unwrap().1;
            let good = &body[..8];
            fs::write(file, text.replacen(good, "AAAAAAAA", 1)).unwrap();
        },
        words: &["key files can't be used"],
    },
    Spoiled {
        // Another key under this one's name.
        how: |deployment, file| {
            let files = deployment.key_files();
            let other = files.iter().find(|other| *other != file).unwrap();
            let pem = |file: &Path| {
                let text = fs::read_to_string(file).unwrap();
                let from = text.find("-----BEGIN").unwrap();
                (text[..from].to_owned(), text[from..].to_owned())
            };
            fs::write(file, pem(file).0 + &pem(other).1).unwrap();
        },
        words: &["it names the key", "but the key in it is"],
    },
    Spoiled {
        how: |_, file| fs::remove_file(file).unwrap(),
        words: &["estore", "--keys-lost"],
    },
    Spoiled {
        how: |deployment, _| {
            for file in deployment.key_files() {
                fs::remove_file(file).unwrap();
            }
        },
        words: &["--keys-lost"],
    },
    Spoiled {
        how: |deployment, _| fs::remove_dir_all(deployment.path("state/keys")).unwrap(),
        words: &["is its disk mounted", "grantd init"],
    },
];

#[tokio::test]
async fn keys_that_cannot_be_trusted_are_refused_with_advice() {
    let deployment = Deployment::new();
    let mut grantd = deployment.serve();
    let active = token(&grantd).await.1;
    assert!(grantd.stop().success());
    let (keys, kept) = (deployment.path("state/keys"), deployment.path("kept"));
    fs::rename(&keys, &kept).unwrap();
    for (number, spoiled) in SPOILED.iter().enumerate() {
        let _old = fs::remove_dir_all(&keys);
        fs::create_dir(&keys).unwrap();
        for entry in fs::read_dir(&kept).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), keys.join(entry.file_name())).unwrap();
        }
        let file = file_of(&deployment, &active);
        (spoiled.how)(&deployment, &file);
        let words = deployment.refuse();
        for word in spoiled.words {
            assert!(
                words.contains(word),
                "case {number}: no {word:?} in: {words}"
            );
        }
        assert!(!words.contains("BEGIN"), "case {number}: {words}");
    }
    fs::remove_dir_all(&keys).ok();
    fs::rename(&kept, &keys).unwrap();
    assert_eq!(
        token(&deployment.serve()).await.1,
        active,
        "restored, it signs on"
    );
}

fn sealing_key(deployment: &Deployment, name: &str, byte: u8) {
    let file = deployment.path(name);
    fs::write(&file, [byte; 32]).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn sealed_keys_open_with_their_sealing_key_alone() {
    let deployment = Deployment::new();
    let plain = fs::read_to_string(&deployment.key_files()[0]).unwrap();
    assert!(plain.contains("PRIVATE KEY"), "not sealed yet");
    sealing_key(&deployment, "seal", 7);
    sealing_key(&deployment, "wrong", 8);
    deployment.set(
        "# sealing_key_file = \"credential:sealing-key\"",
        "sealing_key_file = \"seal\"",
    );
    // The keys of `init` are in clear: they are read, and sealed when they are next written.
    let mut grantd = deployment.serve();
    let active = token(&grantd).await.1;
    let next = kid(&next_is_published(&deployment).await);
    let said_of = deployment.keys(&["rotate", "--compromised", &active]);
    assert!(said(&said_of).contains(&next));
    let fresh = kid(&the(&listed(&deployment), "next"));
    assert!(grantd.stop().success());
    for kid in [&next, &fresh] {
        let text = fs::read_to_string(file_of(&deployment, kid)).unwrap();
        assert!(
            text.contains("sealed_key = \"aes-256-gcm:"),
            "{kid} is sealed"
        );
        assert!(!text.contains("PRIVATE KEY-----"), "{kid} is not in clear");
    }
    deployment.set(
        "sealing_key_file = \"seal\"",
        "sealing_key_file = \"wrong\"",
    );
    let words = deployment.refuse();
    assert!(
        words.contains("the sealing key does not open it"),
        "{words}"
    );
    deployment.set("sealing_key_file = \"wrong\"", "# no sealing key");
    let words = deployment.refuse();
    assert!(
        words.contains("keys.sealing_key_file is not set"),
        "{words}"
    );
    deployment.set("# no sealing key", "sealing_key_file = \"seal\"");
    assert_eq!(token(&deployment.serve()).await.1, next);
}

#[test]
fn init_seals_the_first_keys_and_a_sealing_key_that_others_can_read_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let seal = folder.path().join("seal");
    fs::write(&seal, [7; 32]).unwrap();
    fs::set_permissions(&seal, fs::Permissions::from_mode(0o600)).unwrap();
    let seal = seal.display().to_string();
    let deployment = Deployment::with(&["--sealing-key-file", &seal]);
    for file in deployment.key_files() {
        assert!(
            !fs::read_to_string(file)
                .unwrap()
                .contains("PRIVATE KEY-----")
        );
    }
    let mut grantd = deployment.serve();
    assert!(grantd.stop().success());
    fs::set_permissions(&seal, fs::Permissions::from_mode(0o644)).unwrap();
    let words = deployment.refuse();
    assert!(words.contains("chmod o-rwx"), "{words}");
}

/// A resource for each algorithm, and a client of all of them.
fn every_algorithm() -> Registry {
    let resources: String = ALGORITHMS
        .iter()
        .map(|name| {
            let lower = name.to_ascii_lowercase();
            format!(
                "[resource.{lower}]\nidentifier = \"urn:test:{lower}\"\nalgorithm = \"{name}\"\n"
            )
        })
        .collect();
    let grants: String = ALGORITHMS
        .iter()
        .map(|name| format!("{} = []\n", name.to_ascii_lowercase()))
        .collect();
    let client = format!(
        "[client.all.grants]\n{grants}\n[[client.all.secret]]\nhash = \"@all.1\"\ncreated = 2026-01-01\n"
    );
    Registry::empty().file("algorithms.toml", &format!("{resources}{client}"))
}

#[tokio::test]
async fn each_algorithm_has_a_ring_that_signs() {
    let arguments: Vec<&str> = ALGORITHMS
        .iter()
        .flat_map(|name| ["--algorithm", name])
        .collect();
    let deployment = Deployment::with(&arguments);
    every_algorithm().write(&deployment.path("registry.d"));
    let grantd = deployment.serve();
    let jwks = jwks(&grantd).await;
    for name in ALGORITHMS {
        let ring = jwks["keys"].as_array().unwrap().iter();
        assert_eq!(
            ring.filter(|key| key["alg"] == name).count(),
            2,
            "active and next of {name}"
        );
        let resource = format!("urn:test:{}", name.to_ascii_lowercase());
        let answer = grantd
            .ask()
            .of("all")
            .resource(&resource)
            .send()
            .await
            .granted();
        let token = verify(&grantd, &answer).await;
        assert_eq!(token.header["alg"], name);
    }
    let answer = grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    assert_eq!(
        verify(&grantd, &answer).await.header["alg"],
        "ES256",
        "the first is the default"
    );
    let rings = listed(&deployment);
    assert_eq!(rings.len(), 10);
}
