//! Client secrets (RFC 6749 section 2.3.1), by the hash that the registry holds. Pure.

use super::{Credential, Refused};
use crate::domain::{AuthMethod, ClientSecret, Denial, SecretVerifier, UnixSeconds};
use crate::registry::snapshot::{Client, StoredSecret};

/// Verifies a presented secret. The work is the same for a client that does not exist: one hash over
/// what was presented, compared in constant time with all that there is, or with a decoy.
pub(super) fn verify(
    client: Option<&Client>,
    client_id: &str,
    presented: &ClientSecret,
    method: AuthMethod,
    now: UnixSeconds,
) -> Result<Credential, Refused> {
    let computed = SecretVerifier::of_presented(client_id, presented);
    let stored = client.map_or(&[][..], |client| &client.secrets);
    let Some((place, secret)) = find(stored, computed.as_ref()) else {
        return Err(if client.is_some() && stored.is_empty() {
            Denial::UnregisteredMethod
        } else {
            Denial::WrongSecret
        }
        .into());
    };
    let credential = Credential {
        id: secret.id.clone(),
        place,
        label: secret.label.clone(),
        method,
        expires: secret.expires,
    };
    match usable(secret, now) {
        Ok(()) => Ok(credential),
        Err(denial) => Err(Refused {
            denial,
            credential: Some(credential),
        }),
    }
}

/// Whether a secret may be used at this moment by who knows it.
///
/// # Errors
/// [`Denial::CredentialNotYetValid`] or [`Denial::CredentialExpired`].
pub fn usable(secret: &StoredSecret, now: UnixSeconds) -> Result<(), Denial> {
    if secret.not_before.is_some_and(|moment| now < moment) {
        return Err(Denial::CredentialNotYetValid);
    }
    if secret.expires.is_some_and(|moment| now >= moment) {
        return Err(Denial::CredentialExpired);
    }
    Ok(())
}

/// The stored secret that matches, and its place. Goes through all of them, and compares at least once.
fn find<'a>(
    stored: &'a [StoredSecret],
    computed: Option<&SecretVerifier>,
) -> Option<(usize, &'a StoredSecret)> {
    let decoy = SecretVerifier::decoy();
    let computed_or_decoy = computed.unwrap_or(&decoy);
    let mut found = None;
    if stored.is_empty() {
        std::hint::black_box(decoy.matches(computed_or_decoy));
    }
    for (place, secret) in stored.iter().enumerate() {
        if secret.verifier.matches(computed_or_decoy) {
            found = Some((place, secret));
        }
    }
    found.filter(|_| computed.is_some())
}
