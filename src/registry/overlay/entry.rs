//! One thing that an operator took away: what, who, when and why. Pure.

use std::fmt;
use std::sync::Arc;

use crate::domain::{Caller, ClientId, TokenId, UnixSeconds, is_hidden, looks_like_secret};

/// Longest reason in bytes: what an event holds of a text from outside, so that the whole of it is on record.
pub const MAX_REASON: usize = 128;

/// The number of an entry: counts on, and none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(u64);

/// Text that is no number of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no number of an entry: `grantd overlay list` shows them")]
pub struct InvalidEntryId;

/// Something that an operator took away. How it is kept and recorded does not change what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// What was taken away.
    pub what: What,
    /// Who did it.
    pub by: Caller,
    /// When.
    pub at: UnixSeconds,
    /// Why, in the operator's words.
    pub reason: Option<Reason>,
    /// Whether it is on disk: a restart would forget one that is not.
    pub kept: bool,
    /// Whether its event is on record. Until then it is tried again.
    pub recorded: bool,
}

/// What was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A client gets no token any more.
    Disabled(ClientId),
    /// Tokens are void.
    Revoked(Revocation),
}

/// Tokens that are void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which.
    pub tokens: Tokens,
    /// Those that were issued (`iat`) before this moment.
    pub before: UnixSeconds,
    /// The last of them has expired by then.
    pub until: UnixSeconds,
}

/// Which tokens a revocation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Those of one client.
    OfClient(ClientId),
    /// The one with this `jti`.
    One(TokenId),
    /// All.
    All,
}

/// Why something was taken away: one line of an operator's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(Arc<str>);

/// Text that is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReason {
    /// Nothing there.
    #[error("the reason is empty: leave it out")]
    Empty,
    /// Too long to stand in an event.
    #[error("the reason is longer than {MAX_REASON} bytes: name a ticket instead")]
    TooLong,
    /// Not one line, or something that is not seen as itself.
    #[error("the reason has a line feed or another character that can't be seen: write one line")]
    Hidden,
    /// Perhaps the very secret that leaked.
    #[error("the reason has the look of a secret: it would stand in status and events")]
    Secret,
}

impl EntryId {
    /// The entry with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A number as `overlay list` shows it.
    ///
    /// # Errors
    /// [`InvalidEntryId`] when it is none.
    pub fn parse(text: &str) -> Result<Self, InvalidEntryId> {
        text.parse().map(Self).map_err(|_| InvalidEntryId)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Entry {
    /// What it voids, when it is a revocation.
    #[must_use]
    pub const fn revocation(&self) -> Option<&Revocation> {
        match &self.what {
            What::Disabled(_) => None,
            What::Revoked(revocation) => Some(revocation),
        }
    }
}

impl What {
    /// The kind, as metrics, events and JSON spell it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Disabled(_) => "client_disabled",
            Self::Revoked(_) => "tokens_revoked",
        }
    }

    /// The client that it is about, if it is about one.
    #[must_use]
    pub const fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Disabled(client)
            | Self::Revoked(Revocation {
                tokens: Tokens::OfClient(client),
                ..
            }) => Some(client),
            Self::Revoked(_) => None,
        }
    }

    /// The token that it is about, if it is about one.
    #[must_use]
    pub const fn token(&self) -> Option<TokenId> {
        match self {
            Self::Revoked(Revocation {
                tokens: Tokens::One(token),
                ..
            }) => Some(*token),
            _ => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled(client) => write!(f, "client {client} gets no token"),
            Self::Revoked(revocation) => match &revocation.tokens {
                Tokens::OfClient(client) => write!(
                    f,
                    "tokens of client {client} issued before {} are void",
                    revocation.before
                ),
                Tokens::One(token) => write!(f, "the token {token} is void"),
                Tokens::All => write!(f, "tokens issued before {} are void", revocation.before),
            },
        }
    }
}

impl Revocation {
    /// Whether a token of these that was issued at this moment is void.
    #[must_use]
    pub fn voids(&self, issued_at: UnixSeconds) -> bool {
        issued_at < self.before
    }
}

impl Reason {
    /// A reason: one line of 1 to [`MAX_REASON`] bytes.
    ///
    /// # Errors
    /// [`InvalidReason`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidReason> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidReason::Empty);
        }
        if text.len() > MAX_REASON {
            return Err(InvalidReason::TooLong);
        }
        if text.contains(is_hidden) {
            return Err(InvalidReason::Hidden);
        }
        if looks_like_secret(text) {
            return Err(InvalidReason::Secret);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
