//! A throw-away CA and a server certificate for loopback. Touches: fs.

use std::io::Write;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The names that the certificate is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Days that CA and certificate are valid: as long as a kept state is likely to be used.
const VALID_DAYS: i64 = 365;

/// The files of the throw-away PKI.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) ca: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    #[error("cannot make the throw-away certificate")]
    Generate(#[from] rcgen::Error),
    #[error("cannot write the throw-away certificate to {path}")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// The files of a directory, made where they are not there yet or will soon be of no use.
pub(super) fn in_directory(dir: &Path) -> Result<Files, CertificateError> {
    let files = Files {
        ca: dir.join("ca.pem"),
        certificate: dir.join("certificate.pem"),
        key: dir.join("key.pem"),
    };
    if !(files.ca.exists() && files.key.exists() && is_good_tomorrow(&files.certificate)) {
        make(&files)?;
    }
    Ok(files)
}

/// Whether the file has a certificate that is still valid in a day: a kept state outlives its certificate.
fn is_good_tomorrow(certificate: &Path) -> bool {
    let tomorrow = now() + 86_400;
    CertificateDer::from_pem_file(certificate).is_ok_and(|der| {
        x509_parser::parse_x509_certificate(&der)
            .is_ok_and(|(_, parsed)| parsed.validity().not_after.timestamp() > tomorrow)
    })
}

/// Seconds since 1970.
fn now() -> i64 {
    let now = crate::clock::Clock::of_this_machine().now_seconds();
    i64::try_from(now.get()).unwrap_or(i64::MAX)
}

fn make(files: &Files) -> Result<(), CertificateError> {
    let mut ca = params("grantd dev CA", Vec::<String>::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let mut server = params("grantd dev", NAMES.map(str::to_owned))?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let server = server.signed_by(&key, &ca)?;

    write(&files.ca, &ca.pem())?;
    write(&files.certificate, &server.pem())?;
    write(&files.key, &key.serialize_pem())
}

fn params(
    name: &str,
    names: impl Into<Vec<String>>,
) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let now = now();
    let day = |days: i64| {
        let seconds = now.saturating_add(days * 86_400);
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds.unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(VALID_DAYS);
    Ok(params)
}

/// Whole or not at all: a kill must not leave half a key behind.
fn write(path: &Path, text: &str) -> Result<(), CertificateError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = || {
        // Mode 0600 is what a temporary file has.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|source| CertificateError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_cut_off_certificate_is_made_again_and_a_good_one_kept() {
        let dir = tempfile::tempdir().unwrap();
        let files = in_directory(dir.path()).unwrap();
        let first = std::fs::read(&files.certificate).unwrap();
        in_directory(dir.path()).unwrap();
        assert_eq!(std::fs::read(&files.certificate).unwrap(), first);
        std::fs::write(&files.certificate, "").unwrap();
        in_directory(dir.path()).unwrap();
        assert!(is_good_tomorrow(&files.certificate));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
