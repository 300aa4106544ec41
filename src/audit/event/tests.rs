#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::audit::budget::{Budget, BudgetSettings, Prefix};
use crate::audit::chain::{Line, Lineage, Link, MAX_HEAD, splice};
use crate::audit::decision::{RegistryRef, Trail, UsedCredential};
use crate::domain::{
    Algorithm, AuthMethod, ClientId, CommitId, CredentialId, Denial, Digest, KeyId, RequestId,
    ResourceIdentifier, SecretVerifier, TokenId, UnixSeconds,
};
use crate::mint::TokenFacts;

const AT: UnixMillis = UnixMillis::new(1_795_422_600_120);

fn origin() -> Origin {
    Origin::new(
        &Issuer::parse("https://auth.example.com").unwrap(),
        &InstanceName::parse("auth-1").unwrap(),
    )
}

fn facts(audience: &str, scope: &str) -> TokenFacts {
    TokenFacts {
        id: TokenId::from_bits(0xabc),
        key: KeyId::from_thumbprint(Digest::of(b"key")),
        algorithm: Algorithm::Es256,
        client: ClientId::parse("nightly-invoices").unwrap(),
        audience: ResourceIdentifier::parse(audience).unwrap(),
        scope: Arc::from(scope),
        issued: UnixSeconds::new(1_795_422_600),
        expires: UnixSeconds::new(1_795_423_500),
    }
}

fn trail(text: &str) -> Trail {
    let verifier =
        SecretVerifier::parse("sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let mut trail = Trail::new(RequestId::from_bits(0xf00), "2001:db8::7".parse().unwrap());
    trail.client = Some(ClientId::parse("nightly-invoices").unwrap());
    trail.method = Some(AuthMethod::ClientSecretPost);
    trail.credential = Some(UsedCredential {
        id: CredentialId::of_secret(&verifier),
        label: Some(Outside::new(text)),
    });
    trail.asked_resource = Some(Outside::new(text));
    trail.asked_scope = Some(Outside::new(text));
    trail.registry = Some(RegistryRef {
        generation: 7,
        digest: Digest::of(b"registry"),
        commit: Some(CommitId::parse(&"a".repeat(40)).unwrap()),
        dirty: Some(false),
    });
    trail
}

/// Splices a head onto an empty chain and reads the line as an auditor does.
fn read(head: &[u8]) -> Value {
    assert!(head.len() <= MAX_HEAD, "{} bytes", head.len());
    let link = Link {
        lineage: Lineage::from_bits(1),
        sequence: 1,
        batch: 1,
        prev: Digest::ZERO,
    };
    let mut bytes = Vec::new();
    splice(head, &link, &mut bytes);
    let line = Line::parse(Bytes::from(bytes)).unwrap();
    let value: Value = serde_json::from_str(line.text()).unwrap();
    assert_eq!(
        value["type"],
        format!("dev.grantd.{}.v1", line.event_type())
    );
    assert_eq!(value["time"], line.time());
    value
}

fn with_envelope(make: impl FnOnce(&Envelope<'_>) -> Vec<u8>) -> Value {
    let origin = origin();
    read(&make(&Envelope {
        origin: &origin,
        id: RequestId::from_bits(0xf00).to_hex(),
        at: AT,
    }))
}

#[test]
fn token_issued_has_the_documented_form() {
    let facts = facts(
        "https://billing.example.com/api",
        "invoice:read invoice:write",
    );
    let event = with_envelope(|envelope| issued(envelope, &facts, &trail("billing")));
    let expected = serde_json::json!({
        "request_id": "00000000000000000000000000000f00",
        "remote": "2001:db8::7",
        "client_id": "nightly-invoices",
        "auth_method": "client_secret_post",
        "credential_id": "secret:AAAAAAAAAAAA",
        "credential_label": "billing",
        "resource": "https://billing.example.com/api",
        "scope": "invoice:read invoice:write",
        "asked_resource": "billing",
        "asked_scope": "billing",
        "jti": "00000000000000000000000000000abc",
        "kid": facts.key.as_str(),
        "alg": "ES256",
        "issued_at": "2026-11-23T08:30:00Z",
        "expires_at": "2026-11-23T08:45:00Z",
        "registry": {
            "generation": 7,
            "digest": Digest::of(b"registry").to_string(),
            "commit": "a".repeat(40),
            "dirty": false,
        },
    });
    assert_eq!(event["data"], expected);
    assert_eq!(event["id"], "00000000000000000000000000000f00");
    assert_eq!(event["source"], "https://auth.example.com/instances/auth-1");
    assert_eq!(event["type"], "dev.grantd.token.issued.v1");
    assert_eq!(event["subject"], "nightly-invoices");
    assert_eq!(event["time"], "2026-11-23T08:30:00.120Z");
    assert_eq!(event["datacontenttype"], "application/json");
    assert_eq!(event["specversion"], "1.0");
}

#[test]
fn members_stand_in_the_order_of_the_wire_format() {
    let origin = origin();
    let envelope = Envelope {
        origin: &origin,
        id: [b'0'; 32],
        at: AT,
    };
    let head = StopCause::Signal.head(&envelope);
    assert_eq!(
        String::from_utf8(head).unwrap(),
        "{\"specversion\":\"1.0\",\"id\":\"00000000000000000000000000000000\",\
         \"source\":\"https://auth.example.com/instances/auth-1\",\
         \"type\":\"dev.grantd.daemon.stopped.v1\",\"time\":\"2026-11-23T08:30:00.120Z\",\
         \"datacontenttype\":\"application/json\",\"data\":{\"cause\":\"signal\"}"
    );
}

#[test]
fn the_longest_token_event_fits_a_line() {
    let scope =
        ["s".repeat(crate::domain::MAX_SCOPE).as_str(); crate::domain::MAX_SCOPES].join(" ");
    let audience = format!("https://a.example/{}", "\"".repeat(494));
    let event = with_envelope(|envelope| {
        issued(
            envelope,
            &facts(&audience, &scope),
            &trail(&"\0".repeat(200)),
        )
    });
    assert_eq!(event["data"]["scope"], scope);
    assert_eq!(event["data"]["resource"], audience);
    assert_eq!(event["data"]["asked_scope"], "\0".repeat(128));
}

#[test]
fn the_longest_control_events_fit_a_line() {
    let text = Outside::new(&"\0".repeat(500));
    let problem = Location {
        file: text.clone(),
        line: u64::MAX,
        column: u64::MAX,
        what: text,
    };
    let rejected = ControlEvent::RegistryRejected(RegistryRejected {
        commit: None,
        dirty: None,
        total: 1000,
        problems: vec![problem; 1000],
        serving: trail("x").registry,
    });
    let event = with_envelope(|envelope| rejected.head(envelope));
    assert_eq!(
        event["data"]["problems"].as_array().unwrap().len(),
        MAX_PROBLEMS
    );
    assert_eq!(event["data"]["problems_total"], 1000);

    let expiry = NamedExpiry {
        class: "certificate",
        client: ClientId::parse(&"c".repeat(63)).ok(),
        credential: trail(&"\0".repeat(500)).credential,
        at: UnixSeconds::new(1_795_422_600),
        passed: false,
    };
    let expiring = ControlEvent::RegistryExpiring(RegistryExpiring {
        registry: trail("x").registry.unwrap(),
        window: crate::domain::Lifetime::from_seconds(u64::MAX),
        counts: vec![
            ExpiryCount {
                class: "client",
                expiring: u64::MAX,
                expired: u64::MAX
            };
            3
        ],
        named: vec![expiry; 1000],
    });
    let event = with_envelope(|envelope| expiring.head(envelope));
    assert_eq!(event["data"]["first"].as_array().unwrap().len(), MAX_NAMED);

    let mut budget = Budget::new(BudgetSettings::default(), std::time::Duration::ZERO);
    for (number, reason) in Denial::ALL.iter().cycle().take(100_000).enumerate() {
        let bytes = (u128::MAX - ((number as u128) << 72)).to_be_bytes();
        let prefix = Prefix::of(std::net::Ipv6Addr::from(bytes).into());
        let method = [
            None,
            Some(AuthMethod::ClientSecretBasic),
            Some(AuthMethod::ClientSecretPost),
        ][number % 3];
        budget.count(*reason, method, prefix, AT);
    }
    let summary = budget.take_summary(AT).unwrap();
    let event = with_envelope(|envelope| denied_summary(envelope, &summary));
    let rows = event["data"]["rows"].as_array().unwrap();
    let counted: u64 = rows.iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 100_000);
    assert_eq!(event["data"]["total"], 100_000);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of all events")]
fn every_control_event_is_a_line() {
    let key = KeyId::from_thumbprint(Digest::of(b"k"));
    let moment = UnixSeconds::new(1_795_422_600);
    let steps = [
        KeyStep::Created,
        KeyStep::Activated,
        KeyStep::Retired,
        KeyStep::Withdrawn,
        KeyStep::Removed,
    ];
    for step in steps {
        let event = ControlEvent::Key(KeyEvent {
            step,
            key: key.clone(),
            algorithm: Algorithm::EdDsa,
            created: moment,
            published: Some(moment),
            signs_from: Some(moment),
            activated: Some(moment),
            retired: Some(moment),
            tokens_until: Some(moment),
        });
        let value = with_envelope(|envelope| event.head(envelope));
        assert_eq!(value["subject"], key.as_str());
        assert_eq!(
            value["type"],
            format!("dev.grantd.{}.v1", event.kind().name())
        );
    }
    let changed = ControlEvent::Clock(ClockChange {
        before: "steady",
        now: "behind",
        wall: moment,
        key_time: moment,
        accepted: false,
    });
    assert_eq!(
        with_envelope(|envelope| changed.head(envelope))["data"]["now"],
        "behind"
    );
    let applied = ControlEvent::RegistryApplied(RegistryApplied {
        registry: trail("x").registry.unwrap(),
        previous: Some(Digest::ZERO),
        totals: ObjectCounts {
            clients: 2,
            resources: 1,
        },
        clients: Counts {
            added: 1,
            changed: 0,
            removed: 3,
        },
        resources: Counts::default(),
        policy_changed: true,
    });
    assert_eq!(
        with_envelope(|envelope| applied.head(envelope))["data"]["clients"]["removed"],
        3
    );
    let started = Started {
        version: "0.1.0",
        previous_stop_clean: Some(false),
        previous_sequence: 9,
        recovered: Some(&JournalRecovered {
            segment: "1.jsonl".into(),
            offset: 5,
            bytes: 6,
            moved_to: "torn/2".into(),
            kept_until: 9,
        }),
    };
    let event = with_envelope(|envelope| daemon_started(envelope, &started));
    assert_eq!(event["data"]["previous_stop"], "unclean");
    assert_eq!(event["data"]["moved_aside"]["bytes"], 6);
}

#[test]
fn a_denial_names_the_client_or_what_looks_like_one_and_no_secret() {
    let mut trail = trail("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2ln");
    trail.client = None;
    trail.unknown_client = ClientId::plausible("nightly");
    let event = with_envelope(|envelope| denied(envelope, Denial::UnknownClient, &trail));
    assert_eq!(event["data"]["unknown_client_id"], "nightly");
    assert_eq!(event["data"]["reason"], "unknown_client");
    assert_eq!(event["data"]["error"], "invalid_client");
    assert_eq!(event["data"]["status"], 401);
    assert!(event.get("subject").is_none());
    assert!(!event.to_string().contains("eyJ"));
}

#[test]
fn kinds_are_named_once_each() {
    let names: std::collections::BTreeSet<_> =
        EventKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), EventKind::ALL.len());
}

proptest! {
    #[test]
    fn whatever_comes_from_outside_the_event_is_one_line(text in any::<String>(), again in ".{0,300}") {
        let facts = facts("urn:example:a", "a");
        let mut trail = trail(&text);
        trail.asked_scope = Some(Outside::new(&again));
        let event = with_envelope(|envelope| issued(envelope, &facts, &trail));
        let kept = Outside::new(&again);
        prop_assert_eq!(event["data"]["asked_scope"].as_str().unwrap(), kept.as_str());
        with_envelope(|envelope| denied(envelope, Denial::WrongSecret, &trail));
    }
}
