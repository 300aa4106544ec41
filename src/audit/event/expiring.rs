//! The event of each day: what expires soon. Pure.

use super::json::Object;
use super::token::fill_registry;
use crate::audit::decision::{RegistryRef, UsedCredential};
use crate::domain::{ClientId, Lifetime, UnixSeconds};

/// Most expiries that the event names; it counts all. As many as the problems of a refused registry, so
/// that the event stays below half of a line.
pub const MAX_NAMED: usize = 16;

/// What expires within a window, or has expired.
#[derive(Clone, Debug)]
pub struct RegistryExpiring {
    /// The registry that is served.
    pub registry: RegistryRef,
    /// The window.
    pub window: Lifetime,
    /// How many, by class.
    pub counts: Vec<ExpiryCount>,
    /// Those that are next, then those that have expired last; beyond [`MAX_NAMED`] they are left out.
    pub named: Vec<NamedExpiry>,
}

/// How many of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryCount {
    /// `client`, `secret` or `certificate`.
    pub class: &'static str,
    /// How many expire within the window.
    pub expiring: u64,
    /// How many have expired.
    pub expired: u64,
}

/// One that expires.
#[derive(Clone, Debug)]
pub struct NamedExpiry {
    /// `client`, `secret` or `certificate`.
    pub class: &'static str,
    /// Whose; `None` for the server's own certificate.
    pub client: Option<ClientId>,
    /// Which of its credentials; `None` for the client itself.
    pub credential: Option<UsedCredential>,
    /// When.
    pub at: UnixSeconds,
    /// Whether that has passed.
    pub passed: bool,
}

impl RegistryExpiring {
    pub(super) fn fill(&self, data: &mut Object<'_>) {
        data.number("window_seconds", self.window.seconds());
        data.list("counts", &self.counts, |object, count| {
            object.plain("class", count.class.as_bytes());
            object.number("expiring", count.expiring);
            object.number("expired", count.expired);
        });
        let first = self.named.iter().take(MAX_NAMED);
        data.list("first", first, |object, expiry| expiry.fill(object));
        data.object("registry", |object| fill_registry(object, &self.registry));
    }
}

impl NamedExpiry {
    fn fill(&self, object: &mut Object<'_>) {
        object.plain("class", self.class.as_bytes());
        object.optional("client_id", self.client.as_ref().map(ClientId::as_str));
        if let Some(credential) = &self.credential {
            object.text("credential_id", credential.id.as_str());
            let label = credential.label.as_ref();
            object.optional("credential_label", label.map(super::Outside::as_str));
        }
        object.seconds("expires_at", self.at);
        object.truth("expired", self.passed);
    }
}
