//! The only place that signs: raw JWS signatures and their check. Pure.
//!
//! The signature bytes are those of RFC 7518 section 3 and RFC 8037 section 3.1: for ECDSA `r || s`
//! of fixed length, never DER. aws-lc makes ECDSA nonces from the key, the message and fresh
//! randomness together, so a weak generator does not bias them (checklist 58).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, KeyPair, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

use data_encoding::BASE64URL_NOPAD;

use crate::domain::Algorithm;
use crate::keys::material::{Pair, PrivateKey};

/// Most bytes of a signature: RSA with 2048 bits.
const MAX_SIGNATURE: usize = 256;

/// What [`self_test`] signs: no JWS, for it has no dot, so it can't pass for a token.
const SELF_TEST: &[u8] = b"grantd signs this once at each load of a key";

/// The bytes of a signature. On the stack: a token's signature costs no allocation.
#[derive(Clone, Copy)]
struct Signature {
    bytes: [u8; MAX_SIGNATURE],
    length: usize,
}

/// aws-lc refused to sign: it is out of memory, or the key is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature could not be made")]
pub(super) struct CannotSign;

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Signature {
    fn copy_of(bytes: &[u8]) -> Result<Self, CannotSign> {
        let mut signature = Self {
            bytes: [0; MAX_SIGNATURE],
            length: bytes.len(),
        };
        let room = signature.bytes.get_mut(..bytes.len()).ok_or(CannotSign)?;
        room.copy_from_slice(bytes);
        Ok(signature)
    }
}

/// Signs a message with a key's own algorithm.
///
/// # Errors
/// [`CannotSign`], which no message brings about.
fn sign_raw(key: &PrivateKey, message: &[u8]) -> Result<Signature, CannotSign> {
    let random = SystemRandom::new();
    match key.pair() {
        Pair::Ecdsa(pair) => {
            let signature = pair.sign(&random, message).map_err(|_| CannotSign)?;
            Signature::copy_of(signature.as_ref())
        }
        Pair::Ed25519(pair) => {
            let signature = pair.try_sign(message).map_err(|_| CannotSign)?;
            Signature::copy_of(signature.as_ref())
        }
        Pair::Rsa(pair) => {
            let encoding: &'static dyn aws_lc_rs::signature::RsaEncoding = match key.algorithm() {
                Algorithm::Ps256 => &RSA_PSS_SHA256,
                Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => {
                    &RSA_PKCS1_SHA256
                }
            };
            let mut bytes = [0; MAX_SIGNATURE];
            let length = pair.public_modulus_len();
            let room = bytes.get_mut(..length).ok_or(CannotSign)?;
            pair.sign(encoding, &random, message, room)
                .map_err(|_| CannotSign)?;
            Ok(Signature { bytes, length })
        }
    }
}

/// The JWS compact serialization (RFC 7515 section 7.1) of a signing input: the input, a dot, the
/// signature in base64url. With `verified` the signature is checked before it is let out.
///
/// # Errors
/// [`CannotSign`], also when the check fails: the key or this machine's memory is broken.
pub(super) fn compact(
    key: &PrivateKey,
    mut input: String,
    verified: bool,
) -> Result<String, CannotSign> {
    let signature = sign_raw(key, input.as_bytes())?;
    if verified && !verify_raw(key, input.as_bytes(), signature.as_ref()) {
        return Err(CannotSign);
    }
    input.push('.');
    BASE64URL_NOPAD.encode_append(signature.as_ref(), &mut input);
    Ok(input)
}

/// Whether a signature is this key's over this message.
#[must_use]
fn verify_raw(key: &PrivateKey, message: &[u8], signature: &[u8]) -> bool {
    let algorithm: &'static dyn VerificationAlgorithm = match key.algorithm() {
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDsa => &ED25519,
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
    };
    let public = match key.pair() {
        Pair::Ecdsa(pair) => pair.public_key().as_ref(),
        Pair::Ed25519(pair) => pair.public_key().as_ref(),
        Pair::Rsa(pair) => pair.public_key().as_ref(),
    };
    UnparsedPublicKey::new(algorithm, public)
        .verify(message, signature)
        .is_ok()
}

/// Signs and verifies once: a key that was altered on disk or in memory fails here, before it makes
/// a token (checklist 59). `keys::rotate` takes this as an argument, for `keys` never calls up into
/// `mint`.
#[must_use]
pub fn self_test(key: &PrivateKey) -> bool {
    sign_raw(key, SELF_TEST).is_ok_and(|signature| verify_raw(key, SELF_TEST, signature.as_ref()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::keys::generate::generate;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
    use data_encoding::BASE64URL_NOPAD;

    fn bytes(text: &str) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_algorithm_signs_what_it_verifies_and_nothing_else() {
        for algorithm in Algorithm::ALL {
            let key = generate(algorithm).unwrap().key;
            assert!(self_test(&key), "{algorithm}");
            let signature = sign_raw(&key, b"message").unwrap();
            assert!(verify_raw(&key, b"message", signature.as_ref()));
            assert!(!verify_raw(&key, b"massage", signature.as_ref()));
            let other = generate(algorithm).unwrap().key;
            assert!(!verify_raw(&other, b"message", signature.as_ref()));
            let length = match algorithm {
                Algorithm::Es256 | Algorithm::EdDsa => 64,
                Algorithm::Es384 => 96,
                Algorithm::Rs256 | Algorithm::Ps256 => 256,
            };
            assert_eq!(signature.as_ref().len(), length, "{algorithm}");
        }
    }

    #[test]
    fn ed25519_signs_as_rfc_8037_appendix_a() {
        let seed = bytes("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let pkcs8 = pair.to_pkcs8v1().unwrap();
        let key = PrivateKey::from_pkcs8(Algorithm::EdDsa, pkcs8.as_ref()).unwrap();
        assert_eq!(
            key.id().as_str(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let expected = bytes(
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        );
        assert_eq!(sign_raw(&key, message).unwrap().as_ref(), expected);
    }

    #[test]
    fn es256_verifies_as_rfc_7515_appendix_a_3() {
        let mut public = vec![4];
        public.extend(bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"));
        public.extend(bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"));
        let private = bytes("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
        let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, &private, &public);
        let pkcs8 = pair.unwrap().to_pkcs8v1().unwrap();
        let key = PrivateKey::from_pkcs8(Algorithm::Es256, pkcs8.as_ref()).unwrap();
        let message = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = bytes(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        );
        assert!(verify_raw(&key, message, &signature));
        let own = sign_raw(&key, message).unwrap();
        assert!(verify_raw(&key, message, own.as_ref()));
    }
}
