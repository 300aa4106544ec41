//! A private signing key, parsed once, with its public half. Pure.
//!
//! **Invariant:** a key has one algorithm for life (RFC 8725 section 3.1), and its id is the RFC 7638
//! thumbprint of its public half. Nothing here signs, and nothing shows a private part.

use std::fmt;

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};

pub use super::jwk::PublicJwk;
use crate::domain::{Algorithm, KeyId};

/// Bytes of an RSA modulus: 2048 bits, the least that RFC 7518 section 3.3 allows, and what a
/// signature's cost in CPU is planned for.
pub(super) const RSA_MODULUS_BYTES: usize = 256;

/// A private key that was parsed once and is ready to sign with.
pub struct PrivateKey {
    id: KeyId,
    algorithm: Algorithm,
    public: PublicJwk,
    pair: Pair,
}

/// The key pair itself, for `mint/jws.rs`, which alone signs.
#[derive(Debug)]
pub(crate) enum Pair {
    /// P-256 or P-384, with signatures of fixed length (RFC 7518 section 3.4).
    Ecdsa(EcdsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
    /// RSA of 2048 bits, for RS256 or PS256.
    Rsa(rsa::KeyPair),
}

/// Why bytes are no private key of an algorithm. Never says anything of the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// No PKCS#8 (RFC 5958) of this algorithm, or a public half that does not fit the private one.
    #[error("no valid PKCS#8 private key for {algorithm}")]
    Rejected {
        /// The algorithm that it should be for.
        algorithm: Algorithm,
    },
    /// An RSA key of another size.
    #[error("an RSA key of {bits} bits: {algorithm} is used with 2048 bits here")]
    RsaSize {
        /// The algorithm.
        algorithm: Algorithm,
        /// The size found, in bits.
        bits: usize,
    },
}

impl PrivateKey {
    /// Parses PKCS#8 in DER as a key of this algorithm.
    ///
    /// # Errors
    /// [`MaterialError`] when it is no such key.
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, MaterialError> {
        let rejected = MaterialError::Rejected { algorithm };
        let (pair, public) = match algorithm {
            Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", der),
            Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", der),
            Algorithm::EdDsa => ed25519(der),
            Algorithm::Rs256 | Algorithm::Ps256 => rsa(algorithm, der)?,
        }
        .ok_or(rejected)?;
        Ok(Self {
            id: public.thumbprint(),
            algorithm,
            public,
            pair,
        })
    }

    /// The key's id: the thumbprint of its public half.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// What it signs with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// The pair, for the file that signs.
    pub(crate) const fn pair(&self) -> &Pair {
        &self.pair
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} {})", self.algorithm, self.id)
    }
}

fn ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    curve: &'static str,
    der: &[u8],
) -> Option<(Pair, PublicJwk)> {
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, der).ok()?;
    let public = PublicJwk::of_point(curve, pair.public_key().as_ref())?;
    Some((Pair::Ecdsa(pair), public))
}

fn ed25519(der: &[u8]) -> Option<(Pair, PublicJwk)> {
    let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
    let public = PublicJwk::of_ed25519(pair.public_key().as_ref());
    Some((Pair::Ed25519(pair), public))
}

fn rsa(algorithm: Algorithm, der: &[u8]) -> Result<Option<(Pair, PublicJwk)>, MaterialError> {
    let Ok(pair) = rsa::KeyPair::from_pkcs8(der) else {
        return Ok(None);
    };
    let bytes = pair.public_modulus_len();
    if bytes != RSA_MODULUS_BYTES {
        let bits = bytes * 8;
        return Err(MaterialError::RsaSize { algorithm, bits });
    }
    let public = PublicJwk::of_rsa(pair.public_key().as_ref());
    Ok(public.map(|public| (Pair::Rsa(pair), public)))
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        reason = "tests"
    )]
    use super::*;
    use crate::keys::generate::generate;
    use std::collections::BTreeSet;

    #[test]
    fn every_algorithm_has_keys_and_shows_only_their_public_half() {
        for algorithm in Algorithm::ALL {
            let made = generate(algorithm).unwrap();
            let key = PrivateKey::from_pkcs8(algorithm, made.pkcs8.expose()).unwrap();
            assert_eq!(key.id(), made.key.id());
            let json: serde_json::Value =
                serde_json::from_str(&key.public().to_json(algorithm)).unwrap();
            let names: BTreeSet<&str> = json.as_object().unwrap().keys().map(|k| &**k).collect();
            for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
                assert!(!names.contains(private), "{algorithm}: {private}");
            }
            assert_eq!(json["use"], "sig");
            assert_eq!(json["alg"], algorithm.name());
            assert_eq!(json["kid"], key.id().as_str());
            assert_eq!(
                format!("{key:?}"),
                format!("PrivateKey({algorithm} {})", key.id())
            );
        }
    }

    #[test]
    fn a_key_of_another_algorithm_is_refused() {
        let p256 = generate(Algorithm::Es256).expect("generated");
        for other in [Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256] {
            assert_eq!(
                PrivateKey::from_pkcs8(other, p256.pkcs8.expose()).unwrap_err(),
                MaterialError::Rejected { algorithm: other }
            );
        }
        assert!(PrivateKey::from_pkcs8(Algorithm::Es256, b"").is_err());
    }
}
