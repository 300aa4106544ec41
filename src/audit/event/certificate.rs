//! The events of the server's TLS certificate. Pure.

use super::json::Object;
use super::outside::Outside;
use crate::domain::{Digest, UnixSeconds};

/// A certificate that is served.
#[derive(Clone, Copy, Debug)]
pub struct ServedCertificateRef {
    /// SHA-256 of the server's own certificate.
    pub fingerprint: Digest,
    /// From when on it is valid.
    pub not_before: UnixSeconds,
    /// Until when it is valid.
    pub not_after: UnixSeconds,
}

/// Another certificate is served from now on.
#[derive(Clone, Debug)]
pub struct CertificateLoaded {
    /// Which.
    pub certificate: ServedCertificateRef,
    /// The fingerprint of the one before.
    pub previous: Digest,
}

/// The files hold no pair that can be served.
#[derive(Clone, Debug)]
pub struct CertificateRefused {
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, for people.
    pub detail: Outside,
    /// What is served on.
    pub serving: ServedCertificateRef,
}

impl ServedCertificateRef {
    fn fill(self, object: &mut Object<'_>) {
        object.shown("sha256", self.fingerprint);
        object.seconds("not_before", self.not_before);
        object.seconds("not_after", self.not_after);
    }
}

impl CertificateLoaded {
    pub(super) fn fill(&self, data: &mut Object<'_>) {
        data.object("certificate", |object| self.certificate.fill(object));
        data.shown("previous_sha256", self.previous);
    }
}

impl CertificateRefused {
    pub(super) fn fill(&self, data: &mut Object<'_>) {
        data.plain("reason", self.reason.as_bytes());
        data.text("detail", self.detail.as_str());
        data.object("serving", |object| self.serving.fill(object));
    }
}
