//! Makes new private keys with aws-lc's generator. Touches: process.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};

use super::material::{MaterialError, PrivateKey};
use crate::domain::{Algorithm, Secret};

/// A key just made: the parsed pair, and the bytes that go into its file.
#[derive(Debug)]
pub struct Generated {
    /// The key, ready to sign with.
    pub key: PrivateKey,
    /// The same key in PKCS#8 version 1 (RFC 5958), as every tool reads it.
    pub pkcs8: Secret<Vec<u8>>,
}

/// A key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// aws-lc refused, which no input can bring about: it is out of memory, or broken.
    #[error("cannot make a key for {0}")]
    Failed(Algorithm),
    /// What was made does not read back.
    #[error("the key that was made does not read back")]
    ReadBack(#[source] MaterialError),
}

/// Makes a key. Takes microseconds, but for RSA 50 to 500 ms: never on a request's thread.
///
/// # Errors
/// [`GenerateError`] when aws-lc fails.
pub fn generate(algorithm: Algorithm) -> Result<Generated, GenerateError> {
    let bytes = pkcs8(algorithm).map_err(|_| GenerateError::Failed(algorithm))?;
    let pkcs8 = Secret::new(bytes);
    let key = PrivateKey::from_pkcs8(algorithm, pkcs8.expose()).map_err(GenerateError::ReadBack)?;
    Ok(Generated { key, pkcs8 })
}

fn pkcs8(algorithm: Algorithm) -> Result<Vec<u8>, Unspecified> {
    match algorithm {
        Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::EdDsa => {
            let document = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
            Ok(document.as_ref().to_vec())
        }
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            Ok(der.as_ref().to_vec())
        }
    }
}

fn ecdsa(
    algorithm: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm,
) -> Result<Vec<u8>, Unspecified> {
    let document = EcdsaKeyPair::generate(algorithm)?.to_pkcs8v1()?;
    Ok(document.as_ref().to_vec())
}
