//! What must hold after every fault: the invariants I1 to I4 of the fault plan.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Grantd, Token, events, verify_with};

/// The keys that the daemon publishes now.
pub async fn jwks(grantd: &Grantd) -> Value {
    let jwks = grantd.https().get(&grantd.ready.jwks_uri).await;
    assert_eq!(jwks.status, 200);
    jwks.json()
}

/// Verifies tokens by these keys (I4).
pub fn verify_all(jwks: &Value, tokens: &[String]) -> Vec<Token> {
    let verify = |token: &String| verify_with(jwks, token);
    tokens.iter().map(verify).collect()
}

/// The events of tokens among these.
pub fn issued(events: &[Value]) -> impl Iterator<Item = &Value> {
    events
        .iter()
        .filter(|event| event["type"] == "dev.grantd.token.issued.v1")
}

/// Fails unless each token has its event, once, and the event says of it what the token says (I1).
pub fn assert_recorded(tokens: &[Token], events: &[Value]) {
    let mut by_id: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in issued(events) {
        let id = event["data"]["jti"].as_str().expect("a token has an id");
        by_id.entry(id).or_default().push(&event["data"]);
    }
    for token in tokens {
        let id = token.text("jti");
        let found = by_id.get(id).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), 1, "events of the token {}", token.claims);
        let said = found[0];
        let exp = jiff::Timestamp::from_second(token.seconds("exp").try_into().unwrap());
        let expected = [
            ("client_id", token.text("client_id").to_owned()),
            ("scope", token.text("scope").to_owned()),
            ("resource", token.text("aud").to_owned()),
            ("expires_at", exp.unwrap().to_string()),
            ("kid", token.header["kid"].as_str().unwrap().to_owned()),
        ];
        for (member, value) in expected {
            assert_eq!(said[member], value, "{member} of {said}");
        }
    }
}

/// Fails unless the journal of this state has one lineage, sequences without a gap and a chain that
/// holds (I2, I3), as `grantd audit verify` and a look at the files say. Returns its events.
#[track_caller]
pub fn assert_whole_journal(state: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_grantd"))
        .args(["audit", "verify", "--format", "json", "--state"])
        .arg(state)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no report: {error}: {words}"));
    assert!(output.status.success(), "{report}");
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(
        report["lineages"].as_array().map(Vec::len),
        Some(1),
        "one lineage: {report}"
    );
    let recorded = events(state);
    for (expected, event) in (1_u64..).zip(&recorded) {
        let sequence: u64 = event["sequence"].as_str().unwrap().parse().unwrap();
        assert_eq!(sequence, expected, "no gap, none twice");
        assert_eq!(event["lineage"], recorded[0]["lineage"]);
    }
    assert!(report["lines"].as_u64() <= Some(recorded.len() as u64));
    recorded
}

/// Random numbers that can be drawn again: a test prints its seed.
#[derive(Debug)]
pub struct Seed(u64);

impl Seed {
    /// The seed in `GRANTD_SEED`, or a new one; it is printed.
    #[expect(clippy::print_stderr, reason = "what a failing test shows")]
    pub fn new() -> Self {
        let given = std::env::var("GRANTD_SEED").ok();
        let seed = match given.and_then(|seed| seed.parse().ok()) {
            Some(seed) => seed,
            None => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |time| u64::from(time.subsec_nanos())),
        };
        eprintln!("GRANTD_SEED={seed}");
        Self(seed)
    }

    /// A number below this one (`SplitMix64`).
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
