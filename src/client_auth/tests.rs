//! Every way to fail, and the one to succeed.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use super::*;
use crate::domain::Secret;
use crate::http::AskedResource;
use crate::registry::overlay::{Entry, EntryId, What};
use crate::registry::sample;

const NOW: UnixSeconds = UnixSeconds::new(1_000_000);

fn request(presented: Presented) -> TokenRequest {
    TokenRequest {
        presented,
        resource: AskedResource::None,
        scope: None,
    }
}

fn secret(client_id: &str, secret: &str) -> TokenRequest {
    request(Presented::Secret {
        client_id: client_id.to_owned(),
        secret: Secret::new(secret.to_owned()),
        method: AuthMethod::ClientSecretPost,
    })
}

fn outcome(request: &TokenRequest, change: impl FnOnce(&mut Client)) -> Result<Verified, Refused> {
    let resource = Arc::new(sample::resource("billing"));
    let mut client = sample::client(&[Arc::clone(&resource)]);
    change(&mut client);
    let registry = sample::snapshot(vec![resource], client);
    verify(
        identify(request, &registry),
        &Evidence::Nothing,
        &Overlay::default(),
        NOW,
    )
}

fn denied(request: &TokenRequest, change: impl FnOnce(&mut Client)) -> Denial {
    outcome(request, change).unwrap_err().denial
}

#[test]
fn the_right_secret_proves_the_client() {
    let verified = outcome(&secret("ledger", sample::secret().expose()), |_| ()).unwrap();
    assert_eq!(verified.client.id.as_str(), "ledger");
    assert_eq!(verified.credential.method, AuthMethod::ClientSecretPost);
    assert!(verified.marks().is_empty());
}

#[test]
fn a_wrong_or_foreign_secret_does_not() {
    let good = sample::secret();
    assert_eq!(denied(&secret("ledger", ""), |_| ()), Denial::WrongSecret);
    assert_eq!(
        denied(&secret("ledger", "hunter2"), |_| ()),
        Denial::WrongSecret
    );
    assert_eq!(
        denied(&secret("other", good.expose()), |_| ()),
        Denial::UnknownClient
    );
    let stolen = denied(&secret("ledger", good.expose()), |client| {
        client.secrets.clear();
    });
    assert_eq!(stolen, Denial::UnregisteredMethod);
}

#[test]
fn the_decoy_is_nobodys_secret() {
    assert_eq!(denied(&secret("nobody", ""), |_| ()), Denial::UnknownClient);
}

#[test]
fn times_of_client_and_secret_are_half_open() {
    let good = secret("ledger", sample::secret().expose());
    let first = |client: &mut Client, change: fn(&mut crate::registry::snapshot::StoredSecret)| {
        client.secrets.first_mut().map(change);
    };
    assert_eq!(
        denied(&good, |client| first(client, |stored| stored.expires =
            Some(NOW))),
        Denial::CredentialExpired
    );
    assert!(
        outcome(&good, |client| first(client, |stored| {
            stored.not_before = Some(NOW);
            stored.expires = Some(NOW.plus(crate::domain::Lifetime::from_seconds(1)));
        }))
        .is_ok()
    );
    assert_eq!(
        denied(&good, |client| first(client, |stored| {
            stored.not_before = Some(NOW.plus(crate::domain::Lifetime::from_seconds(1)));
        })),
        Denial::CredentialNotYetValid
    );
    assert_eq!(
        denied(&good, |client| client.expires = Some(NOW)),
        Denial::ClientExpired
    );
    assert_eq!(
        denied(&good, |client| client.disabled = true),
        Denial::ClientDisabled
    );
}

#[test]
fn what_an_operator_disabled_is_refused_whatever_the_registry_says() {
    let resource = Arc::new(sample::resource("billing"));
    let client = sample::client(&[Arc::clone(&resource)]);
    let registry = sample::snapshot(vec![resource], client);
    let judged = |id: &str, presented: &str| {
        let overlay = Overlay::of([Entry {
            id: EntryId::new(1),
            what: What::Disabled(ClientId::parse(id).unwrap()),
            by: crate::domain::Caller::default(),
            at: NOW,
            reason: None,
            kept: true,
            recorded: true,
        }]);
        let request = secret("ledger", presented);
        let claim = identify(&request, &registry);
        verify(claim, &Evidence::Nothing, &overlay, NOW)
    };
    let good = sample::secret();
    let refused = judged("ledger", good.expose()).unwrap_err();
    assert_eq!(refused.denial, Denial::ClientDisabledByOperator);
    assert_eq!(refused.denial.answer(), Denial::UnknownClient.answer());
    assert!(refused.credential.is_some());
    let wrong = judged("ledger", "hunter2").unwrap_err();
    assert_eq!(wrong.denial, Denial::WrongSecret);
    assert!(judged("other", good.expose()).is_ok());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_method_that_the_policy_does_not_allow_proves_nothing() {
    use AuthMethod::{ClientSecretBasic, ClientSecretPost};
    let ask = |method: AuthMethod, text: &str, disabled: bool, allowed: Option<Vec<AuthMethod>>| {
        let request = request(Presented::Secret {
            client_id: "ledger".to_owned(),
            secret: Secret::new(text.to_owned()),
            method,
        });
        let resource = Arc::new(sample::resource("billing"));
        let mut client = sample::client(&[Arc::clone(&resource)]);
        client.disabled = disabled;
        let mut registry = sample::snapshot(vec![resource], client);
        registry.policy.allowed_auth_methods = allowed;
        let overlay = Overlay::default();
        verify(
            identify(&request, &registry),
            &Evidence::Nothing,
            &overlay,
            NOW,
        )
    };
    let good = sample::secret();
    let good = good.expose();
    let denial = Denial::AuthMethodNotAllowed;
    for (method, text, disabled, allowed, expected) in [
        (ClientSecretBasic, good, false, None, None),
        (ClientSecretPost, good, false, None, None),
        (
            ClientSecretBasic,
            good,
            false,
            Some(AuthMethod::ALL.to_vec()),
            None,
        ),
        (
            ClientSecretPost,
            good,
            false,
            Some(vec![ClientSecretPost]),
            None,
        ),
        (
            ClientSecretBasic,
            good,
            false,
            Some(vec![ClientSecretPost]),
            Some(denial),
        ),
        (
            ClientSecretPost,
            good,
            false,
            Some(vec![ClientSecretBasic]),
            Some(denial),
        ),
        // What is wrong besides is said first: the method only counts for who would have got in.
        (
            ClientSecretBasic,
            "hunter2",
            false,
            Some(vec![ClientSecretPost]),
            Some(Denial::WrongSecret),
        ),
        (
            ClientSecretBasic,
            good,
            true,
            Some(vec![ClientSecretPost]),
            Some(Denial::ClientDisabled),
        ),
    ] {
        let what = format!("{method:?} {allowed:?}");
        let outcome = ask(method, text, disabled, allowed);
        assert_eq!(
            outcome.as_ref().err().map(|it| it.denial),
            expected,
            "{what}"
        );
        if expected == Some(denial) {
            let credential = outcome.unwrap_err().credential.unwrap();
            assert_eq!(credential.method, method, "the event knows how");
        }
    }
    assert_eq!(denial.answer(), Denial::WrongSecret.answer());
}

#[test]
fn a_refusal_names_the_credential_that_matched() {
    let good = secret("ledger", sample::secret().expose());
    let refused = outcome(&good, |client| client.disabled = true).unwrap_err();
    let expected = outcome(&good, |_| ()).unwrap().credential.id;
    assert_eq!(refused.credential.unwrap().id, expected);
    let expired = outcome(&good, |client| {
        for stored in &mut client.secrets {
            stored.expires = Some(NOW);
        }
    });
    assert_eq!(expired.unwrap_err().credential.unwrap().id, expected);
    let wrong = outcome(&secret("ledger", "hunter2"), |_| ()).unwrap_err();
    assert!(wrong.credential.is_none());
}

#[test]
fn two_secrets_are_valid_at_once_during_a_rotation() {
    let good = secret("ledger", sample::secret().expose());
    let both = outcome(&good, |client| {
        let other = zeroize::Zeroizing::new([1; 32]);
        let verifier = crate::domain::GeneratedSecret::from_entropy(&other).verifier(&client.id);
        client.secrets.insert(
            0,
            crate::registry::snapshot::StoredSecret {
                id: CredentialId::of_secret(&verifier),
                verifier,
                label: Some("new".to_owned()),
                created: None,
                not_before: None,
                expires: None,
                last_use: Default::default(),
            },
        );
    });
    assert_eq!(both.unwrap().credential.label, None);
}

#[test]
fn what_is_no_secret_is_refused_by_its_name() {
    let some = || Some("ledger".to_owned());
    let table = [
        (
            Presented::Nothing { client_id: None },
            Denial::NoCredentials,
        ),
        (
            Presented::Nothing { client_id: some() },
            Denial::NoCredentials,
        ),
        (
            Presented::Unsupported { client_id: some() },
            Denial::UnregisteredMethod,
        ),
        (Presented::Malformed, Denial::MalformedAuthorization),
        (
            Presented::Mismatch {
                client_id: "ledger".to_owned(),
            },
            Denial::ClientIdMismatch,
        ),
        (
            Presented::Mismatch {
                client_id: "nobody".to_owned(),
            },
            Denial::ClientIdMismatch,
        ),
        (
            Presented::Unsupported { client_id: None },
            Denial::UnknownClient,
        ),
    ];
    for (presented, denial) in table {
        let request = request(presented);
        assert_eq!(denied(&request, |_| ()), denial, "{request:?}");
        assert_eq!(denial.answer(), Denial::WrongSecret.answer());
    }
}
