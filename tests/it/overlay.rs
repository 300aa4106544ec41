//! What operators take away in an emergency: in force at once, whatever state files, disk and journal are in,
//! and until somebody gives it back.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    BILLING, Conversation, Deployment, Disk, Grantd, Load, Operator, Tmpfs, events, events_of,
    eventually, eventually_async, failed, grantd, jwks, said, verify, verify_all,
};

/// Longest until a change is seen, or a fault is over.
const SOON: Duration = Duration::from_secs(20);

/// A file that no registry may have.
const BROKEN: &str = "[client.other-team]\nnmae = 1\n";

async fn gets_a_token(daemon: &Grantd, client: &str) -> Value {
    let ask = daemon.ask().of(client).resource(BILLING);
    ask.send().await.granted().json()
}

async fn gets_nothing(daemon: &Grantd, client: &str) {
    let ask = daemon.ask().of(client).resource(BILLING);
    ask.send().await.refused(401, "invalid_client");
}

fn sequence(event: &Value) -> u64 {
    event["sequence"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, from the leak to the end")]
async fn a_disabled_client_gets_nothing_from_its_next_request_on_until_it_is_enabled() {
    let daemon = Grantd::dev().start();
    let operator = Operator::of(&daemon);
    gets_a_token(&daemon, "reader").await;
    assert!(operator.entries().is_empty());

    let words = ["client", "disable", "reader", "--reason", "in a public log"];
    let done = operator.done(&words);
    assert_eq!(done["in_force"], true);
    assert_eq!(done["changed"], true);
    let entry = &done["entry"];
    assert_eq!(entry["client"], "reader");
    assert_eq!(entry["kept"], true);
    assert_eq!(entry["recorded"], true);
    assert_eq!(entry["registry_says"], "enabled");

    // Refused like every client that does not prove itself; the event knows why.
    let asked = daemon.ask().of("reader").resource(BILLING).send().await;
    let refused = asked.refused(401, "invalid_client");
    let unknown = daemon.ask().of("nobody").resource(BILLING).send().await;
    assert_eq!(refused.json(), unknown.json());
    let denied = events_of(&daemon, &refused);
    assert_eq!(denied[0]["data"]["reason"], "client_disabled_by_operator");
    assert_eq!(denied[0]["data"]["client_id"], "reader");
    gets_a_token(&daemon, "writer").await;

    let recorded = operator.recorded("admin.client_disabled");
    assert_eq!(recorded.len(), 1);
    let data = &recorded[0]["data"];
    assert_eq!(data["uid"], rustix::process::geteuid().as_raw());
    assert_eq!(data["pid"], entry["pid"]);
    assert_eq!(data["reason"], "in a public log");
    assert_eq!(data["registry_says"], "enabled");
    assert_eq!(recorded[0]["subject"], "reader");

    // It is shown until it is over.
    let text = said(&operator.says(&["status"]));
    for part in [
        "\noverlay      1 entry above the registry",
        "client reader is disabled, by uid 0 at ",
        "reason: in a public log",
        "the registry still has it enabled",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.starts_with("ready\n"), "a note, no fault: {text}");
    let text = said(&operator.says(&["status", "--client", "reader"]));
    assert!(
        text.contains("DISABLED by an operator (entry 1); the registry has it enabled"),
        "{text}"
    );
    let metric = "grantd_overlay_entries{kind=\"client_disabled\"}";
    assert_eq!(daemon.metric(metric), 1.0);
    assert_eq!(daemon.metric("grantd_overlay_unsettled"), 0.0);

    // The same again changes nothing.
    let again = operator.done(&["client", "disable", "reader"]);
    assert_eq!(again["changed"], false);
    assert_eq!(again["entry"]["entry"], entry["entry"]);
    assert_eq!(operator.recorded("admin.client_disabled").len(), 1);

    // It does not come back to life by accident.
    let words = failed(&operator.says(&["client", "enable", "reader"]), 1);
    assert!(
        words.contains("--force") && words.contains("reader"),
        "{words}"
    );
    gets_nothing(&daemon, "reader").await;
    let number = entry["entry"].to_string();
    let file = daemon.registry().join("company.toml");
    let company = fs::read_to_string(&file).unwrap();
    let name = "[client.reader]\n";
    let changed = company.replace(name, &format!("{name}disabled = true\n"));
    fs::write(&file, changed).unwrap();
    eventually("the registry says the same", SOON, || {
        (operator.entries()[0]["registry_says"] == "disabled").then_some(())
    });
    let text = said(&operator.says(&["overlay", "list"]));
    let advice = format!("the registry says the same now: grantd overlay clear {number}");
    assert!(text.contains(&advice), "{text}");
    let cleared = operator.done(&["overlay", "clear", &number]);
    assert_eq!(cleared["in_force"], false);
    fs::write(&file, company).unwrap();
    eventually_async("what the registry says counts", SOON, async || {
        let ask = daemon.ask().of("reader").resource(BILLING);
        (ask.send().await.status == 200).then_some(())
    })
    .await;
    let recorded = operator.recorded("admin.overlay_cleared");
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["data"]["entry"].to_string(), number);
    assert_eq!(recorded[0]["data"]["forced"], false);

    operator.done(&["client", "disable", "reader"]);
    gets_nothing(&daemon, "reader").await;
    operator.done(&["client", "enable", "reader", "--force"]);
    gets_a_token(&daemon, "reader").await;
    assert!(operator.entries().is_empty());
    assert_eq!(daemon.metric(metric), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_the_registry_does_not_know_is_taken_with_a_warning() {
    let daemon = Grantd::dev().start();
    let operator = Operator::of(&daemon);
    let output = operator.says(&["client", "disable", "raeder"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = said(&output);
    assert_eq!(text, "entry 1: client raeder is disabled\n");
    assert!(
        words.contains("warning: the registry has no client raeder"),
        "{words}"
    );
    gets_a_token(&daemon, "reader").await;
    // Nothing holds it back.
    operator.done(&["client", "enable", "raeder"]);
    let words = failed(&operator.says(&["client", "enable", "raeder"]), 1);
    assert!(
        words.contains("no entry disables the client raeder"),
        "{words}"
    );
    // Numbers are not given twice.
    let next = operator.done(&["client", "disable", "raeder"]);
    assert_eq!(next["entry"]["entry"], 2);
    for bad in [
        &["client", "disable", "NOT AN ID"][..],
        &["client", "disable", "reader", "--reason", "two\nlines"],
        &["revoke", "--jti", "eyJ0eXAiOiJhdCtqd3QifQ.e30.c2ln"],
        &["revoke"],
        &["revoke", "--client", "a", "--jti", "00"],
        &["revoke", "--before", "yesterday"],
        &["overlay", "clear"],
        &["overlay", "clear", "first"],
    ] {
        failed(&operator.says(bad), 2);
    }
    let words = failed(&operator.says(&["overlay", "clear", "77"]), 1);
    assert!(words.contains("there is no entry 77"), "{words}");
}

/// Another team's broken file can't keep a leaked client alive, and no token of it leaves after the command.
#[tokio::test(flavor = "multi_thread")]
async fn it_counts_at_once_under_load_and_with_a_broken_folder() {
    let daemon = Grantd::dev().start();
    let operator = Operator::of(&daemon);
    let keys = jwks(&daemon).await;
    let load = Load::start(&daemon, 12);
    load.until_tokens(200).await;
    fs::write(daemon.registry().join("broken.toml"), BROKEN).unwrap();
    eventually("the folder is refused", SOON, || {
        (daemon.metric("grantd_registry_problems") > 0.0).then_some(())
    });
    operator.done(&["client", "disable", "reader"]);
    for _ in 0..20 {
        gets_nothing(&daemon, "reader").await;
    }
    gets_a_token(&daemon, "writer").await;
    load.until_refused(50).await;
    load.until_tokens(load.tokens() + 200).await;
    let received = load.end().await;
    assert!(received.broken.is_empty(), "{:?}", received.broken);
    for (status, body) in &received.refused {
        assert_eq!(*status, 401, "{body}");
    }
    let recorded = operator.recorded("admin.client_disabled");
    let disabled = sequence(&recorded[0]);
    let issued: BTreeMap<String, u64> = events(&daemon.ready.state)
        .iter()
        .filter(|event| event["type"] == "dev.grantd.token.issued.v1")
        .map(|event| {
            let jti = event["data"]["jti"].as_str().unwrap();
            (jti.to_owned(), sequence(event))
        })
        .collect();
    let (mut before, mut others) = (0, 0);
    for token in verify_all(&keys, &received.tokens) {
        let (client, jti) = (token.text("client_id"), token.text("jti"));
        if client == "reader" {
            assert!(issued[jti] < disabled, "a token left after the command");
            before += 1;
        } else {
            others += 1;
        }
    }
    assert!(before > 0 && others > 0, "{before} {others}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_survives_a_kill_and_is_in_force_before_the_first_request() {
    let deployment = Deployment::new();
    let mut daemon = deployment.serve();
    let operator = Operator::of(&daemon);
    operator.done(&["client", "disable", "reader", "--reason", "leaked"]);
    operator.done(&["revoke", "--client", "reader"]);
    let before = operator.entries();
    daemon.kill();
    let mut daemon = deployment.serve();
    let operator = Operator::of(&daemon);
    gets_nothing(&daemon, "reader").await;
    gets_a_token(&daemon, "writer").await;
    assert_eq!(operator.entries(), before);
    // Once recorded, not recorded again.
    assert_eq!(operator.recorded("admin.client_disabled").len(), 1);
    assert_eq!(operator.recorded("admin.tokens_revoked").len(), 1);
    operator.done(&["client", "enable", "reader", "--force"]);
    daemon.kill();
    let daemon = deployment.serve();
    gets_a_token(&daemon, "reader").await;
    assert_eq!(Operator::of(&daemon).entries().len(), 1);
}

/// What is on no disk and on no record is in force all the same, the command says so, and it is made good.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_nobody_alive() {
    let disk = Tmpfs::new("24m");
    let state = disk.folder("state").display().to_string();
    let deployment = Deployment::with(&["--state", &state]);
    let serve = || {
        let mut daemon = deployment.serve();
        daemon.ready.state = disk.folder("state");
        daemon
    };
    let mut daemon = serve();
    let operator = Operator::of(&daemon);
    gets_a_token(&daemon, "reader").await;
    disk.fill(0);
    // The journal's last page may still take an event or two.
    let mut conversation = Conversation::on(&daemon.ready.state.join("admin.sock"));
    let mut others = 0_i32;
    eventually("not even an event fits", SOON, || {
        others += 1;
        let line = format!("{{\"request\":\"client_disable\",\"client\":\"c{others}\"}}");
        let answer = conversation.says(&line);
        assert_eq!(answer["change"]["in_force"], true, "{answer}");
        assert_eq!(answer["change"]["entry"]["kept"], false, "{answer}");
        (answer["change"]["entry"]["recorded"] == false).then_some(())
    });
    let output = operator.says(&["client", "disable", "reader"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    said(&output);
    assert!(words.contains("the disk has no room for it"), "{words}");
    gets_nothing(&daemon, "reader").await;
    assert!(
        words.contains("the audit journal takes no event"),
        "{words}"
    );
    let open = f64::from(others) + 1.0;
    assert_eq!(daemon.metric("grantd_overlay_unsettled"), open);
    let text = said_or_not_ready(&operator);
    assert!(text.contains("in force, but not on disk yet"), "{text}");
    // What gives something back needs its record.
    let words = failed(
        &operator.says(&["client", "enable", "reader", "--force"]),
        1,
    );
    assert!(
        words.contains("nothing is given back without a record"),
        "{words}"
    );
    gets_nothing(&daemon, "reader").await;

    disk.resize("64m");
    eventually("it is on disk and on record", SOON, || {
        (daemon.metric("grantd_overlay_unsettled") == 0.0).then_some(())
    });
    let each = usize::try_from(others).unwrap() + 1;
    assert_eq!(operator.recorded("admin.client_disabled").len(), each);
    daemon.kill();
    let daemon = deployment.serve();
    gets_nothing(&daemon, "reader").await;
    assert_eq!(operator.recorded("admin.client_disabled").len(), each);
}

/// A status that may end with 4.
fn said_or_not_ready(operator: &Operator) -> String {
    let output = operator.says(&["status"]);
    assert!(matches!(output.status.code(), Some(0 | 4)));
    String::from_utf8(output.stdout).unwrap()
}

/// The reserve of a full journal is used up too: then the event follows once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_keeps_nobody_alive() {
    let deployment = Deployment::new();
    deployment.set(
        "# keep = { bytes = \"8GiB\", age = \"30d\" }",
        "keep = { bytes = \"1MiB\", age = \"30d\" }",
    );
    let mut daemon = deployment.serve();
    let operator = Operator::of(&daemon);
    let load = Load::start(&daemon, 16);
    load.until_refused(20).await;
    load.end().await;
    let mut conversation = Conversation::on(&daemon.ready.state.join("admin.sock"));
    let mut disabled = 0;
    let refused = eventually("the journal refuses even this", SOON, || {
        disabled += 1;
        let line = format!("{{\"request\":\"client_disable\",\"client\":\"c{disabled}\"}}");
        let answer = conversation.says(&line);
        assert_eq!(answer["ok"], true, "{answer}");
        assert_eq!(answer["change"]["entry"]["kept"], true, "{answer}");
        (answer["change"]["entry"]["recorded"] == false).then_some(answer)
    });
    let warnings = refused["warnings"].to_string();
    assert!(
        warnings.contains("the audit journal takes no event"),
        "{warnings}"
    );
    let answer = conversation.says(r#"{"request":"client_disable","client":"reader"}"#);
    assert_eq!(answer["change"]["in_force"], true);
    let output = daemon.ask().of("reader").resource(BILLING).send().await;
    output.refused(401, "invalid_client");
    let open = daemon.metric("grantd_overlay_unsettled");
    assert!(open >= 2.0, "{open}");

    // With room, each is recorded once, in the order in which they were taken away; also by another daemon.
    daemon.kill();
    deployment.set("bytes = \"1MiB\"", "bytes = \"8MiB\"");
    let daemon = deployment.serve();
    gets_nothing(&daemon, "reader").await;
    eventually("all is on record", SOON, || {
        (daemon.metric("grantd_overlay_unsettled") == 0.0).then_some(())
    });
    let recorded = operator.recorded("admin.client_disabled");
    let numbers: Vec<u64> = recorded
        .iter()
        .map(|event| event["data"]["entry"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = (1..=disabled + 1).collect();
    assert_eq!(numbers, expected);
}

/// A request waits for a disk that hangs; its client is disabled meanwhile, and gets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_disabled_while_its_request_waits_gets_nothing() {
    let disk = Disk::new();
    let state = disk.folder().join("state").display().to_string();
    let deployment = Deployment::with(&["--state", &state]);
    let mut daemon = deployment.serve();
    daemon.ready.state = disk.folder().join("state");
    gets_a_token(&daemon, "reader").await;
    disk.freeze();
    let asked = |client: &str| {
        let ask = daemon.ask().of(client).resource(BILLING);
        tokio::spawn(ask.send())
    };
    // Once the writer hangs with the first of them, the next ones queue up behind it.
    let good = asked("writer");
    let mut leaked = Vec::new();
    eventually("requests wait for the disk", SOON, || {
        leaked.push(asked("reader"));
        (daemon.metric("grantd_journal_queued_events") >= 1.0).then_some(())
    });
    let state = daemon.ready.state.display().to_string();
    let command =
        std::thread::spawn(move || grantd(&["client", "disable", "reader", "--state", &state]));
    // In force before anything could be written.
    let metric = "grantd_overlay_entries{kind=\"client_disabled\"}";
    eventually("it is in force", SOON, || {
        (daemon.metric(metric) == 1.0).then_some(())
    });
    disk.thaw();
    good.await.unwrap().granted();
    let mut made = 0;
    for asked in leaked {
        let refused = asked.await.unwrap().refused(401, "invalid_client");
        let event = events_of(&daemon, &refused).remove(0);
        made += usize::from(event["type"] == "dev.grantd.token.issued.v1");
    }
    assert!(made > 0, "a token was made, and did not leave");
    said(&command.join().unwrap());
    gets_nothing(&daemon, "reader").await;
}

#[test]
fn commands_at_once_are_all_obeyed() {
    let daemon = Grantd::dev().start();
    let state = daemon.ready.state.display().to_string();
    let clients = ["reader", "writer", "roamer", "reader", "reader", "minimal"];
    let commands = clients.map(|client| {
        let state = state.clone();
        std::thread::spawn(move || grantd(&["client", "disable", client, "--state", &state]))
    });
    for command in commands {
        said(&command.join().unwrap());
    }
    let operator = Operator::of(&daemon);
    let entries = operator.entries();
    let mut names: Vec<&str> = entries
        .iter()
        .map(|entry| entry["client"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["minimal", "reader", "roamer", "writer"]);
    assert_eq!(operator.recorded("admin.client_disabled").len(), 4);
    // One of those who give back is first.
    let clears = [(); 4].map(|()| {
        let state = state.clone();
        std::thread::spawn(move || {
            grantd(&["client", "enable", "reader", "--force", "--state", &state])
        })
    });
    let done = clears.map(|clear| clear.join().unwrap().status.code());
    assert_eq!(done.iter().filter(|code| **code == Some(0)).count(), 1);
    assert_eq!(operator.recorded("admin.overlay_cleared").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "each way to revoke, and what a verifier makes of it"
)]
async fn a_void_token_is_refused_by_a_verifier_that_reads_the_list() {
    let daemon = Grantd::dev().start();
    let operator = Operator::of(&daemon);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let judged = |token: &str| {
        fs::write(
            path("list"),
            operator.done(&["overlay", "list"]).to_string(),
        )
        .unwrap();
        fs::write(path("token"), token).unwrap();
        let ca = daemon.ready.ca_file.display().to_string();
        let output = grantd(&[
            "verify",
            &path("token"),
            "--issuer",
            &daemon.ready.issuer,
            "--audience",
            BILLING,
            "--ca-file",
            &ca,
            "--revocations",
            &path("list"),
            "--format",
            "json",
        ]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report["refused_by"].clone())
    };
    let accepted = (Some(0), serde_json::json!([]));
    let void = (Some(3), serde_json::json!(["revoked"]));
    let token = |body: Value| body["access_token"].as_str().unwrap().to_owned();
    let old = token(gets_a_token(&daemon, "reader").await);
    let other = token(gets_a_token(&daemon, "writer").await);
    assert_eq!(judged(&old), accepted);

    let done = operator.done(&["revoke", "--client", "reader", "--reason", "leaked"]);
    assert_eq!(done["entry"]["client"], "reader");
    assert_eq!(judged(&old), void);
    assert_eq!(judged(&other), accepted);
    let before = done["entry"]["issued_before"].as_str().unwrap().to_owned();
    // It has the tokens that it gets from then on.
    let new = eventually_async("a token of a later second", SOON, async || {
        let answer = daemon
            .ask()
            .of("reader")
            .resource(BILLING)
            .send()
            .await
            .granted();
        let issued = verify(&daemon, &answer).await.seconds("iat");
        let issued = grantd::domain::UnixSeconds::new(issued).to_rfc3339();
        (issued >= before).then(|| answer.text("access_token"))
    })
    .await;
    assert_eq!(judged(&new), accepted);

    let answer = daemon
        .ask()
        .of("writer")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let jti = verify(&daemon, &answer).await.text("jti").to_owned();
    operator.done(&["revoke", "--jti", &jti]);
    assert_eq!(judged(&answer.text("access_token")), void);
    assert_eq!(judged(&other), accepted);

    let words = failed(
        &operator.says(&["revoke", "--before", "2999-01-01T00:00:00Z"]),
        1,
    );
    assert!(words.contains("has not come"), "{words}");
    operator.done(&["revoke", "--before", &before]);
    assert_eq!(judged(&other), void);
    let kept = operator.entries();
    assert_eq!(kept.len(), 3);
    for entry in &kept {
        // Until the last token that the keys have signed has expired.
        assert!(entry["until"].as_str() > Some(before.as_str()), "{entry}");
    }
    let number = kept[2]["entry"].to_string();
    let words = failed(&operator.says(&["overlay", "clear", &number]), 1);
    assert!(words.contains("without it they are good again"), "{words}");
    operator.done(&["overlay", "clear", &number, "--force"]);
    assert_eq!(judged(&other), accepted);
    let events = operator.recorded("admin.tokens_revoked");
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["data"]["client_id"], "reader");
    assert_eq!(events[0]["data"]["issued_before"], before.as_str());
    assert_eq!(events[1]["data"]["jti"], jti.as_str());

    // A list that is not understood judges nothing.
    for text in [
        "",
        "{}",
        "[]",
        "{\"version\":9,\"at\":\"\",\"total\":0,\"entries\":[]}",
    ] {
        fs::write(path("bad"), text).unwrap();
        let ca = daemon.ready.ca_file.display().to_string();
        let list = path("bad");
        let output = grantd(&[
            "verify",
            &path("token"),
            "--issuer",
            &daemon.ready.issuer,
            "--audience",
            BILLING,
            "--ca-file",
            &ca,
            "--revocations",
            &list,
        ]);
        let words = failed(&output, 1);
        assert!(
            words.contains("cannot tell which tokens are void"),
            "{words}"
        );
    }
}

#[test]
fn a_daemon_that_does_not_run_is_said_so() {
    let deployment = Deployment::new();
    let config = deployment.config();
    for words in [
        &["client", "disable", "reader", "--config", &config][..],
        &["overlay", "list", "--config", &config],
        &["revoke", "--client", "reader", "--config", &config],
    ] {
        let words = failed(&grantd(words), 1);
        assert!(words.contains("no daemon runs on"), "{words}");
    }
}
