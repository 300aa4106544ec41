//! Names and identifiers: of clients, resources, keys, tokens, requests, instances. Pure.

use data_encoding::HEXLOWER;
use std::fmt;
use std::sync::Arc;

use super::secret::{SECRET_PREFIX, looks_like_secret};

/// Longest name of a client, resource or instance in bytes: a DNS label, so that a name fits a
/// file name, a metric label and a NATS subject token.
pub const MAX_NAME: usize = 63;

/// Longest name of an owner in bytes, such as a team's name or an e-mail address.
const MAX_OWNER: usize = 128;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Longer than the kind of name allows.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// A character outside of the form.
    #[error(
        "it may have lower-case letters, digits, \"-\", \"_\" and \".\" only, and must begin and end with a letter or digit"
    )]
    Character,
    /// It has the form of a secret: somebody has mixed up two fields.
    #[error("it has the form of a client secret: a name is public, never a secret")]
    Secret,
    /// An owner with a control character or white space at an end.
    #[error("it has a control character, or white space at an end")]
    Owner,
}

fn check_name(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.starts_with(SECRET_PREFIX) {
        return Err(InvalidName::Secret);
    }
    if text.len() > MAX_NAME {
        return Err(InvalidName::TooLong(MAX_NAME));
    }
    let edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let inner = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    if edge(text.bytes().next()) && edge(text.bytes().next_back()) && text.bytes().all(inner) {
        Ok(())
    } else {
        Err(InvalidName::Character)
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A name: 1 to [`MAX_NAME`] lower-case letters, digits, `-`, `_`, `.`, with a letter
            /// or digit at both ends.
            ///
            /// # Errors
            /// [`InvalidName`] says what is wrong.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                check_name(text).map(|()| Self(Arc::from(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The identifier of a client (RFC 6749 section 2.2): its table's key in the registry.
    ///
    /// It is the `client_id` and the `sub` of its tokens. Clients never choose it themselves, so
    /// it can't be made to collide with the subject of a person (RFC 9700 section 4.15.1).
    ClientId;
    /// The name of a resource in the registry: its table's key. Clients never see it.
    ResourceName;
}

impl ClientId {
    /// An id that the registry does not know, if it may be recorded: it has the form of a client
    /// id and not that of a secret that was typed into the wrong field.
    #[must_use]
    pub fn plausible(text: &str) -> Option<Self> {
        if looks_like_secret(text) {
            return None;
        }
        Self::parse(text).ok()
    }
}

/// The name of this daemon among those of one issuer: a token of its NATS subjects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceName(Arc<str>);

impl InstanceName {
    /// An instance name: the form of a client id without the dot, which separates the tokens of
    /// a NATS subject.
    ///
    /// # Errors
    /// [`InvalidName`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        check_name(text)?;
        if text.contains('.') {
            return Err(InvalidName::Character);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who answers for a client or a resource: a team's name, as CODEOWNERS spells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    /// An owner: 1 to 128 bytes of text without control characters.
    ///
    /// # Errors
    /// [`InvalidName`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > MAX_OWNER {
            return Err(InvalidName::TooLong(MAX_OWNER));
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(InvalidName::Owner);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The owner as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identifier of a signing key: its RFC 7638 thumbprint, 43 characters of base64url.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// The id of the key with this RFC 7638 thumbprint (SHA-256).
    #[must_use]
    pub fn from_thumbprint(thumbprint: super::Digest) -> Self {
        Self(Arc::from(thumbprint.to_base64url()))
    }

    /// An id as an operator or a file spells it.
    ///
    /// # Errors
    /// [`InvalidName::Character`] when it is not 43 characters of base64url.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        match data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(Arc::from(text))),
            _ => Err(InvalidName::Character),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which credential of a client: its kind and the beginning of its verifier, for example
/// `secret:3q2-7wBc`. Public, and stable when the file that holds it is moved or reordered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialId(Arc<str>);

impl CredentialId {
    /// The id of the generated secret with this verifier.
    #[must_use]
    pub fn of_secret(verifier: &super::SecretVerifier) -> Self {
        let encoded = verifier.digest().to_base64url();
        let start = encoded.get(..12).unwrap_or_default();
        Self(Arc::from(format!("secret:{start}")))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The git commit that a registry was read from: 40 (SHA-1) or 64 (SHA-256) hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommitId(Arc<str>);

impl CommitId {
    /// A commit id.
    ///
    /// # Errors
    /// [`InvalidName::Character`] when it is not 40 or 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if matches!(text.len(), 40 | 64) && text.bytes().all(hex) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidName::Character)
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! random_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// The id with these 128 random bits.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// The bits themselves.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// The 32 lower-case hexadecimal digits, without an allocation.
            #[must_use]
            pub fn to_hex(self) -> [u8; 32] {
                let mut hex = [0; 32];
                HEXLOWER.encode_mut(&self.0.to_be_bytes(), &mut hex);
                hex
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&self.to_hex()).unwrap_or_default())
            }
        }
    )*};
}

random_ids! {
    /// The `jti` of a token: 128 random bits (RFC 7519 section 4.1.7), shown in hexadecimal.
    TokenId;
    /// The id of a request, by which an operator finds its event: 128 random bits.
    RequestId;
}

impl TokenId {
    /// An id as a token or an event spells it.
    ///
    /// # Errors
    /// [`InvalidName::Character`] when it is not 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let bytes = HEXLOWER.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| InvalidName::Character)?;
        <[u8; 16]>::try_from(bytes)
            .map(|bytes| Self(u128::from_be_bytes(bytes)))
            .map_err(|_| InvalidName::Character)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_id_is_read_as_it_is_shown() {
        let id = TokenId::from_bits(0xf00);
        assert_eq!(TokenId::parse(&id.to_string()), Ok(id));
        for text in ["", "f00", &"A".repeat(32), &"0".repeat(34)] {
            assert_eq!(TokenId::parse(text), Err(InvalidName::Character), "{text}");
        }
    }

    #[test]
    fn names_have_one_form() {
        for name in ["a", "nightly-invoices", "ci.deploy_7", "0"] {
            assert!(ClientId::parse(name).is_ok(), "{name}");
        }
        assert_eq!(ClientId::parse(""), Err(InvalidName::Empty));
        assert_eq!(ClientId::parse("Nightly"), Err(InvalidName::Character));
        assert_eq!(ClientId::parse("-a"), Err(InvalidName::Character));
        assert_eq!(ClientId::parse("a."), Err(InvalidName::Character));
        assert_eq!(ClientId::parse("a b"), Err(InvalidName::Character));
        assert_eq!(
            ClientId::parse(&"a".repeat(64)),
            Err(InvalidName::TooLong(63))
        );
        assert_eq!(
            ClientId::parse("grantd_secret_abc"),
            Err(InvalidName::Secret)
        );
        assert_eq!(InstanceName::parse("auth.1"), Err(InvalidName::Character));
        assert!(InstanceName::parse("auth-1").is_ok());
    }

    #[test]
    fn what_looks_like_a_secret_is_no_plausible_client() {
        assert!(ClientId::plausible("nightly-invoices").is_some());
        assert!(ClientId::plausible("7f9c2ba4-e88f-4e2a-9c3f-1d2e3f4a5b6c").is_some());
        assert!(ClientId::plausible("d41d8cd98f00b204e9800998ecf8427e").is_none());
    }
}
