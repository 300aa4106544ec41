//! The record of a running daemon: every kind of event, valid and in one chain, in the journal and in a
//! stream; found again by what an operator has in hand; and never a secret in it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Answer, Ask, BILLING, Deployment, FLEET, Grantd, NatsServer, events, events_of, eventually,
    failed, grantd, python, repository, said, secret,
};

/// Longest until something is recorded, logged or shipped: a summary comes each 10 s.
const SOON: Duration = Duration::from_secs(30);

/// Refusals of one network that are recorded one by one, in the settings of the flood.
const ALLOWED: usize = 10;

/// Requests of the flood.
const FLOOD: usize = 60;

/// The network of the flood, which no other request of the tests has.
const FLOODER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 254, 7, 9));

fn kinds(lines: &[Value]) -> Vec<String> {
    let kind = |line: &Value| {
        let kind = line["type"].as_str().unwrap();
        let kind = kind.strip_prefix("dev.grantd.").unwrap();
        kind.strip_suffix(".v1").unwrap().to_owned()
    };
    let mut kinds: Vec<String> = lines.iter().map(kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

async fn granted(grantd: &Grantd) -> Answer {
    let answer = grantd.ask().of("reader").resource(BILLING).send().await;
    answer.granted()
}

/// Waits for an event of this kind; the first.
fn recorded(grantd: &Grantd, kind: &str) -> Value {
    let kind = format!("dev.grantd.{kind}.v1");
    eventually(&kind, SOON, || {
        let all = events(&grantd.ready.state);
        all.into_iter().find(|event| event["type"] == kind.as_str())
    })
}

/// Makes everything happen that is recorded, in one run of a daemon that is stopped then.
async fn a_full_day(deployment: &Deployment) {
    let mut grantd = deployment.serve();
    granted(&grantd).await;
    let proved = grantd.ask().of("reader").resource(FLEET).send().await;
    let proved = &events_of(&grantd, &proved.refused(400, "invalid_target"))[0];
    assert_eq!(proved["data"]["proved"], true);
    assert_eq!(proved["data"]["client_id"], "reader");
    let wrong = grantd.ask().with_secret("reader", &secret("writer", 1));
    let wrong = wrong.resource(BILLING).send().await;
    let unproved = &events_of(&grantd, &wrong.refused(401, "invalid_client"))[0];
    assert_eq!(unproved["data"]["proved"], false);
    let unknown = grantd.ask().of("nobody").resource(BILLING).send().await;
    let unknown = &events_of(&grantd, &unknown.refused(401, "invalid_client"))[0];
    assert_eq!(unknown["data"]["unknown_client_id"], "nobody");

    let bad = deployment.path("registry.d/bad.toml");
    fs::write(&bad, "[client.x]\nnmae = 1\n").unwrap();
    recorded(&grantd, "registry.rejected");
    fs::remove_file(&bad).unwrap();
    let next = deployment.keys(&["list", "--format", "json"]);
    let next: Value = serde_json::from_str(&said(&next)).unwrap();
    let active = next["keys"].as_array().unwrap().iter();
    let active = active.clone().find(|key| key["state"] == "active").unwrap();
    let kid = active["kid"].as_str().unwrap();
    said(&deployment.keys(&["rotate", "--compromised", kid]));
    recorded(&grantd, "key.removed");
    flood(&grantd).await;
    assert!(grantd.stop().success());
}

/// Wrong secrets from one network, beyond the budget: each is recorded or counted, and none twice.
async fn flood(grantd: &Grantd) {
    let before = events(&grantd.ready.state).len();
    for _ in 0..FLOOD {
        let ask = grantd.ask().from(FLOODER).with_secret("reader", "not it");
        ask.resource(BILLING)
            .send()
            .await
            .refused(401, "invalid_client");
    }
    let counted = eventually("each refusal is recorded or counted", SOON, || {
        let new = events(&grantd.ready.state).split_off(before);
        let (one_by_one, summed) = of_the_flood(&new);
        (one_by_one + summed >= FLOOD).then_some((one_by_one, summed))
    });
    assert_eq!(counted.0 + counted.1, FLOOD, "exact counts: {counted:?}");
    assert!(counted.0 >= ALLOWED && counted.1 > 0, "{counted:?}");
}

/// How many refusals of the flood are events of their own, and how many are in summaries.
fn of_the_flood(lines: &[Value]) -> (usize, usize) {
    let remote = FLOODER.to_string();
    let own = lines
        .iter()
        .filter(|line| line["data"]["remote"] == remote.as_str());
    let rows = lines
        .iter()
        .filter(|line| line["type"] == "dev.grantd.token.denied_summary.v1")
        .filter_map(|line| line["data"]["rows"].as_array())
        .flatten()
        .filter(|row| row["prefix"] == "127.254.7.0/24");
    let summed: u64 = rows.map(|row| row["count"].as_u64().unwrap()).sum();
    (own.count(), usize::try_from(summed).unwrap())
}

/// The whole journal, as it is on disk.
fn journal(state: &Path) -> Vec<u8> {
    let mut segments: Vec<_> = fs::read_dir(state.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    segments.sort();
    segments
        .iter()
        .flat_map(|path| fs::read(path).unwrap())
        .collect()
}

/// What an auditor does with the lines, without grantd; how many there are.
fn an_auditor_agrees(lines: &[u8]) -> String {
    let chain = said(&python("audit_chain.py", &[], lines));
    assert!(chain.contains("events, good, head "), "{chain}");
    let schemas = repository("docs/schemas/audit").display().to_string();
    let valid = said(&python("audit_schema.py", &[&schemas], lines));
    assert!(valid.contains("all valid against"), "{valid}");
    chain
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_event_is_valid_in_one_chain_in_journal_and_stream() {
    let server = NatsServer::start();
    let deployment = Deployment::new();
    deployment.append(&format!(
        "[audit.nats]\nurl = {:?}\nstream = \"DAY\"\ncreate_stream = true",
        server.url()
    ));
    deployment.set(
        "# refusals = { per_minute = 600, per_prefix_per_minute = 12 }",
        "refusals = { per_minute = 600, per_prefix_per_minute = 2 }",
    );
    a_full_day(&deployment).await;
    // A second run: the first ended cleanly, this one is killed, and the third says so.
    let mut killed = deployment.serve();
    granted(&killed).await;
    killed.kill();
    let mut last = deployment.serve();
    let started = events(&last.ready.state)
        .into_iter()
        .filter(|event| event["type"] == "dev.grantd.daemon.started.v1")
        .map(|event| event["data"]["previous_stop"].as_str().unwrap().to_owned());
    assert_eq!(started.collect::<Vec<_>>(), ["none", "clean", "unclean"]);
    assert!(last.stop().success());

    let lines = journal(&deployment.path("state"));
    let chain = an_auditor_agrees(&lines);
    let seen = kinds(&events(&deployment.path("state")));
    let expected = [
        "daemon.lineage_started",
        "daemon.started",
        "daemon.stopped",
        "key.activated",
        "key.created",
        "key.removed",
        "key.withdrawn",
        "registry.applied",
        "registry.rejected",
        "token.denied",
        "token.denied_summary",
        "token.issued",
    ];
    for kind in expected {
        assert!(seen.iter().any(|it| it == kind), "no {kind} in {seen:?}");
    }

    // What is left is shipped at the next start; then the stream holds the same bytes.
    let grantd_again = deployment.serve();
    let stream = eventually("all of it is in the stream", SOON, || {
        let stream = exported(&server, &deployment);
        stream.starts_with(&lines).then_some(stream)
    });
    an_auditor_agrees(&stream);
    drop(grantd_again);
    let head = chain.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(String::from_utf8(stream).unwrap().contains(&head));
}

/// All lines of the stream, by `grantd audit export --nats`.
fn exported(server: &NatsServer, deployment: &Deployment) -> Vec<u8> {
    let line = [
        "audit",
        "export",
        "--nats",
        &server.url(),
        "--stream",
        "DAY",
    ];
    let output = grantd(&[&line[..], &["--instance", "auth-1"]].concat());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {}", deployment.config());
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_finds_the_event_by_what_is_in_hand() {
    let deployment = Deployment::new();
    let mut daemon = deployment.serve();
    let answer = granted(&daemon).await;
    let refused = daemon.ask().of("reader").resource(FLEET).send().await;
    let other = daemon.ask().of("writer").resource(BILLING).send().await;
    let other = other.granted();
    let [issued] = &events_of(&daemon, &answer)[..] else {
        panic!("one request has one event");
    };
    let jti = issued["data"]["jti"].as_str().unwrap();
    let moment = issued["time"].as_str().unwrap();
    let found = |arguments: &[&str]| {
        let line = [&["find", "--format", "json"], arguments].concat();
        let text = said(&deployment.audit(&line));
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"]["request_id"].clone())
            .collect::<Vec<_>>()
    };
    events_of(&daemon, &refused);
    let ids = [
        answer.request_id(),
        refused.request_id(),
        other.request_id(),
    ];
    for live in [true, false] {
        assert_eq!(found(&["--request-id", ids[0]]), [ids[0]], "live: {live}");
        assert_eq!(found(&["--request-id", ids[1]]), [ids[1]], "live: {live}");
        assert_eq!(found(&["--jti", jti]), [ids[0]], "live: {live}");
        assert_eq!(
            found(&["--client", "reader"]),
            [ids[0], ids[1]],
            "live: {live}"
        );
        assert_eq!(
            found(&["--client", "writer", "--since", "1h"]),
            [ids[2]],
            "live: {live}"
        );
        assert_eq!(
            found(&["--client", "reader", "--since", moment]),
            [ids[0], ids[1]]
        );
        let future = found(&["--client", "reader", "--since", "2999-01-01T00:00:00Z"]);
        assert!(future.is_empty(), "live: {live}");
        if live {
            assert!(daemon.stop().success());
        }
    }
    failed(&deployment.audit(&["find"]), 2);
    let text = said(&deployment.audit(&["find", "--request-id", ids[1]]));
    assert!(
        text.contains("token.denied") && text.contains("reason="),
        "{text}"
    );
    assert!(said(&deployment.audit(&["verify"])).contains("good"));
}

/// A process that is killed when its test ends, and the lines that it prints.
struct Following {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Following {
    fn of(state: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_grantd"))
            .args(["audit", "tail", "--follow", "-n", "1", "--state"])
            .arg(state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _not_read_any_more = sender.send(line);
            }
        });
        Self { child, lines }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_follows_a_live_daemon() {
    let deployment = Deployment::new();
    let daemon = deployment.serve();
    let following = Following::of(&deployment.path("state"));
    following
        .lines
        .recv_timeout(SOON)
        .expect("the last line so far");
    for _ in 0..3 {
        let answer = granted(&daemon).await;
        eventually("the new event is shown", SOON, || {
            let line = following.lines.try_recv().ok()?;
            line.contains(answer.request_id()).then_some(())
        });
    }
}

/// A password that a person has typed.
const TYPED: &str = "Tr0ub4dor-and-3-horses";

/// A secret of the right form that nobody has.
fn wrong() -> String {
    secret("writer", 7)
}

/// The right secret, as the header of Basic has it.
fn basic_pair() -> String {
    data_encoding::BASE64.encode(format!("reader:{}", secret("reader", 1)).as_bytes())
}

/// Requests with a secret or a token in each place, the wrong ones above all.
fn everywhere(daemon: &Grantd, token: &str) -> Vec<Ask> {
    let right = secret("reader", 1);
    let basic = format!("Basic {}", basic_pair());
    let reader = || daemon.ask().of("reader");
    vec![
        daemon.ask().with_secret("reader", &wrong()),
        daemon.ask().with_secret("reader", TYPED),
        daemon.ask().with_secret("reader", token),
        daemon.ask().with_basic("reader", TYPED),
        daemon.ask().with_basic("reader", &wrong()).http2(),
        daemon
            .ask()
            .header("authorization", &basic)
            .resource(BILLING),
        daemon.ask().header("authorization", &basic).http2(),
        daemon
            .ask()
            .header("authorization", &format!("Bearer {token}")),
        daemon.ask().with_secret(&wrong(), "reader"),
        reader().resource(&right),
        reader().resource(BILLING).scope(&right),
        reader().resource(token),
        reader().scope(token),
        reader().query(&format!("client_secret={}", wrong())),
        reader().with(&wrong(), "x"),
    ]
}

/// Fails where a word is in the text, or its half, or its beginning: what is long may be cut.
fn nothing_of(words: &[String], name: &str, text: &str) {
    for word in words {
        let parts = [word, &word[word.len() / 2..], &word[..word.len().min(20)]];
        // Every token begins alike.
        let parts = parts
            .iter()
            .filter(|part| part.len() > 20 || !part.starts_with("eyJ"));
        for part in parts {
            assert!(!text.contains(*part), "in the {name}: {part}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_token_is_ever_written_down() {
    let deployment = Deployment::new();
    deployment.set("# filter = \"info\"", "filter = \"trace\"");
    let mut daemon = deployment.serve();
    let token = granted(&daemon).await.text("access_token");
    for ask in everywhere(&daemon, &token) {
        assert_ne!(ask.send().await.status, 503);
    }
    let path = format!("/oauth2/{}?token={token}", wrong());
    daemon.https().get(&path).await;
    let metrics = daemon.monitor("/metrics").1 + &daemon.monitor("/readyz").1;
    assert!(daemon.stop().success());

    let recorded = String::from_utf8(journal(&deployment.path("state"))).unwrap();
    assert!(recorded.lines().count() > 15, "{recorded}");
    assert!(daemon.log().contains("TRACE"), "all that can be logged is");
    let words = [
        secret("reader", 1),
        wrong(),
        basic_pair(),
        token,
        TYPED.to_owned(),
    ];
    nothing_of(&words, "journal", &recorded);
    nothing_of(&words, "log", &daemon.log());
    nothing_of(&words, "metrics", &metrics);
}
