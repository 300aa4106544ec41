//! Who is asking: what was presented, against what the registry says. Pure.
//!
//! Stage of the request flow: `http → issue( client_auth ⇄ evidence → grant … )`. It goes from
//! [`Claim`] (who it says it is) by way of [`Verified`] (the credential holds) to [`Proof`] (and its
//! replay marks are spent).
//!
//! **Invariant:** a [`Proof`] exists only for a client that is in the registry, enabled there and by the
//! operators' overlay, unexpired, and has proved one of its own credentials in a way that the policy allows. An
//! unknown client takes the same path as a wrong secret.

mod secret;

use std::sync::Arc;

use crate::domain::{AuthMethod, ClientId, CredentialId, Denial, UnixSeconds};
use crate::evidence::{Evidence, Need, ReplayMark, Spent};
use crate::http::{Presented, TokenRequest};
use crate::registry::overlay::Overlay;
use crate::registry::snapshot::{Client, Snapshot, StoredSecret};

pub use secret::usable;

/// What a request claims: an identity, found in the registry or not, and what stands for it.
#[derive(Debug)]
pub struct Claim<'a> {
    presented: &'a Presented,
    client: Option<Arc<Client>>,
    /// Whether the policy lets credentials be presented like this.
    allowed: bool,
    need: Need,
}

/// A client whose credential holds, before its replay marks are spent.
#[derive(Debug)]
pub struct Verified {
    client: Arc<Client>,
    credential: Credential,
    marks: Vec<ReplayMark>,
}

/// The credential that was proved.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Which one.
    pub id: CredentialId,
    /// Its place among the client's secrets.
    pub place: usize,
    /// What people call it.
    pub label: Option<String>,
    /// How it was presented.
    pub method: AuthMethod,
    /// The first moment from which on it may not be used: no token outlives it.
    pub expires: Option<UnixSeconds>,
}

/// A claim that does not hold.
#[derive(Debug)]
pub struct Refused {
    /// Why not.
    pub denial: Denial,
    /// The credential that matched all the same: it is out of its time, or its client may not act.
    pub credential: Option<Credential>,
}

/// The proof that a client is who it says it is.
///
/// ```compile_fail,E0423
/// fn forge(verified: grantd::client_auth::Verified) -> grantd::client_auth::Proof {
///     grantd::client_auth::Proof(verified)
/// }
/// ```
#[derive(Debug)]
pub struct Proof(Verified);

/// Reads who the request says it is. A client that the registry does not know is no early return:
/// its credential is verified against a decoy.
#[must_use]
pub fn identify<'a>(request: &'a TokenRequest, registry: &Snapshot) -> Claim<'a> {
    let client = request
        .presented
        .client_id()
        .and_then(|id| registry.clients.get(id).cloned());
    let allowed = match &request.presented {
        Presented::Secret { method, .. } => registry.policy.allows(*method),
        // Refused for what they are, whatever the policy says.
        Presented::Unsupported { .. }
        | Presented::Nothing { .. }
        | Presented::Malformed
        | Presented::Mismatch { .. } => true,
    };
    Claim {
        presented: &request.presented,
        client,
        allowed,
        need: Need::Nothing,
    }
}

/// Verifies the credential of a claim.
///
/// # Errors
/// [`Refused`] says why it does not hold; the client sees one and the same answer for all.
pub fn verify(
    claim: Claim<'_>,
    evidence: &Evidence,
    overlay: &Overlay,
    now: UnixSeconds,
) -> Result<Verified, Refused> {
    let Evidence::Nothing = evidence;
    let checked = match claim.presented {
        Presented::Secret {
            client_id,
            secret,
            method,
        } => secret::verify(claim.client.as_deref(), client_id, secret, *method, now),
        Presented::Unsupported { .. } => Err(Denial::UnregisteredMethod.into()),
        Presented::Nothing { .. } => Err(Denial::NoCredentials.into()),
        Presented::Malformed => Err(Denial::MalformedAuthorization.into()),
        Presented::Mismatch { .. } => Err(Denial::ClientIdMismatch.into()),
    };
    let denial = checked.as_ref().err().map(|refused| refused.denial);
    let client = claim.client.ok_or(match denial {
        Some(reason @ (Denial::MalformedAuthorization | Denial::ClientIdMismatch)) => reason,
        Some(Denial::NoCredentials) if claim.presented.client_id().is_none() => {
            Denial::NoCredentials
        }
        _ => Denial::UnknownClient,
    })?;
    let credential = checked?;
    let admitted = admit(&client, overlay, now).and(if claim.allowed {
        Ok(())
    } else {
        Err(Denial::AuthMethodNotAllowed)
    });
    match admitted {
        Ok(()) => Ok(Verified {
            client,
            credential,
            marks: Vec::new(),
        }),
        Err(denial) => Err(Refused {
            denial,
            credential: Some(credential),
        }),
    }
}

/// Whether a client may act at all at this moment. Also asked again after a wait, against the registry
/// and the overlay of that moment.
///
/// # Errors
/// [`Denial::ClientDisabledByOperator`], [`Denial::ClientDisabled`] or [`Denial::ClientExpired`].
pub fn admit(client: &Client, overlay: &Overlay, now: UnixSeconds) -> Result<(), Denial> {
    if overlay.disables(&client.id).is_some() {
        return Err(Denial::ClientDisabledByOperator);
    }
    if client.disabled {
        return Err(Denial::ClientDisabled);
    }
    if client.expires.is_some_and(|expires| now >= expires) {
        return Err(Denial::ClientExpired);
    }
    Ok(())
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self {
            denial,
            credential: None,
        }
    }
}

impl Claim<'_> {
    /// What the verifier lacks, to be fetched by `evidence`.
    #[must_use]
    pub const fn need(&self) -> &Need {
        &self.need
    }

    /// The client, when the registry knows it.
    #[must_use]
    pub fn client(&self) -> Option<&ClientId> {
        self.client.as_ref().map(|client| &client.id)
    }
}

impl Verified {
    /// What may be used once only, to be spent by `evidence`.
    #[must_use]
    pub fn marks(&self) -> &[ReplayMark] {
        &self.marks
    }

    /// The proof, now that the marks are spent.
    #[must_use]
    pub fn accept(self, _: Spent) -> Proof {
        Proof(self)
    }
}

impl Proof {
    /// The client.
    #[must_use]
    pub const fn client(&self) -> &Arc<Client> {
        &self.0.client
    }

    /// The credential that it proved.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// The same as the registry has it.
    #[must_use]
    pub fn stored(&self) -> Option<&StoredSecret> {
        self.0.client.secrets.get(self.0.credential.place)
    }
}

#[cfg(test)]
mod tests;
