//! The JSON Web Key Set that verifiers fetch (RFC 7517 section 5). Pure.
//!
//! **Invariant:** it holds public members only, in an order that does not depend on when it was
//! made; two documents have the same entity tag exactly when they have the same bytes.

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;

use super::material::PublicJwk;
use super::ring::Ring;
use super::schedule::{ScheduleSettings, gone_at, ready_at, relief_at};
use crate::domain::{Algorithm, Digest, KeyId, Lifetime, UnixSeconds};

/// The longest time for which a fetched document is called fresh. Much shorter than any lead: after
/// an emergency, verifiers that go by it drop the compromised key within the hour.
pub const MAX_AGE: Lifetime = Lifetime::from_hours(1);

/// The shortest: so that a rotation sends no storm of verifiers. It is safe at any time, for a key
/// that is not in a document yet signs only a whole lead later.
pub const MIN_AGE: Lifetime = Lifetime::from_seconds(60);

/// Bytes of the digest in the entity tag: 128 bits, so that no two documents share one.
const TAG_BYTES: usize = 16;

/// The published keys, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwks {
    body: Bytes,
    etag: String,
    next_change: Option<UnixSeconds>,
    longest_age: Lifetime,
}

impl Jwks {
    /// The document of these rings, as of `now` (key time). `public` knows the keys' public
    /// halves; a key that it does not know is left out.
    #[must_use]
    pub fn build<'a>(
        rings: &'a [Ring],
        public: impl Fn(&KeyId) -> Option<&'a PublicJwk>,
        settings: &ScheduleSettings,
        now: UnixSeconds,
    ) -> Self {
        let mut keys: Vec<(Algorithm, UnixSeconds, &KeyId)> = rings
            .iter()
            .flat_map(Ring::published)
            .map(|key| (key.algorithm, key.created, &key.id))
            .collect();
        keys.sort();
        let entries: Vec<String> = keys
            .into_iter()
            .filter_map(|(algorithm, _, id)| Some(public(id)?.to_json(algorithm)))
            .collect();
        let body = format!("{{\"keys\":[{}]}}", entries.join(","));
        let digest = Digest::of(body.as_bytes());
        let tag = digest.as_bytes().get(..TAG_BYTES).unwrap_or_default();
        Self {
            etag: format!("\"{}\"", BASE64URL_NOPAD.encode(tag)),
            body: Bytes::from(body),
            next_change: next_change(rings, settings, now),
            longest_age: settings.verifier_cache_max.min(MAX_AGE),
        }
    }

    /// The document. Cheap to clone.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its strong entity tag, quotes included (RFC 9110 section 8.8.3).
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// For how long a copy fetched now is fresh: `Cache-Control: public, max-age=…`. It shrinks as
    /// the next rotation nears, and is never longer than `verifier_cache_max` or [`MAX_AGE`].
    #[must_use]
    pub fn max_age(&self, now: UnixSeconds) -> Lifetime {
        let left = self
            .next_change
            .map_or(self.longest_age, |at| at.since(now));
        left.max(MIN_AGE).min(self.longest_age)
    }
}

/// The next moment at which a key begins to sign or goes, as far as the schedule knows.
fn next_change(
    rings: &[Ring],
    settings: &ScheduleSettings,
    now: UnixSeconds,
) -> Option<UnixSeconds> {
    let activations = rings.iter().filter_map(|ring| {
        let ready = ready_at(ring.next()?, settings)?;
        Some(relief_at(ring, settings).map_or(ready, |relief| relief.max(ready)))
    });
    let ends = rings
        .iter()
        .flat_map(Ring::keys)
        .filter_map(|key| gone_at(key, settings));
    activations.chain(ends).filter(|at| *at > now).min()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::keys::generate::generate;
    use crate::keys::material::PrivateKey;
    use crate::keys::ring::KeyRecord;
    use crate::keys::schedule::first_active;

    fn made(at: u64) -> (PrivateKey, UnixSeconds) {
        let key = generate(Algorithm::Es256).unwrap().key;
        (key, UnixSeconds::new(at))
    }

    fn build(rings: &[Ring], keys: &[&PrivateKey], now: u64) -> Jwks {
        let public = |id: &KeyId| {
            let key = keys.iter().find(|key| key.id() == id)?;
            Some(key.public())
        };
        let settings = ScheduleSettings::default();
        Jwks::build(rings, public, &settings, UnixSeconds::new(now))
    }

    #[test]
    fn the_document_is_stable_and_so_is_its_tag() {
        let ((one, early), (two, late)) = (made(100), made(200));
        let first = first_active(one.id().clone(), Algorithm::Es256, early);
        let second = KeyRecord::fresh(two.id().clone(), Algorithm::Es256, late);
        let ring = Ring::new(Algorithm::Es256, [second.clone(), first.clone()]);
        let again = Ring::new(Algorithm::Es256, [first.clone(), second]);
        let (jwks, same) = (
            build(&[ring], &[&one, &two], 300),
            build(&[again], &[&two, &one], 999),
        );
        assert_eq!(jwks.body(), same.body());
        assert_eq!(jwks.etag(), same.etag());
        let parsed: serde_json::Value = serde_json::from_slice(jwks.body()).unwrap();
        assert_eq!(parsed["keys"][0]["kid"], one.id().as_str());
        assert_eq!(parsed["keys"][1]["kid"], two.id().as_str());
        let fewer = build(&[Ring::new(Algorithm::Es256, [first])], &[&one], 300);
        assert_ne!(fewer.etag(), jwks.etag());
        assert!(jwks.etag().starts_with('"') && jwks.etag().ends_with('"'));
    }

    #[test]
    fn the_age_shrinks_as_a_rotation_nears() {
        let (one, at) = made(0);
        let (two, _) = made(0);
        let first = first_active(one.id().clone(), Algorithm::Es256, at);
        let mut second = KeyRecord::fresh(two.id().clone(), Algorithm::Es256, at);
        second.published = Some(at);
        let ring = Ring::new(Algorithm::Es256, [first, second]);
        let jwks = build(&[ring], &[&one, &two], 1);
        let rotation = 30 * 86_400;
        let age = |now: u64| jwks.max_age(UnixSeconds::new(now)).seconds();
        assert_eq!(age(1), MAX_AGE.seconds());
        assert_eq!(age(rotation - 3601), 3600);
        assert_eq!(age(rotation - 600), 600);
        assert_eq!(age(rotation - 5), MIN_AGE.seconds());
        assert_eq!(age(rotation + 5), MIN_AGE.seconds());
    }
}
