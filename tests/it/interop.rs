//! Requests as users send them: the HTTP client and the JWT library of each language, untouched,
//! against one running daemon with TLS verified by its CA.
//!
//! `tests/all --tools` sets up what the languages need; the programs are in `tests/interop`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Answer, Grantd, repository, shared, tool, verify_with};

/// Runs a client of some language: the daemon's line on stdin, the verified token on stdout.
fn client(grantd: &Grantd, command: &mut Command, language: &str) {
    let verified = run(command, grantd.line.as_bytes(), language);
    let verified: Value = serde_json::from_slice(&verified)
        .unwrap_or_else(|error| panic!("{language}: it printed no JSON: {error}"));
    let ready = &grantd.ready;
    assert_eq!(verified["header"]["typ"], "at+jwt", "{language}");
    assert_eq!(
        verified["claims"]["iss"],
        ready.issuer.as_str(),
        "{language}"
    );
    assert_eq!(
        verified["claims"]["aud"],
        ready.resource.as_str(),
        "{language}"
    );
    assert_eq!(
        verified["claims"]["client_id"],
        ready.client_id.as_str(),
        "{language}"
    );
    assert!(
        verified["expires_in"].as_u64().is_some_and(|left| left > 0),
        "{language}"
    );
}

fn run(command: &mut Command, input: &[u8], what: &str) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{what}: {:?} does not start: {error}",
                command.get_program()
            )
        });
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{what}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn python_with_urllib_and_pyjwt() {
    let mut python = Command::new(tool("venv/bin/python"));
    python.arg(repository("tests/interop/python/client.py"));
    client(&shared(), &mut python, "Python");
}

#[test]
fn go_with_net_http_and_golang_jwt() {
    let binary = tempfile::tempdir().unwrap();
    let program = binary.path().join("client");
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(repository("tests/interop/go"))
        // What tests/all has downloaded, and nothing else.
        .env("GOMODCACHE", tool("go/mod"))
        .env("GOCACHE", repository(".tools/go/build"))
        .env("GOFLAGS", "-mod=readonly")
        .env("GOPROXY", "off");
    run(&mut build, b"", "Go: build");
    client(&shared(), &mut Command::new(program), "Go");
}

#[test]
fn node_with_fetch_and_jose() {
    let grantd = shared();
    let folder = repository("tests/interop/node");
    assert!(
        folder.join("node_modules/jose").exists(),
        "run `tests/all --tools` once"
    );
    let mut node = Command::new("node");
    node.arg("client.mjs")
        .current_dir(folder)
        .env("NODE_EXTRA_CA_CERTS", &grantd.ready.ca_file);
    client(&grantd, &mut node, "Node");
}

#[tokio::test]
async fn curl_with_data_fields() {
    let grantd = shared();
    let ready = &grantd.ready;
    let fields = |flag: &str| {
        [
            ("grant_type", "client_credentials"),
            ("resource", &ready.resource),
            ("client_id", &ready.client_id),
            ("client_secret", &ready.client_secret),
        ]
        .into_iter()
        .flat_map(|(name, value)| [flag.to_owned(), format!("{name}={value}")])
        .collect::<Vec<_>>()
    };
    for (what, arguments) in [
        ("curl -d", fields("-d")),
        ("curl --data-urlencode", fields("--data-urlencode")),
        (
            "curl --http1.1",
            [vec!["--http1.1".to_owned()], fields("-d")].concat(),
        ),
    ] {
        let mut curl = curl(&ready.ca_file);
        curl.args(arguments).arg(&ready.token_endpoint);
        let body = run(&mut curl, b"", what);
        checked(&grantd, &body, what).await;
    }
}

#[tokio::test]
async fn curl_with_the_secret_in_the_authorization_header() {
    let grantd = shared();
    let ready = &grantd.ready;
    // The secret comes by standard input, so that no other user sees it among the processes.
    let config = format!("user = \"{}:{}\"\n", ready.client_id, ready.client_secret);
    let mut curl = curl(&ready.ca_file);
    curl.args([
        "--config",
        "-",
        "--basic",
        "-d",
        "grant_type=client_credentials",
    ])
    .args(["--data-urlencode", &format!("resource={}", ready.resource)])
    .arg(&ready.token_endpoint);
    let body = run(&mut curl, config.as_bytes(), "curl --user");
    checked(&grantd, &body, "curl --user").await;
}

fn curl(ca_file: &Path) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body", "--cacert"])
        .arg(ca_file);
    curl
}

/// curl has no JWT library: the token is verified here.
async fn checked(grantd: &Grantd, body: &[u8], what: &str) {
    let body: Value =
        serde_json::from_slice(body).unwrap_or_else(|error| panic!("{what}: {error}"));
    let jwks: Answer = grantd.https().get(&grantd.ready.jwks_uri).await;
    let token = verify_with(&jwks.json(), body["access_token"].as_str().unwrap());
    assert_eq!(token.text("iss"), grantd.ready.issuer, "{what}");
    assert_eq!(token.text("aud"), grantd.ready.resource, "{what}");
    assert_eq!(token.header["typ"], "at+jwt", "{what}");
}
