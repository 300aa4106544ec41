//! `grantd status`: what a live daemon says of itself, for people and for scripts.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    BILLING, Deployment, Grantd, Load, NatsServer, Pki, Registry, eventually, failed, grantd, said,
};

/// Longest until a change is seen.
const SOON: Duration = Duration::from_secs(20);

/// Expires on a day that is far away, and named so.
const BRIEF: &str = r#"
[client.brief]
name = "Ends one day"
owner = "team-fleet"
expires = 2999-01-01

[client.brief.grants]
billing = ["invoice:read"]

[[client.brief.secret]]
hash = "@brief.1"
label = "the first"
created = 2026-01-01
expires = 2998-01-01
"#;

fn status(state: &Path, arguments: &[&str]) -> Output {
    let state = state.display().to_string();
    grantd(&[&["status", "--state", &state], arguments].concat())
}

/// The status as an object, whatever it is.
fn report(daemon: &Grantd, arguments: &[&str]) -> Value {
    let output = status(
        &daemon.ready.state,
        &[&["--format", "json"], arguments].concat(),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_served_since_when_and_what_comes_next() {
    let deployment = Deployment::new();
    let daemon = deployment.serve();
    let ask = daemon.ask().of("reader").resource(BILLING);
    ask.send().await.granted();
    let text = said(&grantd(&["status", "--config", &deployment.config()]));
    assert!(text.starts_with("ready\n\n"), "{text}");
    assert!(
        !text.contains('\u{1b}'),
        "no colour where there is no terminal"
    );
    let report = report(&daemon, &[]);
    let readyz = daemon.readyz();
    assert_eq!(report["ready"], true);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    for (of_registry, of_readyz) in [("digest", "digest"), ("generation", "generation")] {
        assert_eq!(report["registry"][of_registry], readyz[of_readyz]);
    }
    assert_eq!(
        report["registry"]["clients"].as_f64().unwrap(),
        daemon.metric("grantd_registry_clients")
    );
    assert_eq!(report["stream"], Value::Null);
    assert_eq!(
        report["journal"]["last_sequence"].as_f64().unwrap(),
        daemon.metric("grantd_journal_last_sequence")
    );
    // The same keys and steps as in their files.
    let listed = said(&deployment.keys(&["list", "--format", "json"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    for (shown, listed) in report["keys"]
        .as_array()
        .unwrap()
        .iter()
        .zip(listed["keys"].as_array().unwrap())
    {
        assert_eq!(shown["kid"], listed["kid"]);
        assert_eq!(shown["state"], listed["state"]);
        assert_eq!(shown["step"], listed["next_step"]["what"]);
        assert_eq!(shown["step_at"], listed["next_step"]["at"]);
        assert!(text.contains(shown["kid"].as_str().unwrap()), "{text}");
    }
    assert_eq!(report["keys"].as_array().unwrap().len(), 2);
    let until = report["certificate_not_after"].as_str().unwrap();
    assert!(
        text.contains(&format!("certificate  valid until {until}, for ")),
        "{text}"
    );
    for part in [
        "daemon       grantd ",
        "registry     generation 1: ",
        "journal      last line ",
        "stream       none is configured",
        "0.0 % full",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_names_what_expires_within_a_window() {
    let registry = Registry::company().file("brief.toml", BRIEF);
    let daemon = Grantd::dev().registry(registry).start();
    let month = report(&daemon, &[]);
    // What has expired stays told: the company's client and its old secret. Then there is the secret
    // of `dev`'s own client.
    assert_eq!(month["expiring"]["total"], 3);
    let passed = |at: usize| month["expiring"]["first"][at]["passed"] == true;
    assert!(passed(0) && passed(1) && !passed(2));
    let ages = ["--expiring", "400000d"];
    let all = report(&daemon, &ages);
    assert_eq!(all["expiring"]["total"], 5);
    assert_eq!(all["expiring"]["first"][3]["client"], "brief");
    let text = said(&status(&daemon.ready.state, &ages));
    assert!(
        text.contains("(the first) of client brief expires at 2998-01-02T00:00:00Z"),
        "{text}"
    );
    assert!(
        text.contains("client brief expires at 2999-01-02T00:00:00Z"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_comes_first() {
    let mut nats = NatsServer::start();
    let daemon = Grantd::dev().nats(&nats.url()).start();
    eventually("the stream is connected", SOON, || {
        (report(&daemon, &[])["stream"]["connected"] == true).then_some(())
    });
    nats.stop();
    fs::write(
        daemon.registry().join("bad.toml"),
        "[client.reader]\nsurprise = 1\n",
    )
    .unwrap();
    let report = eventually("the faults are seen", SOON, || {
        let report = report(&daemon, &[]);
        let seen = report["problems"].as_array().unwrap().len() > 1;
        (seen && report["stream"]["connected"] == false).then_some(report)
    });
    assert_eq!(report["ready"], true, "degraded is not down");
    let text = said(&status(&daemon.ready.state, &[]));
    let (first, details) = text.split_once("\n\n").unwrap();
    assert!(
        first.starts_with("ready, degraded\n  the registry folder is refused"),
        "{text}"
    );
    assert!(first.contains("bad.toml:"), "{text}");
    assert!(first.contains("no NATS server is connected"), "{text}");
    assert!(details.contains("stream       not connected, "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_refused_is_named_with_the_end_of_the_one_that_is_served() {
    let deployment = Deployment::new();
    let daemon = deployment.serve();
    let before = report(&daemon, &[]);
    assert_eq!(before["certificate_problems"], serde_json::json!([]));
    assert!(before["certificate_seconds"].as_u64().unwrap() > 86_400);
    let other = Pki::new().pair();
    fs::write(deployment.path("tls/key.pem"), other.key).unwrap();
    let after = eventually("the pair is refused", SOON, || {
        let report = report(&daemon, &[]);
        let problems = report["certificate_problems"].as_array().unwrap();
        (!problems.is_empty()).then_some(report.clone())
    });
    let why = after["certificate_problems"][0].as_str().unwrap();
    assert!(why.contains("does not match"), "{why}");
    assert_eq!(
        after["certificate_not_after"],
        before["certificate_not_after"]
    );
    let text = said(&status(&daemon.ready.state, &[]));
    let until = after["certificate_not_after"].as_str().unwrap();
    assert!(
        text.starts_with("ready, degraded\n  the new certificate is refused"),
        "{text}"
    );
    assert!(
        text.contains(&format!("certificate  valid until {until}, for ")),
        "{text}"
    );
    assert!(text.contains(&format!("\n{:13}{why}\n", "")), "{text}");
    assert_eq!(daemon.metric("grantd_certificate_refused"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_ready_is_a_code_of_its_own() {
    let small = "audit.keep = { bytes = \"1MiB\" }";
    let daemon = Grantd::serve().setting(small).start();
    let load = Load::start(&daemon, 16);
    load.until_refused(20).await;
    load.end().await;
    let output = eventually("it is not ready", SOON, || {
        let output = status(&daemon.ready.state, &[]);
        (output.status.code() == Some(4)).then_some(output)
    });
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("not ready\n  the journal is full\n"),
        "{text}"
    );
    assert!(
        text.contains("100.0 % full") || text.contains("99."),
        "{text}"
    );
}

#[test]
fn a_daemon_that_does_not_run_is_said_so() {
    let deployment = Deployment::new();
    let words = failed(&grantd(&["status", "--config", &deployment.config()]), 1);
    let state = deployment.path("state").display().to_string();
    assert_eq!(
        words,
        format!(
            "error: no daemon runs on {state}: start it with `grantd serve`, or name another state directory\n"
        )
    );
    // One that was killed leaves its socket behind.
    let mut daemon = deployment.serve();
    daemon.kill();
    assert!(deployment.path("state/admin.sock").exists());
    let words = failed(&grantd(&["status", "--config", &deployment.config()]), 1);
    assert!(words.contains("no daemon runs"), "{words}");
    failed(&grantd(&["status", "--config", "/nowhere.toml"]), 1);
    failed(&grantd(&["status", "--expiring", "soon"]), 2);
}
