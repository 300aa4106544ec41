//! Expiry is seen before it hurts: an event a day, numbers, and a window that is set once for all of them.

use std::time::Duration;

use grantd::domain::{Lifetime, UnixSeconds};
use serde_json::{Value, json};

use crate::clock::libfaketime;
use crate::support::{Deployment, Grantd, Registry, events, eventually, grantd, said};

/// Longest until the day of a faked clock has changed and its event is written: five seconds before midnight, and
/// a busy machine.
const MIDNIGHT: Duration = Duration::from_secs(40);

/// A client whose secret expires after so many days, and who expires on that day.
fn brief(deployment: &Deployment, client: &str, secret: &str) {
    let text = format!(
        "[client.brief]\nexpires = {client}\nowner = \"team-fleet\"\ngrants = {{ billing = [\"invoice:read\"] }}\n\
         [[client.brief.secret]]\nhash = \"@brief.1\"\nlabel = \"the first\"\ncreated = 2026-01-01\nexpires = {secret}\n"
    );
    let file = Registry::empty().file("brief.toml", &text);
    file.write(&deployment.path("registry.d"));
}

/// The day so many days from now, as files spell it.
fn day(days: u64) -> String {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = UnixSeconds::new(now).plus(Lifetime::from_days(days));
    at.to_rfc3339()[..10].to_owned()
}

/// Serves with a clock that says this when it starts, and goes on from there.
fn serve_at(deployment: &Deployment, time: &str) -> Grantd {
    let mut command = deployment.command();
    command
        .env("LD_PRELOAD", libfaketime())
        .env("FAKETIME", format!("@{time}"))
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("TZ", "UTC");
    deployment.serve_by(&mut command)
}

/// The events that tell what expires, with the day of each.
fn told(deployment: &Deployment) -> Vec<(String, Value)> {
    let mut events = events(&deployment.path("state"));
    events.retain(|event| event["type"] == "dev.grantd.registry.expiring.v1");
    let day = |event: &Value| event["time"].as_str().unwrap()[..10].to_owned();
    events
        .into_iter()
        .map(|event| (day(&event), event["data"].clone()))
        .collect()
}

fn told_of(deployment: &Deployment, day: &str) -> Value {
    eventually("the day's event", MIDNIGHT, || {
        let found = told(deployment).into_iter().find(|(of, _)| of == day);
        found.map(|(_, data)| data)
    })
}

#[test]
fn what_expires_is_told_once_a_day_also_across_a_restart() {
    let deployment = Deployment::new();
    brief(&deployment, &day(8), &day(5));
    let days = [1, 2, 3].map(day);
    let mut daemon = serve_at(&deployment, &format!("{} 23:59:55", days[0]));
    let data = told_of(&deployment, &days[0]);
    assert_eq!(data["window_seconds"], 30 * 86_400);
    assert_eq!(
        data["counts"],
        json!([
            { "class": "client", "expiring": 1, "expired": 1 },
            { "class": "secret", "expiring": 1, "expired": 1 },
            { "class": "certificate", "expiring": 0, "expired": 0 },
        ])
    );
    // What comes next first, then what has expired last.
    let first = data["first"].as_array().unwrap();
    assert_eq!(first.len(), 4);
    assert_eq!(first[0]["class"], "secret");
    assert_eq!(first[0]["client_id"], "brief");
    assert_eq!(first[0]["credential_label"], "the first");
    assert_eq!(first[0]["expires_at"], format!("{}T00:00:00Z", day(6)));
    assert_eq!(first[0]["expired"], false);
    assert_eq!(first[1]["class"], "client");
    assert_eq!(first[2]["client_id"], "rotating");
    assert_eq!(first[3]["client_id"], "expired");
    assert_eq!(first[3]["expired"], true);
    assert_eq!(data["registry"]["digest"], daemon.readyz()["digest"]);
    told_of(&deployment, &days[1]);
    assert!(daemon.stop().success());
    assert!(
        daemon.log().contains("something expires"),
        "{}",
        daemon.log()
    );

    // It starts again on the same day, and has told of it; the next day is told.
    let mut daemon = serve_at(&deployment, &format!("{} 23:59:55", days[1]));
    told_of(&deployment, &days[2]);
    assert!(daemon.stop().success());
    let told: Vec<String> = told(&deployment).into_iter().map(|(day, _)| day).collect();
    assert_eq!(told, days);
}

#[test]
fn nothing_is_told_while_nothing_expires() {
    let deployment = Deployment::new();
    let mut daemon = serve_at(&deployment, &format!("{} 23:59:58", day(1)));
    // Something that does, once midnight is over: so it looked before, and had nothing to tell.
    eventually("it is the next day", MIDNIGHT, || {
        let answer = said(&grantd(&[
            "status",
            "--config",
            &deployment.config(),
            "--format",
            "json",
        ]));
        let report: Value = serde_json::from_str(&answer).unwrap();
        report["now"]
            .as_str()
            .unwrap()
            .starts_with(&day(2))
            .then_some(())
    });
    assert!(told(&deployment).is_empty());
    brief(&deployment, &day(9), &day(9));
    let data = told_of(&deployment, &day(2));
    assert_eq!(data["counts"][0]["expiring"], 1);
    assert!(daemon.stop().success());
}

#[test]
fn one_setting_says_how_far_ahead() {
    let deployment = Deployment::new();
    brief(&deployment, &day(200), &day(50));
    let check = || {
        let output = grantd(&["check", "--config", &deployment.config()]);
        said(&output);
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!check().contains("brief"), "{}", check());
    deployment.set("# expiry_window = \"30d\"", "expiry_window = \"100d\"");
    assert!(
        check().contains("(the first) of client brief expires at"),
        "{}",
        check()
    );
    let mut daemon = deployment.serve();
    assert_eq!(daemon.metric("grantd_expiring{class=\"secret\"}"), 1.0);
    assert_eq!(daemon.metric("grantd_expiring{class=\"client\"}"), 0.0);
    assert_eq!(daemon.metric("grantd_expired{class=\"client\"}"), 1.0);
    assert_eq!(daemon.metric("grantd_expiring{class=\"certificate\"}"), 0.0);
    assert_eq!(
        daemon.metric("grantd_registry_expiring{kind=\"secret\"}"),
        0.0,
        "30 days, as ever"
    );
    let status = [
        "status",
        "--config",
        &deployment.config(),
        "--format",
        "json",
    ];
    let report: Value = serde_json::from_str(&said(&grantd(&status))).unwrap();
    assert_eq!(report["expiring"]["window_seconds"], 100 * 86_400);
    let wider = [&status[..], &["--expiring", "300d"]].concat();
    let report: Value = serde_json::from_str(&said(&grantd(&wider))).unwrap();
    assert_eq!(report["expiring"]["window_seconds"], 300 * 86_400);
    assert!(daemon.stop().success());
    for wrong in ["1h", "400d", "soon"] {
        deployment.set(
            "expiry_window = \"",
            &format!("expiry_window = \"{wrong}\" # \""),
        );
        let words = deployment.refuse();
        assert!(words.contains("registry.expiry_window = "), "{words}");
        deployment.set(
            &format!("expiry_window = \"{wrong}\" # \""),
            "expiry_window = \"",
        );
    }
}
