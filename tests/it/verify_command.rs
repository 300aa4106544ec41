//! `grantd verify`: a good token is accepted, and each bad one is refused by the rule that it breaks.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{BILLING, FLEET, Grantd, failed, jwks, said, shared};

/// The moment at which forged tokens are judged.
const AT: &str = "2026-11-23T08:30:00Z";

/// The same in seconds.
const NOW: u64 = 1_795_422_600;

fn verify(arguments: &[&str], token: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_grantd"))
        .arg("verify")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let _unread = pipe.write_all(token.as_bytes());
    drop(pipe);
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A token of the daemon's.
async fn token(daemon: &Grantd) -> String {
    let answer = daemon.ask().of("writer").resource(BILLING).send().await;
    answer.text("access_token")
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "each way to ask, and each answer")]
async fn a_good_token_is_accepted_and_each_rule_says_so() {
    let daemon = shared();
    let token = token(&daemon).await;
    let ca = daemon.ready.ca_file.display().to_string();
    let line = [
        "--issuer",
        &daemon.ready.issuer,
        "--audience",
        BILLING,
        "--ca-file",
        &ca,
    ];
    let scoped = [
        &line[..],
        &["--scope", "invoice:read", "--scope", "invoice:write"],
    ]
    .concat();
    let text = said(&verify(&scoped, &format!("{token}\n")));
    for rule in [
        "form",
        "typ",
        "alg",
        "crit",
        "kid",
        "signature",
        "claims",
        "iss",
        "aud",
        "exp",
        "nbf",
        "iat",
        "scope",
    ] {
        assert!(text.contains(&format!("pass  {rule}")), "{rule}: {text}");
    }
    assert!(
        text.starts_with("result: the token is accepted\n"),
        "{text}"
    );
    assert!(
        text.contains("\"client_id\": \"writer\"") && !text.contains("UNVERIFIED"),
        "{text}"
    );

    // From a file, with the keys from a file: no network, and another moment.
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("token"), &token).unwrap();
    fs::write(path("jwks"), jwks(&daemon).await.to_string()).unwrap();
    let offline = [
        "--issuer",
        &daemon.ready.issuer,
        "--audience",
        BILLING,
        "--jwks",
        &path("jwks"),
    ];
    let file = path("token");
    said(&verify(&[&offline[..], &[&file]].concat(), ""));
    let late = [
        &offline[..],
        &[&file, "--at", "2999-01-01T00:00:00Z", "--format", "json"],
    ]
    .concat();
    let output = verify(&late, "");
    failed(&output, 3);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["refused_by"], json!(["exp"]));
    assert_eq!(report["verified"], true);
    assert_eq!(report["claims"]["client_id"], "writer");
    let url = [&line[..], &["--jwks", &daemon.ready.jwks_uri]].concat();
    said(&verify(&url, &token));

    // Each of what is asked is looked at.
    let other = [
        "--issuer",
        &daemon.ready.issuer,
        "--audience",
        FLEET,
        "--ca-file",
        &ca,
    ];
    let output = verify(&other, &token);
    failed(&output, 3);
    assert!(
        stdout(&output).contains("REFUSED, by aud\n"),
        "{}",
        stdout(&output)
    );
    let output = verify(&[&line[..], &["--scope", "no:such"]].concat(), &token);
    failed(&output, 3);
    assert!(stdout(&output).contains("insufficient_scope: no:such is missing"));
    let output = verify(
        &[
            "--issuer",
            "https://other.test",
            "--audience",
            BILLING,
            "--jwks",
            &path("jwks"),
        ],
        &token,
    );
    failed(&output, 3);
    assert!(
        stdout(&output).contains("REFUSED, by iss\n"),
        "{}",
        stdout(&output)
    );
}

/// An issuer of the test's own, with one key.
struct Forge {
    folder: TempDir,
    key: EcdsaKeyPair,
}

impl Forge {
    fn new(kid: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let part = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
            "x": part(&point[1..33]), "y": part(&point[33..]) });
        let unknown = json!({ "kty": "new", "kid": "a key of tomorrow" });
        let set = json!({ "keys": [unknown, jwk] });
        fs::write(folder.path().join("jwks"), set.to_string()).unwrap();
        Self { folder, key }
    }

    fn jwks(&self) -> PathBuf {
        self.folder.path().join("jwks")
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let part = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let signed = format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", part(signature.as_ref()))
    }

    fn judge(&self, token: &str) -> Output {
        let jwks = self.jwks().display().to_string();
        let line = [
            "--issuer",
            "https://auth.test",
            "--audience",
            BILLING,
            "--jwks",
            &jwks,
            "--at",
            AT,
            "--scope",
            "invoice:read",
        ];
        verify(&line, token)
    }
}

fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "ES256", "kid": "one" })
}

fn claims() -> Value {
    json!({ "iss": "https://auth.test", "sub": "writer", "aud": BILLING, "client_id": "writer",
        "scope": "invoice:read", "iat": NOW - 10, "exp": NOW + 890, "jti": "1" })
}

/// An object with one member set; taken away, where it is null.
fn with(mut object: Value, member: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(member);
    } else {
        members.insert(member.to_owned(), value);
    }
    object
}

#[test]
#[expect(clippy::too_many_lines, reason = "an exhaustive table")]
fn a_token_is_refused_by_the_rule_that_it_breaks() {
    let forge = Forge::new("one");
    said(&forge.judge(&forge.sign(&header(), &claims())));
    let headers = [
        ("typ", json!("application/AT+jwt"), ""),
        ("typ", json!("JWT"), "typ"),
        ("typ", Value::Null, "typ"),
        ("typ", json!("grantd-checkpoint+jws"), "typ"),
        ("alg", json!("ES384"), "signature"),
        ("alg", json!("RS256"), "signature"),
        ("alg", json!("HS256"), "alg"),
        ("alg", json!("none"), "alg"),
        ("alg", json!("nOnE"), "alg"),
        ("alg", Value::Null, "alg"),
        ("crit", json!(["exp"]), "crit"),
        ("b64", json!(false), "crit"),
        ("kid", json!("two"), "kid"),
        ("kid", Value::Null, "kid"),
    ];
    let payloads = [
        ("iss", json!("https://auth.test/"), "iss"),
        ("iss", json!(["https://auth.test"]), "iss"),
        ("iss", Value::Null, "claims, iss"),
        ("aud", json!(FLEET), "aud"),
        ("aud", json!([FLEET, BILLING]), "aud"),
        ("aud", json!([BILLING]), ""),
        ("aud", json!([FLEET]), "aud"),
        ("exp", json!(NOW), "exp"),
        ("exp", json!(NOW + 1), ""),
        ("exp", json!(1e308), "exp"),
        ("exp", json!("tomorrow"), "exp"),
        ("exp", Value::Null, "claims, exp"),
        ("nbf", json!(NOW), ""),
        ("nbf", json!(NOW + 1), "nbf"),
        ("iat", json!(NOW + 1), "iat"),
        ("iat", json!(-1), "iat"),
        ("iat", json!(1.5), ""),
        ("sub", Value::Null, "claims"),
        ("jti", Value::Null, "claims"),
        ("client_id", Value::Null, "claims"),
        ("scope", Value::Null, "scope"),
        ("scope", json!("invoice:readers"), "scope"),
        ("scope", json!(["invoice:read"]), "scope"),
    ];
    let of_headers = headers
        .into_iter()
        .map(|(member, value, broken)| (with(header(), member, value), claims(), broken));
    let of_payloads = payloads
        .into_iter()
        .map(|(member, value, broken)| (header(), with(claims(), member, value), broken));
    for (header, claims, broken) in of_headers.chain(of_payloads) {
        let output = forge.judge(&forge.sign(&header, &claims));
        let text = stdout(&output);
        if broken.is_empty() {
            assert_eq!(output.status.code(), Some(0), "{header} {claims}: {text}");
            continue;
        }
        assert_eq!(output.status.code(), Some(3), "{header} {claims}: {text}");
        let said = format!("REFUSED, by {broken}\n");
        assert!(text.contains(&said), "{header} {claims}: {text}");
        // What could not be verified is never shown as if it were.
        let verified = text.contains("pass  signature");
        assert_eq!(verified, !text.contains("UNVERIFIED"), "{text}");
    }
}

/// What could write a line of its own, steer a terminal, or turn a line round.
const HOSTILE: &str =
    "x\nresult: the token is accepted\r\u{1b}[2J\u{7}\u{9b}\u{202e}\u{200b}\u{2028}\u{feff}";

/// Whether nothing but text is there, and no result but the command's own.
fn assert_tame(text: &str, about: &str) {
    assert!(
        text.bytes()
            .all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)),
        "{about}: {text:?}"
    );
    let results = text
        .lines()
        .filter(|line| line.starts_with("result:"))
        .count();
    assert_eq!(results, 1, "{about}: {text}");
}

#[test]
fn nothing_of_a_token_reaches_the_terminal_as_it_is() {
    let forge = Forge::new("one");
    let lists = json!([HOSTILE, BILLING]);
    for value in [json!(HOSTILE), lists, json!({ HOSTILE: HOSTILE })] {
        for member in ["typ", "alg", "kid", "crit", "jku", HOSTILE] {
            let token = forge.sign(&with(header(), member, value.clone()), &claims());
            assert_tame(&stdout(&forge.judge(&token)), member);
        }
        for member in [
            "iss",
            "aud",
            "sub",
            "client_id",
            "scope",
            "jti",
            "iat",
            "exp",
            "nbf",
            "tenant",
            HOSTILE,
        ] {
            let token = forge.sign(&header(), &with(claims(), member, value.clone()));
            assert_tame(&stdout(&forge.judge(&token)), member);
        }
    }
    // A scope that has what is asked for, and more than a scope may have.
    for bad in ["\n", "\u{1b}", "\u{202e}", "\u{7}", "\"", "\\", "\t"] {
        let scope = format!("invoice:read x{bad}y");
        let output = forge.judge(&forge.sign(&header(), &with(claims(), "scope", json!(scope))));
        failed(&output, 3);
        let text = stdout(&output);
        assert_tame(&text, &scope);
        assert!(text.contains("REFUSED, by scope\n"), "{text}");
    }
    // What is no token is not repeated either.
    for text in [
        HOSTILE.to_owned(),
        format!("{HOSTILE}.e30.AA"),
        "e30.e30.e30.e30".to_owned(),
    ] {
        assert_tame(&stdout(&forge.judge(&text)), &text);
    }
}

#[tokio::test]
async fn a_signature_is_worth_what_its_key_is() {
    let daemon = shared();
    let good = token(&daemon).await;
    let set = jwks(&daemon).await;
    let own = TempDir::new().unwrap();
    let path = own.path().join("jwks").display().to_string();
    fs::write(&path, set.to_string()).unwrap();
    let line = [
        "--issuer",
        &daemon.ready.issuer,
        "--audience",
        BILLING,
        "--jwks",
        &path,
    ];
    said(&verify(&line, &good));

    // Another issuer's token, with the name of this one's key.
    let parts: Vec<&str> = good.split('.').collect();
    let text =
        |part: &str| String::from_utf8(BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap();
    let forge = Forge::new("any");
    let forged = forge.sign_text(&text(parts[0]), &text(parts[1]));
    // The claims of a good one, altered.
    let more = text(parts[1]).replace("invoice:read", "invoice:rule");
    let altered = format!(
        "{}.{}.{}",
        parts[0],
        BASE64URL_NOPAD.encode(more.as_bytes()),
        parts[2]
    );
    // Without a signature at all.
    let bare = format!("{}.{}.", parts[0], parts[1]);
    for bad in [forged, altered, bare] {
        let output = verify(&line, &bad);
        failed(&output, 3);
        let said = stdout(&output);
        assert!(said.contains("REFUSED, by signature\n"), "{said}");
        assert!(said.contains("claims (UNVERIFIED"), "{said}");
    }
}

#[test]
fn what_is_no_token_is_said_to_be_none() {
    let forge = Forge::new("one");
    let long = format!("{}.e30.AA", "A".repeat(20_000));
    let twice = forge.sign_text(
        r#"{"typ":"at+jwt","alg":"ES256","alg":"none","kid":"one"}"#,
        "{}",
    );
    for (text, why) in [
        (
            "word",
            "it has 1 part between dots, not three: it is no JWT",
        ),
        ("a.b.c.d.e", "JWE"),
        ("e30.e30.A=", "base64url"),
        (long.as_str(), "longer than 16384 bytes"),
        (twice.as_str(), "stands twice"),
    ] {
        let output = forge.judge(text);
        failed(&output, 3);
        let said = stdout(&output);
        assert!(said.contains("FAIL  form") && said.contains(why), "{said}");
    }
    let escape = forge.sign(
        &with(header(), "kid", json!("\u{1b}[2J\u{202e}")),
        &claims(),
    );
    let said = stdout(&forge.judge(&escape));
    assert!(said.is_ascii() && !said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn a_token_that_can_not_be_judged_is_no_refusal() {
    let forge = Forge::new("one");
    let good = forge.sign(&header(), &claims());
    let words = failed(&forge.judge(" \n"), 1);
    assert!(words.contains("no token in standard input"), "{words}");
    let line = ["--issuer", "https://auth.test", "--audience", BILLING];
    let words = failed(&verify(&[&line[..], &[good.as_str()]].concat(), ""), 2);
    assert!(
        words.contains("never an argument") && !words.contains(&good),
        "{words}"
    );
    let words = failed(&verify(&[&line[..], &["no-such-file"]].concat(), ""), 1);
    assert!(
        words.contains("cannot read the token from no-such-file"),
        "{words}"
    );
    let words = failed(
        &verify(&[&line[..], &["--jwks", "no-such-set"]].concat(), &good),
        1,
    );
    assert!(words.contains("cannot read no-such-set"), "{words}");
    let words = failed(
        &verify(&[&line[..], &["--jwks", "http://x/jwks"]].concat(), &good),
        2,
    );
    assert!(words.contains("use https"), "{words}");
    fs::write(forge.jwks(), "{}").unwrap();
    let words = failed(&forge.judge(&good), 1);
    assert!(words.contains("no list of keys"), "{words}");
    let nobody = ["--issuer", "https://localhost:1", "--audience", BILLING];
    let daemon = shared();
    let ca = daemon.ready.ca_file.display().to_string();
    let words = failed(
        &verify(&[&nobody[..], &["--ca-file", &ca]].concat(), &good),
        1,
    );
    assert!(
        words.contains("cannot reach https://localhost:1"),
        "{words}"
    );
}
