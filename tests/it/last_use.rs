//! When each credential was last used: it shows, survives what a daemon goes through, and leaves as a file.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use grantd::domain::UnixSeconds;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    BILLING, Deployment, Grantd, Registry, Tmpfs, eventually, eventually_async, failed, grantd,
    long_or, said, secret,
};

/// Longest until a change is seen.
const SOON: Duration = Duration::from_secs(20);

/// Longest between a use and its place on disk where it is written each second, on a busy machine.
const WRITTEN: u64 = 5;

const LATECOMER: &str = r#"
[client.latecomer.grants]
billing = ["invoice:read"]

[[client.latecomer.secret]]
hash = "@latecomer.1"
created = 2026-01-01
"#;

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

fn status(daemon: &Grantd, arguments: &[&str]) -> std::process::Output {
    let state = daemon.ready.state.display().to_string();
    grantd(&[&["status", "--state", &state], arguments].concat())
}

/// One client as an object.
fn client(daemon: &Grantd, id: &str) -> Value {
    let text = said(&status(daemon, &["--client", id, "--format", "json"]));
    serde_json::from_str(&text).unwrap()
}

/// When the credential with this label was last used, in seconds.
fn last_used(daemon: &Grantd, id: &str, label: &str) -> Option<u64> {
    let report = client(daemon, id);
    let credentials = report["credentials"].as_array().unwrap();
    let credential = credentials.iter().find(|it| it["label"] == label);
    let credential = credential.unwrap_or_else(|| panic!("no {label} in {report}"));
    let at = credential["last_used"].as_str()?;
    Some(UnixSeconds::parse_rfc3339(at).unwrap().get())
}

async fn uses(daemon: &Grantd, number: u8) {
    let ask = daemon
        .ask()
        .with_secret("rotating", &secret("rotating", number));
    ask.resource(BILLING).send().await.granted();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_secrets_has_its_own() {
    let daemon = Grantd::serve().start();
    let of = |label| last_used(&daemon, "rotating", label);
    for label in ["old", "new", "gone", "to come"] {
        assert_eq!(of(label), None, "{label}");
    }
    let before = now();
    uses(&daemon, 2).await;
    let new = of("new").unwrap();
    assert!((before..=now()).contains(&new));
    assert_eq!(of("old"), None);

    // What does not prove the client is no use: a wrong secret, one that has expired, one to come.
    for wrong in ["wrong", &secret("rotating", 3), &secret("rotating", 4)] {
        let ask = daemon
            .ask()
            .with_secret("rotating", wrong)
            .resource(BILLING);
        ask.send().await.refused(401, "invalid_client");
    }
    assert_eq!((of("gone"), of("to come")), (None, None));
    // Who proves itself and asks for too much needs its secret all the same.
    let ask = daemon.ask().with_secret("rotating", &secret("rotating", 1));
    let ask = ask.resource(BILLING).scope("invoice:write");
    ask.send().await.refused(400, "invalid_scope");
    assert!(of("old").unwrap() >= new);

    // A reload makes every client anew, and loses nothing.
    let file = Registry::empty().file("latecomer.toml", LATECOMER);
    file.write(&daemon.registry());
    eventually_async("the change is served", SOON, async || {
        let answer = daemon.ask().of("latecomer").resource(BILLING).send().await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(of("new"), Some(new));
    // And what is used from then on counts too.
    eventually_async("a later use shows", SOON, async || {
        uses(&daemon, 2).await;
        (of("new") > Some(new)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_who_has_several_secrets_and_what_expires_unused() {
    let daemon = Grantd::serve().start();
    uses(&daemon, 2).await;
    let text = said(&status(&daemon, &[]));
    let rotating = text
        .split("\nrotating ")
        .nth(1)
        .unwrap_or_else(|| panic!("{text}"));
    let rotating = rotating.split("\nkeys ").next().unwrap();
    assert!(rotating.contains("1 client has several secrets"), "{text}");
    let row = |label: &str| {
        let mut rows = rotating.lines();
        rows.find(|row| row.contains(&format!("  {label}  ")))
            .unwrap_or_else(|| panic!("{label}: {text}"))
    };
    assert!(row("old").ends_with("no use known"), "{text}");
    assert!(row("new").ends_with(" ago"), "{text}");
    assert!(row("gone").contains("  expired  "), "{text}");
    assert!(row("to come").contains("  not yet valid  "), "{text}");
    assert!(
        text.contains("(gone) of client rotating expired at 2026-02-02T00:00:00Z; no use known"),
        "{text}"
    );
    let report: Value =
        serde_json::from_str(&said(&status(&daemon, &["--format", "json"]))).unwrap();
    assert_eq!(report["rotating"]["total"], 1);
    assert_eq!(report["rotating"]["first"][0], client(&daemon, "rotating"));
    assert_eq!(report["expiring"]["first"][0]["class"], "client");

    let text = said(&status(&daemon, &["--client", "expired"]));
    assert!(
        text.starts_with("client       expired: Its time has passed\nowner        team-fleet\n"),
        "{text}"
    );
    assert!(
        text.contains("\nstate        enabled, expired at 2026-02-01T00:00:00Z\n"),
        "{text}"
    );
    assert!(text.contains("\nsecrets      CREDENTIAL  "), "{text}");
    let words = failed(&status(&daemon, &["--client", "raeder"]), 1);
    assert_eq!(
        words,
        "error: the daemon refuses: the registry that is served has no client `raeder`: did you mean `reader`?\n"
    );
    let secret = "hunter2 and more";
    let words = failed(&status(&daemon, &["--client", secret]), 1);
    assert!(
        words.contains("no client id") && !words.contains(secret),
        "{words}"
    );
    failed(
        &status(&daemon, &["--client", "reader", "--export", "-"]),
        2,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_keeps_the_last_second_and_a_kill_all_but_one_interval() {
    let deployment = Deployment::new();
    deployment.set("# last_use_every = \"1m\"", "last_use_every = \"1h\"");
    let mut daemon = deployment.serve();
    uses(&daemon, 1).await;
    uses(&daemon, 2).await;
    let before = [
        last_used(&daemon, "rotating", "old"),
        last_used(&daemon, "rotating", "new"),
    ];
    assert!(before.iter().all(Option::is_some));
    assert!(daemon.stop().success());

    deployment.set("last_use_every = \"1h\"", "last_use_every = \"1s\"");
    let mut daemon = deployment.serve();
    let after = [
        last_used(&daemon, "rotating", "old"),
        last_used(&daemon, "rotating", "new"),
    ];
    assert_eq!(after, before, "a clean stop loses nothing");

    // In use all the time, until it is killed.
    let start = now();
    while now() <= start + WRITTEN {
        uses(&daemon, 2).await;
    }
    let killed = now();
    daemon.kill();
    let daemon = deployment.serve();
    let new = last_used(&daemon, "rotating", "new").unwrap();
    assert!(
        (killed - WRITTEN..=killed).contains(&new),
        "{new}, killed at {killed}"
    );
    assert_eq!(last_used(&daemon, "rotating", "old"), before[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_nothing_and_nothing_is_lost() {
    let disk = Tmpfs::new("64m");
    let state = disk.folder("state");
    let serve = || {
        Grantd::serve()
            .state(&state)
            .setting("state.last_use_every = \"1s\"")
    };
    let mut daemon = serve().start();
    // Room for the journal's last lines, and none that the store would begin a commit in.
    disk.fill(1 << 19);
    let used = eventually_async("the writer finds no room", SOON, async || {
        // Where the journal finds none either, whoever proves itself is refused, and counts.
        let ask = daemon.ask().with_secret("rotating", &secret("rotating", 1));
        ask.resource(BILLING).send().await;
        let waits = "the last uses of credentials wait for room on the disk";
        daemon
            .log()
            .contains(waits)
            .then(|| last_used(&daemon, "rotating", "old"))
    })
    .await;
    assert!(used.is_some());
    disk.resize("128m");
    eventually("it is ready", SOON, || {
        (daemon.readyz()["ready"] == true).then_some(())
    });
    assert!(daemon.stop().success());
    let daemon = serve().start();
    assert!(last_used(&daemon, "rotating", "old") >= used);
}

/// Files of this many clients, each with a secret that nobody knows.
fn many(count: usize) -> Registry {
    let mut registry = Registry::company();
    for (file, numbers) in (0..count).collect::<Vec<_>>().chunks(4000).enumerate() {
        let mut text = String::new();
        for number in numbers {
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &number.to_be_bytes());
            let hash = BASE64URL_NOPAD.encode(hash.as_ref());
            write!(
                text,
                "[client.many-{number:06}]\ngrants = {{ plain = [] }}\n\
                 [[client.many-{number:06}.secret]]\nhash = \"sha256:{hash}\"\n"
            )
            .unwrap();
        }
        registry = registry.file(&format!("many/{file}.toml"), &text);
    }
    registry
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_every_credential_once_however_many_there_are() {
    let count = long_or(100_000, 12_000);
    let daemon = Grantd::dev().registry(many(count)).start();
    uses(&daemon, 2).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("last-use.json");
    let path = file.display().to_string();
    let text = said(&status(&daemon, &["--export", &path]));
    // The eleven secrets of the company, and that of the demo client.
    let expected = format!(
        "{path}: {} credentials, of 1 of which a use is known\n",
        count + 12
    );
    assert_eq!(text, expected);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let export = read(&file);
    assert_eq!(export["format"], "grantd last use v1");
    UnixSeconds::parse_rfc3339(export["exported"].as_str().unwrap()).unwrap();
    let credentials = export["credentials"].as_array().unwrap();
    assert_eq!(credentials.len(), count + 12);
    let clients = credentials.iter().map(|it| it["client"].as_str().unwrap());
    assert!(clients.is_sorted());
    for credential in client(&daemon, "rotating")["credentials"]
        .as_array()
        .unwrap()
    {
        let expected = serde_json::json!({
            "client": "rotating",
            "credential": credential["id"],
            "last_used": credential["last_used"],
        });
        assert!(credentials.contains(&expected), "{expected}");
    }
    assert_eq!(export["overlay"], serde_json::json!([]));
    let state = daemon.ready.state.display().to_string();
    for id in ["reader", "rotating"] {
        said(&grantd(&["client", "disable", id, "--state", &state]));
    }
    let printed: Value = serde_json::from_str(&said(&status(&daemon, &["--export", "-"]))).unwrap();
    assert_eq!(printed["credentials"], export["credentials"]);
    let taken = printed["overlay"].as_array().unwrap().iter();
    let taken: Vec<&str> = taken.map(|it| it["client"].as_str().unwrap()).collect();
    assert_eq!(taken, ["reader", "rotating"]);
    assert_eq!(printed["overlay"][0]["kind"], "client_disabled");
    let words = failed(&status(&daemon, &["--export", "/nowhere/file"]), 1);
    assert!(
        words.starts_with("error: cannot write /nowhere/file: "),
        "{words}"
    );
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}
