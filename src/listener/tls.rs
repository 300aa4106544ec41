//! The server's certificate and key: read, and judged as a pair (checklist 82). Touches: fs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use super::served::ServedCertificate;
use crate::domain::{Digest, UnixSeconds};
use crate::secret_file::{SecretFileFault, read_private};

/// Largest file of a chain or a key in bytes: sixteen certificates of RSA-4096 with their text.
const MAX_FILE: u64 = 128 * 1024;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The PEM file of the certificate chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The PEM file of its private key.
    pub key: PathBuf,
}

/// Why a pair of files can't be served, or not instead of the one that is.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or others can read the key.
    #[error("the {what} of TLS")]
    File {
        /// What was looked for.
        what: &'static str,
        /// Why not.
        source: SecretFileFault,
    },
    /// The certificates can't be read.
    #[error("cannot read the certificate from {}", path.display())]
    Certificate {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is no PEM, or was cut.
    #[error("cannot read the {what} from {}", path.display())]
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
        "{} has no certificate: a PEM file that begins with -----BEGIN CERTIFICATE----- is needed",
        .0.display()
    )]
    NoCertificate(PathBuf),
    /// The two do not belong together.
    #[error(
        "the certificate in {} does not match the key in {}", .0.certificate.display(), .0.key.display()
    )]
    Mismatch(CertificateFiles),
    /// rustls refuses them.
    #[error(
        "the certificate in {} or the key in {} cannot be used", files.certificate.display(), files.key.display()
    )]
    Unusable {
        /// The files.
        files: CertificateFiles,
        /// Why not.
        source: rustls::Error,
    },
    /// No X.509 certificate.
    #[error("the first certificate in {} is no X.509 certificate", .0.display())]
    NotX509(PathBuf),
    /// Its time has passed.
    #[error("the certificate in {} has expired: it was valid until {until}", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// Its `notAfter`.
        until: UnixSeconds,
    },
    /// Its time has not come.
    #[error("the certificate in {} is not valid before {from}", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// Its `notBefore`.
        from: UnixSeconds,
    },
    /// The one that is served is for this host, and it is not.
    #[error(
        "the certificate in {} is not for {host}, as the one that is served is: to serve it all the same, restart",
        path.display()
    )]
    OtherHost {
        /// The file.
        path: PathBuf,
        /// The issuer's host.
        host: String,
    },
}

impl TlsError {
    /// Whether it may pass although the files stay as they are.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Certificate { .. }
                | Self::File {
                    source: SecretFileFault::Read { .. },
                    ..
                }
                | Self::Expired { .. }
        )
    }

    /// What is wrong, in one word for events.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::File { source, .. } => match source {
                SecretFileFault::Open { .. } => "key_open",
                _ => "unreadable",
            },
            Self::Certificate { .. } | Self::Unreadable { .. } | Self::NoCertificate(_) => {
                "unreadable"
            }
            Self::Mismatch(_) => "mismatch",
            Self::Unusable { .. } | Self::NotX509(_) => "unusable",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::OtherHost { .. } => "other_host",
        }
    }
}

/// A certificate chain with the key that belongs to it.
#[derive(Debug)]
pub struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// Which one it is.
    pub facts: CertificateFacts,
    files: CertificateFiles,
}

/// What is known of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-256 of the server's own certificate, as `openssl x509 -fingerprint -sha256` shows it.
    pub fingerprint: Digest,
    /// SHA-256 of the whole chain.
    pub chain: Digest,
    /// From when on it is valid.
    pub not_before: UnixSeconds,
    /// Until when it is valid.
    pub not_after: UnixSeconds,
}

impl Pair {
    /// Reads a certificate chain and its key, and checks that they belong together. Its times are left
    /// to [`Pair::valid_at`].
    ///
    /// # Errors
    /// [`TlsError`] says which file is at fault.
    pub fn read(files: &CertificateFiles) -> Result<Self, TlsError> {
        let chain = read_chain(&files.certificate)?;
        let [leaf, ..] = chain.as_slice() else {
            return Err(TlsError::NoCertificate(files.certificate.clone()));
        };
        let facts = facts(leaf, &chain).ok_or(TlsError::NotX509(files.certificate.clone()))?;
        let private = read_key(&files.key)?;
        let key = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
        let key = key.map_err(|source| match source {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch(files.clone()),
            source => TlsError::Unusable {
                files: files.clone(),
                source,
            },
        })?;
        Ok(Self {
            key: Arc::new(key),
            facts,
            files: files.clone(),
        })
    }

    /// Whether clients accept its times now.
    ///
    /// # Errors
    /// [`TlsError::Expired`], [`TlsError::NotYetValid`]
    pub fn valid_at(&self, now: UnixSeconds) -> Result<(), TlsError> {
        let path = self.files.certificate.clone();
        if now > self.facts.not_after {
            let until = self.facts.not_after;
            return Err(TlsError::Expired { path, until });
        }
        if now < self.facts.not_before {
            let from = self.facts.not_before;
            return Err(TlsError::NotYetValid { path, from });
        }
        Ok(())
    }

    /// Whether it may take the place of `served`: not where clients of the issuer would refuse it who
    /// accept the one that is served.
    ///
    /// # Errors
    /// [`TlsError::OtherHost`]
    pub fn replaces(&self, served: &ServedCertificate, host: &str) -> Result<(), TlsError> {
        if is_for(&served.key(), host) && !is_for(&self.key, host) {
            return Err(TlsError::OtherHost {
                path: self.files.certificate.clone(),
                host: host.to_owned(),
            });
        }
        Ok(())
    }
}

/// TLS 1.2 and 1.3 with rustls' suites (AEAD and ECDHE only), no renegotiation, no early data, HTTP/2 and
/// HTTP/1.1 by ALPN (checklist 67), with whatever certificate is served at the moment of a handshake.
///
/// # Errors
/// What rustls says of its own provider: never, but it is no place to end the process.
pub fn config(served: &Arc<ServedCertificate>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let resolver = Arc::clone(served);
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Certificate {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE), &mut text).map_err(failed)?;
    let unreadable = |source| TlsError::Unreadable {
        what: "certificate",
        path: path.to_owned(),
        source,
    };
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(unreadable)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read_private(path, MAX_FILE).map_err(|source| TlsError::File {
        what: "private key",
        source,
    })?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| TlsError::Unreadable {
        what: "private key",
        path: path.to_owned(),
        source,
    })
}

fn facts(leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Option<CertificateFacts> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
    // Before 1970 reads as 1970: as long ago.
    let moment = |time: x509_parser::time::ASN1Time| {
        UnixSeconds::new(time.timestamp().try_into().unwrap_or(0))
    };
    let parts: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    Some(CertificateFacts {
        fingerprint: Digest::of(leaf),
        chain: Digest::of_parts(&parts),
        not_before: moment(parsed.validity().not_before),
        not_after: moment(parsed.validity().not_after),
    })
}

/// Whether a client that asks for this host takes the certificate for it (RFC 9525).
fn is_for(key: &CertifiedKey, host: &str) -> bool {
    let (Some(leaf), Ok(name)) = (key.cert.first(), ServerName::try_from(host)) else {
        return false;
    };
    ParsedCertificate::try_from(leaf)
        .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_heals_by_itself_is_looked_at_again_and_the_rest_is_not() {
        let path = PathBuf::from("tls.pem");
        let missing = Pair::read(&CertificateFiles {
            certificate: path.join("missing"),
            key: path.clone(),
        });
        assert!(missing.is_err_and(|fault| fault.may_pass()));
        let until = UnixSeconds::new(1);
        let expired = TlsError::Expired {
            path: path.clone(),
            until,
        };
        assert!(expired.may_pass());
        assert!(!TlsError::NoCertificate(path.clone()).may_pass());
        let open = SecretFileFault::Open { path, mode: 0o644 };
        let open = TlsError::File {
            what: "private key",
            source: open,
        };
        assert!(!open.may_pass());
    }
}
