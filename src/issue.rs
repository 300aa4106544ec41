//! One token request from top to bottom: the spine. Touches: clock, by its parts.
//!
//! `http → issue( client_auth ⇄ evidence → grant → mint → audit ) → http`
//!
//! **Invariant:** a request sees one world, from start to end; it awaits in three places (gather, spend,
//! record), and never returns early in a way that the outside could time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::event::Outside;
use crate::audit::{Decision, Journal, Recorded, RegistryRef, Trail, Unrecorded, UsedCredential};
use crate::client_auth::{self, Credential, Proof, Refused};
use crate::clock::Clock;
use crate::domain::{ClientId, Denial, Issuer, RequestId, UnixSeconds};
use crate::evidence::{self, Sources};
use crate::grant;
use crate::http::{AskedResource, TokenRequest};
use crate::keys::rings::Rings;
use crate::mint::{self, SignedToken};
use crate::random;
use crate::registry::snapshot::Served;
use crate::world::{Current, World};

/// What the spine works with, for the life of the daemon.
#[derive(Debug)]
pub struct Desk<S> {
    /// The `iss` of every token.
    pub issuer: Issuer,
    /// Registry and rings.
    pub current: Arc<Current>,
    /// Where evidence comes from.
    pub sources: S,
    /// Where every decision is recorded.
    pub journal: Journal,
    /// Wall time; what it is worth, the rings know.
    pub clock: Clock,
    /// How long a decision may wait for its record.
    pub record_time: Duration,
}

/// What is known of a request before it is read.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The id that its answer carries.
    pub request: RequestId,
    /// Who is at the other end of the connection.
    pub remote: IpAddr,
}

/// Decides a request and records the decision. A request that could not be read is a decision too.
///
/// # Errors
/// [`Unrecorded`] when there is no record: the answer is 503, and no token leaves.
pub async fn issue<S: Sources>(
    request: Result<TokenRequest, Denial>,
    arrival: Arrival,
    desk: &Desk<S>,
) -> Result<Recorded, Unrecorded> {
    let world = desk.current.load();
    let mut trail = Trail::new(arrival.request, arrival.remote);
    trail.registry = world.registry.as_deref().map(reference);
    let decided = match request {
        Ok(request) => decide(&request, &world, desk, &mut trail).await,
        Err(denial) => Err(denial),
    };
    let decision = match decided {
        Ok(token) => Decision::Issued(token),
        Err(denial) => Decision::Refused(denial),
    };
    let recorded = desk
        .journal
        .record(decision, &trail, desk.clock.now(), desk.record_time)
        .await?;
    Ok(still_given(recorded, &world, &desk.current))
}

/// The disk may have taken its time. A token of a client that an operator disabled meanwhile does not leave,
/// though its event stands: an issued event means that a token was made, not that it arrived.
fn still_given(recorded: Recorded, seen: &World, current: &Current) -> Recorded {
    if current.is(seen) {
        return recorded;
    }
    let overlay = &current.load().overlay;
    recorded.unless(Denial::ClientDisabledByOperator, |client| {
        overlay.disables(client).is_some()
    })
}

async fn decide<S: Sources>(
    request: &TokenRequest,
    world: &World,
    desk: &Desk<S>,
    trail: &mut Trail,
) -> Result<SignedToken, Denial> {
    note_request(trail, request);
    let now = desk.clock.now_seconds();
    let registry = &*usable(world, now)?.snapshot;
    let rings = world.rings.as_ref().ok_or(Denial::NoSigningKey)?;

    let claim = client_auth::identify(request, registry); // unknown client: a decoy, no early return
    note_claim(trail, request, claim.client());
    let evidence = desk.sources.gather(claim.need()).await?; // ready at once: generated secrets need nothing
    let verified = client_auth::verify(claim, &evidence, &world.overlay, now)
        .map_err(|refused| note_refused(trail, &refused))?;
    let spent = evidence::spend(&desk.sources, verified.marks(), now).await?;
    let proof = verified.accept(spent); // a Proof only after its marks are spent
    note_proof(trail, &proof); // the event knows who, also of a refusal
    still_admitted(&proof, world, &desk.current.load(), now)?;
    note_use(&proof, rings, now); // granted or not: whoever proves itself by a credential needs it

    let grant = grant::decide(request, &proof, registry, now)?;
    mint::sign(&grant, &desk.issuer, rings, random::token_id(), now)
}

/// The awaits above may have taken time. A client that was taken away or disabled meanwhile, by the registry
/// or by an operator, gets nothing,
/// nor is a key used that was taken out meanwhile.
fn still_admitted(
    proof: &Proof,
    seen: &World,
    current: &World,
    now: UnixSeconds,
) -> Result<(), Denial> {
    if std::ptr::eq(seen, current) {
        return Ok(());
    }
    let registry = usable(current, now)?;
    let client = registry
        .snapshot
        .clients
        .get(&proof.client().id)
        .ok_or(Denial::ClientDisabled)?;
    client_auth::admit(client, &current.overlay, now)?;
    match (&current.rings, &seen.rings) {
        (Some(now), Some(then)) if !now.withdrawn_since(then) => Ok(()),
        _ => Err(Denial::NoSigningKey),
    }
}

/// One relaxed store. Not while wall time is not believed: it would say that a credential was last used in
/// 1970.
fn note_use(proof: &Proof, rings: &Rings, now: UnixSeconds) {
    if let Some(secret) = proof.stored()
        && rings.clock().signs()
    {
        secret.last_use.note(now);
    }
}

/// The registry, unless it has not been the folder's for too long.
fn usable(world: &World, now: UnixSeconds) -> Result<&Served, Denial> {
    let served = world.registry.as_deref();
    let usable = served.filter(|served| served.is_usable(now));
    usable.ok_or(Denial::NoRegistry)
}

fn note_request(trail: &mut Trail, request: &TokenRequest) {
    trail.method = request.presented.method();
    trail.asked_scope = request.scope.as_deref().map(Outside::new);
    if let AskedResource::One(resource) = &request.resource {
        trail.asked_resource = Some(Outside::new(resource));
    }
}

/// An id that the registry does not know is noted only when it can't be a secret in the wrong field.
fn note_claim(trail: &mut Trail, request: &TokenRequest, known: Option<&ClientId>) {
    trail.client = known.cloned();
    // Looked at for known clients too, so that both take as long (checklist 21).
    let plausible = request.presented.client_id().and_then(ClientId::plausible);
    trail.unknown_client = plausible.filter(|_| known.is_none());
}

/// A credential that matched is noted although it proves nothing: an operator sees which one was refused.
fn note_refused(trail: &mut Trail, refused: &Refused) -> Denial {
    if let Some(credential) = &refused.credential {
        note_credential(trail, credential);
    }
    refused.denial
}

fn note_proof(trail: &mut Trail, proof: &Proof) {
    trail.proved = true;
    note_credential(trail, proof.credential());
}

fn note_credential(trail: &mut Trail, credential: &Credential) {
    trail.method = Some(credential.method);
    trail.credential = Some(UsedCredential {
        id: credential.id.clone(),
        label: credential.label.as_deref().map(Outside::new),
    });
}

/// How events name a registry that is served.
pub(crate) fn reference(served: &Served) -> RegistryRef {
    RegistryRef {
        generation: served.generation,
        digest: served.snapshot.digest,
        commit: served.commit.clone(),
        dirty: served.dirty,
    }
}
