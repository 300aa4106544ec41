//! What docs/verify.md shows resource servers: the code itself, run in each language against tokens of the
//! real daemon and against forged ones, which differ from good ones in one thing each.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};

use crate::support::{
    BILLING, FLEET, Forger, Grantd, JwksServer, Language, Trust, Verdict, Verifier, eventually,
    grantd, hs256, repository, said, shared, unsigned,
};

/// The cool-down that docs/verify.md advises.
const ADVISED: Duration = Duration::from_secs(30);

/// A cool-down that a test can wait for.
const SHORT: Duration = Duration::from_secs(2);

/// Longest until a new key is taken up: some cool-downs, on a busy machine.
const TAKEN_UP: Duration = Duration::from_secs(30);

/// Unknown kids that a flood sends.
const FLOOD: u32 = 200;

fn trust(grantd: &Grantd, cool_down: Duration) -> Trust {
    Trust {
        issuer: grantd.ready.issuer.clone(),
        audience: BILLING.to_owned(),
        ca_file: grantd.ready.ca_file.clone(),
        cool_down,
    }
}

fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    time.unwrap().as_secs()
}

/// A token of the reader, and its claims.
async fn issued(grantd: &Grantd) -> (String, Value) {
    let answer = grantd.ask().of("reader").resource(BILLING).send().await;
    let token = answer.granted().text("access_token");
    let claims = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes());
    (token, serde_json::from_slice(&claims.unwrap()).unwrap())
}

/// These claims with one of them another, or none.
fn with(claims: &Value, name: &str, value: impl Into<Option<Value>>) -> Value {
    let mut changed: Map<String, Value> = claims.as_object().unwrap().clone();
    match value.into() {
        Some(value) => changed.insert(name.to_owned(), value),
        None => changed.remove(name),
    };
    changed.into()
}

/// What must be refused, each with its name. `key` is the one with which the daemon signs.
fn forgeries(key: &Forger, other: &Forger, good: &Value, real: &str) -> Vec<(String, String)> {
    let mut forged = of_claims(key, good);
    forged.extend(of_header(key, other, good));
    forged.extend(of_bytes(real, key, good));
    let named = forged.into_iter();
    named
        .map(|(name, token)| (name.to_owned(), token))
        .collect()
}

/// Signed by the issuer's own key, with one claim that is not as it must be.
fn of_claims(key: &Forger, good: &Value) -> Vec<(&'static str, String)> {
    let (iss, now) = (good["iss"].as_str().unwrap(), now());
    let claims = [
        ("audience of another", "aud", json!(FLEET)),
        (
            "audience begins alike",
            "aud",
            json!(format!("{BILLING}/v2")),
        ),
        ("audience with a slash", "aud", json!(format!("{BILLING}/"))),
        ("audiences with others", "aud", json!([BILLING, FLEET])),
        (
            "audiences with others first",
            "aud",
            json!([FLEET, BILLING]),
        ),
        ("audiences of others", "aud", json!([FLEET])),
        ("no audience in a list", "aud", json!([])),
        ("audience no text", "aud", json!(7)),
        ("audience missing", "aud", Value::Null),
        (
            "issuer of another",
            "iss",
            json!("https://auth.other.example"),
        ),
        ("issuer with a slash", "iss", json!(format!("{iss}/"))),
        ("issuer missing", "iss", Value::Null),
        ("expired", "exp", json!(now - 3600)),
        ("expired beyond the leeway", "exp", json!(now - 45)),
        ("expiry missing", "exp", Value::Null),
        ("expiry no number", "exp", json!("never")),
        ("not yet valid", "nbf", json!(now + 3600)),
        ("scope missing", "scope", Value::Null),
        ("scope of another", "scope", json!("invoice:write")),
        ("scope begins alike", "scope", json!("invoice:readonly")),
        ("scope ends alike", "scope", json!("my-invoice:read")),
        ("scope empty", "scope", json!("")),
        ("subject missing", "sub", Value::Null),
        ("client missing", "client_id", Value::Null),
    ];
    let forge = |(what, name, value): (&'static str, &str, Value)| {
        let value = Some(value).filter(|value| !value.is_null());
        (what, key.token(&with(good, name, value)))
    };
    claims.into_iter().map(forge).collect()
}

/// Good claims, with a header or a signature that is not as it must be.
fn of_header(key: &Forger, other: &Forger, good: &Value) -> Vec<(&'static str, String)> {
    let header = |name: &str, value: Value| {
        with(&key.header(), name, Some(value).filter(|it| !it.is_null()))
    };
    let own = |name: &str, value: Value| key.sign(&header(name, value), good);
    let none = |alg: &str| format!("{}.", unsigned(&header("alg", json!(alg)), good));
    let secret = |secret: &[u8]| hs256(&header("alg", json!("HS256")), good, secret);
    let stranger = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "stranger" });
    vec![
        ("type JWT", own("typ", json!("JWT"))),
        (
            "type of a client's assertion",
            own("typ", json!("client-authentication+jwt")),
        ),
        ("type missing", own("typ", Value::Null)),
        ("type no text", own("typ", json!(7))),
        ("a critical extension", own("crit", json!(["x"]))),
        ("alg none", none("none")),
        ("alg None", none("None")),
        ("alg NONE", none("NONE")),
        ("alg missing", own("alg", Value::Null)),
        ("alg none with a signature", own("alg", json!("none"))),
        (
            "HS256 by the public key in PEM",
            secret(key.pem().as_bytes()),
        ),
        ("HS256 by the public point", secret(key.point())),
        ("HS256 by the JWK", secret(key.jwk().to_string().as_bytes())),
        ("another issuer's key of the same kid", other.token(good)),
        (
            "that key in the header",
            other.sign(&header("jwk", other.jwk()), good),
        ),
        (
            "that key at a URL",
            other.sign(&header("jku", json!("https://other.example/k")), good),
        ),
        ("kid unknown", other.sign(&stranger, good)),
        ("kid unknown, signed well", key.sign(&stranger, good)),
        (
            "kid missing, signed by another",
            other.sign(&header("kid", Value::Null), good),
        ),
        ("kid no text", own("kid", json!(7))),
        ("kid empty", own("kid", json!(""))),
    ]
}

/// A real token that was changed, and what is none.
fn of_bytes(real: &str, key: &Forger, good: &Value) -> Vec<(&'static str, String)> {
    let [header, claims, signature] = real.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts: {real}")
    };
    let more = unsigned(
        &key.header(),
        &with(good, "scope", json!("invoice:read admin")),
    );
    let more = more.split('.').nth(1).unwrap();
    let mut flipped = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    flipped[40] ^= 1;
    let flipped = BASE64URL_NOPAD.encode(&flipped);
    vec![
        ("tampered claims", format!("{header}.{more}.{signature}")),
        ("tampered signature", format!("{header}.{claims}.{flipped}")),
        (
            "a signature of zeros",
            format!("{header}.{claims}.{}", "A".repeat(86)),
        ),
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{real}.{signature}")),
        ("five parts", format!("{real}..")),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("no base64", "%%%.%%%.%%%".to_owned()),
        ("no JSON", format!("AAAA.AAAA.{signature}")),
        ("no object", format!("W10.W10.{signature}")),
        ("no ASCII", "ü.ü.ü".to_owned()),
        (
            "deep",
            format!(
                "{}.{claims}.{signature}",
                BASE64URL_NOPAD.encode("[".repeat(4000).as_bytes())
            ),
        ),
    ]
}

/// The shown code accepts the daemon's tokens and refuses all others.
async fn accepts_good_tokens_alone(language: Language) {
    let grantd = shared();
    let mut verifier = language.verifier(&trust(&grantd, ADVISED));
    let accepted = Verdict::Accepted("reader".to_owned());
    let (real, claims) = issued(&grantd).await;
    assert_eq!(
        verifier.ask("invoice:read", &real),
        accepted,
        "{language:?}"
    );

    let key = Forger::of(&grantd, "ES256");
    assert_eq!(
        verifier.ask("invoice:read", &key.token(&claims)),
        accepted,
        "{language:?}: forged with nothing changed, it is as good as a real one"
    );
    let many = with(&claims, "scope", json!("a invoice:read b"));
    let skewed = with(&claims, "exp", json!(now() - 5));
    for good in [&many, &skewed] {
        assert_eq!(
            verifier.ask("invoice:read", &key.token(good)),
            accepted,
            "{good}"
        );
    }
    let mut refused = forgeries(&key, &Forger::new(key.kid()), &claims, &real);
    let another = Forger::of(&grantd, "EdDSA").token(&claims);
    refused.push((
        "a published key of an algorithm not listed".to_owned(),
        another,
    ));
    let wrong: Vec<String> = refused
        .into_iter()
        .filter(|(_, token)| matches!(verifier.ask("invoice:read", token), Verdict::Accepted(_)))
        .map(|(name, _)| name)
        .collect();
    assert!(wrong.is_empty(), "{language:?} accepts: {wrong:?}");
    for scope in ["invoice:write", "invoice", "read", "INVOICE:READ"] {
        let verdict = verifier.ask(scope, &real);
        assert!(
            matches!(verdict, Verdict::Refused(_)),
            "{language:?}: {scope}"
        );
    }
    assert_eq!(
        verifier.ask("invoice:read", &real),
        accepted,
        "{language:?}, after all that"
    );
}

/// Keys are fetched once, then for an unknown kid, but not more than once in a cool-down.
fn keeps_keys_and_learns_new_ones(language: Language) {
    let (first, second) = (Forger::new("first"), Forger::new("second"));
    let server = JwksServer::start(&[first.jwk()]);
    let claims = json!({
        "iss": server.issuer(), "aud": BILLING, "sub": "reader", "client_id": "reader",
        "scope": "invoice:read", "iat": now(), "exp": now() + 600, "jti": "1",
    });
    let trust = Trust {
        issuer: server.issuer(),
        audience: BILLING.to_owned(),
        ca_file: server.ca_file(),
        cool_down: SHORT,
    };
    let accepted = Verdict::Accepted("reader".to_owned());
    let started = Instant::now();
    let mut verifier = language.verifier(&trust);
    let mut ask = |token: &str| verifier.ask("invoice:read", token);
    for _ in 0..20 {
        assert_eq!(ask(&first.token(&claims)), accepted, "{language:?}");
    }
    assert_eq!(server.fetches().len(), 1, "{language:?}: keys are kept");

    for number in 0..FLOOD {
        let unknown = Forger::new(&format!("unknown-{number}"));
        let verdict = ask(&unknown.token(&claims));
        assert!(
            matches!(verdict, Verdict::Refused(_)),
            "{language:?}: {verdict:?}"
        );
    }
    assert_eq!(
        ask(&first.token(&claims)),
        accepted,
        "{language:?}: under the flood"
    );
    at_most_once_in_a_cool_down(&server, started, language);

    server.publish(&[second.jwk()]);
    eventually("the new key is taken up", TAKEN_UP, || {
        (ask(&second.token(&claims)) == accepted).then_some(())
    });
    let gone = ask(&first.token(&claims));
    assert!(
        matches!(gone, Verdict::Refused(_)),
        "{language:?}: a key that is gone"
    );
    at_most_once_in_a_cool_down(&server, started, language);
}

/// The first fetch, one more that some libraries allow from the start, and one in each cool-down.
#[track_caller]
fn at_most_once_in_a_cool_down(server: &JwksServer, started: Instant, language: Language) {
    let allowed = 2 + started.elapsed().as_millis() / SHORT.as_millis();
    let fetches = server.fetches();
    assert!(
        fetches.len() as u128 <= allowed,
        "{language:?}: {} fetches, {allowed} are enough",
        fetches.len()
    );
    // Go's limiter and Nimbus let one through early, then keep to the same rate.
    if matches!(language, Language::Python | Language::Node | Language::Rust) {
        for pair in fetches.windows(2) {
            let between = pair[1] - pair[0];
            // Some count from before a fetch, some from after it, and a fetch takes its time.
            assert!(between > SHORT / 2, "{language:?}: {between:?}");
        }
    }
}

#[tokio::test]
async fn python_accepts_good_tokens_alone() {
    accepts_good_tokens_alone(Language::Python).await;
}

#[tokio::test]
async fn go_accepts_good_tokens_alone() {
    accepts_good_tokens_alone(Language::Go).await;
}

#[tokio::test]
async fn node_accepts_good_tokens_alone() {
    accepts_good_tokens_alone(Language::Node).await;
}

#[tokio::test]
async fn java_accepts_good_tokens_alone() {
    accepts_good_tokens_alone(Language::Java).await;
}

#[tokio::test]
async fn rust_accepts_good_tokens_alone() {
    accepts_good_tokens_alone(Language::Rust).await;
}

#[test]
fn python_keeps_keys_and_learns_new_ones() {
    keeps_keys_and_learns_new_ones(Language::Python);
}

#[test]
fn go_keeps_keys_and_learns_new_ones() {
    keeps_keys_and_learns_new_ones(Language::Go);
}

#[test]
fn node_keeps_keys_and_learns_new_ones() {
    keeps_keys_and_learns_new_ones(Language::Node);
}

#[test]
fn java_keeps_keys_and_learns_new_ones() {
    keeps_keys_and_learns_new_ones(Language::Java);
}

#[test]
fn rust_keeps_keys_and_learns_new_ones() {
    keeps_keys_and_learns_new_ones(Language::Rust);
}

/// The ES256 key with which the daemon signs.
async fn signing_kid(grantd: &Grantd) -> String {
    let (token, _) = issued(grantd).await;
    let header = BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes());
    let header: Value = serde_json::from_slice(&header.unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// Two emergencies in a row, so that the third key signs at once: no verifier could know it before.
#[tokio::test]
async fn a_key_that_the_daemon_made_meanwhile_is_taken_up_in_every_language() {
    let daemon = Grantd::dev().start();
    let trust = trust(&daemon, SHORT);
    let mut verifiers: Vec<Verifier> = Language::ALL.map(|it| it.verifier(&trust)).into();
    let accepted = Verdict::Accepted("reader".to_owned());
    let (old, _) = issued(&daemon).await;
    for verifier in &mut verifiers {
        assert_eq!(
            verifier.ask("invoice:read", &old),
            accepted,
            "{:?}",
            verifier.language
        );
    }
    let config = daemon.ready.state.join("grantd.toml").display().to_string();
    for _ in 0..2 {
        let kid = signing_kid(&daemon).await;
        said(&grantd(&[
            "keys",
            "rotate",
            "--compromised",
            &kid,
            "--config",
            &config,
        ]));
    }
    let (new, _) = issued(&daemon).await;
    for mut verifier in verifiers {
        let language = verifier.language;
        eventually(
            &format!("{language:?} takes up the new key"),
            TAKEN_UP,
            || (verifier.ask("invoice:read", &new) == accepted).then_some(()),
        );
        let gone = verifier.ask("invoice:read", &old);
        assert!(
            matches!(gone, Verdict::Refused(_)),
            "{language:?}: a key taken out"
        );
    }
}

/// The code blocks of docs/verify.md are the files that the tests above run, byte for byte.
#[test]
fn the_document_shows_what_the_tests_run() {
    let document = std::fs::read_to_string(repository("docs/verify.md")).unwrap();
    for (language, file) in [
        ("python", "python/verify.py"),
        ("go", "go/verify/verify.go"),
        ("js", "node/verify.mjs"),
        ("java", "java/Verifier.java"),
        ("rust", "rust/verify.rs"),
    ] {
        let code = std::fs::read_to_string(repository("tests/interop").join(file)).unwrap();
        let blocks: Vec<&str> = document
            .split("\n```")
            .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
            .collect();
        assert_eq!(blocks.len(), 1, "one block of {language}");
        assert_eq!(
            format!("{}\n", blocks[0]),
            code,
            "docs/verify.md does not show tests/interop/{file}"
        );
    }
}
