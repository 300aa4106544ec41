//! The alert rules: each fires at its fault, none at a healthy daemon, each has a runbook. Faults that take
//! seconds are made, at real daemons that a real Prometheus scrapes; the others are told to `promtool` as a
//! change of one number of a page that a daemon showed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grantd::domain::UnixSeconds;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tempfile::TempDir;

use crate::support::prometheus::{self, Prometheus, Rule, promtool, rules};
use crate::support::{
    BILLING, Grantd, Load, NatsServer, Registry, Tmpfs, eventually_async, grantd, repository,
};

/// Alerts whose faults are made.
const MADE: [&str; 19] = [
    "GrantdAcceptFailing",
    "GrantdCertificateExpiresNow",
    "GrantdCertificateExpiring",
    "GrantdCertificateRefused",
    "GrantdDiskFull",
    "GrantdDown",
    "GrantdExpiringSoon",
    "GrantdFileDescriptors",
    "GrantdHandshakesFailing",
    "GrantdJournalFilling",
    "GrantdJournalFullSoon",
    "GrantdJournalHalfFull",
    "GrantdJournalNearlyFull",
    "GrantdKeysUnwritable",
    "GrantdNatsDisconnected",
    "GrantdNotReady",
    "GrantdRefusalFlood",
    "GrantdRegistryRefused",
    "GrantdTokensUnrecorded",
];

/// The other alerts, with a series as a daemon shows it and what it grows by in a minute (`+`), or is.
const TOLD: [(&str, &str, &str); 22] = [
    (
        "GrantdShedding",
        "grantd_requests_shed_total{reason=\"queue\"}",
        "+60",
    ),
    (
        "GrantdConnectionsRefused",
        "grantd_connections_ended_total{limit=\"address_limit\"}",
        "+10",
    ),
    (
        "GrantdFailuresThrottled",
        "grantd_failures_throttled_total",
        "+1",
    ),
    (
        "GrantdSigningFailed",
        "grantd_tokens_denied_total{reason=\"signing_failed\"}",
        "+1",
    ),
    (
        "GrantdSlow",
        "grantd_token_request_duration_seconds_bucket{le=\"+Inf\"}",
        "+60",
    ),
    (
        "GrantdRegistryWatchFailing",
        "grantd_registry_watch_failures_total",
        "+1",
    ),
    (
        "GrantdRegistryLastGoodOld",
        "grantd_registry_last_good_too_old",
        "1",
    ),
    ("GrantdRegistryHeld", "grantd_registry_held", "1"),
    (
        "GrantdRegistryKeepWaiting",
        "grantd_registry_keep_waiting",
        "1",
    ),
    (
        "GrantdRegistryKeptBroken",
        "grantd_registry_kept_broken",
        "1",
    ),
    // promtool's clock begins at 0: two hours later this step is an hour and more overdue.
    (
        "GrantdKeysOverdue",
        "grantd_key_next_step_timestamp_seconds{algorithm=\"ES256\",step=\"retire\"}",
        "60",
    ),
    ("GrantdExpired", "grantd_expired{class=\"secret\"}", "+1"),
    ("GrantdClockBehind", "grantd_clock_behind_seconds", "90"),
    ("GrantdClockAhead", "grantd_clock_ahead_seconds", "400"),
    (
        "GrantdDiskSlow",
        "grantd_journal_sync_duration_seconds_bucket{le=\"+Inf\"}",
        "+60",
    ),
    (
        "GrantdStreamLagging",
        "grantd_journal_unshipped_age_seconds",
        "4000",
    ),
    ("GrantdStreamRefuses", "grantd_ship_refusals_total", "+1"),
    (
        "GrantdStreamForeign",
        "grantd_ship_foreign_messages_total",
        "+1",
    ),
    ("GrantdStreamBackwards", "grantd_ship_backwards_total", "+1"),
    (
        "GrantdEventsMissing",
        "grantd_ship_missing_events_total",
        "+1",
    ),
    ("GrantdOverlayOld", "grantd_overlay_age_seconds", "700000"),
    ("GrantdOverlayUnsettled", "grantd_overlay_unsettled", "1"),
];

/// Longest until a fault is seen by the daemon.
const SOON: Duration = Duration::from_secs(20);

/// The day after tomorrow's beginning, as the registry spells days: what expires on it has a day or two.
fn tomorrow() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let tomorrow = UnixSeconds::new(now.as_secs() + 86_400).to_rfc3339();
    tomorrow[..10].to_owned()
}

/// A certificate for `localhost` that is valid for one more day.
fn certify_for_a_day(state: &Path) {
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let mut server = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let tomorrow = tomorrow();
    let part = |range: std::ops::Range<usize>| tomorrow[range].parse::<i32>().unwrap();
    let (year, month, day) = (part(0..4), part(5..7), part(8..10));
    server.not_after = rcgen::date_time_ymd(
        year,
        u8::try_from(month).unwrap(),
        u8::try_from(day).unwrap(),
    );
    let key = KeyPair::generate().unwrap();
    let server = server.signed_by(&key, &ca).unwrap();
    fs::write(state.join("ca.pem"), ca.pem()).unwrap();
    fs::write(state.join("certificate.pem"), server.pem()).unwrap();
    fs::write(state.join("key.pem"), key.serialize_pem()).unwrap();
}

/// Who asks and with what is wrong: a registry that is refused, a secret about to expire, guesses, hands
/// that are not shaken, no NATS.
async fn from_outside(daemon: &Grantd, nats: &mut NatsServer, watch: &Prometheus) {
    let target = daemon.metrics();
    let brief = format!(
        "[client.brief]\nname = \"Ends soon\"\nowner = \"team-fleet\"\nexpires = {}\n\
         grants = {{ billing = [\"invoice:read\"] }}\n",
        tomorrow()
    );
    Registry::empty()
        .file("brief.toml", &brief)
        .write(&daemon.registry());
    watch.fires(target, "GrantdExpiringSoon").await;

    fs::write(daemon.registry().join("bad.toml"), "no = \"table\"\n").unwrap();
    watch.fires(target, "GrantdRegistryRefused").await;

    nats.stop();
    watch.fires(target, "GrantdNatsDisconnected").await;

    let public = daemon.https().address();
    let shaking = tokio::task::spawn_blocking(move || {
        for _ in 0..60 {
            let mut stream = TcpStream::connect(public).unwrap();
            let _may_be_closed = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
        }
    });
    shaking.await.unwrap();
    watch.fires(target, "GrantdHandshakesFailing").await;

    for round in 0_u8.. {
        let guesses = (0..40).map(|_| {
            let ask = daemon
                .ask()
                .with_secret("reader", "a guess")
                .resource(BILLING);
            ask.send()
        });
        for answer in futures_util::future::join_all(guesses).await {
            answer.refused(401, "invalid_client");
        }
        if watch
            .firing(target)
            .contains(&"GrantdRefusalFlood".to_owned())
        {
            break;
        }
        assert!(round < 50, "a flood of refusals is no alarm");
    }
}

/// A certificate for one more day whose renewal can't be served, and a journal that fills up to its bound.
async fn a_small_journal(daemon: &Grantd, watch: &Prometheus) {
    let target = daemon.metrics();
    for alert in ["GrantdCertificateExpiring", "GrantdCertificateExpiresNow"] {
        watch.fires(target, alert).await;
    }
    let key = KeyPair::generate().unwrap().serialize_pem();
    fs::write(daemon.ready.state.join("key.pem"), key).unwrap();
    watch.fires(target, "GrantdCertificateRefused").await;
    let load = Load::start(daemon, 8);
    load.until_refused(20).await;
    for alert in [
        "GrantdTokensUnrecorded",
        "GrantdJournalHalfFull",
        "GrantdJournalFilling",
        "GrantdJournalNearlyFull",
        "GrantdJournalFullSoon",
        "GrantdNotReady",
    ] {
        watch.fires(target, alert).await;
    }
    load.end().await;
    // Who has no Prometheus reads it in the log.
    eventually_async("the log says so", SOON, async || {
        let full = |line: &serde_json::Value| {
            line["message"] == "not ready" && line["reason"] == "the journal is full"
        };
        daemon.log_lines().iter().any(full).then_some(())
    })
    .await;
}

/// A disk that fills up, and then a key that is to be taken away.
async fn a_full_disk(daemon: &Grantd, disk: &Tmpfs, watch: &Prometheus) {
    disk.fill(0);
    watch.fires(daemon.metrics(), "GrantdDiskFull").await;
    let state = daemon.ready.state.display().to_string();
    let keys = grantd(&["keys", "list", "--format", "json", "--state", &state]);
    let keys: serde_json::Value = serde_json::from_slice(&keys.stdout).unwrap();
    let active = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["state"] == "active");
    let kid = active.unwrap()["kid"].as_str().unwrap().to_owned();
    let rotate = ["keys", "rotate", "--compromised", &kid, "--state", &state];
    let refused = grantd(&rotate);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    watch.fires(daemon.metrics(), "GrantdKeysUnwritable").await;
    // It is there to be asked all the same, and goes on when there is room.
    disk.resize("128m");
    eventually_async("it is ready again", SOON, async || {
        (daemon.readyz()["ready"] == true).then_some(())
    })
    .await;
}

/// No descriptors any more, and then no daemon.
async fn out_of_descriptors(daemon: &mut Grantd, watch: &Prometheus) {
    let target = daemon.metrics();
    let process = Pid::from_child(&daemon.child);
    let folder = format!("/proc/{}/fd", daemon.child.id());
    let open = fs::read_dir(folder).unwrap().count();
    let few = u64::try_from(open).unwrap() + 4;
    let fewer = Rlimit {
        current: Some(few),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(Some(process), Resource::Nofile, fewer).unwrap();
    watch.fires(target, "GrantdFileDescriptors").await;
    let public = daemon.https().address();
    let held: Vec<_> = (0..few)
        .map(|_| TcpStream::connect(public).unwrap())
        .collect();
    eventually_async("it says that it can't accept", SOON, async || {
        daemon.log().contains("accept failed").then_some(())
    })
    .await;
    prlimit(Some(process), Resource::Nofile, before).unwrap();
    drop(held);
    watch.fires(target, "GrantdAcceptFailing").await;
    daemon.kill();
    watch.fires(target, "GrantdDown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_raises_its_alert_and_a_healthy_daemon_none() {
    let (calm, mut lost) = (NatsServer::start(), NatsServer::start());
    let disk = Tmpfs::new("64m");
    let shipping = format!(
        "audit.nats = {{ url = {:?}, stream = \"AUDIT\", create_stream = true }}",
        calm.url()
    );
    let healthy = Grantd::serve().setting(&shipping).start();
    let outside = Grantd::dev().nats(&lost.url()).start();
    let small = Grantd::serve()
        .prepare(certify_for_a_day)
        .setting("audit.keep = { bytes = \"1MiB\" }")
        .start();
    let full = Grantd::dev().state(&disk.folder("state")).start();
    let mut crowded = Grantd::dev().start();
    let all = [&healthy, &outside, &small, &full, &crowded];
    let watch = Prometheus::watching(&all.map(Grantd::metrics));
    tokio::join!(
        from_outside(&outside, &mut lost, &watch),
        a_small_journal(&small, &watch),
        a_full_disk(&full, &disk, &watch),
        out_of_descriptors(&mut crowded, &watch),
        async {
            let ask = || healthy.ask().of("reader").resource(BILLING).send();
            for _ in 0..20 {
                ask().await.granted();
                none_fires(&watch, healthy.metrics());
            }
        },
    );
    none_fires(&watch, healthy.metrics());
    let (evaluated, failed) = watch.evaluations();
    assert!(
        evaluated > 300.0 && failed == 0.0,
        "{evaluated} evaluations, {failed} failed"
    );
}

#[track_caller]
fn none_fires(watch: &Prometheus, target: SocketAddr) {
    assert_eq!(watch.firing(target), [""; 0], "at a healthy daemon");
}

/// The samples of a healthy daemon's page as `promtool` takes series.
async fn captured() -> Vec<(String, String)> {
    let nats = NatsServer::start();
    let daemon = Grantd::dev().nats(&nats.url()).start();
    eventually_async("the stream is connected", SOON, async || {
        (daemon.metric("grantd_ship_connected") == 1.0).then_some(())
    })
    .await;
    daemon
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let page = daemon.monitor("/metrics").1;
    // promtool has no word for a series that is infinite.
    let samples = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.ends_with("+Inf"));
    let mut series: Vec<(String, String)> = samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.to_owned())
        })
        .collect();
    series.push(("up".to_owned(), "1".to_owned()));
    series
}

/// A test of `promtool`: the page stays as it is for three hours, but for one series.
fn told(series: &[(String, String)], changed: Option<(&str, &str)>, expected: &str) -> String {
    let mut text = "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n".to_owned();
    let mut found = changed.is_none();
    for (name, value) in series {
        let (name, value) = match changed {
            Some((other, change)) if other == name => {
                found = true;
                let start = change.strip_prefix('+').map_or(change, |_| value);
                (
                    name,
                    format!(
                        "{start}{}x180",
                        change
                            .strip_prefix('+')
                            .map_or("+0".to_owned(), |by| format!("+{by}"))
                    ),
                )
            }
            _ => (name, format!("{value}+0x180")),
        };
        let labels = match name.split_once('{') {
            Some((name, labels)) => format!("{name}{{job=\"grantd\",instance=\"a:1\",{labels}"),
            None => format!("{name}{{job=\"grantd\",instance=\"a:1\"}}"),
        };
        writeln!(text, "  - {{series: '{labels}', values: '{value}'}}").unwrap();
    }
    assert!(found, "no daemon shows {changed:?}");
    let firing = "alertstate=\"firing\"";
    write!(
        text,
        "  promql_expr_test:\n\
         \x20 - {{expr: 'count by (alertname) (ALERTS{{{firing}}})', eval_time: 179m, exp_samples: [{expected}]}}\n"
    )
    .unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_whose_faults_take_long_fire_at_what_a_daemon_would_show() {
    let series = captured().await;
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rules.yml"), prometheus::rules_text()).unwrap();
    let mut files = vec!["healthy.yml".to_owned()];
    fs::write(folder.path().join("healthy.yml"), told(&series, None, "")).unwrap();
    for (alert, changed, to) in TOLD {
        let expected = format!("{{labels: '{{alertname=\"{alert}\"}}', value: 1}}");
        let file = format!("{alert}.yml");
        fs::write(
            folder.path().join(&file),
            told(&series, Some((changed, to)), &expected),
        )
        .unwrap();
        files.push(file);
    }
    let mut arguments = vec!["test", "rules"];
    arguments.extend(files.iter().map(String::as_str));
    promtool(&arguments, folder.path());
}

#[test]
fn every_rule_is_checked_proved_and_has_a_runbook() {
    let rules = rules();
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule.alert.as_str()).collect();
    assert_eq!(names.len(), rules.len(), "each name once");
    let proved: BTreeSet<&str> = MADE
        .into_iter()
        .chain(TOLD.map(|(alert, ..)| alert))
        .collect();
    assert_eq!(names, proved, "each rule has its proof here");
    promtool(
        &[
            "check",
            "rules",
            "--lint-fatal",
            "docs/alerts/grantd.rules.yml",
        ],
        &repository(""),
    );
}

#[test]
fn every_rule_says_what_to_do() {
    let guide = fs::read_to_string(repository("docs/operations.md")).unwrap();
    let rules = rules();
    for rule in &rules {
        let Rule {
            alert, severity, ..
        } = rule;
        let known = ["critical", "warning", "info"].contains(&severity.as_str());
        assert!(known && rule.hold.ends_with(['s', 'm', 'h']), "{alert}");
        assert!(rule.texts > 15, "{alert}: a summary and a description");
        let anchor = format!("docs/operations.md#{}", alert.to_lowercase());
        assert_eq!(rule.runbook, anchor);
        let heading = format!("\n### {alert}\n");
        let (_, section) = guide
            .split_once(&heading)
            .unwrap_or_else(|| panic!("no runbook for {alert} in docs/operations.md"));
        let section = section.split("\n## ").next().unwrap();
        let section = section.split("\n### ").next().unwrap();
        for part in ["**Means:**", "**See:**", "**Do:**", "**Don't:**"] {
            assert!(section.contains(part), "{alert}: {part}");
        }
    }
    for heading in guide.lines().filter_map(|line| line.strip_prefix("### ")) {
        let is_alert = rules.iter().any(|rule| rule.alert == heading);
        let named_so = heading.starts_with("Grantd");
        assert!(is_alert || !named_so, "a runbook of no alert: {heading}");
    }
}
