//! No secret gets anywhere that it does not belong, and nothing hostile gets into logs or events as it is: lines
//! 73 and 74 of the security checklist, at trace level, over everything that a daemon writes or shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::support::{
    Ask, BILLING, Deployment, Grantd, NatsServer, Registry, events, eventually, failed, grantd,
    said, secret,
};

/// Longest until everything is recorded and shipped: a summary comes each 10 s.
const SOON: Duration = Duration::from_secs(30);

/// The password of NATS.
const PASSWORD: &str = "canary-password-7f3b9c";

/// The sealing key.
const SEALING: &str = "5ea11ea15ea11ea15ea11ea15ea11ea15ea11ea15ea11ea15ea11ea15ea11ea1";

/// What a client that means to authenticate with an assertion might send here.
const ASSERTION: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImNhbmFyeSJ9.eyJpc3MiOiJjYW5hcnkiLCJqdGkiOiJjYW5hcnktYXNzZXJ0aW9uIn0.Y2FuYXJ5LXNpZ25hdHVyZS1vZi1hbi1hc3NlcnRpb24";

/// A word that has no look of a secret is one all the same in the field of secrets.
const WEAK: &str = "hunter2-is-a-secret-word";

/// Strings that must be nowhere, with what each is.
struct Canaries(Vec<(String, String)>);

impl Canaries {
    fn add(&mut self, what: &str, text: &str) {
        assert!(
            text.len() >= 16,
            "{what} is too short to be found by chance"
        );
        self.0.push((what.to_owned(), text.to_owned()));
        self.0
            .push((format!("{what}, in base64"), BASE64.encode(text.as_bytes())));
        self.0.push((
            format!("{what}, in hexadecimal"),
            HEXLOWER.encode(text.as_bytes()),
        ));
    }

    /// Fails where one of them is in these bytes.
    #[track_caller]
    fn are_not_in(&self, place: &str, bytes: &[u8]) {
        for (what, canary) in &self.0 {
            let found = bytes
                .windows(canary.len())
                .any(|part| part == canary.as_bytes());
            assert!(!found, "{what} is in {place}");
        }
    }
}

/// A deployment that ships with a password, at trace level.
fn deploy(nats: &NatsServer, sealed: bool) -> Deployment {
    let deployment = Deployment::new();
    if sealed {
        fs::write(deployment.path("sealing.key"), format!("{SEALING}\n")).unwrap();
        private(&deployment.path("sealing.key"));
        let file = deployment.path("sealing.key");
        deployment.set(
            "[keys]\n",
            &format!("[keys]\nsealing_key_file = {file:?}\n"),
        );
    }
    fs::write(deployment.path("nats-password"), PASSWORD).unwrap();
    private(&deployment.path("nats-password"));
    deployment.set("# filter = \"info\"", "filter = \"trace\"");
    deployment.append(&format!(
        "[audit.nats]\nurl = {:?}\nstream = \"AUDIT\"\ncreate_stream = true\nuser = \"grantd\"\npassword_file = \"nats-password\"\n",
        nats.url()
    ));
    deployment
}

fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A secret, right or wrong, wherever somebody might put one.
fn in_every_place(daemon: &Grantd, canary: &str) -> Vec<Ask> {
    let ask = || daemon.ask().of("reader").resource(BILLING);
    let bare = || daemon.ask().without("grant_type");
    vec![
        daemon.ask().with_secret("reader", canary),
        daemon.ask().with_secret(canary, canary),
        daemon.ask().with("client_id", canary),
        daemon.ask().with_basic("reader", canary),
        daemon.ask().with_basic(canary, "x"),
        daemon
            .ask()
            .header("authorization", &format!("Bearer {canary}")),
        daemon
            .ask()
            .header("authorization", &format!("Basic {canary}")),
        ask().scope(canary),
        daemon.ask().of("reader").resource(canary),
        daemon
            .ask()
            .of("reader")
            .resource(&format!("https://{canary}.example.com/")),
        bare().of("reader").with("grant_type", canary),
        ask().with("client_assertion", canary).with(
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ask().with(canary, "x"),
        ask().query(&format!("client_secret={canary}")),
        ask()
            .header("x-api-key", canary)
            .header("user-agent", canary)
            .header("cookie", canary)
            .header("referer", canary),
        ask().header("x-request-id", canary),
        daemon.ask().body(format!("{canary}=1&{canary}")),
        daemon.ask().content_type(Some(&format!("text/{canary}"))),
    ]
}

/// Every file below a folder, but for those of these endings.
fn files_below(folder: &Path, without: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if without.iter().any(|ending| path.ends_with(ending)) {
            continue;
        }
        if path.is_dir() {
            found.extend(files_below(&path, without));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

/// The base64 lines of a PEM text, the last one left out: it may be short.
fn lines_of_pem(text: &str) -> Vec<String> {
    let (_, body) = text.split_once("PRIVATE KEY-----").expect("a private key");
    let body = body.split("-----END").next().unwrap();
    body.lines()
        .map(str::trim)
        .filter(|line| line.len() >= 32)
        .map(str::to_owned)
        .collect()
}

/// What is secret before anything is asked: of the keys, of the certificate, of NATS, of clients.
fn known(deployment: &Deployment) -> Canaries {
    let mut canaries = Canaries(Vec::new());
    // Read before the daemon seals them.
    let keys = deployment.key_files().into_iter();
    for file in keys.chain([deployment.path("tls/key.pem")]) {
        let lines = lines_of_pem(&fs::read_to_string(file).unwrap());
        assert!(lines.len() > 1);
        for line in lines {
            canaries.add("a private key", &line);
        }
    }
    let right = secret("reader", 1);
    for (what, canary) in [
        ("the secret", right.as_str()),
        ("a wrong secret", &wrong()),
        ("an assertion", ASSERTION),
        ("the password of NATS", PASSWORD),
        ("the sealing key", SEALING),
        ("the pair of Basic", &format!("reader:{right}")),
        ("a weak secret", WEAK),
    ] {
        canaries.add(what, canary);
    }
    canaries
}

/// A secret of nobody.
fn wrong() -> String {
    secret("nobody-at-all", 9)
}

/// Asks with every secret in every place, and for tokens, which are secrets too.
async fn ask_for_everything(daemon: &Grantd, canaries: &mut Canaries) {
    for canary in [&secret("reader", 1), &wrong(), ASSERTION] {
        for ask in in_every_place(daemon, canary) {
            ask.send().await;
        }
    }
    let ask = || daemon.ask().resource(BILLING);
    ask().with_secret("reader", WEAK).send().await;
    ask().with_basic("reader", WEAK).send().await;
    let query = format!("client_secret={WEAK}");
    ask().of("reader").query(&query).send().await;
    for _ in 0..3 {
        let token = ask().basic("reader").send().await.granted();
        let token = token.text("access_token");
        canaries.add("a token", &token);
        canaries.add("a token's signature", token.rsplit('.').next().unwrap());
        let misused = daemon.ask().with("client_id", &token).resource(&token);
        misused.send().await;
    }
}

/// What commands, pages and the system say of the daemon.
fn look_at_answers(daemon: &Grantd, deployment: &Deployment, canaries: &Canaries) {
    let state = deployment.path("state").display().to_string();
    let config = deployment.config();
    let asked: [&[&str]; 6] = [
        &["status", "--state", &state],
        &["status", "--format", "json", "--state", &state],
        &["keys", "list", "--format", "json", "--config", &config],
        &["audit", "export", "--state", &state],
        &["audit", "verify", "--state", &state],
        &["keys", "rotate", "--config", &config],
    ];
    for arguments in asked {
        let output = grantd(arguments);
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.is_empty(), "{arguments:?}");
        canaries.are_not_in(&arguments.join(" "), &said);
    }
    for page in ["/metrics", "/readyz", "/healthz"] {
        canaries.are_not_in(page, daemon.monitor(page).1.as_bytes());
    }
    let process = PathBuf::from(format!("/proc/{}", daemon.ready.pid));
    for name in ["environ", "cmdline", "comm", "status"] {
        canaries.are_not_in(name, &fs::read(process.join(name)).unwrap());
    }
}

async fn nothing_leaks(sealed: bool) {
    let nats = NatsServer::with(&format!(
        "authorization {{ user: grantd, password: {PASSWORD:?} }}"
    ));
    let deployment = deploy(&nats, sealed);
    let mut canaries = known(&deployment);
    let mut daemon = deployment.serve();
    ask_for_everything(&daemon, &mut canaries).await;
    // A registry that is refused quotes its files: what has the look of a secret is masked.
    let wrong = wrong();
    let pasted = format!("[client.pasted]\n# {wrong}\nsecret = \"{wrong}\"\n");
    Registry::empty()
        .file("pasted.toml", &pasted)
        .write(&deployment.path("registry.d"));
    eventually("the registry is refused", SOON, || {
        (daemon.metric("grantd_registry_problems") > 0.0).then_some(())
    });
    look_at_answers(&daemon, &deployment, &canaries);
    assert_eq!(daemon.stop().code(), Some(0));

    let log = daemon.log();
    canaries.are_not_in("the log", log.as_bytes());
    assert!(
        log.contains("TRACE") && log.contains("wrong_secret"),
        "a log at trace level"
    );
    // The keys' own files hold keys, and nothing else does.
    let files = files_below(&deployment.path("state"), &["keys"]);
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        canaries.are_not_in(&file.display().to_string(), &fs::read(&file).unwrap());
    }
    let recorded = events(&deployment.path("state"));
    let reasons: Vec<&Value> = recorded
        .iter()
        .map(|event| &event["data"]["reason"])
        .collect();
    for reason in [
        "wrong_secret",
        "query_parameters",
        "unknown_client",
        "scope_not_granted",
    ] {
        let happened = reasons.iter().any(|known| *known == reason);
        assert!(happened, "{reason} happened: {reasons:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_74_no_secret_is_anywhere_that_it_does_not_belong() {
    nothing_leaks(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_74_nor_is_the_sealing_key() {
    nothing_leaks(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_74_the_stream_holds_no_secret_either() {
    let nats = NatsServer::start();
    let daemon = Grantd::dev().nats(&nats.url()).start();
    let mut canaries = Canaries(Vec::new());
    canaries.add("the secret", &secret("reader", 1));
    for ask in in_every_place(&daemon, &secret("reader", 1)) {
        ask.send().await;
    }
    eventually("everything is shipped", SOON, || {
        let shipped = daemon.metric("grantd_ship_lag_events") == 0.0;
        (shipped && daemon.metric("grantd_journal_last_sequence") > 15.0).then_some(())
    });
    let client = nats.connect().await;
    let context = async_nats::jetstream::new(client);
    let stream = context.get_stream("GRANTD_AUDIT").await.unwrap();
    let last = stream.get_info().await.unwrap().state.last_sequence;
    assert!(last > 15, "{last}");
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.unwrap();
        canaries.are_not_in("a message", &message.payload);
        let headers = format!("{:?}", message.headers);
        canaries.are_not_in("a message's headers", headers.as_bytes());
    }
}

/// What would forge a line, steer a terminal, or turn the order of words around.
const HOSTILE: &str =
    "x\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}txet\u{2066}\u{0}";

/// Gives the registry a hostile name, and leaves a link by its old one.
fn rename_the_registry(deployment: &Deployment) -> PathBuf {
    let folder = deployment.path("registry\n2026-01-01T00:00:00Z ERROR forged\u{202e}.d");
    fs::rename(deployment.path("registry.d"), &folder).unwrap();
    std::os::unix::fs::symlink(&folder, deployment.path("registry.d")).unwrap();
    deployment.set("\"registry.d\"", &serde_json::to_string(&folder).unwrap());
    folder
}

/// Hostile and long words, in every field that is recorded or logged.
async fn say_hostile_words(daemon: &Grantd) {
    let ask = || daemon.ask().of("reader").resource(BILLING);
    for hostile in [HOSTILE, "\u{202e}\u{2066}name", "line one\nline two"] {
        for ask in [
            daemon.ask().with_secret(hostile, "x"),
            daemon.ask().with_basic(hostile, hostile),
            ask().scope(hostile),
            daemon.ask().of("reader").resource(hostile),
            ask().with(hostile, hostile),
        ] {
            ask.send().await;
        }
    }
    daemon
        .ask()
        .of("reader")
        .resource(BILLING)
        .and_raw(b"scope=\xff\xfe")
        .send()
        .await;
    let long = "y".repeat(60_000);
    daemon.ask().with_secret(&long, "x").send().await;
    daemon.ask().of("reader").resource(&long).send().await;
    // 1 MB is over the limit of a body: refused unread. The answer is there though the rest can't be sent.
    let huge = "z".repeat(1 << 20);
    let path = url::Url::parse(&daemon.ready.token_endpoint).unwrap();
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\nclient_id={huge}",
        path.path(),
        daemon.https().authority(),
        "client_id=".len() + huge.len(),
    );
    let answer = daemon.https().raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:.200}");
}

/// What clients and the registry's files say is spelled out where it is judged already; a path is not, so its
/// line shows that the log itself spells out: without that, this test fails by it.
#[tokio::test(flavor = "multi_thread")]
async fn checklist_73_hostile_words_are_spelled_out_and_cut() {
    let deployment = Deployment::new();
    deployment.set("format = \"json\"", "format = \"text\"");
    deployment.set("# filter = \"info\"", "filter = \"trace\"");
    let folder = rename_the_registry(&deployment);
    let daemon = deployment.serve();
    say_hostile_words(&daemon).await;
    let bad = format!("[client.{HOSTILE:?}]\nname = \"\u{202e}\"\n");
    fs::write(deployment.path("registry.d/bad\u{202e}\n.toml"), bad).unwrap();
    eventually("the registry is refused", SOON, || {
        daemon.log().contains("registry refused").then_some(())
    });
    fs::rename(&folder, deployment.path("gone")).unwrap();
    eventually("its folder is missed", SOON, || {
        daemon.log().contains("does not exist").then_some(())
    });
    let log = daemon.log();
    for line in log.lines() {
        assert!(line.len() < 64 * 1024, "a line of {} bytes", line.len());
        let begins = line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T');
        assert!(
            begins && !line.starts_with("2026-01-01T"),
            "a forged line: {line:?}"
        );
    }
    let hidden = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{2069}').contains(&c);
    assert!(!log.contains(hidden), "something hidden in the log");
    assert!(!log.contains("zzzzzzzzzzzzzzzz") && !log.contains("yyyyyyyyyyyyyyyy"));
    let lines: Vec<Value> = events(&deployment.path("state"));
    for line in lines.iter().map(Value::to_string) {
        assert!(!line.contains(|c: char| c.is_control()), "{line}");
        assert!(
            line.len() < 64 * 1024 && !line.contains(&"y".repeat(129)),
            "{line}"
        );
    }
    let shown = said(&grantd(&["status", "--config", &deployment.config()]));
    assert!(!shown.contains(hidden), "{shown}");
}

#[test]
fn a_log_filter_that_is_none_is_refused_at_load() {
    let deployment = Deployment::new();
    for (filter, words) in [
        ("grantd=loud", "log.filter = \"grantd=loud\": "),
        ("[", "log.filter = \"[\": "),
    ] {
        let deployment = Deployment::new();
        deployment.set("# filter = \"info\"", &format!("filter = {filter:?}"));
        let said = deployment.refuse();
        assert!(said.contains(words), "{said}");
        assert!(
            said.contains("write a level (error, warn, info, debug, trace)"),
            "{said}"
        );
        assert!(said.contains("grantd.toml: 1 problem"), "{said}");
        // Whoever reads the settings is told, not the daemon alone.
        let config = deployment.config();
        failed(&grantd(&["check", "--config", &config]), 1);
    }
    deployment.set("# filter = \"info\"", "filter = \"grantd=debug,info\"");
    drop(deployment.serve());
}
