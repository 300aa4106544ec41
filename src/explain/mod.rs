//! Why a request would be granted or refused, from the registry alone: the spine without a secret. Pure.
//!
//! Beside [`issue`](mod@crate::issue), in the same order: who it is, with which credential, what it gets. Each step
//! asks the function that serves requests, so that what is told here is what the daemon would do.
//!
//! **Invariant:** the first step that refuses names the denial that the daemon would answer with to who
//! knows that secret, were nothing taken away above the registry. Nothing here signs, and no [`Grant`](crate::grant::Grant) is made.

pub mod access;
mod words;

use crate::client_auth;
use crate::domain::{Algorithm, AuthMethod, Denial, Lifetime, UnixSeconds};
use crate::grant::{self, Asked, Terms};
use crate::http::AskedResource;
use crate::registry::overlay::Overlay;
use crate::registry::snapshot::{Client, Snapshot, StoredSecret};
use crate::registry::suggest;

/// A request, as people name it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    /// The client's id.
    pub client: &'a str,
    /// The resource's identifier, or its name in the registry.
    pub resource: Option<&'a str>,
    /// The scopes, separated by single spaces.
    pub scope: Option<&'a str>,
    /// The secret, by its id or its label; the one that gets most where left out.
    pub credential: Option<&'a str>,
    /// How the secret is presented; in a way that the policy allows where left out.
    pub method: Option<AuthMethod>,
}

/// What a request comes to.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// Each rule, in the order in which a request meets them.
    pub steps: Vec<Step>,
    /// The client, where there is one.
    pub client: Option<&'a Client>,
    /// The credential that the request is taken to present.
    pub credential: Option<&'a StoredSecret>,
    /// The token that would be signed.
    pub token: Option<Token<'a>>,
}

/// One rule, and what it says of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule's name.
    pub rule: &'static str,
    /// Why it would refuse the request.
    pub refusal: Option<Denial>,
    /// In words.
    pub why: String,
}

/// A token that would be signed.
#[derive(Debug)]
pub struct Token<'a> {
    /// Resource, scopes and lifetime.
    pub terms: Terms<'a>,
    /// What it would be signed with.
    pub algorithm: Algorithm,
    /// The claims that the registry adds.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// A question that names a secret which the client does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client `{client}` has no secret {asked:?}: {advice}")]
pub struct UnknownCredential {
    client: String,
    asked: String,
    advice: String,
}

/// Explains what a request comes to at this moment. `default` signs where the resource names no
/// algorithm.
///
/// # Errors
/// [`UnknownCredential`] when the question names a secret that its client does not have.
pub fn explain<'a>(
    question: Question<'_>,
    registry: &'a Snapshot,
    default: Algorithm,
    now: UnixSeconds,
) -> Result<Explanation<'a>, UnknownCredential> {
    let Some(client) = registry.clients.get(question.client).map(AsRef::as_ref) else {
        return Ok(Explanation {
            steps: vec![Step {
                rule: "client",
                refusal: Some(Denial::UnknownClient),
                why: words::unknown_client(question.client, registry),
            }],
            client: None,
            credential: None,
            token: None,
        });
    };
    let credential = match question.credential {
        Some(asked) => Some(named(client, asked)?),
        None => best(client, now),
    };
    let resource = asked_resource(question.resource, registry);
    let asked = Asked {
        resource: &resource,
        // An empty parameter counts as left out (RFC 6749 section 3.2).
        scope: question.scope.filter(|scope| !scope.is_empty()),
    };
    let mut steps = vec![
        Step::holds("client", words::client(client)),
        credential_step(client, credential, now),
        Step::of(
            "active",
            client_auth::admit(client, &Overlay::default(), now),
            |refusal| words::active(client, refusal),
        ),
    ];
    steps.extend(method_step(question.method, registry));
    let granted = grant::choose_resource(&resource, client, registry);
    steps.push(Step::of(
        "resource",
        granted.as_ref().map(|_| ()).map_err(|denial| *denial),
        |refusal| words::resource(asked, client, granted.as_ref().ok().copied(), refusal),
    ));
    if let Ok(granted) = granted {
        let scope = grant::choose_scope(asked.scope, granted);
        let judged = scope.as_ref().map(|_| ()).map_err(|denial| *denial);
        steps.push(Step::of("scope", judged, |refusal| {
            words::scope(asked.scope, granted, scope.as_deref().ok(), refusal)
        }));
    }
    let refused = steps.iter().any(|step| step.refusal.is_some());
    let token = credential.filter(|_| !refused).and_then(|credential| {
        let terms = grant::weigh(asked, client, credential.expires, registry, now).ok()?;
        Some(Token::of(client, terms, default))
    });
    Ok(Explanation {
        steps,
        client: Some(client),
        credential,
        token,
    })
}

impl Explanation<'_> {
    /// Why the request would be refused; `None` when it would be granted.
    #[must_use]
    pub fn refusal(&self) -> Option<Denial> {
        self.steps.iter().find_map(|step| step.refusal)
    }
}

impl Step {
    fn holds(rule: &'static str, why: String) -> Self {
        Self {
            rule,
            refusal: None,
            why,
        }
    }

    fn of(
        rule: &'static str,
        judged: Result<(), Denial>,
        words: impl FnOnce(Option<Denial>) -> String,
    ) -> Self {
        let refusal = judged.err();
        Self {
            rule,
            refusal,
            why: words(refusal),
        }
    }
}

impl<'a> Token<'a> {
    fn of(client: &'a Client, terms: Terms<'a>, default: Algorithm) -> Self {
        let resource = &terms.granted.resource;
        let claims = grant::static_claims(client, resource);
        Self {
            algorithm: resource.algorithm.unwrap_or(default),
            claims: claims
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            terms,
        }
    }

    /// The bounds of its lifetime in words, the tightest first.
    #[must_use]
    pub fn bounds(&self) -> Vec<(&'static str, Lifetime)> {
        let mut bounds: Vec<(&'static str, Lifetime)> = self
            .terms
            .bounds
            .iter()
            .flatten()
            .map(|(bound, lifetime)| (words::bound(*bound), *lifetime))
            .collect();
        bounds.sort_by_key(|(_, lifetime)| *lifetime);
        bounds
    }
}

/// The resource as a request would name it: by its identifier, though it is named by its name here. Text that is
/// neither stands for itself.
fn asked_resource(asked: Option<&str>, registry: &Snapshot) -> AskedResource {
    let Some(text) = asked.filter(|text| !text.is_empty()) else {
        return AskedResource::None;
    };
    let by_name = registry.resources.get(text);
    let known = registry.by_identifier.get(text).or(by_name);
    AskedResource::One(
        known
            .map_or(text, |known| known.identifier.as_str())
            .to_owned(),
    )
}

fn credential_step(client: &Client, credential: Option<&StoredSecret>, now: UnixSeconds) -> Step {
    // A client without secrets has registered no method that a secret could be presented by.
    let judged = credential.map_or(Err(Denial::UnregisteredMethod), |secret| {
        client_auth::usable(secret, now)
    });
    Step::of("credential", judged, |refusal| {
        words::credential(client, credential, refusal)
    })
}

/// How the secret is presented, where the question says it or the policy does not allow each way.
fn method_step(asked: Option<AuthMethod>, registry: &Snapshot) -> Option<Step> {
    let allowed = |method: &AuthMethod| registry.policy.allows(*method);
    if asked.is_none() && AuthMethod::ALL.iter().all(allowed) {
        return None;
    }
    let first = AuthMethod::ALL.into_iter().find(allowed);
    let method = asked.or(first).unwrap_or(AuthMethod::ClientSecretBasic);
    let judged = match allowed(&method) {
        true => Ok(()),
        false => Err(Denial::AuthMethodNotAllowed),
    };
    Some(Step::of("method", judged, |refusal| {
        words::method(method, refusal, &registry.policy)
    }))
}

fn named<'a>(client: &'a Client, asked: &str) -> Result<&'a StoredSecret, UnknownCredential> {
    let by_id = client
        .secrets
        .iter()
        .find(|secret| secret.id.as_str() == asked);
    let by_label = || {
        client
            .secrets
            .iter()
            .find(|secret| secret.label.as_deref() == Some(asked))
    };
    by_id.or_else(by_label).ok_or_else(|| UnknownCredential {
        client: client.id.as_str().to_owned(),
        asked: asked.chars().take(128).collect(),
        advice: suggest::advice(
            asked,
            "secrets",
            client.secrets.iter().map(|secret| secret.id.as_str()),
        ),
    })
}

/// The secret that gets most: a usable one that lasts longest, else one to come, else the one that ended
/// last.
fn best(client: &Client, now: UnixSeconds) -> Option<&StoredSecret> {
    client.secrets.iter().max_by_key(|secret| {
        let class = match client_auth::usable(secret, now) {
            Ok(()) => 2,
            Err(Denial::CredentialNotYetValid) => 1,
            Err(_) => 0,
        };
        (class, secret.expires.map_or(u64::MAX, UnixSeconds::get))
    })
}

#[cfg(test)]
mod tests;
