//! A throw-away CA and a server certificate for loopback. Touches: fs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

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

/// The files of a directory, made where they are not there yet.
pub(super) fn in_directory(dir: &Path) -> Result<Files, CertificateError> {
    let files = Files {
        ca: dir.join("ca.pem"),
        certificate: dir.join("certificate.pem"),
        key: dir.join("key.pem"),
    };
    if !(files.ca.exists() && files.certificate.exists() && files.key.exists()) {
        make(&files)?;
    }
    Ok(files)
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
    let now = crate::clock::Clock::of_this_machine().now_seconds();
    let day = |days: i64| {
        let seconds = i64::try_from(now.get()).unwrap_or_default() + days * 86_400;
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds.unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(VALID_DAYS);
    Ok(params)
}

fn write(path: &Path, text: &str) -> Result<(), CertificateError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| CertificateError::Write {
            path: path.to_owned(),
            source,
        })
}
