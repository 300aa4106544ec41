//! Secrets: the wrapper that never shows one, the generated form, and its verifier. Pure.
//!
//! A generated secret is `grantd_secret_`, 52 characters of base32 (256 random bits) and 8 of a
//! checksum, in lower case: one word for a double click, safe in a form, a header and a shell, and
//! found by secret scanners without a look-up.

use data_encoding::{BASE64URL_NOPAD, Encoding, Specification};
use std::fmt;
use std::sync::LazyLock;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::{ClientId, Digest};

/// What each generated secret begins with.
pub const SECRET_PREFIX: &str = "grantd_secret_";

/// Characters of the random part: 256 bits in base32 without padding.
const RANDOM_CHARACTERS: usize = 52;

/// Characters of the checksum: 40 bits in base32, so that a scanner's false find is one in 10^12.
const CHECKSUM_CHARACTERS: usize = 8;

/// Label of the checksum's hash, so that it is a hash of nothing else.
const CHECKSUM_LABEL: &[u8] = b"grantd secret checksum v1\0";

/// Label of the verifier's hash (`design.md`: one SHA-256 over a fixed label, the id, the secret).
const VERIFIER_LABEL: &[u8] = b"grantd client secret v1\0";

/// What a registry file writes before the verifier.
const VERIFIER_PREFIX: &str = "sha256:";

/// Letters and digits in one run, mixed, from which on a text is taken for a secret.
const SECRET_RUN: usize = 20;

static BASE32_LOWER: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("abcdefghijklmnopqrstuvwxyz234567");
    #[expect(
        clippy::expect_used,
        reason = "a constant specification: RFC 4648 section 6, lower case"
    )]
    specification
        .encoding()
        .expect("32 distinct symbols are an encoding")
});

/// A value that must not be seen: no `Display`, no `Serialize`, a `Debug` that shows nothing,
/// zeroed when dropped.
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value; from here on it is seen by [`Secret::expose`] alone.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secret that a request presents, of whatever form.
pub type ClientSecret = Secret<String>;

/// A secret of grantd's own form, when it is made: shown once, never stored.
#[derive(Debug)]
pub struct GeneratedSecret(Secret<String>);

impl GeneratedSecret {
    /// The secret with these 256 random bits.
    #[must_use]
    pub fn from_entropy(entropy: &Zeroizing<[u8; 32]>) -> Self {
        let random = Zeroizing::new(BASE32_LOWER.encode(entropy.as_slice()));
        let text = format!("{SECRET_PREFIX}{}{}", *random, checksum(random.as_bytes()));
        Self(Secret::new(text))
    }

    /// The text, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The verifier that goes into the registry for this client.
    #[must_use]
    pub fn verifier(&self, client: &ClientId) -> SecretVerifier {
        SecretVerifier::compute(client.as_str(), self.expose())
    }
}

/// What a registry holds of a generated secret: one SHA-256 over a fixed label, the client's id
/// and the secret. A public repository gives nothing away: 256 random bits can't be guessed.
#[derive(Clone, Copy, Debug)]
pub struct SecretVerifier(Digest);

/// Why a `hash` in a registry file is no verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVerifier {
    /// It is a secret in clear.
    #[error("this is a secret in clear: a registry holds only its hash")]
    SecretInClear,
    /// It does not begin with `sha256:`.
    #[error("it must begin with \"sha256:\", as `grantd secret new` writes it")]
    Prefix,
    /// What follows is not 43 characters of base64url.
    #[error("after \"sha256:\" there must be 43 characters of base64url (32 bytes)")]
    Encoding,
}

impl SecretVerifier {
    /// Parses the `hash` of a registry file: `sha256:` and 43 characters of base64url.
    ///
    /// # Errors
    /// [`InvalidVerifier`] says what is wrong, never with the value.
    pub fn parse(text: &str) -> Result<Self, InvalidVerifier> {
        if text.contains(SECRET_PREFIX) {
            return Err(InvalidVerifier::SecretInClear);
        }
        let encoded = text
            .strip_prefix(VERIFIER_PREFIX)
            .ok_or(InvalidVerifier::Prefix)?;
        let bytes = BASE64URL_NOPAD
            .decode(encoded.as_bytes())
            .map_err(|_| InvalidVerifier::Encoding)?;
        let bytes = bytes.try_into().map_err(|_| InvalidVerifier::Encoding)?;
        Ok(Self(Digest::from_bytes(bytes)))
    }

    /// The verifier of `secret` for `client`. The secret must have the generated form: see
    /// [`has_generated_form`].
    fn compute(client: &str, secret: &str) -> Self {
        Self(Digest::of_parts(&[
            VERIFIER_LABEL,
            client.as_bytes(),
            b"\0",
            secret.as_bytes(),
        ]))
    }

    /// What `presented` hashes to for `client`, or `None` when it has not the generated form:
    /// such a string never matches, so that no weak word can hide behind such a hash.
    ///
    /// The hash is always computed, so that both cases take the same time.
    #[must_use]
    pub fn of_presented(client: &str, presented: &ClientSecret) -> Option<Self> {
        let verifier = Self::compute(client, presented.expose());
        has_generated_form(presented.expose()).then_some(verifier)
    }

    /// A verifier that belongs to no secret, to compare with where there is none.
    #[must_use]
    pub const fn decoy() -> Self {
        Self(Digest::ZERO)
    }

    /// Whether two verifiers are the same, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// The hash itself.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for SecretVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERIFIER_PREFIX}{}", self.0.to_base64url())
    }
}

impl PartialEq for SecretVerifier {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other)
    }
}

impl Eq for SecretVerifier {}

fn checksum(random: &[u8]) -> String {
    let digest = Digest::of_parts(&[CHECKSUM_LABEL, random]);
    let short = digest.as_bytes().get(..5).unwrap_or_default();
    BASE32_LOWER.encode(short)
}

/// Whether a text has the generated form, checksum included.
fn has_generated_form(text: &str) -> bool {
    let Some(body) = text.strip_prefix(SECRET_PREFIX) else {
        return false;
    };
    if body.len() != RANDOM_CHARACTERS + CHECKSUM_CHARACTERS || !body.is_ascii() {
        return false;
    }
    let (random, check) = body.split_at(RANDOM_CHARACTERS);
    BASE32_LOWER.decode(random.as_bytes()).is_ok() && checksum(random.as_bytes()) == check
}

/// Whether a text that stands where a name should has the look of a secret, a token or a hash:
/// it contains the prefix of one, or a long run of letters and digits mixed.
#[must_use]
pub fn looks_like_secret(text: &str) -> bool {
    let run_is_random = |run: &str| {
        run.len() >= SECRET_RUN
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    text.contains(SECRET_PREFIX)
        || text
            .split(|character: char| !character.is_ascii_alphanumeric())
            .any(run_is_random)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn sample() -> GeneratedSecret {
        GeneratedSecret::from_entropy(&Zeroizing::new([7; 32]))
    }

    #[test]
    fn a_generated_secret_matches_its_verifier_for_its_client_only() {
        let client = ClientId::parse("ledger").unwrap();
        let stored = SecretVerifier::parse(&sample().verifier(&client).to_string()).unwrap();
        let presented = Secret::new(sample().expose().to_owned());
        assert!(
            SecretVerifier::of_presented("ledger", &presented)
                .unwrap()
                .matches(&stored)
        );
        assert!(
            !SecretVerifier::of_presented("other", &presented)
                .unwrap()
                .matches(&stored)
        );
    }

    #[test]
    fn only_the_generated_form_is_ever_compared() {
        let good = sample().expose().to_owned();
        let mut broken = good.clone();
        let last = broken.pop().unwrap();
        broken.push(if last == 'a' { 'b' } else { 'a' });
        for text in [
            "",
            "password",
            &good.to_uppercase(),
            &good[..good.len() - 1],
            &broken,
        ] {
            let presented = Secret::new(text.to_owned());
            assert!(
                SecretVerifier::of_presented("ledger", &presented).is_none(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_secret_in_clear_is_named_as_such() {
        assert_eq!(
            SecretVerifier::parse(sample().expose()),
            Err(InvalidVerifier::SecretInClear)
        );
        assert_eq!(
            SecretVerifier::parse("hunter2"),
            Err(InvalidVerifier::Prefix)
        );
        assert_eq!(
            SecretVerifier::parse("sha256:abc"),
            Err(InvalidVerifier::Encoding)
        );
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", sample()), "GeneratedSecret(Secret(..))");
    }
}
