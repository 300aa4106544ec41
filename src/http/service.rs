//! The routes of the public listener. Touches: net, by hyper.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Version};
use tracing::{debug, error};

use super::admission::{Admission, Admitted};
use super::body::{self, BodyLimits};
use super::cors;
use super::metadata::{self, Paths};
use super::response::{self, Response};
use super::token_request::{self, Head, TokenRequest};
use crate::audit::{Outcome, Unrecorded};
use crate::domain::{Algorithm, AuthMethod, Denial, RequestId, TOO_MANY_FAILURES, UnixSeconds};
use crate::evidence::LocalSources;
use crate::issue::{self, Arrival, Desk};
use crate::listener::{Answering, Peer};
use crate::random;
use crate::telemetry::Observations;

/// The header that carries the request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What each answer gets (checklist 65): no guessing of types.
const NOSNIFF: (HeaderName, HeaderValue) = (
    header::X_CONTENT_TYPE_OPTIONS,
    HeaderValue::from_static("nosniff"),
);

/// How long the metadata may be kept by a client: it changes with the settings, and with the methods
/// that the policy allows.
const METADATA_CACHE: &str = "public, max-age=3600";

/// The limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Most bytes of a body.
    pub body_bytes: usize,
    /// Longest time for a body to arrive.
    pub body_time: Duration,
    /// Longest time from the head of a request to its answer.
    pub request_time: Duration,
    /// Failures of one source for one client that are answered at once, per minute.
    pub failures_per_minute: u32,
    /// Most token requests under way at once; half of them of peers that got a token lately.
    pub in_flight: usize,
}

/// The public side of the daemon.
#[derive(Debug)]
pub struct Service {
    desk: Desk<LocalSources>,
    paths: Paths,
    algorithms: Vec<Algorithm>,
    metadata: Bytes,
    limits: HttpLimits,
    observations: Arc<Observations>,
    admission: Admission,
}

type Answer = hyper::Response<Full<Bytes>>;

impl Service {
    /// A service over this desk. `algorithms` are those of the rings, for the metadata.
    #[must_use]
    pub fn new(
        desk: Desk<LocalSources>,
        algorithms: &[Algorithm],
        limits: HttpLimits,
        (observations, admission): (Arc<Observations>, Admission),
    ) -> Self {
        let paths = Paths::of(&desk.issuer);
        let metadata = metadata::document(&desk.issuer, &paths, algorithms, &AuthMethod::ALL);
        Self {
            algorithms: algorithms.to_vec(),
            metadata: Bytes::from(metadata.to_string()),
            desk,
            paths,
            limits,
            observations,
            admission,
        }
    }

    async fn token(&self, request: Request<Incoming>, peer: &Peer) -> Answer {
        let started = self.desk.clock.monotonic();
        let arrival = Arrival {
            request: random::request_id(),
            remote: peer.address(),
        };
        let mut admitted = self.admission.enter(peer);
        let mut client = 0;
        let deciding = async {
            let parsed = match &mut admitted {
                Ok(admitted) => self.read(request, admitted).await,
                Err(denial) => Err(*denial),
            };
            let sent = parsed.as_ref().ok();
            client = self
                .admission
                .name(sent.and_then(|request| request.presented.client_id()));
            issue::issue(parsed, arrival, &self.desk).await
        };
        let outcome = match tokio::time::timeout(self.limits.request_time, deciding).await {
            Ok(Ok(recorded)) => Ok(recorded.outcome()),
            Ok(Err(unrecorded)) => Err(unrecorded),
            Err(_) => Err(Unrecorded::DeadlinePassed),
        };
        let took = self.desk.clock.monotonic().saturating_sub(started);
        self.observations.decided(&outcome, took);
        log(arrival, &outcome);
        let late = match &outcome {
            Ok(Outcome::Refusal(denial)) => !self.admission.answers_at_once(*denial, peer, client),
            Ok(Outcome::Token { .. }) => {
                peer.proved();
                false
            }
            Err(_) => false,
        };
        let response = if late {
            self.admission.hold_back(peer, admitted).await;
            throttled(self.limits.failures_per_minute)
        } else {
            respond(outcome, self.desk.clock.now_seconds())
        };
        finish(response, arrival.request)
    }

    async fn read(
        &self,
        request: Request<Incoming>,
        admitted: &mut Admitted,
    ) -> Result<TokenRequest, Denial> {
        let (parts, body) = request.into_parts();
        let head = head(&parts.method, parts.uri.query(), &parts.headers);
        token_request::check_head(&head)?;
        let limits = BodyLimits {
            bytes: self.limits.body_bytes,
            time: self.limits.body_time,
        };
        let body = body::read(body, limits, (&self.admission, admitted)).await?;
        token_request::parse(&head, &body)
    }

    /// The key set (RFC 7517 section 5), for any origin: it is public.
    fn jwks(&self, headers: &HeaderMap) -> Response {
        let world = self.desk.current.load();
        let Some(rings) = &world.rings else {
            let mut response = response::plain(503, "not ready\n");
            response.headers.push(("retry-after", "1".to_owned()));
            cors::open(&mut response);
            return response;
        };
        let jwks = rings.jwks();
        let now = self.desk.clock.now_seconds();
        let mut response = Response {
            status: 200,
            headers: vec![
                ("content-type", "application/jwk-set+json".to_owned()),
                (
                    "cache-control",
                    format!("public, max-age={}", jwks.max_age(now).seconds()),
                ),
                ("etag", jwks.etag().to_owned()),
                ("access-control-allow-origin", "*".to_owned()),
            ],
            body: Vec::new(),
        };
        // RFC 9110 section 13.1.2: a list of tags, or any.
        let known = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|tag| {
                matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == jwks.etag()
            });
        if known {
            response.status = 304;
        } else {
            response.body = jwks.body().to_vec();
        }
        response
    }

    fn metadata(&self) -> Response {
        let world = self.desk.current.load();
        let policy = world
            .registry
            .as_ref()
            .map(|served| &served.snapshot.policy);
        let methods = policy.and_then(|policy| policy.allowed_auth_methods.as_deref());
        let body = match methods {
            None => self.metadata.to_vec(),
            Some(methods) => {
                let (issuer, paths) = (&self.desk.issuer, &self.paths);
                let document = metadata::document(issuer, paths, &self.algorithms, methods);
                document.to_string().into_bytes()
            }
        };
        Response {
            status: 200,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("cache-control", METADATA_CACHE.to_owned()),
                ("access-control-allow-origin", "*".to_owned()),
            ],
            body,
        }
    }
}

impl Answering for Service {
    async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Result<Answer, Infallible> {
        if !has_one_host(&request) {
            let response = response::plain(400, "one Host header is needed\n");
            return Ok(finish(response, random::request_id()));
        }
        let path = request.uri().path();
        let response = if path == self.paths.token {
            return Ok(self.token(request, peer).await);
        } else if path == self.paths.jwks {
            readable(&request, || self.jwks(request.headers()))
        } else if path == self.paths.oauth_metadata || path == self.paths.openid_metadata {
            readable(&request, || self.metadata())
        } else {
            response::plain(404, "not found\n")
        };
        Ok(finish(response, random::request_id()))
    }
}

/// RFC 9112 section 3.2: an HTTP/1.1 request without `Host`, or with two, is answered with 400. HTTP/2 has
/// `:authority` (RFC 9113 section 8.3.1), HTTP/1.0 neither.
fn has_one_host(request: &Request<Incoming>) -> bool {
    let count = request.headers().get_all(header::HOST).iter().count();
    match request.version() {
        Version::HTTP_11 => count == 1,
        _ => count <= 1,
    }
}

/// The answer to a failure beyond what is answered at once (RFC 6585 section 4). The event has its true
/// reason. It does not say when the next one will be answered: one that proves itself always is.
fn throttled(per_minute: u32) -> Response {
    let mut response = response::answer(TOO_MANY_FAILURES);
    let seconds = 60_u32.div_ceil(per_minute.max(1));
    response.headers.push(("retry-after", seconds.to_string()));
    response
}

/// One line a request, for debugging: the record of decisions is the journal.
fn log(arrival: Arrival, outcome: &Result<Outcome, Unrecorded>) {
    let (request_id, remote) = (arrival.request, arrival.remote);
    match outcome {
        Ok(Outcome::Token { receipt, .. }) => {
            debug!(%request_id, %remote, sequence = receipt.sequence(), "token issued");
        }
        Ok(Outcome::Refusal(denial @ Denial::SigningFailed)) => {
            error!(%request_id, reason = denial.reason(), "a signature does not verify: replace this machine or key");
        }
        Ok(Outcome::Refusal(denial)) => {
            debug!(%request_id, %remote, reason = denial.reason(), "token refused");
        }
        // The counters and /readyz say it loudly; a line for each would drown the log.
        Err(reason) => debug!(%request_id, %remote, %reason, "token refused: no record"),
    }
}

/// A token leaves here and nowhere else, with the receipt of its record.
fn respond(outcome: Result<Outcome, Unrecorded>, now: UnixSeconds) -> Response {
    match outcome {
        Ok(Outcome::Token { token, receipt }) => {
            // RFC 6749 section 5.1: from when the response is generated.
            let lifetime = token.facts().expires.since(now);
            let scope = Arc::clone(&token.facts().scope);
            token.reveal(&receipt).map_or_else(
                || response::refusal(Denial::Overloaded),
                |compact| response::token(&compact, lifetime, &scope),
            )
        }
        Ok(Outcome::Refusal(denial)) => response::refusal(denial),
        Err(Unrecorded::DeadlinePassed) => response::refusal(Denial::DeadlinePassed),
        Err(Unrecorded::Stopping) => response::refusal(Denial::Stopping),
        Err(_) => response::refusal(Denial::Overloaded),
    }
}

/// GET and HEAD of a public document (RFC 9110 section 9.3).
fn readable(request: &Request<Incoming>, document: impl FnOnce() -> Response) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => document(),
        Method::OPTIONS => cors::options(request.headers()),
        _ => {
            let mut response = response::plain(405, "only GET and HEAD are allowed here\n");
            response.headers.push(("allow", cors::METHODS.to_owned()));
            response
        }
    }
}

fn head<'a>(method: &Method, query: Option<&'a str>, headers: &'a HeaderMap) -> Head<'a> {
    let first = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    Head {
        is_post: *method == Method::POST,
        query,
        content_type: first(header::CONTENT_TYPE),
        encoded: headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")),
        authorization: first(header::AUTHORIZATION),
        authorizations: headers.get_all(header::AUTHORIZATION).iter().count(),
    }
}

/// The answer as hyper sends it, with what every answer carries.
fn finish(response: Response, request: RequestId) -> Answer {
    let mut answer = hyper::Response::new(Full::new(Bytes::from(response.body)));
    *answer.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if let Ok(id) = HeaderValue::from_bytes(&request.to_hex()) {
        headers.insert(REQUEST_ID, id);
    }
    let (name, value) = NOSNIFF;
    headers.insert(name, value);
    answer
}
