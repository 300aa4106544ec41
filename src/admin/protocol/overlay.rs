//! What operators took away, as it is sent to commands and as verifiers read it. Pure.

use serde::{Deserialize, Serialize};

use crate::domain::{Caller, ClientId, TokenId, UnixSeconds};
use crate::registry::overlay::{Entry, EntryId, Overlay, Reason, Revocation, Says, Tokens, What};
use crate::registry::snapshot::Snapshot;

/// Most entries that a status shows, the oldest first; `grantd overlay list` shows all.
pub const MAX_STATUS_ENTRIES: usize = 50;

/// The version of this document. A change that would break a reader gets another one.
const VERSION: u32 = 1;

/// What operators took away: `grantd overlay list --format json`, and what `grantd verify --revocations`
/// reads. Moments are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayReport {
    /// The version of the document.
    pub version: u32,
    /// When it was made.
    pub at: String,
    /// How many entries there are.
    pub total: usize,
    /// The entries, the oldest first.
    pub entries: Vec<OverlayEntryReport>,
}

/// Something that was taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayEntryReport {
    /// Its number.
    pub entry: u64,
    /// `client_disabled`: the client gets no token; `tokens_revoked`: tokens are void.
    pub kind: String,
    /// The client that it is about; where neither this nor `jti` is there, it is about all tokens.
    pub client: Option<String>,
    /// The token that it is about.
    pub jti: Option<String>,
    /// Tokens whose `iat` is before this moment are void. One with a `jti` is void whatever its `iat`.
    pub issued_before: Option<String>,
    /// The last of them has expired by then.
    pub until: Option<String>,
    /// When it was said.
    pub since: String,
    /// Who said it.
    pub uid: u32,
    /// Their group.
    pub gid: u32,
    /// Their process.
    pub pid: u32,
    /// Why.
    pub reason: Option<String>,
    /// What the registry that is served says of the client: `enabled`, `disabled`, `absent`, `no_registry`.
    pub registry_says: Option<String>,
    /// Whether it is on disk; a restart forgets one that is not.
    pub kept: bool,
    /// Whether its event is on record.
    pub recorded: bool,
}

/// What a command did to the overlay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReport {
    /// The entry that is in force now, or that was dropped.
    pub entry: OverlayEntryReport,
    /// Whether it is in force.
    pub in_force: bool,
    /// Whether this command changed anything.
    pub changed: bool,
}

/// A document that is none of this form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReport {
    /// Another version.
    #[error("it has version {0}, and this grantd knows version {VERSION} alone")]
    Version(u32),
    /// Entries are missing.
    #[error("it has {held} of {total} entries: print all of them with `grantd overlay list`")]
    Cut {
        /// Entries that are there.
        held: usize,
        /// Entries that there are.
        total: usize,
    },
    /// An entry that says nothing that is known.
    #[error("entry {0} is not understood: a newer grantd wrote it, or it was changed")]
    Entry(u64),
}

impl OverlayReport {
    /// The report of an overlay, of at most so many entries.
    pub(in crate::admin) fn of(
        overlay: &Overlay,
        registry: Option<&Snapshot>,
        at: UnixSeconds,
        most: usize,
    ) -> Self {
        let entries = overlay.entries();
        Self {
            version: VERSION,
            at: at.to_rfc3339(),
            total: entries.len(),
            entries: (entries.into_iter().take(most))
                .map(|entry| OverlayEntryReport::of(entry, registry))
                .collect(),
        }
    }

    /// The overlay that it tells of.
    ///
    /// # Errors
    /// [`InvalidReport`]: a revocation that is not understood is never passed over.
    pub fn to_overlay(&self) -> Result<Overlay, InvalidReport> {
        if self.version != VERSION {
            return Err(InvalidReport::Version(self.version));
        }
        if self.entries.len() != self.total {
            return Err(InvalidReport::Cut {
                held: self.entries.len(),
                total: self.total,
            });
        }
        let entries: Result<Vec<Entry>, InvalidReport> = self
            .entries
            .iter()
            .map(|entry| entry.to_entry().ok_or(InvalidReport::Entry(entry.entry)))
            .collect();
        entries.map(Overlay::of)
    }
}

impl OverlayEntryReport {
    /// The report of an entry.
    pub(in crate::admin) fn of(entry: &Entry, registry: Option<&Snapshot>) -> Self {
        let Entry {
            id,
            what,
            by: Caller { uid, gid, pid },
            at,
            reason,
            kept,
            recorded,
        } = entry;
        let revocation = entry.revocation();
        let client = what.client();
        Self {
            entry: id.get(),
            kind: what.kind().to_owned(),
            client: client.map(|client| client.as_str().to_owned()),
            jti: what.token().map(|token| token.to_string()),
            issued_before: revocation.map(|it| it.before.to_rfc3339()),
            until: revocation.map(|it| it.until.to_rfc3339()),
            since: at.to_rfc3339(),
            uid: *uid,
            gid: *gid,
            pid: *pid,
            reason: reason.as_ref().map(|reason| reason.as_str().to_owned()),
            registry_says: client.map(|client| Says::of(registry, client).name().to_owned()),
            kept: *kept,
            recorded: *recorded,
        }
    }

    fn to_entry(&self) -> Option<Entry> {
        let moment = |text: &str| UnixSeconds::parse_rfc3339(text).ok();
        let client = match &self.client {
            None => None,
            Some(client) => Some(ClientId::parse(client).ok()?),
        };
        let what = match (self.kind.as_str(), client, &self.jti) {
            ("client_disabled", Some(client), None) => What::Disabled(client),
            ("tokens_revoked", client, jti) => What::Revoked(Revocation {
                tokens: match (client, jti) {
                    (Some(client), None) => Tokens::OfClient(client),
                    (None, Some(jti)) => Tokens::One(TokenId::parse(jti).ok()?),
                    (None, None) => Tokens::All,
                    (Some(_), Some(_)) => return None,
                },
                before: moment(self.issued_before.as_deref()?)?,
                until: moment(self.until.as_deref()?)?,
            }),
            _ => return None,
        };
        let reason = match &self.reason {
            None => None,
            Some(reason) => Some(Reason::parse(reason).ok()?),
        };
        Some(Entry {
            id: EntryId::new(self.entry),
            what,
            by: Caller {
                uid: self.uid,
                gid: self.gid,
                pid: self.pid,
            },
            at: moment(&self.since)?,
            reason,
            kept: self.kept,
            recorded: self.recorded,
        })
    }

    /// What was taken away, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let before = self.issued_before.as_deref().unwrap_or_default();
        let until = self.until.as_deref().unwrap_or_default();
        match (self.kind.as_str(), &self.client, &self.jti) {
            ("client_disabled", Some(client), _) => format!("client {client} is disabled"),
            (_, Some(client), _) => format!(
                "tokens of client {client} issued before {before} are void; the last expires at {until}"
            ),
            (_, None, Some(jti)) => format!("the token {jti} is void; it expires by {until}"),
            (_, None, None) => {
                format!("all tokens issued before {before} are void; the last expires at {until}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::{Answer, MAX_ANSWER};
    use super::*;
    use crate::registry::overlay::{MAX_ENTRIES, MAX_REASON};

    fn entry(id: u64, what: What) -> Entry {
        let quotes = "\"".repeat(MAX_REASON);
        Entry {
            id: EntryId::new(id),
            what,
            by: Caller {
                uid: u32::MAX,
                gid: u32::MAX,
                pid: u32::MAX,
            },
            at: UnixSeconds::new(1_800_000_000),
            reason: Some(Reason::parse(&quotes).unwrap()),
            kept: true,
            recorded: true,
        }
    }

    fn revoked(tokens: Tokens) -> What {
        What::Revoked(Revocation {
            tokens,
            before: UnixSeconds::new(1_800_000_000),
            until: UnixSeconds::new(1_800_000_900),
        })
    }

    #[test]
    fn a_report_says_what_the_overlay_does() {
        let client = ClientId::parse("leaked").unwrap();
        let overlay = Overlay::of([
            entry(1, What::Disabled(client.clone())),
            entry(2, revoked(Tokens::OfClient(client))),
            entry(3, revoked(Tokens::One(TokenId::from_bits(7)))),
            entry(4, revoked(Tokens::All)),
        ]);
        let at = UnixSeconds::new(1_800_000_100);
        let report = OverlayReport::of(&overlay, None, at, MAX_ENTRIES);
        let text = serde_json::to_string(&report).unwrap();
        let read: OverlayReport = serde_json::from_str(&text).unwrap();
        let again = read.to_overlay().unwrap();
        assert_eq!(again.entries(), overlay.entries());
        let cut = OverlayReport::of(&overlay, None, at, 2);
        let missing = InvalidReport::Cut { held: 2, total: 4 };
        assert_eq!(cut.to_overlay().unwrap_err(), missing);
        for change in [
            (|it| it.kind = "tokens_forgiven".to_owned()) as fn(&mut OverlayEntryReport),
            |it| it.jti = Some("7".to_owned()),
            |it| it.client = None,
            |it| it.since = "soon".to_owned(),
        ] {
            let mut other = read.clone();
            change(other.entries.first_mut().unwrap());
            assert_eq!(other.to_overlay().unwrap_err(), InvalidReport::Entry(1));
        }
        let newer = OverlayReport { version: 2, ..read };
        assert_eq!(newer.to_overlay().unwrap_err(), InvalidReport::Version(2));
    }

    #[test]
    fn the_longest_list_fits_one_answer() {
        let overlay = Overlay::of((0..MAX_ENTRIES).map(|number| {
            let name = format!("{number:0>63}");
            entry(
                u64::MAX - u64::try_from(number).unwrap(),
                revoked(Tokens::OfClient(ClientId::parse(&name).unwrap())),
            )
        }));
        let at = UnixSeconds::new(1_800_000_100);
        let answer = Answer {
            overlay: Some(OverlayReport::of(&overlay, None, at, MAX_ENTRIES)),
            ..Answer::default()
        };
        assert!(answer.to_line().len() < MAX_ANSWER);
    }
}
