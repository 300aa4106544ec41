//! `grantd token`: a token for a script, got once and kept, whatever else goes wrong.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use grantd::domain::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    BILLING, FLEET, FakeServer, Grantd, answer, events, failed, issued, jwks, said, secret, shared,
    verify_with,
};

/// Jobs that start at once.
const JOBS: usize = 20;

/// A machine with jobs on it: a home, a file with a secret, and what they ask.
struct Machine {
    folder: TempDir,
    issuer: String,
    ca_file: PathBuf,
    client: String,
}

impl Machine {
    /// With the first secret of this client of this daemon.
    fn new(daemon: &Grantd, client: &str) -> Self {
        let machine = Self::of(&daemon.ready.issuer, &daemon.ready.ca_file, client);
        machine.write_secret(&format!("{}\n", secret(client, 1)));
        machine
    }

    fn of(issuer: &str, ca_file: &Path, client: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let machine = Self {
            folder,
            issuer: issuer.to_owned(),
            ca_file: ca_file.to_owned(),
            client: client.to_owned(),
        };
        machine.write_secret("a-secret-of-another-form\n");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_secret(&self, text: &str) {
        fs::write(self.path("secret"), text).unwrap();
        fs::set_permissions(self.path("secret"), Permissions::from_mode(0o600)).unwrap();
    }

    /// `grantd token` with all but the secret's place.
    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
        command.env_clear().env("HOME", self.folder.path());
        command.args([
            "token",
            "--issuer",
            &self.issuer,
            "--client-id",
            &self.client,
        ]);
        command.arg("--ca-file").arg(&self.ca_file).args(more);
        command
    }

    /// `grantd token` with the secret's file.
    fn job(&self, more: &[&str]) -> Command {
        let mut command = self.command(more);
        command.arg("--secret-file").arg(self.path("secret"));
        command
    }

    fn run(&self, more: &[&str]) -> Output {
        self.job(more).output().unwrap()
    }

    /// The token that a run prints.
    #[track_caller]
    fn token(&self, more: &[&str]) -> String {
        said(&self.run(more)).trim_end().to_owned()
    }

    fn cache(&self) -> PathBuf {
        self.path(".cache/grantd-tokens")
    }

    /// The one token that is kept.
    fn entry(&self) -> PathBuf {
        let entries = fs::read_dir(self.cache()).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        assert_eq!(paths.len(), 1, "{paths:?}");
        paths.remove(0)
    }

    /// Changes what is kept, as nothing but `grantd token` itself would.
    fn rewrite(&self, change: impl FnOnce(&mut Value)) {
        let path = self.entry();
        let text = fs::read_to_string(&path).unwrap();
        let mut entry: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        change(&mut entry);
        let line = entry.to_string();
        fs::write(&path, format!("{line}\n{}\n", Digest::of(line.as_bytes()))).unwrap();
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// How many tokens the daemon has issued to this client.
fn issued_to(daemon: &Grantd, client: &str) -> usize {
    let events = events(&daemon.ready.state);
    let is_hers = |event: &&Value| event["data"]["client_id"] == client;
    issued(&events).filter(is_hers).count()
}

#[tokio::test]
async fn a_script_gets_a_token_in_the_form_that_it_needs() {
    let daemon = shared();
    let machine = Machine::new(&daemon, "roamer");
    let keys = jwks(&daemon).await;
    let token = verify_with(&keys, &machine.token(&["--resource", FLEET]));
    assert_eq!(token.text("aud"), FLEET);
    assert_eq!(token.text("client_id"), "roamer");

    let billing = ["--resource", BILLING, "--scope", "invoice:read"];
    let header = machine.token(&[&billing[..], &["--format", "header"]].concat());
    let bearer = header.strip_prefix("Authorization: Bearer ").unwrap();
    assert_eq!(verify_with(&keys, bearer).text("aud"), BILLING);

    let object = machine.token(&[&billing[..], &["--format", "json"]].concat());
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!(
        object["access_token"], bearer,
        "the same request, the same token"
    );
    assert_eq!(object["token_type"], "Bearer");
    assert_eq!(object["scope"], "invoice:read");
    let left = object["expires_in"].as_u64().unwrap();
    assert!((890..=900).contains(&left), "{left}");
    let at: jiff::Timestamp = object["expires_at"].as_str().unwrap().parse().unwrap();
    let exp = verify_with(&keys, bearer).seconds("exp");
    assert!(exp.abs_diff(at.as_second().try_into().unwrap()) <= 1);
}

#[test]
fn the_secret_comes_from_a_file_a_credential_or_standard_input() {
    let daemon = shared();
    let machine = Machine::new(&daemon, "writer");
    said(&machine.run(&["--no-cache"]));

    let mut piped = machine.command(&["--no-cache", "--secret-file", "-"]);
    let mut child = piped
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(secret("writer", 1).as_bytes()).unwrap();
    drop(pipe);
    said(&child.wait_with_output().unwrap());

    let credential = ["--no-cache", "--secret-credential", "secret"];
    let mut service = machine.command(&credential);
    service.env("CREDENTIALS_DIRECTORY", machine.folder.path());
    said(&service.output().unwrap());
    let words = failed(&machine.command(&credential).output().unwrap(), 1);
    assert!(words.contains("LoadCredential=secret:FILE"), "{words}");
    let outside = ["--no-cache", "--secret-credential", "../secret"];
    let words = failed(&machine.command(&outside).output().unwrap(), 1);
    assert!(words.contains("no name of a credential"), "{words}");

    // In no other way, and in one way alone.
    failed(&machine.command(&["--secret", "x"]).output().unwrap(), 2);
    failed(&machine.command(&[]).output().unwrap(), 2);
    failed(&machine.run(&["--secret-credential", "secret"]), 2);
    assert!(!machine.cache().exists(), "--no-cache keeps nothing");
}

#[test]
fn a_secret_file_that_is_none_is_named_and_never_shown() {
    let daemon = shared();
    let machine = Machine::new(&daemon, "writer");
    let whole = secret("writer", 1);
    let cut = &whole[..40];
    let cases = [
        (String::new(), "is empty"),
        ("\n".to_owned(), "is empty"),
        (format!("{whole}\n\n"), "more than one line"),
        (format!("{whole}\nsecond\n"), "more than one line"),
        (format!("{whole}\r\n"), "more than one line"),
        (format!("\u{feff}\0{whole}"), "control characters"),
        (cut.to_owned(), "is not whole"),
        ("a".repeat(5000), "longer than"),
    ];
    let path = machine.path("secret").display().to_string();
    for (text, advice) in &cases {
        machine.write_secret(text);
        let words = failed(&machine.run(&["--no-cache"]), 1);
        assert!(words.contains(advice) && words.contains(&path), "{words}");
        assert!(!words.contains(cut), "{words}");
    }
    fs::remove_file(machine.path("secret")).unwrap();
    let words = failed(&machine.run(&[]), 1);
    assert!(
        words.contains(&path) && words.contains("No such file"),
        "{words}"
    );

    machine.write_secret(&whole);
    let mode = |mode| fs::set_permissions(machine.path("secret"), Permissions::from_mode(mode));
    mode(0o644).unwrap();
    let words = failed(&machine.run(&["--no-cache"]), 1);
    assert!(words.contains(&format!("chmod 600 {path}")), "{words}");
    mode(0o640).unwrap();
    let output = machine.run(&["--no-cache"]);
    said(&output);
    assert!(
        stderr(&output).contains("read by its group"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_job_of_every_minute_does_not_ask_every_minute() {
    let daemon = Grantd::dev().start();
    let machine = Machine::new(&daemon, "writer");
    let first = machine.token(&[]);
    assert_eq!(machine.token(&[]), first);
    assert_eq!(issued_to(&daemon, "writer"), 1);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(machine.cache()), mode(machine.entry())),
        (0o700, 0o600)
    );
    let kept = fs::read_to_string(machine.entry()).unwrap();
    assert!(
        !kept.contains(&secret("writer", 1)),
        "never the secret itself"
    );

    // Another scope is another token; each is kept.
    let narrow = ["--scope", "invoice:read"];
    assert_ne!(machine.token(&narrow), first);
    assert_eq!(machine.token(&narrow), machine.token(&narrow));
    assert_eq!(issued_to(&daemon, "writer"), 2);

    // Renewed when less is left than is asked for, and then served again.
    let renewed = machine.token(&["--renew-before", "15m"]);
    assert_ne!(renewed, first);
    assert_eq!(machine.token(&[]), renewed);
    assert_eq!(issued_to(&daemon, "writer"), 3);
    // Elsewhere, there is another cache.
    let elsewhere = machine.path("elsewhere").display().to_string();
    assert_ne!(machine.token(&["--cache-dir", &elsewhere]), renewed);
}

#[test]
fn twenty_jobs_at_once_ask_once() {
    let daemon = Grantd::dev().start();
    let machine = Machine::new(&daemon, "writer");
    let start = |_| {
        let mut job = machine.job(&[]);
        job.stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<Child> = (0..JOBS).map(start).collect();
    let tokens: Vec<String> = children
        .into_iter()
        .map(|child| said(&child.wait_with_output().unwrap()))
        .collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(issued_to(&daemon, "writer"), 1);
}

#[test]
fn a_daemon_that_is_down_does_not_stop_a_job_with_a_valid_token() {
    let mut daemon = Grantd::dev().start();
    let machine = Machine::new(&daemon, "writer");
    let token = machine.token(&[]);
    assert!(daemon.stop().success());
    let due = ["--renew-before", "15m", "--timeout", "1s"];
    let output = machine.run(&due);
    assert_eq!(said(&output).trim_end(), token);
    assert!(
        stderr(&output).contains("still valid"),
        "{}",
        stderr(&output)
    );

    // Expired, it is served no more; nor is one from the future, or one that was damaged.
    let lifetime = 900;
    machine
        .rewrite(|entry| entry["obtained"] = json!(entry["obtained"].as_u64().unwrap() - lifetime));
    let words = failed(&machine.run(&["--timeout", "1s"]), 1);
    assert!(words.contains("cannot reach https://localhost"), "{words}");
    assert!(words.contains("is the daemon running"), "{words}");
    machine.rewrite(|entry| {
        entry["obtained"] = json!(entry["obtained"].as_u64().unwrap() + 2 * lifetime);
    });
    failed(&machine.run(&["--timeout", "1s"]), 1);
    machine
        .rewrite(|entry| entry["obtained"] = json!(entry["obtained"].as_u64().unwrap() - lifetime));
    assert_eq!(
        machine.token(&["--timeout", "1s"]),
        token,
        "its time is right again"
    );
    let mut bytes = fs::read(machine.entry()).unwrap();
    bytes[200] ^= 1;
    fs::write(machine.entry(), bytes).unwrap();
    let words = failed(&machine.run(&["--timeout", "1s"]), 1);
    assert!(words.contains("it is damaged"), "{words}");
}

#[test]
fn a_cache_that_others_could_have_written_or_read_is_not_used() {
    let daemon = Grantd::dev().start();
    let machine = Machine::new(&daemon, "writer");
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let first = machine.token(&[]);

    set(&machine.entry(), 0o644);
    let output = machine.run(&[]);
    let second = said(&output).trim_end().to_owned();
    assert_ne!(second, first);
    assert!(
        stderr(&output).contains("others can use it (mode 0644)"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        machine.token(&[]),
        second,
        "what is written anew is used again"
    );

    // A link, though to a good entry.
    let entry = machine.entry();
    let aside = machine.path("aside");
    fs::rename(&entry, &aside).unwrap();
    symlink(&aside, &entry).unwrap();
    let output = machine.run(&[]);
    let third = said(&output).trim_end().to_owned();
    assert_ne!(third, second);
    assert!(
        stderr(&output).contains("symbolic link"),
        "{}",
        stderr(&output)
    );
    assert!(
        !entry.is_symlink(),
        "the link was replaced, what it leads to was not written"
    );
    assert!(fs::read_to_string(&aside).unwrap().contains(&second));

    set(&machine.cache(), 0o755);
    let output = machine.run(&[]);
    assert_ne!(said(&output).trim_end(), third);
    let words = stderr(&output);
    assert!(
        words.contains("is not used") && words.contains("chmod 700"),
        "{words}"
    );
    set(&machine.cache(), 0o700);
    assert_eq!(machine.token(&[]), third, "nothing was written meanwhile");

    let link = machine.path("link");
    symlink(machine.cache(), &link).unwrap();
    let output = machine.run(&["--cache-dir", &link.display().to_string()]);
    assert_ne!(said(&output).trim_end(), third);
    assert!(
        stderr(&output).contains("symbolic link"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_cache_that_can_not_be_written_does_not_stop_a_job() {
    let daemon = shared();
    let machine = Machine::new(&daemon, "writer");
    let first = machine.token(&[]);
    // A folder where the lock should be: as of a disk that is full or read-only.
    let entry = machine.entry();
    let name = entry.file_name().unwrap().to_str().unwrap();
    let lock = machine.cache().join(format!("{}.lock", &name[..2]));
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    assert_eq!(machine.token(&[]), first, "it needs no lock to be read");
    fs::remove_file(&entry).unwrap();
    let output = machine.run(&[]);
    assert_ne!(said(&output).trim_end(), first);
    assert!(
        stderr(&output).contains("cannot use the cache"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_changed_secret_never_gets_the_old_token() {
    let daemon = Grantd::dev().start();
    let machine = Machine::new(&daemon, "rotating");
    let old = machine.token(&[]);
    machine.write_secret(&secret("rotating", 2));
    assert_ne!(machine.token(&[]), old);
    machine.write_secret(&secret("rotating", 9));
    let words = failed(&machine.run(&[]), 3);
    assert!(
        words.contains("invalid_client")
            && words.contains("is the client's id, letter by letter")
            && words.contains("--dir DIR"),
        "{words}"
    );
    machine.write_secret(&secret("rotating", 1));
    assert_eq!(machine.token(&[]), old);
}

#[test]
fn a_refusal_says_what_to_check_and_how_the_operator_finds_it() {
    let daemon = shared();
    let machine = Machine::new(&daemon, "roamer");
    let cases: [(&[&str], &str, &str); 4] = [
        (
            &["--resource", "https://no.such"],
            "invalid_target",
            "letter by letter",
        ),
        (&[], "invalid_target", "say which with --resource"),
        (
            &["--resource", FLEET, "--scope", "no:such"],
            "invalid_scope",
            "without --scope",
        ),
        (
            &["--resource", FLEET, "--scope", "a  b"],
            "invalid value",
            "single spaces",
        ),
    ];
    for (more, code, advice) in cases {
        let output = machine.run(more);
        let exit = if code == "invalid value" { 2 } else { 3 };
        let words = failed(&output, exit);
        assert!(words.contains(code) && words.contains(advice), "{words}");
        assert!(output.stdout.is_empty());
    }
    let wrong = Machine::new(&daemon, "disabled");
    let words = failed(&wrong.run(&[]), 3);
    assert!(words.contains("invalid_client"), "{words}");
    assert!(
        words.contains("grantd secret new --client disabled"),
        "{words}"
    );
    assert!(!words.contains(&secret("disabled", 1)), "{words}");
    let id = words
        .split("--request-id ")
        .nth(1)
        .unwrap()
        .split('`')
        .next()
        .unwrap();
    let state = daemon.ready.state.display().to_string();
    let found = crate::support::eventually(
        "the refusal's event",
        std::time::Duration::from_secs(10),
        || {
            let found = said(&crate::support::grantd(&[
                "audit",
                "find",
                "--state",
                &state,
                "--request-id",
                id,
            ]));
            (!found.is_empty()).then_some(found)
        },
    );
    assert!(found.contains("disabled"), "{found}");
}

#[test]
fn a_wrong_ca_file_is_said_while_a_token_is_kept() {
    let daemon = shared();
    let mut machine = Machine::new(&daemon, "writer");
    said(&machine.run(&[]));
    machine.ca_file = machine.path("no-such-file");
    let words = failed(&machine.run(&[]), 1);
    assert!(words.contains("cannot read the CA file"), "{words}");
    machine.ca_file = machine.path("secret");
    let words = failed(&machine.run(&[]), 1);
    assert!(words.contains("holds no certificate in PEM"), "{words}");
}

#[test]
fn nothing_is_sent_to_a_server_that_is_not_trusted() {
    let daemon = shared();
    let other = FakeServer::start(|_, _, _| answer("200 OK", "{}"));
    let machine = Machine::new(&daemon, "writer");
    let mut job = Machine::of(&other.url, &daemon.ready.ca_file, "writer");
    let words = failed(&job.run(&[]), 1);
    assert!(
        words.contains("is not trusted") && words.contains("--ca-file"),
        "{words}"
    );
    assert!(other.requests().is_empty());
    // The right certificate under a wrong name.
    job.issuer = other.url.replace("localhost", "127.0.0.1");
    job.ca_file.clone_from(&other.ca_file);
    let words = failed(&job.run(&[]), 1);
    assert!(
        words.contains("the name that the certificate is for"),
        "{words}"
    );

    let none = machine.path("none.pem");
    fs::write(&none, "no certificate").unwrap();
    job.ca_file = none;
    let words = failed(&job.run(&[]), 1);
    assert!(words.contains("none.pem holds no certificate"), "{words}");
    job.ca_file = machine.path("gone.pem");
    let words = failed(&job.run(&[]), 1);
    assert!(words.contains("cannot read the CA file"), "{words}");
    failed(
        &Machine::of("http://localhost", &other.ca_file, "writer").run(&[]),
        2,
    );
    assert!(other.requests().is_empty());
}

/// What a server says of itself that tells the truth.
fn metadata(base: &str) -> Value {
    json!({ "issuer": base, "token_endpoint": format!("{base}/token"), "jwks_uri": format!("{base}/jwks") })
}

/// Asks a server that answers so: to its metadata, and to a token request.
fn told(
    documents: impl Fn(&str) -> String + Send + 'static,
    tokens: impl Fn(usize) -> String + Send + 'static,
) -> (FakeServer, Machine) {
    let server = FakeServer::start(move |base, request, before| {
        if request.starts_with("POST /token ") {
            tokens(before)
        } else {
            documents(base)
        }
    });
    let machine = Machine::of(&server.url, &server.ca_file, "writer");
    (server, machine)
}

fn good_metadata(base: &str) -> String {
    answer("200 OK", &metadata(base).to_string())
}

fn good_token(_: usize) -> String {
    let token = json!({ "access_token": "a.b.c", "token_type": "bearer", "expires_in": 900 });
    answer("200 OK", &token.to_string())
}

#[test]
#[expect(
    clippy::type_complexity,
    reason = "a table of lies and what is said of them"
)]
fn a_server_that_lies_gets_no_secret() {
    let another = |base: &str| {
        let mut lie = metadata(base);
        lie["issuer"] = json!("https://localhost");
        answer("200 OK", &lie.to_string())
    };
    let clear = |base: &str| {
        let mut lie = metadata(base);
        lie["token_endpoint"] = json!("http://localhost/token");
        answer("200 OK", &lie.to_string())
    };
    let elsewhere = |base: &str| answer(&format!("302 Found\r\nLocation: {base}/else"), "");
    let huge = |_: &str| answer("200 OK", &" ".repeat(300_000));
    let twice = |base: &str| {
        let body = format!(r#"{{"issuer":"x","issuer":"{base}"}}"#);
        answer("200 OK", &body)
    };
    let cases: [(fn(&str) -> String, &str); 6] = [
        (another, "letter by letter"),
        (clear, "no token_endpoint that is an https URL"),
        (elsewhere, "redirects are not followed"),
        (huge, "longer than 262144 bytes"),
        (twice, "a member stands twice"),
        (
            |_| answer("200 OK", "<html>"),
            "no metadata of a token server",
        ),
    ];
    for (documents, words) in cases {
        let (server, machine) = told(documents, good_token);
        let said = failed(&machine.run(&["--timeout", "5s"]), 1);
        assert!(said.contains(words), "{words}: {said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
        let requests = server.requests();
        assert!(!requests.is_empty());
        assert!(
            requests.iter().all(|request| request.starts_with("GET ")),
            "{requests:?}"
        );
    }
}

#[test]
fn an_issuer_with_a_path_is_found_by_both_names() {
    for known in [
        "GET /.well-known/oauth-authorization-server/t/1 ",
        "GET /t/1/.well-known/openid-configuration ",
    ] {
        let server = FakeServer::start(move |base, request, before| {
            if request.starts_with(known) {
                let mut document = metadata(base);
                document["issuer"] = json!(format!("{base}/t/1"));
                return answer("200 OK", &document.to_string());
            }
            if request.starts_with("POST /token ") {
                return good_token(before);
            }
            answer("404 Not Found", "")
        });
        let machine = Machine::of(&format!("{}/t/1", server.url), &server.ca_file, "writer");
        assert_eq!(machine.token(&[]), "a.b.c");
    }
    let server = FakeServer::start(|_, _, _| answer("404 Not Found", ""));
    let machine = Machine::of(&server.url, &server.ca_file, "writer");
    let words = failed(&machine.run(&[]), 1);
    assert!(
        words.contains("answers 404: is https://localhost"),
        "{words}"
    );
}

#[test]
fn an_answer_that_is_no_bearer_token_is_not_printed() {
    let says = |status: &str, body: Value| answer(status, &body.to_string());
    let cases = [
        (
            says("200 OK", json!({"access_token": "a", "token_type": "DPoP"})),
            "only Bearer",
        ),
        (
            says(
                "200 OK",
                json!({"access_token": "a\r\nX: y", "token_type": "Bearer"}),
            ),
            "no access_token",
        ),
        (
            says("200 OK", json!({"token_type": "Bearer"})),
            "no access_token",
        ),
        (says("200 OK", json!(["a"])), "no JSON object"),
        (
            says("500 Internal Server Error", json!({})),
            "neither a token nor an OAuth error",
        ),
        (
            answer("307 Temporary Redirect\r\nLocation: /x", ""),
            "redirects are not followed",
        ),
        (answer("200 OK", &"x".repeat(300_000)), "longer than"),
    ];
    for (body, words) in cases {
        let (_server, machine) = told(good_metadata, move |_| body.clone());
        let output = machine.run(&["--timeout", "5s"]);
        let said = failed(&output, 1);
        assert!(said.contains(words), "{words}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_busy_server_is_asked_again_as_it_says() {
    let (server, machine) = told(good_metadata, |before| match before {
        1 => answer("503 Service Unavailable\r\nRetry-After: 1", "{}"),
        _ => good_token(before),
    });
    let started = Instant::now();
    assert_eq!(machine.token(&[]), "a.b.c");
    assert!(started.elapsed().as_millis() >= 1000);
    let posts = server
        .requests()
        .into_iter()
        .filter(|request| request.starts_with("POST"));
    let posts: Vec<String> = posts.collect();
    assert_eq!(posts.len(), 2);
    assert!(
        posts[0].contains("grant_type=client_credentials"),
        "{}",
        posts[0]
    );
    // RFC 6749 section 2.3.1: in Basic, not in the body.
    assert!(
        posts[0].to_lowercase().contains("authorization: basic "),
        "{}",
        posts[0]
    );

    // Longer than there is time for: said at once, with what it asks for.
    let (_server, machine) = told(good_metadata, |_| {
        answer(
            "429 Too Many Requests\r\nRetry-After: 120\r\nX-Request-Id: abc",
            "{}",
        )
    });
    let started = Instant::now();
    let words = failed(&machine.run(&["--timeout", "20s"]), 1);
    assert!(started.elapsed().as_secs() < 15);
    assert!(
        words.contains("try again after 120 s") && words.contains("--request-id abc"),
        "{words}"
    );
}

#[test]
fn without_a_place_for_a_cache_a_token_is_still_had() {
    let daemon = shared();
    let machine = Machine::new(&daemon, "writer");
    let mut homeless = machine.job(&[]);
    let output = homeless.env_remove("HOME").output().unwrap();
    said(&output);
    assert!(
        stderr(&output).contains("--cache-dir"),
        "{}",
        stderr(&output)
    );
    let runtime = machine.path("run");
    let mut session = machine.job(&[]);
    said(&session.env("XDG_RUNTIME_DIR", &runtime).output().unwrap());
    assert!(runtime.join("grantd-tokens").is_dir() && !machine.cache().exists());
}
