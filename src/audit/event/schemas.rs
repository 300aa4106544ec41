//! Keeps docs/schemas/audit honest: every event, with every member that it may have. Tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::audit::budget::{Budget, BudgetSettings, Prefix};
use crate::audit::chain::Lineage;
use crate::audit::chain::{Link, Tip, splice};
use crate::audit::decision::{RegistryRef, Trail, UsedCredential};
use crate::domain::{
    Algorithm, AuthMethod, Caller, ClientId, CommitId, CredentialId, Denial, Digest, KeyId,
    RequestId, ResourceIdentifier, SecretVerifier, TokenId, UnixSeconds,
};
use crate::mint::TokenFacts;

const AT: UnixMillis = UnixMillis::new(1_795_422_600_120);
const MOMENT: UnixSeconds = UnixSeconds::new(1_795_422_600);

fn key() -> KeyId {
    KeyId::from_thumbprint(Digest::of(b"key"))
}

fn registry() -> RegistryRef {
    RegistryRef {
        generation: 7,
        digest: Digest::of(b"registry"),
        commit: CommitId::parse(&"a".repeat(40)).ok(),
        dirty: Some(true),
    }
}

fn trail() -> Trail {
    let hash = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut trail = Trail::new(RequestId::from_bits(0xf00), "2001:db8::7".parse().unwrap());
    trail.client = Some(ClientId::parse("nightly-invoices").unwrap());
    trail.method = Some(AuthMethod::ClientSecretPost);
    trail.credential = Some(UsedCredential {
        id: CredentialId::of_secret(&SecretVerifier::parse(hash).unwrap()),
        label: Some(Outside::new("spring")),
    });
    trail.asked_resource = Some(Outside::new("billing"));
    trail.asked_scope = Some(Outside::new("invoice:read"));
    trail.registry = Some(registry());
    trail
}

fn token_events(envelope: &Envelope<'_>) -> Vec<Vec<u8>> {
    let facts = TokenFacts {
        id: TokenId::from_bits(0xabc),
        key: key(),
        algorithm: Algorithm::Es256,
        client: ClientId::parse("nightly-invoices").unwrap(),
        audience: ResourceIdentifier::parse("https://billing.example.com/api").unwrap(),
        scope: Arc::from("invoice:read"),
        issued: MOMENT,
        expires: MOMENT,
    };
    let mut unknown = trail();
    unknown.client = None;
    unknown.unknown_client = ClientId::plausible("nightly");
    let bare = Trail::new(RequestId::from_bits(1), "192.0.2.1".parse().unwrap());
    let mut budget = Budget::new(BudgetSettings::default(), std::time::Duration::ZERO);
    let prefix = Prefix::of("192.0.2.1".parse().unwrap());
    budget.count(
        Denial::WrongSecret,
        Some(AuthMethod::ClientSecretBasic),
        prefix,
        AT,
    );
    vec![
        issued(envelope, &facts, &trail()),
        issued(envelope, &facts, &bare),
        denied(envelope, Denial::WrongSecret, &trail()),
        denied(envelope, Denial::UnknownClient, &unknown),
        denied(envelope, Denial::UnknownClient, &bare),
        denied_summary(envelope, &budget.take_summary(AT).unwrap()),
    ]
}

fn certificate() -> ServedCertificateRef {
    ServedCertificateRef {
        fingerprint: Digest::ZERO,
        not_before: MOMENT,
        not_after: MOMENT,
    }
}

fn expiring() -> RegistryExpiring {
    RegistryExpiring {
        registry: registry(),
        window: crate::domain::Lifetime::from_days(30),
        counts: vec![ExpiryCount {
            class: "secret",
            expiring: 2,
            expired: 1,
        }],
        named: vec![
            NamedExpiry {
                class: "secret",
                client: ClientId::parse("nightly-invoices").ok(),
                credential: trail().credential,
                at: MOMENT,
                passed: false,
            },
            NamedExpiry {
                class: "certificate",
                client: None,
                credential: None,
                at: MOMENT,
                passed: true,
            },
        ],
    }
}

fn registry_events() -> Vec<ControlEvent> {
    let text = Outside::new("a.toml");
    vec![
        ControlEvent::RegistryApplied(RegistryApplied {
            registry: registry(),
            previous: Some(Digest::ZERO),
            totals: ObjectCounts::default(),
            clients: Counts::default(),
            resources: Counts::default(),
            policy_changed: true,
        }),
        ControlEvent::RegistryRejected(RegistryRejected {
            commit: registry().commit,
            dirty: Some(false),
            total: 1,
            problems: vec![Location {
                file: text.clone(),
                line: 1,
                column: 2,
                what: text,
            }],
            serving: Some(registry()),
        }),
        ControlEvent::RegistryExpiring(expiring()),
        ControlEvent::Clock(ClockChange {
            before: "steady",
            now: "behind",
            wall: MOMENT,
            key_time: MOMENT,
            accepted: false,
        }),
        ControlEvent::CertificateLoaded(CertificateLoaded {
            certificate: certificate(),
            previous: Digest::ZERO,
        }),
        ControlEvent::CertificateRefused(CertificateRefused {
            reason: "mismatch",
            detail: Outside::new("the certificate does not match the key"),
            serving: certificate(),
        }),
        ControlEvent::Stream(StreamAlarm::Recreated {
            before: AT,
            now: AT,
        }),
        ControlEvent::Stream(StreamAlarm::Forgot {
            confirmed: 2,
            last: 1,
        }),
        ControlEvent::Stream(StreamAlarm::Lost {
            confirmed: 2,
            held: 1,
        }),
        ControlEvent::Stream(StreamAlarm::Missing { first: 1, last: 2 }),
    ]
}

fn admin_events() -> Vec<ControlEvent> {
    let client = || ClientId::parse("nightly-invoices").unwrap();
    let token = TokenId::from_bits(0xabc);
    let revoked = |client, token| AdminAct::TokensRevoked {
        entry: 2,
        client,
        token,
        before: MOMENT,
        until: MOMENT,
        since: MOMENT,
    };
    let cleared = |client, token| AdminAct::OverlayCleared {
        entry: 1,
        kind: "client_disabled",
        client,
        token,
        forced: true,
    };
    let acts = [
        AdminAct::ClientDisabled {
            entry: 1,
            client: client(),
            since: MOMENT,
            registry: "enabled",
        },
        revoked(Some(client()), None),
        revoked(None, Some(token)),
        revoked(None, None),
        cleared(Some(client()), None),
        cleared(None, Some(token)),
        AdminAct::KeysRotated {
            algorithm: Some(Algorithm::Es256),
            compromised: None,
        },
        AdminAct::KeysRotated {
            algorithm: None,
            compromised: Some(key()),
        },
        AdminAct::ClockAccepted,
    ];
    let caller = Caller {
        uid: 1000,
        gid: 1000,
        pid: 4711,
    };
    let event = |act| {
        let keys = matches!(act, AdminAct::KeysRotated { .. } | AdminAct::ClockAccepted);
        ControlEvent::Admin(AdminEvent {
            caller,
            act,
            reason: (!keys).then(|| Outside::new("its secret is in a public log")),
        })
    };
    acts.into_iter().map(event).collect()
}

fn last_good_events() -> Vec<ControlEvent> {
    vec![
        ControlEvent::RegistryRestored(RegistryRestored {
            registry: registry(),
            accepted: MOMENT,
            seen: MOMENT,
        }),
        ControlEvent::RegistryHeld(RegistryHeld {
            change: Digest::ZERO,
            commit: registry().commit,
            dirty: Some(false),
            serving: Some(registry()),
            reasons: vec![Outside::new("21 of 40 enabled clients would go away")],
        }),
        ControlEvent::RegistryAccepted(RegistryAccepted {
            change: Digest::ZERO,
            caller: Caller {
                uid: 0,
                gid: 0,
                pid: 7,
            },
        }),
    ]
}

fn key_events() -> Vec<ControlEvent> {
    let steps = [
        KeyStep::Created,
        KeyStep::Activated,
        KeyStep::Retired,
        KeyStep::Withdrawn,
        KeyStep::Removed,
    ];
    steps
        .into_iter()
        .map(|step| {
            ControlEvent::Key(KeyEvent {
                step,
                key: key(),
                algorithm: Algorithm::Es256,
                created: MOMENT,
                published: Some(MOMENT),
                signs_from: Some(MOMENT),
                activated: Some(MOMENT),
                retired: Some(MOMENT),
                tokens_until: Some(MOMENT),
            })
        })
        .collect()
}

fn daemon_events(envelope: &Envelope<'_>) -> Vec<Vec<u8>> {
    let recovered = JournalRecovered {
        segment: "00000000000000000001.jsonl".into(),
        offset: 5,
        bytes: 6,
        moved_to: "torn/2".into(),
        kept_until: 9,
    };
    let started = Started {
        version: "0.1.0",
        previous_stop_clean: Some(false),
        previous_sequence: 9,
        recovered: Some(&recovered),
    };
    let renewal = LineageRenewal {
        cause: RenewalCause::StreamAhead,
        stream_head_sequence: Some(7),
        stream_head: Some(Digest::ZERO),
    };
    let tip = Tip {
        sequence: 1,
        batch: 1,
        hash: Digest::ZERO,
        lineage: Lineage::from_bits(1),
    };
    vec![
        daemon_started(envelope, &started),
        StopCause::Signal.head(envelope),
        StopCause::TaskEnded("shipper").head(envelope),
        lineage_started(envelope, Lineage::from_bits(1)),
        lineage_renewed(envelope, &renewal, &tip, Lineage::from_bits(2)),
        recovered.head(envelope),
    ]
}

/// Every event, whole and as one line each.
fn lines() -> Vec<String> {
    let issuer = Issuer::parse("https://auth.example.com").unwrap();
    let origin = Origin::new(&issuer, &InstanceName::parse("auth-1").unwrap());
    let envelope = Envelope {
        origin: &origin,
        id: RequestId::from_bits(0xf00).to_hex(),
        at: AT,
    };
    let control = registry_events().into_iter().chain(last_good_events());
    let control = control.chain(key_events());
    let control = control.chain(admin_events());
    let mut heads: Vec<Vec<u8>> = control.map(|event| event.head(&envelope)).collect();
    heads.extend(token_events(&envelope));
    heads.extend(daemon_events(&envelope));
    let link = Link {
        lineage: Lineage::from_bits(1),
        sequence: 1,
        batch: 1,
        prev: Digest::ZERO,
    };
    heads
        .iter()
        .map(|head| {
            let mut line = Vec::new();
            splice(head, &link, &mut line);
            String::from_utf8(line).unwrap()
        })
        .collect()
}

/// The paths of all members of an event, `[]` for the items of a list.
fn members(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{at}.{name}");
                self::members(value, &path, into);
                into.insert(path);
            }
        }
        Value::Array(items) => {
            for item in items {
                members(item, &format!("{at}[]"), into);
            }
        }
        _ => {}
    }
}

/// The paths of all properties of a schema, and of those that must be there.
fn properties(schema: &Value, at: &str, all: &mut BTreeSet<String>, must: &mut BTreeSet<String>) {
    if let Some(items) = schema.get("items") {
        properties(items, &format!("{at}[]"), all, &mut BTreeSet::new());
    }
    let Some(Value::Object(named)) = schema.get("properties") else {
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{at}");
    let required = schema["required"].as_array().unwrap();
    for (name, property) in named {
        let path = format!("{at}.{name}");
        if required.contains(&Value::from(name.as_str())) {
            must.insert(path.clone());
            properties(property, &path, all, must);
        } else {
            properties(property, &path, all, &mut BTreeSet::new());
        }
        all.insert(path);
    }
}

#[test]
fn each_event_has_a_schema_with_just_its_members() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/audit");
    let events: Vec<Value> = lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for kind in EventKind::ALL {
        // Nothing writes checkpoints yet.
        if kind == EventKind::Checkpoint {
            continue;
        }
        let name = kind.name();
        let file = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let schema: Value = serde_json::from_str(&file).unwrap();
        let (mut all, mut must) = (BTreeSet::new(), BTreeSet::new());
        properties(&schema, "", &mut all, &mut must);
        let full = format!("dev.grantd.{name}.v1");
        assert_eq!(schema["properties"]["type"]["const"], full.as_str());
        let mut emitted = BTreeSet::new();
        for event in events.iter().filter(|event| event["type"] == full.as_str()) {
            let mut of_this = BTreeSet::new();
            members(event, "", &mut of_this);
            let left_out: Vec<_> = must.difference(&of_this).collect();
            assert!(left_out.is_empty(), "{name} must have {left_out:?}");
            emitted.extend(of_this);
        }
        assert_eq!(emitted, all, "{name}");
    }
}

#[test]
fn no_schema_is_left_over() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/audit");
    let names: BTreeSet<String> = EventKind::ALL
        .iter()
        .map(|kind| format!("{}.json", kind.name()))
        .collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name}");
    }
}

/// The documentation names every event and every member.
#[test]
fn the_documentation_is_complete() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit-events.md");
    let text = std::fs::read_to_string(file).unwrap();
    for line in lines() {
        let event: Value = serde_json::from_str(&line).unwrap();
        let kind = event["type"].as_str().unwrap();
        let section = text.split(&format!("### `{kind}`")).nth(1);
        let section = section.unwrap_or_else(|| panic!("{kind} is not documented"));
        let section = section.split("\n### ").next().unwrap();
        let mut names = BTreeSet::new();
        members(&event["data"], "", &mut names);
        for name in names {
            let name = name.trim_start_matches('.');
            assert!(section.contains(&format!("| `{name}` |")), "{kind}: {name}");
        }
    }
}

/// Python's jsonschema, an implementation of others, agrees. Skipped by nobody: `tests/all` makes the
/// virtual environment in `.tools` first.
#[test]
fn an_independent_validator_agrees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let events = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(events.path(), lines().join("\n") + "\n").unwrap();
    let output = std::process::Command::new(root.join(".tools/venv/bin/python"))
        .arg(root.join("tests/interop/audit_schema.py"))
        .arg(root.join("docs/schemas/audit"))
        .arg(events.path())
        .output()
        .unwrap_or_else(|error| panic!("no Python in .tools/venv: {error}; tests/all makes it"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
}
