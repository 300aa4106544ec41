//! Every event as a type, and the head of the line that it becomes. Pure.
//!
//! An event is CloudEvents 1.0 in structured JSON. The request's side writes the head here, into one
//! buffer: everything before `,"lineage"`. The journal's writer appends the rest
//! ([`super::chain::splice`]).
//!
//! **Invariant:** a head holds no secret and no token; each text from outside is an [`Outside`], cut
//! at [`MAX_OUTSIDE`] bytes; no head is longer than [`super::chain::MAX_HEAD`], whatever was asked,
//! because every list and text in it has a bound. It is one line of printable UTF-8.

mod admin;
mod certificate;
mod control;
mod expiring;
mod json;
mod keys;
mod last_good;
mod outside;
mod stream;
mod token;

pub use admin::{AdminAct, AdminEvent};
pub use certificate::{CertificateLoaded, CertificateRefused, ServedCertificateRef};
pub use control::{
    ControlEvent, Counts, JournalRecovered, LineageRenewal, Location, MAX_PROBLEMS, ObjectCounts,
    RegistryApplied, RegistryRejected, RenewalCause, StopCause,
};
pub(super) use control::{Started, daemon_started, lineage_renewed, lineage_started};
pub use expiring::{ExpiryCount, MAX_NAMED, NamedExpiry, RegistryExpiring};
pub use keys::{ClockChange, KeyEvent, KeyStep};
pub use last_good::{RegistryAccepted, RegistryHeld, RegistryRestored};
pub use outside::{MAX_OUTSIDE, Outside};
pub use stream::StreamAlarm;
pub(super) use token::{denied, denied_summary, issued};

use super::chain::TAIL;
use crate::domain::{InstanceName, Issuer, UnixMillis};
use json::{Object, push_escaped, push_millis, push_string};

/// Bytes that a head is given at first: what a token's event needs, with the tail, without growing.
const USUAL_HEAD: usize = 1024 - TAIL;

/// What happened, by the names that stand in `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A token was made.
    TokenIssued,
    /// A request for a token was refused.
    TokenDenied,
    /// Refusals beyond the budget, counted.
    TokenDeniedSummary,
    /// A registry is served from now on.
    RegistryApplied,
    /// A registry was not accepted; the one before is served on.
    RegistryRejected,
    /// Clients, secrets or the certificate expire soon: told once a day.
    RegistryExpiring,
    /// A signing key was made.
    KeyCreated,
    /// A key signs from now on.
    KeyActivated,
    /// A key signs no longer, and is published on.
    KeyRetired,
    /// A key has left the published key set.
    KeyRemoved,
    /// An operator took a key out of the published key set at once.
    KeyWithdrawn,
    /// A daemon began to serve.
    DaemonStarted,
    /// A daemon stopped cleanly.
    DaemonStopped,
    /// A journal's first line.
    DaemonLineageStarted,
    /// The first line of a new lineage.
    DaemonLineageRenewed,
    /// Wall time is worth another thing than before.
    DaemonClockChanged,
    /// Another TLS certificate is served.
    DaemonCertificateLoaded,
    /// A TLS certificate was not accepted; the one before is served on.
    DaemonCertificateRefused,
    /// The end of the journal was not whole, and was repaired.
    DaemonJournalRecovered,
    /// The stream forgot lines that it had confirmed, or is another one than before.
    DaemonStreamRegressed,
    /// Lines are in neither the journal nor the stream.
    DaemonStreamGap,
    /// The last good registry is served from a start on.
    RegistryRestored,
    /// A change of the registry waits for an operator.
    RegistryHeld,
    /// An operator releases a change of the registry.
    AdminRegistryAccepted,
    /// A signed statement of the chain's end. Nothing writes it yet.
    Checkpoint,
    /// An operator disabled a client, above the registry.
    AdminClientDisabled,
    /// An operator made tokens void.
    AdminTokensRevoked,
    /// An operator dropped an entry of the overlay.
    AdminOverlayCleared,
    /// An operator told key rings to rotate.
    AdminKeysRotated,
    /// An operator accepted wall time that lies behind.
    AdminClockAccepted,
}

impl EventKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 30] = [
        Self::TokenIssued,
        Self::TokenDenied,
        Self::TokenDeniedSummary,
        Self::RegistryApplied,
        Self::RegistryRejected,
        Self::RegistryExpiring,
        Self::KeyCreated,
        Self::KeyActivated,
        Self::KeyRetired,
        Self::KeyRemoved,
        Self::KeyWithdrawn,
        Self::DaemonStarted,
        Self::DaemonStopped,
        Self::DaemonLineageStarted,
        Self::DaemonLineageRenewed,
        Self::DaemonClockChanged,
        Self::DaemonCertificateLoaded,
        Self::DaemonCertificateRefused,
        Self::DaemonJournalRecovered,
        Self::DaemonStreamRegressed,
        Self::DaemonStreamGap,
        Self::RegistryRestored,
        Self::RegistryHeld,
        Self::AdminRegistryAccepted,
        Self::Checkpoint,
        Self::AdminClientDisabled,
        Self::AdminTokensRevoked,
        Self::AdminOverlayCleared,
        Self::AdminKeysRotated,
        Self::AdminClockAccepted,
    ];

    /// The name without `dev.grantd.` and the version: the end of the NATS subject.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenIssued => "token.issued",
            Self::TokenDenied => "token.denied",
            Self::TokenDeniedSummary => "token.denied_summary",
            Self::RegistryApplied => "registry.applied",
            Self::RegistryRejected => "registry.rejected",
            Self::RegistryExpiring => "registry.expiring",
            Self::KeyCreated => "key.created",
            Self::KeyActivated => "key.activated",
            Self::KeyRetired => "key.retired",
            Self::KeyRemoved => "key.removed",
            Self::KeyWithdrawn => "key.withdrawn",
            Self::DaemonStarted => "daemon.started",
            Self::DaemonStopped => "daemon.stopped",
            Self::DaemonLineageStarted => "daemon.lineage_started",
            Self::DaemonLineageRenewed => "daemon.lineage_renewed",
            Self::DaemonClockChanged => "daemon.clock_changed",
            Self::DaemonCertificateLoaded => "daemon.certificate_loaded",
            Self::DaemonCertificateRefused => "daemon.certificate_refused",
            Self::DaemonJournalRecovered => "daemon.journal_recovered",
            Self::DaemonStreamRegressed => "daemon.stream_regressed",
            Self::DaemonStreamGap => "daemon.stream_gap",
            Self::RegistryRestored => "registry.restored",
            Self::RegistryHeld => "registry.held",
            Self::AdminRegistryAccepted => "admin.registry_accepted",
            Self::Checkpoint => "checkpoint",
            Self::AdminClientDisabled => "admin.client_disabled",
            Self::AdminTokensRevoked => "admin.tokens_revoked",
            Self::AdminOverlayCleared => "admin.overlay_cleared",
            Self::AdminKeysRotated => "admin.keys_rotated",
            Self::AdminClockAccepted => "admin.clock_accepted",
        }
    }
}

/// Who speaks: the `source` of each event, `<issuer>/instances/<instance>`.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The source as it stands between the quotes of a JSON string.
    escaped: Vec<u8>,
}

impl Origin {
    /// The daemon `instance` of `issuer`.
    #[must_use]
    pub fn new(issuer: &Issuer, instance: &InstanceName) -> Self {
        let mut escaped = Vec::new();
        push_escaped(&mut escaped, issuer.as_str());
        escaped.extend_from_slice(b"/instances/");
        push_escaped(&mut escaped, instance.as_str());
        Self { escaped }
    }
}

/// What every event has besides its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    /// Who speaks.
    pub origin: &'a Origin,
    /// `id`: 32 hexadecimal digits. A request's event has the request's id.
    pub id: [u8; 32],
    /// `time`.
    pub at: UnixMillis,
}

/// The head of an event with this data.
fn head(
    envelope: &Envelope<'_>,
    kind: EventKind,
    subject: Option<&str>,
    fill: impl FnOnce(&mut Object<'_>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_HEAD + TAIL);
    out.extend_from_slice(b"{\"specversion\":\"1.0\",\"id\":\"");
    out.extend_from_slice(&envelope.id);
    out.extend_from_slice(b"\",\"source\":\"");
    out.extend_from_slice(&envelope.origin.escaped);
    out.extend_from_slice(b"\",\"type\":\"dev.grantd.");
    out.extend_from_slice(kind.name().as_bytes());
    out.extend_from_slice(b".v1\"");
    if let Some(subject) = subject {
        out.extend_from_slice(b",\"subject\":");
        push_string(&mut out, subject);
    }
    out.extend_from_slice(b",\"time\":\"");
    push_millis(&mut out, envelope.at);
    out.extend_from_slice(b"\",\"datacontenttype\":\"application/json\",\"data\":");
    let mut data = Object::open(&mut out);
    fill(&mut data);
    data.close();
    out
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
mod schemas;
#[cfg(test)]
mod tests;
