//! A server that gives tokens, and what is asked of it: grantd's or a peer's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// What all load needs to know of a server.
pub trait Server {
    /// Where it listens: `127.0.0.1:port`.
    fn address(&self) -> &str;
    /// Its CA, in PEM.
    fn ca(&self) -> &str;
    /// CPU time so far, all threads together.
    fn cpu(&self) -> Duration;
    /// fdatasyncs of a journal so far, where there is one.
    fn syncs(&self) -> f64;
}

/// A request that is sent again and again.
#[derive(Clone)]
pub struct Ask {
    /// The path.
    pub path: &'static str,
    /// The form; without one it is a GET.
    pub form: Option<Bytes>,
}

impl Ask {
    /// A GET: the floor, a plain HTTPS request of the same server.
    pub const fn get(path: &'static str) -> Self {
        Self { path, form: None }
    }

    /// A token with these parameters.
    pub fn token(path: &'static str, pairs: &[(&str, &str)]) -> Self {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        Self {
            path,
            form: Some(Bytes::from(form)),
        }
    }
}

/// Trusts this CA. `resume` says whether later connections may resume a session of an earlier one.
pub fn tls(ca: &str, protocol: &[u8], resume: bool) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate in PEM");
    roots.add(ca).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    if !resume {
        config.resumption = rustls::client::Resumption::disabled();
    }
    Arc::new(config)
}
