//! What goes over the admin socket. Pure.

mod credentials;
mod overlay;
mod status;

use serde::{Deserialize, Serialize};

pub use credentials::{ClientReport, CredentialReport, CredentialUse, RotatingReport};
pub(super) use credentials::{MAX_USE_LINE, MAX_USES, UsePage};
pub use overlay::{
    ChangeReport, InvalidReport, MAX_STATUS_ENTRIES, OverlayEntryReport, OverlayReport,
};
pub use status::{
    ClockReport, ExpiringReport, ExpiryReport, HeldReport, JournalReport, KeyReport,
    LastGoodReport, MAX_EXPIRIES, RegistryReport, StatusReport, StreamReport,
};

use crate::domain::{KeyId, UnixSeconds};
use crate::keys::rotate::Outcome;

/// Longest request in bytes: a name and a few numbers.
pub const MAX_REQUEST: usize = 4096;

/// Most journal lines of one answer, so that no caller holds memory for long.
pub const MAX_LINES: usize = 1000;

/// Longest first line of an answer in bytes: a status with the most expiries that are told, of clients
/// with the longest ids and labels, and the problems that are shown of a folder.
pub(super) const MAX_ANSWER: usize = 1024 * 1024;

/// Longest wait for a new line in milliseconds: less than any read time-out of a caller.
pub(super) const MAX_WAIT_MS: u64 = 10_000;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Lines of the journal, in order.
    AuditLines {
        /// The first sequence wanted; 0: the oldest that there is.
        from: u64,
        /// Most lines wanted; more than [`MAX_LINES`] are never sent. 0: only the numbers.
        max: usize,
        /// How long to wait for a line when there is none yet, in milliseconds; 10 s at most.
        #[serde(default)]
        wait_ms: u64,
    },
    /// Let the next key of a ring sign, or take a key away.
    KeysRotate {
        /// The ring, by its algorithm's name; all where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        algorithm: Option<String>,
        /// The key that is in wrong hands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compromised: Option<String>,
    },
    /// Wall time is right though it lies behind the mark.
    ClockAccept,
    /// How the daemon stands.
    Status {
        /// How far ahead expiries are told, in seconds; as far as the daemon's settings say where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expiring_seconds: Option<u64>,
    },
    /// One client, with its credentials.
    Client {
        /// Its id.
        id: String,
    },
    /// A page of last uses of credentials.
    LastUse {
        /// The client after which it begins; the first where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// No token for a client any more.
    ClientDisable {
        /// The client.
        client: String,
        /// Why, in one line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Tokens are void: of a client, one, or, where neither is named, all.
    Revoke {
        /// Those of this client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// The one with this `jti`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jti: Option<String>,
        /// Those that were issued before this moment, in RFC 3339; without it, until now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// Why, in one line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An entry of the overlay is dropped: this one, or the one that disables this client.
    OverlayClear {
        /// Its number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry: Option<u64>,
        /// Its client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// Also where that brings something back to life.
        #[serde(default)]
        force: bool,
        /// Why, in one line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// What operators took away.
    OverlayList,
    /// Release a change of the registry that is held back.
    RegistryAccept {
        /// What it takes away, as a hash.
        change: String,
    },
}

impl Request {
    /// Whether it only looks: what the read-only socket takes.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        match self {
            Self::AuditLines { .. }
            | Self::Status { .. }
            | Self::Client { .. }
            | Self::LastUse { .. }
            | Self::OverlayList => true,
            Self::KeysRotate { .. }
            | Self::ClockAccept
            | Self::ClientDisable { .. }
            | Self::Revoke { .. }
            | Self::OverlayClear { .. }
            | Self::RegistryAccept { .. } => false,
        }
    }
}

/// What came of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedRegistry {
    /// The change that was released.
    pub change: String,
    /// The generation that is served with it; `None` when that takes longer.
    pub generation: Option<u64>,
    /// The digest that is served with it; `None` when that takes longer.
    pub digest: Option<String>,
}

/// What a command did to the key rings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysOutcome {
    /// The rings that changed.
    pub rotated: Vec<RotatedRing>,
    /// The rings whose next key's lead has not passed.
    pub waiting: Vec<WaitingRing>,
}

/// What changed in a ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotatedRing {
    /// The algorithm.
    pub algorithm: String,
    /// The key that was taken away.
    pub withdrawn: Option<String>,
    /// The key that signs now.
    pub signs: Option<String>,
    /// Whether it began to sign just now.
    pub relieved: bool,
    /// Seconds for which it was published before.
    pub published_for_seconds: u64,
    /// Whether that is its whole lead: else verifiers that cache may not know it yet.
    pub lead_passed: bool,
    /// The key that comes next.
    pub next: Option<String>,
}

/// A ring that can't be rotated yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRing {
    /// The algorithm.
    pub algorithm: String,
    /// Its next key.
    pub next: Option<String>,
    /// From when on it may sign, in RFC 3339, if that is known.
    pub ready: Option<String>,
}

impl From<&Outcome> for KeysOutcome {
    fn from(outcome: &Outcome) -> Self {
        let text = |kid: &Option<KeyId>| kid.as_ref().map(|kid| kid.as_str().to_owned());
        let rotated = outcome.rotated.iter().map(|ring| RotatedRing {
            algorithm: ring.algorithm.name().to_owned(),
            withdrawn: text(&ring.withdrawn),
            signs: text(&ring.signs),
            relieved: ring.relieved,
            published_for_seconds: ring.published_for.seconds(),
            lead_passed: ring.lead_passed,
            next: text(&ring.next),
        });
        let waiting = outcome.waiting.iter().map(|ring| WaitingRing {
            algorithm: ring.algorithm.name().to_owned(),
            next: text(&ring.next),
            ready: ring.ready.map(UnixSeconds::to_rfc3339),
        });
        Self {
            rotated: rotated.collect(),
            waiting: waiting.collect(),
        }
    }
}

/// The first line of an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) oldest: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) durable: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lines: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<KeysOutcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<StatusReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<ClientReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) now: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) overlay: Option<OverlayReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<ChangeReport>,
    /// What is not as it should be though it was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accepted: Option<AcceptedRegistry>,
}

impl Answer {
    pub(super) fn refuse(error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::default()
        }
    }

    /// The line as it is sent.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn requests_have_one_spelling() {
        let text = r#"{"request":"audit_lines","from":3,"max":10}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        let expected = Request::AuditLines {
            from: 3,
            max: 10,
            wait_ms: 0,
        };
        assert_eq!(request, expected);
        for bad in [
            r#"{"request":"shutdown"}"#,
            r#"{"request":"audit_lines","from":3}"#,
            r#"{"request":"keys_rotate","all":true}"#,
            r#"{"request":"audit_lines","from":3,"max":1,"more":1}"#,
            r#"{"request":"client"}"#,
            r#"{"request":"last_use","after":1}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_are_one_line() {
        let line = Answer::refuse("no\nsuch line").to_line();
        assert_eq!(line, b"{\"ok\":false,\"error\":\"no\\nsuch line\"}\n");
    }
}
