//! The client's secret: from a file, a credential of systemd's, or standard input. Touches: fs, process.
//!
//! Never from an argument or the environment, which others on the machine can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::domain::{ClientId, ClientSecret, SECRET_PREFIX, Secret, SecretVerifier};
use crate::settings::environment::Environment;

/// Longest secret in bytes: fifty times a generated one, and longer than any that a form can carry well.
const MAX_SECRET: usize = 4096;

/// The mode's bit that lets everybody read.
const OTHERS_READ: u32 = 0o004;

/// The mode's bit that lets the group read.
const GROUP_READ: u32 = 0o040;

/// Where the secret is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file.
    File(PathBuf),
    /// A credential that systemd has put into a folder of its own.
    Credential(PathBuf),
    /// Standard input.
    Stdin,
}

/// Why there is no secret. No value is ever in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretFault {
    /// It can't be read.
    #[error("cannot read the secret from {place}")]
    Unreadable {
        /// Where it should be.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// Outside of a service there are no credentials.
    #[error(
        "CREDENTIALS_DIRECTORY is not set: --secret-credential works in a systemd service with LoadCredential={0}:FILE; elsewhere use --secret-file"
    )]
    NoCredentials(String),
    /// No name of a credential.
    #[error("{0:?} is no name of a credential: it is a file's name, without a slash")]
    CredentialName(String),
    /// Everybody can read it.
    #[error(
        "{place} can be read by everybody (mode {mode:04o}): run `chmod 600 {place}`, and make a new secret if others use this machine"
    )]
    Exposed {
        /// The file.
        place: String,
        /// Its mode.
        mode: u32,
    },
    /// Nothing in it.
    #[error("{0} is empty: it must hold the client's secret")]
    Empty(String),
    /// Several lines.
    #[error(
        "{0} has more than one line: it must hold the client's secret alone, with one line feed behind it at most"
    )]
    Lines(String),
    /// Too long.
    #[error("{0} is longer than {MAX_SECRET} bytes: it must hold the client's secret alone")]
    TooLong(String),
    /// Bytes that no secret has.
    #[error(
        "{0} holds control characters or bytes that are no UTF-8: it must hold the client's secret alone"
    )]
    Characters(String),
    /// A generated secret that was cut or mistyped.
    #[error(
        "the secret in {0} is not whole: its checksum does not hold, so a part is missing or altered; copy it again, or make another with `grantd secret new --client {1}`"
    )]
    Damaged(String, ClientId),
}

/// A secret that was read.
#[derive(Debug)]
pub(super) struct Found {
    /// The secret.
    pub secret: ClientSecret,
    /// What is not as it should be, though it goes on.
    pub warning: Option<String>,
}

impl Place {
    /// The place that the arguments name.
    pub(super) fn of(
        file: Option<&Path>,
        credential: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, SecretFault> {
        let Some(name) = credential else {
            return Ok(match file {
                Some(path) if path != Path::new("-") => Self::File(path.to_owned()),
                _ => Self::Stdin,
            });
        };
        if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
            return Err(SecretFault::CredentialName(name.to_owned()));
        }
        match &environment.credentials {
            Some(folder) => Ok(Self::Credential(folder.join(name))),
            None => Err(SecretFault::NoCredentials(name.to_owned())),
        }
    }

    /// The place in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::File(path) | Self::Credential(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// Reads the secret of this client.
    pub(super) fn read(&self, client: &ClientId) -> Result<Found, SecretFault> {
        let place = self.describe();
        let unreadable = |source| SecretFault::Unreadable {
            place: place.clone(),
            source,
        };
        let (bytes, warning) = match self {
            Self::Stdin => (take(io::stdin().lock()).map_err(unreadable)?, None),
            Self::File(path) => {
                let file = File::open(path).map_err(unreadable)?;
                let warning = exposure(&place, file.metadata().map_err(unreadable)?.mode())?;
                (take(file).map_err(unreadable)?, warning)
            }
            // systemd guards it by an access control list, which looks like a group that may read.
            Self::Credential(path) => {
                let file = File::open(path).map_err(unreadable)?;
                (take(file).map_err(unreadable)?, None)
            }
        };
        let secret = parse(&bytes, place, client)?;
        Ok(Found { secret, warning })
    }
}

/// As ssh does with keys: a secret that everybody can read is none. A group is a warning only, for
/// Kubernetes and Nomad hand secrets to a group.
fn exposure(place: &str, mode: u32) -> Result<Option<String>, SecretFault> {
    if mode & OTHERS_READ != 0 {
        return Err(SecretFault::Exposed {
            place: place.to_owned(),
            mode: mode & 0o7777,
        });
    }
    Ok((mode & GROUP_READ != 0).then(|| {
        format!("{place} can be read by its group: `chmod 600 {place}`, unless that is meant")
    }))
}

fn take(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 2));
    source.take(MAX_SECRET as u64 + 2).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The secret in these bytes: exactly one line feed at the end is no part of it.
fn parse(bytes: &[u8], place: String, client: &ClientId) -> Result<ClientSecret, SecretFault> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if line.is_empty() {
        return Err(SecretFault::Empty(place));
    }
    if line.contains(&b'\n') || line.contains(&b'\r') {
        return Err(SecretFault::Lines(place));
    }
    if line.len() > MAX_SECRET {
        return Err(SecretFault::TooLong(place));
    }
    let text = match std::str::from_utf8(line) {
        Ok(text) if !text.chars().any(char::is_control) => text,
        _ => return Err(SecretFault::Characters(place)),
    };
    let secret = Secret::new(text.to_owned());
    let generated = SecretVerifier::of_presented(client.as_str(), &secret).is_some();
    if text.trim_start().starts_with(SECRET_PREFIX) && !generated {
        return Err(SecretFault::Damaged(place, client.clone()));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(text: &str) -> Result<String, SecretFault> {
        let client = ClientId::parse("nightly").unwrap();
        parse(text.as_bytes(), "f".to_owned(), &client).map(|secret| secret.expose().clone())
    }

    #[test]
    fn one_line_feed_is_stripped_and_no_more() {
        assert_eq!(read("word").unwrap(), "word");
        assert_eq!(read("word\n").unwrap(), "word");
        assert_eq!(read(" word \n").unwrap(), " word ");
        for text in ["word\n\n", "\nword", "a\nb", "word\r\n"] {
            assert!(matches!(read(text), Err(SecretFault::Lines(_))), "{text:?}");
        }
        for text in ["", "\n"] {
            assert!(matches!(read(text), Err(SecretFault::Empty(_))), "{text:?}");
        }
        assert!(matches!(read("a\0b"), Err(SecretFault::Characters(_))));
        let long = "a".repeat(MAX_SECRET + 1);
        assert!(matches!(read(&long), Err(SecretFault::TooLong(_))));
    }

    #[test]
    fn a_generated_secret_that_was_cut_is_named_so() {
        let whole = crate::domain::GeneratedSecret::from_entropy(&Zeroizing::new([9; 32]));
        assert!(read(whole.expose()).is_ok());
        let cut = whole.expose().get(..60).unwrap();
        for text in [cut.to_owned(), format!(" {}", whole.expose())] {
            let error = read(&text).unwrap_err();
            assert!(matches!(error, SecretFault::Damaged(..)), "{error}");
            assert!(!error.to_string().contains(cut));
        }
    }
}
