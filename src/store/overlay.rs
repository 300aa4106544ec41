//! What operators took away, as it is kept: a record an entry. Touches: fs.

use serde::{Deserialize, Serialize};

use super::db::{Store, StoreError, unversioned, versioned};
use super::key::{Key, OVERLAY_PREFIX};
use crate::domain::{Caller, ClientId, TokenId, UnixSeconds};
use crate::registry::overlay::{Entry, EntryId, Reason, Revocation, Tokens, What};

/// What errors call a record.
const WHAT: &str = "overlay entry";

/// An entry but for its number, which is its key's. Whether it is on disk is plain from its being there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    what: StoredWhat,
    uid: u32,
    gid: u32,
    pid: u32,
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    recorded: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum StoredWhat {
    Disabled {
        client: String,
    },
    /// All tokens where neither is named.
    Revoked {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        before: u64,
        until: u64,
    },
}

impl Store {
    /// What operators took away, and the highest number that an entry has had.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read: without it a leaked client would be alive again.
    pub fn overlay(&self) -> Result<(Vec<Entry>, EntryId), StoreError> {
        let last = self.number(&Key::LastOverlayEntry)?.unwrap_or(0);
        let mut entries = Vec::new();
        for record in self.scan(&OVERLAY_PREFIX)? {
            let number = record.key.get(OVERLAY_PREFIX.len()..);
            let number = number.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            let number = number.ok_or(StoreError::Record { what: WHAT })?;
            let id = EntryId::new(u64::from_be_bytes(number));
            entries.push(entry_of(id, &record.value)?);
        }
        let highest = entries.iter().map(|entry| entry.id.get()).max();
        Ok((entries, EntryId::new(last.max(highest.unwrap_or(0)))))
    }

    /// Replaces all entries, in one commit, and keeps the highest number that one has had.
    ///
    /// # Errors
    /// [`StoreError`]: the daemon must stop, unless it [may be tried again](StoreError::NoRoom).
    pub fn set_overlay(&self, entries: &[Entry], last: EntryId) -> Result<(), StoreError> {
        let before = self.scan(&OVERLAY_PREFIX)?;
        let mut changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        let mut wanted = Vec::new();
        for entry in entries {
            let key = Key::OverlayEntry(entry.id).to_bytes();
            let value = value_of(entry)?;
            let same = |it: &super::db::Entry| it.key == key && it.value == value;
            if !before.iter().any(same) {
                changes.push((key.clone(), Some(value)));
            }
            wanted.push(key);
        }
        let gone = before.into_iter().filter(|it| !wanted.contains(&it.key));
        changes.extend(gone.map(|it| (it.key, None)));
        if self.number(&Key::LastOverlayEntry)?.unwrap_or(0) < last.get() {
            let key = Key::LastOverlayEntry;
            let value = versioned(&key, &last.get().to_be_bytes());
            changes.push((key.to_bytes(), Some(value)));
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.commit(&changes)
    }
}

/// An entry as it is stored.
pub(super) fn value_of(entry: &Entry) -> Result<Vec<u8>, StoreError> {
    let Entry {
        id,
        what,
        by: Caller { uid, gid, pid },
        at,
        reason,
        kept: _,
        recorded,
    } = entry;
    let what = match what {
        What::Disabled(client) => StoredWhat::Disabled {
            client: client.as_str().to_owned(),
        },
        What::Revoked(revocation) => StoredWhat::Revoked {
            client: what.client().map(|client| client.as_str().to_owned()),
            token: what.token().map(|token| token.to_string()),
            before: revocation.before.get(),
            until: revocation.until.get(),
        },
    };
    let stored = Stored {
        what,
        uid: *uid,
        gid: *gid,
        pid: *pid,
        at: at.get(),
        reason: reason.as_ref().map(|reason| reason.as_str().to_owned()),
        recorded: *recorded,
    };
    let json = serde_json::to_vec(&stored).map_err(|_| StoreError::Record { what: WHAT })?;
    Ok(versioned(&Key::OverlayEntry(*id), &json))
}

/// An entry out of what is stored. One that can't be understood is an error, never left out.
pub(super) fn entry_of(id: EntryId, value: &[u8]) -> Result<Entry, StoreError> {
    let json = unversioned(&Key::OverlayEntry(id), value)?;
    serde_json::from_slice::<Stored>(&json)
        .ok()
        .and_then(|stored| entry(id, stored))
        .ok_or(StoreError::Record { what: WHAT })
}

fn entry(id: EntryId, stored: Stored) -> Option<Entry> {
    let Stored {
        what,
        uid,
        gid,
        pid,
        at,
        reason,
        recorded,
    } = stored;
    let what = match what {
        StoredWhat::Disabled { client } => What::Disabled(ClientId::parse(&client).ok()?),
        StoredWhat::Revoked {
            client,
            token,
            before,
            until,
        } => What::Revoked(Revocation {
            tokens: match (client, token) {
                (Some(client), None) => Tokens::OfClient(ClientId::parse(&client).ok()?),
                (None, Some(token)) => Tokens::One(TokenId::parse(&token).ok()?),
                (None, None) => Tokens::All,
                (Some(_), Some(_)) => return None,
            },
            before: UnixSeconds::new(before),
            until: UnixSeconds::new(until),
        }),
    };
    let reason = match reason {
        None => None,
        Some(reason) => Some(Reason::parse(&reason).ok()?),
    };
    Some(Entry {
        id,
        what,
        by: Caller { uid, gid, pid },
        at: UnixSeconds::new(at),
        reason,
        kept: true,
        recorded,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::{MAX_RECORD, OnCorruption};

    fn entry(id: u64, what: What) -> Entry {
        Entry {
            id: EntryId::new(id),
            what,
            by: Caller {
                uid: u32::MAX,
                gid: u32::MAX,
                pid: u32::MAX,
            },
            at: UnixSeconds::new(u64::MAX),
            // The longest once it is escaped.
            reason: Some(
                Reason::parse(&"\"".repeat(crate::registry::overlay::MAX_REASON)).unwrap(),
            ),
            kept: true,
            recorded: false,
        }
    }

    fn revoked(tokens: Tokens) -> What {
        What::Revoked(Revocation {
            tokens,
            before: UnixSeconds::new(u64::MAX),
            until: UnixSeconds::new(u64::MAX),
        })
    }

    #[test]
    fn entries_are_read_as_they_were_kept_and_numbers_are_not_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let client = ClientId::parse(&"a".repeat(63)).unwrap();
        let entries = [
            entry(1, What::Disabled(client.clone())),
            entry(2, revoked(Tokens::OfClient(client))),
            entry(3, revoked(Tokens::One(TokenId::from_bits(u128::MAX)))),
            entry(700, revoked(Tokens::All)),
        ];
        for entry in &entries {
            assert!(value_of(entry).unwrap().len() < MAX_RECORD / 4);
        }
        let store = Store::open(&path, OnCorruption::Refuse).unwrap();
        assert_eq!(store.overlay().unwrap(), (Vec::new(), EntryId::new(0)));
        store.set_overlay(&entries, EntryId::new(700)).unwrap();
        let kept = store.overlay().unwrap();
        assert_eq!(kept, (entries.to_vec(), EntryId::new(700)));
        store.set_overlay(&entries[..1], EntryId::new(3)).unwrap();
        let kept = store.overlay().unwrap();
        assert_eq!(kept, (entries[..1].to_vec(), EntryId::new(700)));
    }

    #[test]
    fn a_record_that_is_not_understood_is_an_error() {
        let id = EntryId::new(1);
        for value in [
            &b""[..],
            b"\x01{}",
            b"\x02{\"what\":{\"disabled\":{\"client\":\"a\"}},\"uid\":0,\"gid\":0,\"pid\":0,\"at\":0,\"recorded\":true}",
            b"\x01{\"what\":{\"disabled\":{\"client\":\"A\"}},\"uid\":0,\"gid\":0,\"pid\":0,\"at\":0,\"recorded\":true}",
            b"\x01{\"what\":{\"enabled\":{\"client\":\"a\"}},\"uid\":0,\"gid\":0,\"pid\":0,\"at\":0,\"recorded\":true}",
            b"\x01{\"what\":{\"revoked\":{\"client\":\"a\",\"token\":\"00000000000000000000000000000001\",\"before\":1,\"until\":2}},\"uid\":0,\"gid\":0,\"pid\":0,\"at\":0,\"recorded\":true}",
        ] {
            assert!(entry_of(id, value).is_err(), "{}", String::from_utf8_lossy(value));
        }
    }
}
