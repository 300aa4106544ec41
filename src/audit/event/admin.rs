//! What operators did through the admin socket, and who they were. Pure.

use super::json::Object;
use super::{Envelope, EventKind, Outside, head};
use crate::domain::{Algorithm, Caller, ClientId, KeyId, TokenId, UnixSeconds};

/// Something that an operator did.
#[derive(Clone, Debug)]
pub struct AdminEvent {
    /// Who.
    pub caller: Caller,
    /// What.
    pub act: AdminAct,
    /// Why, in the operator's words.
    pub reason: Option<Outside>,
}

/// What operators can do.
#[derive(Clone, Debug)]
pub enum AdminAct {
    /// `admin.client_disabled`: a client gets no token from this moment on.
    ClientDisabled {
        /// The number of the overlay's entry.
        entry: u64,
        /// The client.
        client: ClientId,
        /// From when on.
        since: UnixSeconds,
        /// What the registry said of it then.
        registry: &'static str,
    },
    /// `admin.tokens_revoked`: tokens are void.
    TokensRevoked {
        /// The number of the overlay's entry.
        entry: u64,
        /// Those of this client; of all, or one, where there is none.
        client: Option<ClientId>,
        /// The one with this `jti`.
        token: Option<TokenId>,
        /// Those that were issued before this moment.
        before: UnixSeconds,
        /// The last of them has expired by then.
        until: UnixSeconds,
        /// When it was said.
        since: UnixSeconds,
    },
    /// `admin.overlay_cleared`: an entry is in force no longer.
    OverlayCleared {
        /// Its number.
        entry: u64,
        /// What it was.
        kind: &'static str,
        /// Its client, if it was about one.
        client: Option<ClientId>,
        /// Its token, if it was about one.
        token: Option<TokenId>,
        /// Whether it was dropped although that gives something back.
        forced: bool,
    },
    /// `admin.keys_rotated`: rings were told to rotate. What came of it is in the events of the keys.
    KeysRotated {
        /// The ring; `None` for all, or for that of the key.
        algorithm: Option<Algorithm>,
        /// The key that is in wrong hands.
        compromised: Option<KeyId>,
    },
    /// `admin.clock_accepted`: wall time counts although it lies behind.
    ClockAccepted,
}

impl AdminEvent {
    /// Which event it is.
    pub(super) const fn kind(&self) -> EventKind {
        match self.act {
            AdminAct::ClientDisabled { .. } => EventKind::AdminClientDisabled,
            AdminAct::TokensRevoked { .. } => EventKind::AdminTokensRevoked,
            AdminAct::OverlayCleared { .. } => EventKind::AdminOverlayCleared,
            AdminAct::KeysRotated { .. } => EventKind::AdminKeysRotated,
            AdminAct::ClockAccepted => EventKind::AdminClockAccepted,
        }
    }

    /// The head of its line.
    pub(super) fn head(&self, envelope: &Envelope<'_>) -> Vec<u8> {
        let subject = match &self.act {
            AdminAct::ClientDisabled { client, .. } => Some(client.as_str()),
            AdminAct::TokensRevoked { client, .. } | AdminAct::OverlayCleared { client, .. } => {
                client.as_ref().map(ClientId::as_str)
            }
            AdminAct::KeysRotated { compromised, .. } => compromised.as_ref().map(KeyId::as_str),
            AdminAct::ClockAccepted => None,
        };
        head(envelope, self.kind(), subject, |data| self.fill(data))
    }

    fn fill(&self, data: &mut Object<'_>) {
        let Caller { uid, gid, pid } = self.caller;
        data.number("uid", uid.into());
        data.number("gid", gid.into());
        data.number("pid", pid.into());
        self.act.fill(data);
        data.optional("reason", self.reason.as_ref().map(Outside::as_str));
    }
}

impl AdminAct {
    fn fill(&self, data: &mut Object<'_>) {
        match self {
            Self::ClientDisabled {
                entry,
                client,
                since,
                registry,
            } => {
                data.number("entry", *entry);
                data.text("client_id", client.as_str());
                data.seconds("since", *since);
                data.plain("registry_says", registry.as_bytes());
            }
            Self::TokensRevoked {
                entry,
                client,
                token,
                before,
                until,
                since,
            } => {
                data.number("entry", *entry);
                about(data, client.as_ref(), *token);
                data.seconds("issued_before", *before);
                data.seconds("until", *until);
                data.seconds("since", *since);
            }
            Self::OverlayCleared {
                entry,
                kind,
                client,
                token,
                forced,
            } => {
                data.number("entry", *entry);
                data.plain("kind", kind.as_bytes());
                about(data, client.as_ref(), *token);
                data.truth("forced", *forced);
            }
            Self::KeysRotated {
                algorithm,
                compromised,
            } => {
                data.optional("alg", algorithm.map(Algorithm::name));
                data.optional("compromised", compromised.as_ref().map(KeyId::as_str));
            }
            Self::ClockAccepted => {}
        }
    }
}

fn about(data: &mut Object<'_>, client: Option<&ClientId>, token: Option<TokenId>) {
    data.optional("client_id", client.map(ClientId::as_str));
    if let Some(token) = token {
        data.shown("jti", token);
    }
}
