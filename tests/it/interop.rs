//! Requests as users send them: the HTTP client, the JWT library and the OAuth libraries of each language,
//! untouched, against one running daemon with TLS verified by its CA.
//!
//! `tests/all --tools` sets up what the languages need; the programs are in `tests/interop`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{
    Answer, BILLING, FLEET, Grantd, PLAIN, go, repository, secret, shared, tool, verify_with,
};

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
    client(&shared(), &mut Command::new(go("client")), "Go");
}

#[test]
fn node_with_fetch_and_jose() {
    let grantd = shared();
    let folder = repository("tests/interop/node");
    assert!(
        folder.join("node_modules/jose").exists(),
        "run `tests/all --tools` once"
    );
    let mut node = Command::new(tool("path/node"));
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

/// What a library is asked for, and what must come of it: audience and scope, or a code.
struct Case {
    client: &'static str,
    secret: String,
    resource: Option<&'static str>,
    scope: Option<&'static str>,
    expected: Result<(&'static str, &'static str), &'static str>,
}

impl Case {
    fn of(
        client: &'static str,
        expected: Result<(&'static str, &'static str), &'static str>,
    ) -> Self {
        Self {
            client,
            secret: secret(client, 1),
            resource: None,
            scope: None,
            expected,
        }
    }

    fn at(self, resource: &'static str) -> Self {
        Self {
            resource: Some(resource),
            ..self
        }
    }

    fn scope(self, scope: &'static str) -> Self {
        Self {
            scope: Some(scope),
            ..self
        }
    }

    fn secret(self, secret: String) -> Self {
        Self { secret, ..self }
    }
}

fn cases() -> Vec<Case> {
    let both = "invoice:read invoice:write";
    vec![
        Case::of("writer", Ok((BILLING, both))),
        Case::of("writer", Ok((BILLING, both))).at(BILLING),
        Case::of("writer", Ok((BILLING, "invoice:read")))
            .at(BILLING)
            .scope("invoice:read"),
        Case::of("writer", Ok((BILLING, both)))
            .at(BILLING)
            .scope(both),
        Case::of("roamer", Ok((FLEET, "vehicle:read"))).at(FLEET),
        Case::of("chooser", Ok((FLEET, "vehicle:read"))),
        Case::of("minimal", Ok((PLAIN, ""))),
        Case::of("reader", Err("invalid_client")).secret(secret("reader", 2)),
        Case::of("reader", Err("invalid_client")).secret("a word".to_owned()),
        Case::of("nobody", Err("invalid_client")),
        Case::of("reader", Err("invalid_scope")).scope("invoice:write"),
        Case::of("reader", Err("invalid_target")).at(FLEET),
        Case::of("reader", Err("invalid_target")).at("https://nowhere.example/"),
        Case::of("roamer", Err("invalid_target")),
    ]
}

/// Runs a program of OAuth libraries: told the issuer and nothing else of the daemon, each must get what it
/// should, with the secret in the header and in the body, and show the code of each refusal.
async fn libraries(command: &mut Command, names: &[&str], language: &str) {
    let grantd = shared();
    let cases = cases();
    let methods = ["basic", "post"];
    let asked: Vec<Value> = methods
        .iter()
        .flat_map(|method| cases.iter().map(move |case| (method, case)))
        .map(|(method, case)| {
            json!({
                "method": method, "client_id": case.client, "client_secret": case.secret,
                "resource": case.resource.unwrap_or_default(), "scope": case.scope.unwrap_or_default(),
            })
        })
        .collect();
    for name in ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
        command.env(name, &grantd.ready.ca_file);
    }
    let input = json!({ "issuer": grantd.ready.issuer, "cases": asked }).to_string();
    let got: Value = serde_json::from_slice(&run(command, input.as_bytes(), language)).unwrap();
    let jwks = grantd.https().get(&grantd.ready.jwks_uri).await.json();
    assert_eq!(got.as_object().unwrap().len(), names.len(), "{language}");
    for name in names {
        let answers = got[name].as_array().unwrap();
        assert_eq!(answers.len(), asked.len(), "{name}");
        for ((answer, case), asked) in answers.iter().zip(cases.iter().cycle()).zip(&asked) {
            match case.expected {
                Ok((audience, scope)) => {
                    let token = answer["access_token"].as_str();
                    let token = token.unwrap_or_else(|| panic!("{name}: {asked}: {answer}"));
                    let token = verify_with(&jwks, token);
                    assert_eq!(token.text("aud"), audience, "{name}: {asked}");
                    assert_eq!(
                        token.claims["scope"].as_str().unwrap_or_default(),
                        scope,
                        "{name}: {asked}"
                    );
                    assert!(answer["expires_in"].as_u64() > Some(0), "{name}: {answer}");
                }
                Err(code) => {
                    assert_eq!(answer["error"], code, "{name}: {asked}: {answer}");
                    // These two look at the challenge of a 401 before its body.
                    let challenged = ["openid-client", "oauth4webapi"].contains(name);
                    let shown = answer["shown"].as_str().unwrap();
                    if challenged && code == "invalid_client" {
                        assert!(
                            shown.contains("WWW-Authenticate") && shown.contains("basic"),
                            "{shown}"
                        );
                    } else {
                        assert!(shown.contains(code), "{name}: {shown}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn python_with_authlib_and_requests_oauthlib() {
    let mut python = Command::new(tool("venv/bin/python"));
    python.arg(repository("tests/interop/python/oauth.py"));
    libraries(&mut python, &["Authlib", "requests-oauthlib"], "Python").await;
}

#[tokio::test]
async fn go_with_x_oauth2() {
    libraries(&mut Command::new(go("oauth")), &["x/oauth2"], "Go").await;
}

#[tokio::test]
async fn node_with_openid_client_and_oauth4webapi() {
    let mut node = Command::new(tool("path/node"));
    node.arg(repository("tests/interop/node/oauth.mjs"));
    libraries(&mut node, &["openid-client", "oauth4webapi"], "Node").await;
}
