//! What was decided about a request, and what is left of it once it is recorded. Pure.
//!
//! Stage of the request flow: `… → mint → audit → http`.
//!
//! **Invariant:** a [`Recorded`] is made by [`super::Journal::record`] alone, and it is the only way
//! from a signed token to the [`Receipt`] that reveals it.

use std::net::IpAddr;

use super::event::Outside;
use super::journal::Receipt;
use crate::domain::{AuthMethod, ClientId, CommitId, CredentialId, Denial, Digest, RequestId};
use crate::mint::SignedToken;

/// The end of a token request, before it is recorded.
pub enum Decision {
    /// A token was made.
    Issued(SignedToken),
    /// It was refused.
    Refused(Denial),
}

/// What a request was found to be so far: its event names client and credential even where the
/// answer does not.
#[derive(Clone, Debug)]
pub struct Trail {
    /// The id in the answer. It is the event's id too, so one request has one event.
    pub request: RequestId,
    /// Where the request came from.
    pub remote: IpAddr,
    /// The client, once it is known to exist.
    pub client: Option<ClientId>,
    /// The id of no client, where [`ClientId::plausible`] lets it be recorded.
    pub unknown_client: Option<ClientId>,
    /// How the client tried to prove who it is.
    pub method: Option<AuthMethod>,
    /// Which credential matched.
    pub credential: Option<UsedCredential>,
    /// Whether the client has proved who it is: then a refusal is recorded like a token.
    pub proved: bool,
    /// What the request sent as `resource`.
    pub asked_resource: Option<Outside>,
    /// What the request sent as `scope`.
    pub asked_scope: Option<Outside>,
    /// The registry that judged the request.
    pub registry: Option<RegistryRef>,
}

/// The credential that a client used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedCredential {
    /// Which one it is.
    pub id: CredentialId,
    /// What people call it.
    pub label: Option<Outside>,
}

/// Which registry, as events name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryRef {
    /// Its number among those that this state directory has served.
    pub generation: u64,
    /// SHA-256 over its canonical content.
    pub digest: Digest,
    /// The git commit, when its folder is a git work tree.
    pub commit: Option<CommitId>,
    /// Whether its folder differs from that commit, where that is known.
    pub dirty: Option<bool>,
}

impl Trail {
    /// A request of which nothing is known but where it came from.
    #[must_use]
    pub const fn new(request: RequestId, remote: IpAddr) -> Self {
        Self {
            request,
            remote,
            client: None,
            unknown_client: None,
            method: None,
            credential: None,
            proved: false,
            asked_resource: None,
            asked_scope: None,
            registry: None,
        }
    }
}

/// A decision whose event stands in the journal, or, for a refusal to a client that did not prove
/// itself, is counted there.
///
/// ```compile_fail,E0423
/// let forged = grantd::audit::Recorded(todo!());
/// ```
#[must_use = "the answer is in it"]
pub struct Recorded(Outcome);

/// What may be answered now.
pub enum Outcome {
    /// A token, and what reveals it.
    Token {
        /// The token.
        token: SignedToken,
        /// The proof that its event is on disk.
        receipt: Receipt,
    },
    /// A refusal.
    Refusal(Denial),
}

impl Recorded {
    /// A token whose event the journal has made durable: the receipt is the proof.
    pub(super) const fn issued(token: SignedToken, receipt: Receipt) -> Self {
        Self(Outcome::Token { token, receipt })
    }

    /// A refusal that is recorded or counted.
    pub(super) const fn refused(denial: Denial) -> Self {
        Self(Outcome::Refusal(denial))
    }

    /// The same, unless its token is of a client that was taken away while the event was written: that token
    /// is dropped, and this refusal answered.
    pub fn unless(self, denial: Denial, taken_away: impl FnOnce(&ClientId) -> bool) -> Self {
        match &self.0 {
            Outcome::Token { token, .. } if taken_away(&token.facts().client) => {
                Self::refused(denial)
            }
            _ => self,
        }
    }

    /// What may be answered now.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        self.0
    }
}
