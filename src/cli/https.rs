//! The HTTPS client of the commands that talk to a token server. Touches: net, fs, clock, process.
//!
//! **Invariant:** nothing leaves before the server's certificate was verified, but by
//! [`Client::plain`]; no redirect is followed,
//! no proxy of the environment is used, no answer is longer than [`MAX_ANSWER`], nothing takes longer
//! than its deadline.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::json::shown;
use crate::clock::Clock;

/// Longest answer in bytes: a JWKS of a hundred RSA keys has 50 KiB.
pub(super) const MAX_ANSWER: u64 = 256 * 1024;

/// Longest header of an answer in bytes: four times what a proxy with many headers adds.
const MAX_HEADER: usize = 16 * 1024;

/// Longest wait for a TCP connection and its handshake: three retransmissions of a SYN.
const CONNECT_TIME: Duration = Duration::from_secs(8);

/// Longest time for one exchange in all: half of what the daemon itself allows a request.
const EXCHANGE_TIME: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpsFault {
    /// The CA file can't be read.
    #[error("cannot read the CA file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The CA file has no certificate, or one that is none.
    #[error("{} holds no certificate in PEM: --ca-file takes the certificate of the CA (-----BEGIN CERTIFICATE-----)", .0.display())]
    NoCertificate(PathBuf),
    /// The system trusts nobody.
    #[error(
        "this system has no root certificates: install ca-certificates, or name the CA with --ca-file"
    )]
    NoRoots,
    /// Nobody answers there.
    #[error("cannot reach {url} (is the daemon running, and is this its address?)")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The name has no address.
    #[error("cannot reach {0}: its host name has no address")]
    NoAddress(String),
    /// It took too long.
    #[error("no answer from {0} in time")]
    TimedOut(String),
    /// The certificate is not good for this server.
    #[error("the certificate of {url} is not trusted: {reason}; {advice}")]
    NotTrusted {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// A redirect, which is not followed: what is sent is for one server alone.
    #[error(
        "{url} sends elsewhere ({to}), and redirects are not followed: --issuer must name the issuer itself"
    )]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where it sends.
        to: String,
    },
    /// An answer over the limit.
    #[error("the answer of {0} is longer than {MAX_ANSWER} bytes: this is no token server")]
    TooLong(String),
    /// Something that is no HTTP.
    #[error("cannot understand {url}: {reason}")]
    Protocol {
        /// What was asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

impl HttpsFault {
    /// Whether the same may work a little later.
    pub(super) const fn passes(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::NoAddress(_) | Self::TimedOut(_)
        )
    }
}

/// Until when a command may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    clock: Clock,
    end: Duration,
}

impl Deadline {
    /// The end of this span from now on.
    pub(super) fn after(clock: Clock, span: Duration) -> Self {
        let end = clock.monotonic().saturating_add(span);
        Self { clock, end }
    }

    /// What is left; nothing when it has passed.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_sub(self.clock.monotonic())
    }
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Reply {
    /// The URL that was asked for.
    pub url: String,
    /// The status code.
    pub status: u16,
    /// The request's id, by which an operator finds it, where the server gives one.
    pub request_id: Option<String>,
    /// What `Retry-After` says (RFC 9110 section 10.2.3).
    pub retry_after: Option<String>,
    /// The body, not longer than [`MAX_ANSWER`].
    pub body: Vec<u8>,
}

/// A client that trusts a CA file or the system's roots.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    own_ca: bool,
}

impl Client {
    /// A client. With a CA file it trusts the certificates in it and no others.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, HttpsFault> {
        let roots = match ca_file {
            Some(path) => from_file(path)?,
            None => from_system()?,
        };
        Ok(Self {
            agent: agent(roots, true),
            own_ca: ca_file.is_some(),
        })
    }

    /// A client without TLS, for what a daemon shows to its own machine. It trusts nobody, so that an
    /// https URL fails.
    pub(super) fn plain() -> Self {
        Self {
            agent: agent(Vec::new(), false),
            own_ca: false,
        }
    }

    /// Whether a CA file can be used, for a command that may not need it today.
    pub(super) fn check(ca_file: Option<&Path>) -> Result<(), HttpsFault> {
        ca_file.map_or(Ok(()), |path| from_file(path).map(drop))
    }

    /// Fetches a document.
    pub(super) fn fetch(&self, url: &str, deadline: Deadline) -> Result<Reply, HttpsFault> {
        let request = self.agent.get(url).config();
        let request = request
            .timeout_global(Some(exchange_time(deadline)))
            .build();
        self.finish(url, request.header("accept", "application/json").call())
    }

    /// Sends a form with an `Authorization` header.
    pub(super) fn send_form(
        &self,
        url: &str,
        authorization: &str,
        form: &str,
        deadline: Deadline,
    ) -> Result<Reply, HttpsFault> {
        let request = self.agent.post(url).config();
        let request = request
            .timeout_global(Some(exchange_time(deadline)))
            .build();
        let answer = request
            .header("accept", "application/json")
            .header("authorization", authorization)
            .header("content-type", "application/x-www-form-urlencoded")
            .send(form);
        self.finish(url, answer)
    }

    fn finish(
        &self,
        url: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Reply, HttpsFault> {
        let mut answer = answer.map_err(|error| self.fault(url, error))?;
        let header = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            Some(shown(value))
        };
        let (request_id, retry_after) = (header("x-request-id"), header("retry-after"));
        let status = answer.status().as_u16();
        if (300..400).contains(&status) {
            let to = header("location").unwrap_or_else(|| "it does not say where".to_owned());
            let url = url.to_owned();
            return Err(HttpsFault::Redirect { url, to });
        }
        let body = answer.body_mut().with_config().limit(MAX_ANSWER);
        let body = body.read_to_vec().map_err(|error| self.fault(url, error))?;
        Ok(Reply {
            url: url.to_owned(),
            status,
            request_id,
            retry_after,
            body,
        })
    }

    fn fault(&self, url: &str, error: ureq::Error) -> HttpsFault {
        let url = url.to_owned();
        let reason = match error {
            ureq::Error::Rustls(error) => return self.untrusted(url, &error),
            ureq::Error::Io(error) => {
                let inner = error.get_ref();
                match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(tls) => return self.untrusted(url, tls),
                    None if error.kind() == std::io::ErrorKind::TimedOut => {
                        return HttpsFault::TimedOut(url);
                    }
                    None => return HttpsFault::Unreachable { url, source: error },
                }
            }
            ureq::Error::HostNotFound => return HttpsFault::NoAddress(url),
            ureq::Error::Timeout(_) => return HttpsFault::TimedOut(url),
            ureq::Error::BodyExceedsLimit(_) => return HttpsFault::TooLong(url),
            other => other.to_string(),
        };
        HttpsFault::Protocol { url, reason }
    }

    fn untrusted(&self, url: String, error: &rustls::Error) -> HttpsFault {
        use rustls::CertificateError as Wrong;
        let rustls::Error::InvalidCertificate(wrong) = error else {
            let reason = error.to_string();
            return HttpsFault::Protocol { url, reason };
        };
        let (reason, advice) = match wrong {
            Wrong::UnknownIssuer | Wrong::BadSignature if self.own_ca => (
                "the CA in --ca-file has not signed it",
                "--ca-file must name the CA that did",
            ),
            Wrong::UnknownIssuer | Wrong::BadSignature => (
                "no CA that this system knows has signed it",
                "where a CA of your own has, name its certificate with --ca-file",
            ),
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => (
                "it is for another name",
                "--issuer must have the name that the certificate is for",
            ),
            Wrong::Expired | Wrong::ExpiredContext { .. } => (
                "it has expired",
                "the operator must renew it, unless this machine's clock is wrong",
            ),
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
                ("it is not valid yet", "is this machine's clock right?")
            }
            Wrong::Revoked => ("it was revoked", "the operator must replace it"),
            Wrong::InvalidPurpose | Wrong::InvalidPurposeContext { .. } => (
                "it is not for servers",
                "issue one with extendedKeyUsage=serverAuth",
            ),
            // The library has no variant of its own for it.
            Wrong::Other(inner) if inner.to_string().contains("CaUsedAsEndEntity") => (
                "it is a CA's own certificate, not a server's",
                "issue one with basicConstraints=CA:FALSE",
            ),
            Wrong::BadEncoding => (
                "it cannot be read as a certificate",
                "the operator must replace it",
            ),
            _ => (
                "its form, its chain or its signature is not as RFC 5280 asks",
                "the operator must replace it",
            ),
        };
        HttpsFault::NotTrusted {
            url,
            reason: reason.to_owned(),
            advice,
        }
    }
}

fn agent(roots: Vec<Certificate<'static>>, https_only: bool) -> Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .https_only(https_only)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_response_header_size(MAX_HEADER)
        .timeout_connect(Some(CONNECT_TIME))
        .user_agent(concat!("grantd/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn exchange_time(deadline: Deadline) -> Duration {
    // Not zero, which some timers take for "for ever".
    deadline
        .left()
        .clamp(Duration::from_millis(1), EXCHANGE_TIME)
}

fn from_file(path: &Path) -> Result<Vec<Certificate<'static>>, HttpsFault> {
    let pem = std::fs::read(path).map_err(|source| HttpsFault::CaFile {
        path: path.to_owned(),
        source,
    })?;
    let none = || HttpsFault::NoCertificate(path.to_owned());
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| none())?;
    let mut store = rustls::RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|_| none())?;
    }
    if certificates.is_empty() {
        return Err(none());
    }
    Ok(certificates.iter().map(owned).collect())
}

fn from_system() -> Result<Vec<Certificate<'static>>, HttpsFault> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(HttpsFault::NoRoots);
    }
    Ok(found.certs.iter().map(owned).collect())
}

fn owned(certificate: &CertificateDer<'static>) -> Certificate<'static> {
    Certificate::from_der(certificate).to_owned()
}
