//! Seals key files with a key that lies elsewhere: a systemd credential, or a file. Touches: fs, process.
//!
//! AES-256-GCM (NIST SP 800-38D) with a random nonce, bound to the algorithm and the key's id, so
//! that a sealed key can't be passed off as another. A copy of `keys/` alone is worth nothing then.

use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use crate::domain::{Algorithm, KeyId, Secret};
use crate::secret_file::{self, SecretFileFault};

/// Bytes of a sealing key: AES-256.
const KEY_BYTES: usize = 32;

/// Longest sealing key file: 64 hexadecimal digits and a line's end, with room to spare.
const MAX_FILE: u64 = 256;

/// Label of what the seal is bound to, so that it is the seal of nothing else.
const LABEL: &str = "grantd key file v1";

/// A sealing key.
#[derive(Debug)]
pub struct Sealer {
    key: RandomizedNonceKey,
}

/// Why there is no sealing key. Never says anything of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file can't be read, is empty, or others can read it.
    #[error("the sealing key (keys.sealing_key_file)")]
    File(#[from] SecretFileFault),
    /// It has not the form of one.
    #[error(
        "the sealing key {} must have 32 bytes: raw, as 64 hexadecimal digits, or as 43 characters of base64url; make one with: openssl rand -hex 32",
        path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
    },
}

impl Sealer {
    /// Reads a sealing key: 32 bytes, raw or as text with or without a line's end.
    ///
    /// A credential of systemd is 0440 with an access list, so only others' permission counts.
    ///
    /// # Errors
    /// [`SealError`] when it can't be read or has another form.
    pub fn read(path: &Path) -> Result<Self, SealError> {
        let path = path.to_owned();
        let key = key_bytes(&path)?.and_then(|key| Self::from_key(&key));
        key.ok_or(SealError::Form { path })
    }

    /// A sealing key from its 32 bytes. `None` for another number.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        (key.len() == KEY_BYTES)
            .then(|| RandomizedNonceKey::new(&AES_256_GCM, key).ok())
            .flatten()
            .map(|key| Self { key })
    }

    /// Seals a key's PKCS#8. `None` only when aws-lc has no randomness.
    #[must_use]
    pub fn seal(&self, algorithm: Algorithm, id: &KeyId, pkcs8: &[u8]) -> Option<Vec<u8>> {
        let mut text = Zeroizing::new(pkcs8.to_vec());
        let aad = Aad::from(binding(algorithm, id));
        let nonce = self.key.seal_in_place_append_tag(aad, &mut *text).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&text);
        Some(sealed)
    }

    /// Opens a sealed key. `None` when it was sealed with another key, for another id, or altered.
    #[must_use]
    pub fn open(&self, algorithm: Algorithm, id: &KeyId, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(binding(algorithm, id));
        let opened = self.key.open_in_place(nonce, aad, &mut text).ok()?;
        Some(Secret::new(opened.to_vec()))
    }
}

fn binding(algorithm: Algorithm, id: &KeyId) -> Vec<u8> {
    format!("{LABEL}\0{algorithm}\0{id}").into_bytes()
}

/// The 32 bytes, if the file has the form of a key. Raw bytes may happen to end in a line's end.
fn key_bytes(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, SecretFileFault> {
    let whole = secret_file::read_private(path, MAX_FILE)?;
    if whole.len() == KEY_BYTES {
        return Ok(Some(whole));
    }
    let text = secret_file::read_secret(path, MAX_FILE)?;
    if text.len() == KEY_BYTES {
        return Ok(Some(text));
    }
    let decoded = HEXLOWER_PERMISSIVE
        .decode(&text)
        .or_else(|_| BASE64URL_NOPAD.decode(&text));
    Ok(decoded.ok().map(Zeroizing::new))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::domain::Digest;
    use std::os::unix::fs::PermissionsExt;

    fn id(name: u8) -> KeyId {
        KeyId::from_thumbprint(Digest::of(&[name]))
    }

    #[test]
    fn what_is_sealed_opens_for_its_own_key_alone() {
        let sealer = Sealer::from_key(&[7; 32]).unwrap();
        let sealed = sealer.seal(Algorithm::Es256, &id(1), b"pkcs8").unwrap();
        let opened = sealer.open(Algorithm::Es256, &id(1), &sealed).unwrap();
        assert_eq!(opened.expose().as_slice(), b"pkcs8");
        assert!(sealer.open(Algorithm::Es256, &id(2), &sealed).is_none());
        assert!(sealer.open(Algorithm::Ps256, &id(1), &sealed).is_none());
        let other = Sealer::from_key(&[8; 32]).unwrap();
        assert!(other.open(Algorithm::Es256, &id(1), &sealed).is_none());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(sealer.open(Algorithm::Es256, &id(1), &altered).is_none());
        }
        assert!(sealer.open(Algorithm::Es256, &id(1), &[]).is_none());
        let again = sealer.seal(Algorithm::Es256, &id(1), b"pkcs8").unwrap();
        assert_ne!(again, sealed);
    }

    #[test]
    fn a_sealing_key_is_read_in_three_forms_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let write = |bytes: &[u8], mode: u32| {
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for bytes in [
            vec![0xff; 32],
            b"00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n".to_vec(),
            b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".to_vec(),
        ] {
            write(&bytes, 0o440);
            assert!(Sealer::read(&path).is_ok());
        }
        for bytes in [&b"0011"[..], &[0; 33]] {
            write(bytes, 0o400);
            assert!(matches!(Sealer::read(&path), Err(SealError::Form { .. })));
        }
        for (bytes, mode) in [
            (&b""[..], 0o400),
            (b" \n", 0o400),
            (&[0; 300], 0o400),
            (&[1; 32], 0o644),
        ] {
            write(bytes, mode);
            assert!(matches!(Sealer::read(&path), Err(SealError::File(_))));
        }
        let mut raw = [7; 33];
        raw[32] = b'\n';
        write(&raw, 0o400);
        assert!(Sealer::read(&path).is_ok());
    }
}
