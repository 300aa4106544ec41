//! What is explained is what the spine decides, for whatever registry and request.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::client_auth::{identify, verify};
use crate::domain::{AuthMethod, ClientId, CredentialId, GeneratedSecret, Secret};
use crate::evidence::{Evidence, LocalSources, spend};
use crate::grant::Grant;
use crate::http::{Presented, TokenRequest};
use crate::registry::sample;

const NOW: UnixSeconds = UnixSeconds::new(1_000_000);

fn secret(number: u8) -> GeneratedSecret {
    GeneratedSecret::from_entropy(&Zeroizing::new([number; 32]))
}

/// What the daemon decides of this request by who knows this secret.
fn served(question: Question<'_>, number: u8, registry: &Snapshot) -> Result<Grant, Denial> {
    let request = TokenRequest {
        presented: Presented::Secret {
            client_id: question.client.to_owned(),
            secret: Secret::new(secret(number).expose().to_owned()),
            method: question.method.unwrap_or(AuthMethod::ClientSecretBasic),
        },
        resource: match question.resource {
            None | Some("") => AskedResource::None,
            Some(text) => AskedResource::One(text.to_owned()),
        },
        scope: question
            .scope
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned),
    };
    let overlay = Overlay::default();
    let verified = verify(
        identify(&request, registry),
        &Evidence::Nothing,
        &overlay,
        NOW,
    )
    .map_err(|refused| refused.denial)?;
    let sources = LocalSources::default();
    let spent = {
        let mut spending = std::pin::pin!(spend(&sources, verified.marks(), NOW));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match spending.as_mut().poll(&mut context) {
            std::task::Poll::Ready(spent) => spent,
            std::task::Poll::Pending => Err(Denial::Overloaded),
        }
    };
    grant::decide(&request, &verified.accept(spent?), registry, NOW)
}

/// A moment some seconds from now, or none.
fn moment() -> impl Strategy<Value = Option<UnixSeconds>> {
    let near = prop_oneof![Just(0), -2..3_i64, -4000..4000_i64];
    proptest::option::of(
        near.prop_map(|seconds| UnixSeconds::new(NOW.get().checked_add_signed(seconds).unwrap())),
    )
}

prop_compose! {
    fn stored()(number in 0..4_u8, not_before in moment(), expires in moment()) -> (u8, StoredSecret) {
        let verifier = secret(number).verifier(&ClientId::parse("ledger").unwrap());
        (number, StoredSecret {
            id: CredentialId::of_secret(&verifier),
            verifier,
            label: Some(format!("number {number}")),
            created: None,
            not_before,
            last_use: crate::registry::last_use::LastUse::default(),
            expires,
        })
    }
}

prop_compose! {
    /// A registry with two resources and a client that has some of both, and the numbers of its secrets.
    fn registry()(
        granted in 0..4_usize,
        default in proptest::option::of(0..2_usize),
        disabled in proptest::bool::weighted(0.2),
        expires in moment(),
        lifetimes in proptest::collection::vec(1..4000_u64, 3),
        own_lifetime in proptest::option::of(1..4000_u64),
        secrets in proptest::collection::btree_map(0..4_u8, stored(), 0..4),
        allowed in proptest::option::weighted(0.3, 0..2_usize),
    ) -> (Snapshot, Vec<u8>) {
        let all: Vec<_> = ["billing", "fleet"].into_iter().zip(&lifetimes).map(|(name, lifetime)| {
            let mut resource = sample::resource(name);
            resource.token_lifetime = Lifetime::from_seconds(*lifetime);
            Arc::new(resource)
        }).collect();
        let on: Vec<_> = all.iter().enumerate().filter(|(at, _)| granted & (1 << at) != 0)
            .map(|(_, resource)| Arc::clone(resource)).collect();
        let mut client = sample::client(&on);
        client.default_grant = default.filter(|at| *at < on.len()).or(client.default_grant);
        client.disabled = disabled;
        client.expires = expires;
        client.token_lifetime = own_lifetime.map(Lifetime::from_seconds);
        // Each number once: the same hash stands once in a client.
        let by_number: std::collections::BTreeMap<u8, StoredSecret> = secrets.into_values().collect();
        let numbers = by_number.keys().copied().collect();
        client.secrets = by_number.into_values().collect();
        let mut snapshot = sample::snapshot(all, client);
        snapshot.policy.max_token_lifetime = Lifetime::from_seconds(lifetimes[2]);
        snapshot.policy.allowed_auth_methods = allowed.map(|at| vec![AuthMethod::ALL[at]]);
        (snapshot, numbers)
    }
}

fn asked_for() -> impl Strategy<Value = (String, Option<String>, Option<String>)> {
    let client = prop_oneof![9 => Just("ledger"), 1 => Just("nobody")];
    let resource = proptest::option::of(prop_oneof![
        Just("https://billing.example.com"),
        Just("https://fleet.example.com"),
        Just("https://nowhere.example.com"),
        Just("")
    ]);
    let scope =
        proptest::option::of("|read|write|read write|write read|read read|admin|read  write|\"");
    (client, resource, scope).prop_map(|(client, resource, scope)| {
        (client.to_owned(), resource.map(str::to_owned), scope)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_verdict_is_the_daemons((registry, numbers) in registry(), asked in asked_for(), method in 0..2_usize) {
        let (client, resource, scope) = asked;
        for number in numbers {
            let label = format!("number {number}");
            let question = Question {
                client: &client,
                resource: resource.as_deref(),
                scope: scope.as_deref(),
                credential: (client == "ledger").then_some(&label),
                method: Some(AuthMethod::ALL[method]),
            };
            let told = explain(question, &registry, Algorithm::Es256, NOW).unwrap();
            let served = served(question, number, &registry);
            prop_assert_eq!(told.refusal(), served.as_ref().err().copied());
            match (served, &told.token) {
                (Ok(grant), Some(token)) => {
                    prop_assert_eq!(&*token.terms.scope, &**grant.scope());
                    prop_assert_eq!(token.terms.lifetime(), grant.lifetime());
                    prop_assert_eq!(token.terms.granted.resource.as_ref(), grant.resource());
                    prop_assert_eq!(token.bounds()[0].1, grant.lifetime());
                }
                (Err(_), None) => {}
                (served, told) => prop_assert!(false, "{served:?} and {told:?}"),
            }
        }
    }

    /// Without a secret named, the request is granted when any of them would get a token.
    #[test]
    fn the_best_secret_is_chosen((registry, numbers) in registry(), asked in asked_for()) {
        let (client, resource, scope) = asked;
        let question = Question {
            client: &client,
            resource: resource.as_deref(),
            scope: scope.as_deref(),
            credential: None,
            method: None,
        };
        let told = explain(question, &registry, Algorithm::Es256, NOW).unwrap();
        // Where none is named, it is one that the policy allows.
        let method = AuthMethod::ALL.into_iter().find(|method| registry.policy.allows(*method));
        let question = Question { method, ..question };
        let lives = numbers.iter().filter_map(|number| {
            served(question, *number, &registry).ok().map(|grant| grant.lifetime())
        });
        prop_assert_eq!(told.token.as_ref().map(|token| token.terms.lifetime()), lives.max());
    }
}

#[test]
fn a_resource_is_found_by_its_name_too() {
    let all: Vec<_> = ["billing", "fleet"]
        .map(|name| Arc::new(sample::resource(name)))
        .into();
    let registry = sample::snapshot(all.clone(), sample::client(&all));
    let question = Question {
        client: "ledger",
        resource: Some("fleet"),
        ..Question::default()
    };
    let told = explain(question, &registry, Algorithm::EdDsa, NOW).unwrap();
    let token = told.token.unwrap();
    assert_eq!(token.terms.granted.resource.name.as_str(), "fleet");
    assert_eq!(token.algorithm, Algorithm::EdDsa);
}

#[test]
fn words_say_what_to_write_instead() {
    let all: Vec<_> = ["billing", "fleet"]
        .map(|name| Arc::new(sample::resource(name)))
        .into();
    let registry = sample::snapshot(all.clone(), sample::client(&all[..1]));
    let why = |client, resource, scope| {
        let question = Question {
            client,
            resource,
            scope,
            credential: None,
            method: None,
        };
        let told = explain(question, &registry, Algorithm::Es256, NOW).unwrap();
        let step = told.steps.iter().find(|step| step.refusal.is_some());
        step.unwrap().why.clone()
    };
    for (words, told) in [
        ("did you mean `ledger`?", why("ledgr", None, None)),
        (
            "did you mean `billing`?",
            why("ledger", Some("biling"), None),
        ),
        ("it has no grant on", why("ledger", Some("fleet"), None)),
        (
            "no scope raed (did you mean `read`?); it has read write",
            why("ledger", None, Some("raed write")),
        ),
        (
            "no list of scopes",
            why("ledger", None, Some("read  write")),
        ),
    ] {
        assert!(told.contains(words), "{told}");
    }
    let question = Question {
        client: "ledger",
        credential: Some("secret:other"),
        ..Question::default()
    };
    let error = explain(question, &registry, Algorithm::Es256, NOW).unwrap_err();
    assert!(error.to_string().contains("has no secret"), "{error}");
}
