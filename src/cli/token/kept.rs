//! A token with its times, and how the cache writes it down. Pure.

use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::json::Object;
use crate::domain::{Digest, Lifetime, Secret, UnixSeconds};

/// The form of an entry.
const VERSION: u64 = 1;

/// A token is renewed when less than this share of its lifetime is left: a tenth, so that what has
/// it can use it for a while.
const RENEW_SHARE: u64 = 10;

/// And when less than this is left: a job of a minute.
const RENEW_FLOOR: Lifetime = Lifetime::from_seconds(60);

/// But at most half of its lifetime before its end, or one of a minute would be of no use to a cache.
const RENEW_MOST_SHARE: u64 = 2;

/// A token and what is known of it.
#[derive(Debug)]
pub(super) struct Kept {
    /// The token.
    pub access_token: Secret<String>,
    /// Its scopes, where it has any.
    pub scope: Option<String>,
    /// When it was asked for, by this machine's clock.
    pub obtained: UnixSeconds,
    /// How long it lives from then on, where the server said it.
    pub lifetime: Option<Lifetime>,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It has enough life left.
    Fresh,
    /// It is valid, and should be renewed.
    Due,
    /// It has ended, or this machine's clock says that it has not begun.
    Over,
}

impl Kept {
    /// When it ends.
    pub(super) fn expires(&self) -> Option<UnixSeconds> {
        self.lifetime.map(|lifetime| self.obtained.plus(lifetime))
    }

    /// What it is good for at this moment. `renew` is how long before its end it is renewed; a share
    /// of its lifetime and a floor, where left out.
    pub(super) fn age(&self, now: UnixSeconds, renew: Option<Lifetime>) -> Age {
        let Some((lifetime, end)) = self.lifetime.zip(self.expires()) else {
            return Age::Over;
        };
        if now < self.obtained || now >= end {
            return Age::Over;
        }
        let renew = renew.unwrap_or_else(|| renew_before(lifetime));
        if end.since(now) > renew {
            Age::Fresh
        } else {
            Age::Due
        }
    }

    /// The entry: one line of JSON, and its SHA-256, by which damage is seen.
    pub(super) fn encode(&self, key: &Digest) -> Zeroizing<Vec<u8>> {
        let entry = json!({
            "version": VERSION,
            "key": key.to_string(),
            "obtained": self.obtained.get(),
            "lifetime": self.lifetime.map(Lifetime::seconds),
            "scope": self.scope,
            "access_token": self.access_token.expose(),
        });
        let line = Zeroizing::new(entry.to_string());
        let digest = Digest::of(line.as_bytes());
        Zeroizing::new(format!("{}\n{digest}\n", *line).into_bytes())
    }

    /// The token of an entry of this key. `None` when it is damaged, or another's.
    pub(super) fn decode(bytes: &[u8], key: &Digest) -> Option<Self> {
        let at = bytes.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = bytes.split_at(at);
        if rest != format!("\n{}\n", Digest::of(line)).as_bytes() {
            return None;
        }
        let entry = Object::parse(line).ok()?;
        if entry.number("version")? != VERSION || entry.text("key")? != key.to_string() {
            return None;
        }
        Some(Self {
            access_token: Secret::new(entry.text("access_token")?.to_owned()),
            scope: entry.text("scope").map(str::to_owned),
            obtained: UnixSeconds::new(entry.number("obtained")?),
            lifetime: Some(Lifetime::from_seconds(entry.number("lifetime")?)),
        })
    }
}

/// How long before its end a token of this lifetime is renewed.
fn renew_before(lifetime: Lifetime) -> Lifetime {
    let share = |part: u64| Lifetime::from_seconds(lifetime.seconds() / part);
    share(RENEW_SHARE)
        .max(RENEW_FLOOR)
        .min(share(RENEW_MOST_SHARE))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn token(lifetime: u64) -> Kept {
        Kept {
            access_token: Secret::new("a.b.c".to_owned()),
            scope: Some("x".to_owned()),
            obtained: UnixSeconds::new(1000),
            lifetime: Some(Lifetime::from_seconds(lifetime)),
        }
    }

    #[test]
    fn a_token_is_renewed_shortly_before_it_expires() {
        let age = |lifetime, now| token(lifetime).age(UnixSeconds::new(now), None);
        for (lifetime, fresh_until) in [(900, 90), (3600, 360), (300, 60), (100, 50)] {
            let due = 1000 + lifetime - fresh_until;
            assert_eq!(age(lifetime, due - 1), Age::Fresh, "{lifetime}");
            assert_eq!(age(lifetime, due), Age::Due, "{lifetime}");
            assert_eq!(age(lifetime, 1000 + lifetime - 1), Age::Due, "{lifetime}");
            assert_eq!(age(lifetime, 1000 + lifetime), Age::Over, "{lifetime}");
        }
        assert_eq!(age(900, 999), Age::Over, "issued in the future");
        let renew = Some(Lifetime::from_seconds(500));
        assert_eq!(token(900).age(UnixSeconds::new(1399), renew), Age::Fresh);
        assert_eq!(token(900).age(UnixSeconds::new(1400), renew), Age::Due);
    }

    #[test]
    fn an_entry_is_read_back_and_any_damage_is_seen() {
        let key = Digest::of(b"key");
        let bytes = token(900).encode(&key);
        let kept = Kept::decode(&bytes, &key).unwrap();
        assert_eq!(kept.access_token.expose(), "a.b.c");
        assert_eq!(
            (kept.obtained, kept.lifetime),
            (token(900).obtained, token(900).lifetime)
        );
        assert!(Kept::decode(&bytes, &Digest::ZERO).is_none(), "another's");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            *damaged.get_mut(at).unwrap() ^= 1;
            assert!(Kept::decode(&damaged, &key).is_none(), "{at}");
            assert!(
                Kept::decode(bytes.get(..at).unwrap(), &key).is_none(),
                "{at}"
            );
        }
    }
}
