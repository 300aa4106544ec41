//! The one place that reads a secret from a file: bounded, whole, wiped from memory. Touches: fs.
//!
//! A credential of systemd is such a file, and so is what `openssl rand` or an editor wrote: with a line's
//! end behind it or without. Exactly one is taken off, so that a secret which ends in one can be written.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Why a file gives no secret. Never says anything of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileFault {
    /// It can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder, a device or a pipe.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Everybody on the machine can read or change it.
    #[error("{} can be read by others (mode {mode:04o}): chmod o-rwx", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Nothing is in it, or nothing but white space.
    #[error("{} is empty: the secret itself must be in it", .0.display())]
    Empty(PathBuf),
    /// More than any secret of its kind has.
    #[error("{} is longer than {most} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        most: u64,
    },
}

/// The bytes of a file that others on the machine can't read, `most` at most, as they are.
///
/// The owner's and the group's permissions are the operator's: a credential of systemd is 0440 with an
/// access list, and a certificate's key often belongs to a group. Links are followed: certbot's names
/// are links.
///
/// # Errors
/// [`SecretFileFault`]
pub fn read_private(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, SecretFileFault> {
    read(path, most, true)
}

/// One secret of text or bytes: [`read_private`] without one line's end behind it, and never empty.
///
/// # Errors
/// [`SecretFileFault`]
pub fn read_secret(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, SecretFileFault> {
    one_secret(path, read(path, most, true)?)
}

/// The same from a file whose permissions are not judged: a password that is of use only together with
/// what lies elsewhere.
///
/// # Errors
/// [`SecretFileFault`]
pub fn read_password(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, SecretFileFault> {
    one_secret(path, read(path, most, false)?)
}

fn one_secret(
    path: &Path,
    mut bytes: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, SecretFileFault> {
    if bytes.trim_ascii().is_empty() {
        return Err(SecretFileFault::Empty(path.to_owned()));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Ok(bytes)
}

fn read(path: &Path, most: u64, private: bool) -> Result<Zeroizing<Vec<u8>>, SecretFileFault> {
    let failed = |source| SecretFileFault::Read {
        path: path.to_owned(),
        source,
    };
    // A pipe would otherwise wait for somebody who writes into it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SecretFileFault::NotAFile(path.to_owned()));
    }
    if private && metadata.mode() & 0o007 != 0 {
        let mode = metadata.mode() & 0o7777;
        let path = path.to_owned();
        return Err(SecretFileFault::Open { path, mode });
    }
    // Room for all of it from the start: a buffer that grows leaves copies behind.
    let room = metadata.len().min(most).saturating_add(2);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0)));
    let mut limited = file.take(most.saturating_add(1));
    limited.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        let path = path.to_owned();
        return Err(SecretFileFault::TooLong { path, most });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn read_back(bytes: &[u8], mode: u32) -> Result<Vec<u8>, SecretFileFault> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        read_secret(&path, 8).map(|secret| secret.to_vec())
    }

    #[test]
    fn exactly_one_line_end_is_taken_off() {
        for (file, secret) in [
            (&b"hunter"[..], &b"hunter"[..]),
            (b"hunter\n", b"hunter"),
            (b"hunter\r\n", b"hunter"),
            (b"hunt\n\n", b"hunt\n"),
            (b" hunt \n", b" hunt "),
        ] {
            assert_eq!(read_back(file, 0o400).unwrap(), secret, "{file:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_and_said() {
        for file in [&b""[..], b"\n", b" \t\r\n"] {
            let refused = read_back(file, 0o600).unwrap_err();
            assert!(matches!(refused, SecretFileFault::Empty(_)), "{refused}");
        }
        let refused = read_back(b"123456789", 0o600).unwrap_err();
        assert!(matches!(refused, SecretFileFault::TooLong { .. }));
        assert!(read_back(b"hunter", 0o440).is_ok());
        let refused = read_back(b"hunter", 0o644).unwrap_err();
        assert!(matches!(refused, SecretFileFault::Open { mode: 0o644, .. }));
        let folder = tempfile::tempdir().unwrap();
        let refused = read_secret(folder.path(), 8).unwrap_err();
        assert!(matches!(refused, SecretFileFault::NotAFile(_)));
    }
}
