//! Verifies access tokens of grantd (RFC 9068). Needs jsonwebtoken 11, ureq 3, serde, serde_json.

use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

/// For how long keys are used before they are fetched anew, and for how long where that fails.
const FRESH: Duration = Duration::from_secs(300);
const STALE: Duration = Duration::from_secs(3600);

/// One for the whole process: it holds the issuer's keys.
pub struct Verifier {
    agent: ureq::Agent,
    jwks_uri: String,
    validation: Validation,
    cool_down: Duration,
    keys: RwLock<Option<(JwkSet, Instant)>>,
    asked: Mutex<Option<Instant>>,
}

/// The claims that a service looks at; `aud` is this service alone.
#[derive(Debug, serde::Deserialize)]
pub struct Claims {
    pub aud: String,
    pub client_id: String,
    #[serde(default)]
    pub scope: String,
}

#[derive(Debug)]
pub enum Error {
    /// The token is not good for this.
    Refused(String),
    /// It could not be checked: there are no keys.
    Unchecked(String),
}

impl Verifier {
    /// An unknown kid fetches the keys anew, but not within `cool_down`, such as 30 s, of the last time,
    /// whatever people send. `agent` should have a timeout.
    pub fn new(agent: ureq::Agent, issuer: &str, audience: &str, cool_down: Duration) -> Self {
        // What your resource's tokens are signed with, and nothing else.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 30; // seconds by which two clocks may differ
        Self {
            agent,
            jwks_uri: format!("{issuer}/oauth2/jwks"),
            validation,
            cool_down,
            keys: RwLock::default(),
            asked: Mutex::default(),
        }
    }

    /// Returns the claims of a token that is good for this scope.
    pub fn verify(&self, token: &str, scope: &str) -> Result<Claims, Error> {
        let refused = |error: jsonwebtoken::errors::Error| Error::Refused(error.to_string());
        let header = decode_header(token).map_err(refused)?;
        if header.typ.as_deref() != Some("at+jwt") {
            return Err(Error::Refused("it is no access token (typ)".to_owned()));
        }
        if header.crit.is_some() {
            return Err(Error::Refused("it has critical extensions".to_owned()));
        }
        let key = self.key(header.kid.as_deref().unwrap_or_default())?;
        let claims: Claims = decode(token, &key, &self.validation)
            .map_err(refused)?
            .claims;
        if !claims.scope.split(' ').any(|granted| granted == scope) {
            return Err(Error::Refused(format!("it lacks the scope {scope}")));
        }
        Ok(claims)
    }

    fn key(&self, kid: &str) -> Result<DecodingKey, Error> {
        if let Some(key) = self.known(kid, FRESH) {
            return Ok(key);
        }
        // One asks; who waited for it looks again. Known keys never wait here.
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.known(kid, FRESH) {
            return Ok(key);
        }
        let mut failed = None;
        if asked.is_none_or(|last| last.elapsed() >= self.cool_down) {
            *asked = Some(Instant::now());
            match self.fetch() {
                Ok(keys) => {
                    let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
                    *held = Some((keys, Instant::now()));
                }
                Err(error) => failed = Some(error),
            }
        }
        match (self.known(kid, STALE), failed) {
            (Some(key), _) => Ok(key),
            (None, Some(error)) => Err(Error::Unchecked(error)),
            (None, None) => Err(Error::Refused(format!("unknown kid {kid:?}"))),
        }
    }

    fn known(&self, kid: &str, age: Duration) -> Option<DecodingKey> {
        let held = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (keys, fetched) = held.as_ref()?;
        let key = keys.find(kid).filter(|_| fetched.elapsed() < age)?;
        DecodingKey::from_jwk(key).ok()
    }

    fn fetch(&self) -> Result<JwkSet, String> {
        let answer = self.agent.get(&self.jwks_uri).call();
        let body = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        let body = body.map_err(|error| error.to_string())?;
        serde_json::from_str(&body).map_err(|error| error.to_string())
    }
}
