//! What has expired, or will soon. Pure.
//!
//! A date that has passed never makes a registry invalid: it is a warning here and a refusal at
//! the request.

use crate::domain::{ClientId, CredentialId, Lifetime, UnixSeconds};
use crate::registry::snapshot::Snapshot;

/// Something with an end that is near or past.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// The first moment at which it no longer holds.
    pub at: UnixSeconds,
    /// The client.
    pub client: ClientId,
    /// What of it ends.
    pub what: Expiring,
    /// Whether the end has passed.
    pub passed: bool,
}

/// What of a client ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiring {
    /// The client itself.
    Client,
    /// One of its secrets, with its label.
    Secret(CredentialId, Option<String>),
}

impl Expiring {
    /// The class of clients, as metrics and events name it.
    pub const CLIENT: &str = "client";

    /// The class of secrets.
    pub const SECRET: &str = "secret";

    /// Its class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Client => Self::CLIENT,
            Self::Secret(..) => Self::SECRET,
        }
    }
}

/// Everything that has expired at `now` or will within `window`, the earliest first. Disabled
/// clients are left out: nobody waits for them.
#[must_use]
pub fn expiries(snapshot: &Snapshot, now: UnixSeconds, window: Lifetime) -> Vec<Expiry> {
    let horizon = now.plus(window);
    let mut found = Vec::new();
    for client in snapshot.clients.values().filter(|client| !client.disabled) {
        let mut note = |at: Option<UnixSeconds>, what: Expiring| {
            if let Some(at) = at.filter(|at| *at <= horizon) {
                found.push(Expiry {
                    at,
                    client: client.id.clone(),
                    what,
                    passed: at <= now,
                });
            }
        };
        note(client.expires, Expiring::Client);
        for secret in &client.secrets {
            let what = Expiring::Secret(secret.id.clone(), secret.label.clone());
            note(secret.expires, what);
        }
    }
    found.sort();
    found
}

impl std::fmt::Display for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = if self.passed { "expired" } else { "expires" };
        match &self.what {
            Expiring::Client => write!(f, "client {} {verb} at {}", self.client, self.at),
            Expiring::Secret(id, None) => {
                write!(f, "{id} of client {} {verb} at {}", self.client, self.at)
            }
            Expiring::Secret(id, Some(label)) => write!(
                f,
                "{id} ({label}) of client {} {verb} at {}",
                self.client, self.at
            ),
        }
    }
}
