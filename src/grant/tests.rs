//! What is granted is never more than what is registered.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::client_auth::{identify, verify};
use crate::domain::{AuthMethod, Secret};
use crate::evidence::{Evidence, LocalSources, spend};
use crate::http::Presented;
use crate::registry::sample;

const NOW: UnixSeconds = UnixSeconds::new(1_000_000);

fn granted(
    resource: AskedResource,
    scope: Option<&str>,
    resources: &[&str],
    change: impl FnOnce(&mut Client),
) -> Result<Grant, Denial> {
    let all: Vec<_> = ["billing", "fleet"]
        .map(|name| Arc::new(sample::resource(name)))
        .into();
    let wanted: Vec<_> = all
        .iter()
        .filter(|resource| resources.contains(&resource.name.as_str()))
        .cloned()
        .collect();
    let mut client = sample::client(&wanted);
    change(&mut client);
    let registry = sample::snapshot(all, client);
    let request = TokenRequest {
        presented: Presented::Secret {
            client_id: "ledger".to_owned(),
            secret: Secret::new(sample::secret().expose().to_owned()),
            method: AuthMethod::ClientSecretBasic,
        },
        resource,
        scope: scope.map(str::to_owned),
    };
    let verified = verify(
        identify(&request, &registry),
        &Evidence::Nothing,
        &crate::registry::overlay::Overlay::default(),
        NOW,
    )
    .unwrap();
    let sources = LocalSources::default();
    let spent = {
        let mut spending = std::pin::pin!(spend(&sources, verified.marks(), NOW));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match spending.as_mut().poll(&mut context) {
            std::task::Poll::Ready(spent) => spent,
            std::task::Poll::Pending => Err(Denial::Overloaded),
        }
    };
    decide(&request, &verified.accept(spent.unwrap()), &registry, NOW)
}

fn one(text: &str) -> AskedResource {
    AskedResource::One(text.to_owned())
}

#[test]
fn resources_by_rfc_8707() {
    let all = ["billing", "fleet"];
    let table: [(AskedResource, &[&str], Denial); 5] = [
        (AskedResource::Several, &all, Denial::SeveralResources),
        (AskedResource::None, &all, Denial::ResourceMissing),
        (
            one("https://nowhere.example.com"),
            &all,
            Denial::UnknownResource,
        ),
        (one("not a uri"), &all, Denial::UnknownResource),
        (
            one("https://fleet.example.com"),
            &["billing"],
            Denial::ResourceNotGranted,
        ),
    ];
    for (asked, resources, denial) in table {
        assert_eq!(
            granted(asked.clone(), None, resources, |_| ()).unwrap_err(),
            denial,
            "{asked:?}"
        );
    }
    assert_eq!(
        Denial::UnknownResource.answer(),
        Denial::ResourceNotGranted.answer()
    );
    let only = granted(AskedResource::None, None, &["fleet"], |_| ()).unwrap();
    assert_eq!(
        only.resource().identifier.as_str(),
        "https://fleet.example.com"
    );
    let default = granted(AskedResource::None, None, &all, |client| {
        client.default_grant = Some(1);
    });
    assert_eq!(default.unwrap().resource().name.as_str(), "fleet");
}

#[test]
fn scopes_by_rfc_6749_section_3_3() {
    let ask = |scope| granted(AskedResource::None, scope, &["billing"], |_| ());
    assert_eq!(&**ask(None).unwrap().scope(), "read write");
    assert_eq!(&**ask(Some("write")).unwrap().scope(), "write");
    assert_eq!(&**ask(Some("write read")).unwrap().scope(), "write read");
    assert_eq!(&**ask(Some("read read")).unwrap().scope(), "read");
    assert_eq!(
        ask(Some("read admin")).unwrap_err(),
        Denial::ScopeNotGranted
    );
    assert_eq!(ask(Some("Read")).unwrap_err(), Denial::ScopeNotGranted);
    for malformed in ["read  write", " read", "read\"", "read\\"] {
        assert_eq!(
            ask(Some(malformed)).unwrap_err(),
            Denial::MalformedScope,
            "{malformed}"
        );
    }
}

#[test]
fn a_token_outlives_nothing_that_it_stands_on() {
    let lifetime = |change: fn(&mut Client)| {
        granted(AskedResource::None, None, &["billing"], change)
            .unwrap()
            .lifetime()
            .seconds()
    };
    assert_eq!(lifetime(|_| ()), 900);
    assert_eq!(
        lifetime(|client| client.token_lifetime = Some(Lifetime::from_seconds(60))),
        60
    );
    assert_eq!(
        lifetime(|client| client.token_lifetime = Some(Lifetime::from_hours(9))),
        900
    );
    assert_eq!(
        lifetime(|client| client.expires = Some(NOW.plus(Lifetime::from_seconds(7)))),
        7
    );
    assert_eq!(
        lifetime(|client| {
            for secret in &mut client.secrets {
                secret.expires = Some(NOW.plus(Lifetime::from_seconds(5)));
            }
        }),
        5
    );
}

proptest! {
    #[test]
    fn never_more_than_what_is_registered(asked in "[a-z ]{0,12}|(read|write|admin)( (read|write|admin)){0,3}") {
        if let Ok(grant) = granted(AskedResource::None, Some(&asked), &["billing"], |_| ()) {
            for name in grant.scope().split(' ') {
                prop_assert!(["read", "write"].contains(&name));
            }
        }
    }
}
