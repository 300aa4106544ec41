//! The routes of the second listener: metrics and health. Touches: net, by hyper.

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use crate::listener::{Answering, Peer};

/// The content type of OpenMetrics 1.0.0, which Prometheus reads.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the daemon can issue tokens now, and what it serves.
#[derive(Debug, Serialize)]
pub struct Readiness {
    /// Whether a well-formed request of a good client would get its token.
    pub ready: bool,
    /// Why not, a sentence each; empty when ready.
    pub reasons: Vec<String>,
    /// What is not as it should be though tokens are issued.
    pub degraded: Vec<String>,
    /// Counts the registries that were served.
    pub generation: Option<u64>,
    /// The digest of the registry.
    pub digest: Option<String>,
    /// Its git commit.
    pub commit: Option<String>,
    /// Whether the folder differs from that commit, where that is known.
    pub dirty: Option<bool>,
}

/// What the second listener shows.
pub struct Monitor {
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Monitor")
    }
}

impl Monitor {
    /// Shows what these two say at each request.
    #[must_use]
    pub fn new(
        metrics: impl Fn() -> String + Send + Sync + 'static,
        readiness: impl Fn() -> Readiness + Send + Sync + 'static,
    ) -> Self {
        Self {
            metrics: Box::new(metrics),
            readiness: Box::new(readiness),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let readiness = (self.readiness)();
        let status = if readiness.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let body = serde_json::to_string(&readiness).unwrap_or_default() + "\n";
        typed(status, "application/json", body)
    }
}

impl Answering for Monitor {
    async fn answer(
        &self,
        request: Request<Incoming>,
        _: &Peer,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let reads = *request.method() == Method::GET || *request.method() == Method::HEAD;
        Ok(match request.uri().path() {
            _ if !reads => {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                let mut response = text(status, "only GET and HEAD\n".to_owned());
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allow);
                response
            }
            "/metrics" => typed(StatusCode::OK, METRICS_TYPE, (self.metrics)()),
            "/healthz" => text(StatusCode::OK, "alive\n".to_owned()),
            "/readyz" => self.ready(),
            _ => text(
                StatusCode::NOT_FOUND,
                "/metrics, /healthz or /readyz\n".to_owned(),
            ),
        })
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
