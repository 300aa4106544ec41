//! The server's certificate and key. Touches: fs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};

/// Why TLS can't be served with the files of the settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read as PEM.
    #[error("cannot read the {what} from {path}")]
    Unreadable {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// A file without a certificate.
    #[error(
        "{0} has no certificate: a PEM file that begins with -----BEGIN CERTIFICATE----- is needed"
    )]
    NoCertificate(PathBuf),
    /// The two do not belong together.
    #[error("the certificate in {certificate} does not match the key in {key}")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// rustls refuses them.
    #[error("the certificate in {certificate} or the key in {key} cannot be used")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

/// Loads a certificate chain and its key, and checks that they belong together.
///
/// TLS 1.2 and 1.3 with rustls' suites (AEAD and ECDHE only), no renegotiation, no early data, HTTP/2 and
/// HTTP/1.1 by ALPN (checklist 67).
///
/// # Errors
/// [`TlsError`] says which file is at fault.
pub fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Unreadable { what, path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(unreadable("certificate", certificate))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable("private key", key))?;
    let refused = |source| match source {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        },
        source => TlsError::Unusable {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        },
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(refused)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// From when on the certificate of this file is not valid any more, in Unix seconds; 0 when it can't be
/// read.
#[must_use]
pub fn not_after(certificate: &Path) -> u64 {
    let leaf = CertificateDer::from_pem_file(certificate).ok();
    let seconds = leaf.and_then(|leaf| {
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).ok()?;
        u64::try_from(parsed.validity().not_after.timestamp()).ok()
    });
    seconds.unwrap_or(0)
}
