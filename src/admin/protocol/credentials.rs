//! Clients and when their credentials were last used, as they are sent to `grantd status`. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::overlay::OverlayEntryReport;
use crate::domain::{ClientId, Owner, UnixSeconds};
use crate::registry::overlay::Overlay;
use crate::registry::snapshot::{Client, Snapshot, StoredSecret};

/// Most credentials that a status tells of clients with several: more than anybody reads. Each takes up to
/// 1.2 KB, for a label may be escaped.
pub(super) const MAX_ROTATING: usize = 200;

/// Most credentials of one page of last uses: about half a megabyte.
pub(in crate::admin) const MAX_USES: usize = 5000;

/// Longest line of a page in bytes: two ids, a moment and what is around them take 260.
pub(in crate::admin) const MAX_USE_LINE: usize = 1024;

/// One client. Moments are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientReport {
    /// Its id.
    pub client: String,
    /// Its name for people.
    pub name: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// From when on it may do nothing.
    pub expires: Option<String>,
    /// Whether that has passed.
    pub expired: bool,
    /// Its credentials, the oldest first.
    pub credentials: Vec<CredentialReport>,
    /// What operators took away of it, where it was asked for alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlay: Vec<OverlayEntryReport>,
}

/// One credential of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialReport {
    /// Its id, as events have it.
    pub id: String,
    /// What people call it.
    pub label: Option<String>,
    /// `valid`, `expired` or `not yet valid`.
    pub state: String,
    /// When it was made.
    pub created: Option<String>,
    /// From when on it may be used.
    pub not_before: Option<String>,
    /// From when on it may not be used.
    pub expires: Option<String>,
    /// When its client last proved itself by it; `None` where no use is known.
    pub last_used: Option<String>,
    /// How long ago that was.
    pub last_used_seconds_ago: Option<u64>,
}

/// The enabled clients that have several credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotatingReport {
    /// How many there are.
    pub total: usize,
    /// Some of them, in the order of their ids, with [`MAX_ROTATING`] credentials in all.
    pub first: Vec<ClientReport>,
}

/// One credential of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialUse {
    /// Whose.
    pub client: String,
    /// Which.
    pub credential: String,
    /// When it was last used; `None` where no use is known.
    pub last_used: Option<String>,
}

/// A page of an export: whole clients, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::admin) struct UsePage {
    /// The credentials.
    pub(in crate::admin) uses: Vec<CredentialUse>,
    /// The client after which the next page begins; `None` at the end.
    pub(in crate::admin) next: Option<String>,
}

impl ClientReport {
    /// What is sent of a client.
    #[must_use]
    pub fn of(client: &Client, now: UnixSeconds) -> Self {
        Self {
            client: client.id.as_str().to_owned(),
            name: client.title.clone(),
            owner: client.owner.as_ref().map(Owner::as_str).map(str::to_owned),
            disabled: client.disabled,
            expires: client.expires.map(UnixSeconds::to_rfc3339),
            expired: client.expires.is_some_and(|at| at <= now),
            credentials: client
                .secrets
                .iter()
                .map(|secret| CredentialReport::of(secret, now))
                .collect(),
            overlay: Vec::new(),
        }
    }

    /// The same, with what operators took away of it.
    pub(in crate::admin) fn below(
        mut self,
        overlay: &Overlay,
        (client, registry): (&Client, &Snapshot),
    ) -> Self {
        let entries = overlay.about(&client.id).into_iter();
        self.overlay = entries
            .map(|entry| OverlayEntryReport::of(entry, Some(registry)))
            .collect();
        self
    }
}

impl CredentialReport {
    fn of(secret: &StoredSecret, now: UnixSeconds) -> Self {
        let state = if secret.expires.is_some_and(|at| at <= now) {
            "expired"
        } else if secret.not_before.is_some_and(|at| now < at) {
            "not yet valid"
        } else {
            "valid"
        };
        let used = secret.last_use.at();
        Self {
            id: secret.id.as_str().to_owned(),
            label: secret.label.clone(),
            state: state.to_owned(),
            created: secret.created.map(UnixSeconds::to_rfc3339),
            not_before: secret.not_before.map(UnixSeconds::to_rfc3339),
            expires: secret.expires.map(UnixSeconds::to_rfc3339),
            last_used: used.map(UnixSeconds::to_rfc3339),
            last_used_seconds_ago: used.map(|at| now.since(at).seconds()),
        }
    }
}

impl RotatingReport {
    /// What is sent of the clients with several credentials.
    #[must_use]
    pub fn of(snapshot: &Snapshot, now: UnixSeconds) -> Self {
        let clients = snapshot.clients.values();
        let mut several: Vec<&Arc<Client>> = clients
            .filter(|client| !client.disabled && client.secrets.len() > 1)
            .collect();
        several.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let mut told = 0;
        let first = several.iter().take_while(|client| {
            told += client.secrets.len();
            told <= MAX_ROTATING
        });
        Self {
            first: first.map(|client| ClientReport::of(client, now)).collect(),
            total: several.len(),
        }
    }
}

impl UsePage {
    /// The clients behind this one: as many as fit [`MAX_USES`] credentials, at least one.
    #[must_use]
    pub(in crate::admin) fn of(snapshot: &Snapshot, after: Option<&ClientId>) -> Self {
        let clients = snapshot.clients.values();
        let mut clients: Vec<&Arc<Client>> = clients
            .filter(|client| after.is_none_or(|after| client.id > *after))
            .collect();
        let mut more = clients.len() > MAX_USES;
        if more {
            // Not all that are left are sorted for each page.
            clients.select_nth_unstable_by(MAX_USES, |a, b| a.id.cmp(&b.id));
            clients.truncate(MAX_USES);
        }
        clients.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let mut page = Self::default();
        let mut last = None;
        for client in clients {
            let full = page.uses.len() + client.secrets.len() > MAX_USES;
            if full && last.is_some() {
                more = true;
                break;
            }
            page.uses
                .extend(client.secrets.iter().map(|secret| CredentialUse {
                    client: client.id.as_str().to_owned(),
                    credential: secret.id.as_str().to_owned(),
                    last_used: secret.last_use.at().map(UnixSeconds::to_rfc3339),
                }));
            last = Some(&client.id);
        }
        page.next = last.filter(|_| more).map(|id| id.as_str().to_owned());
        page
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Lifetime;
    use crate::registry::ledger::Ledger;
    use crate::registry::sample;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

    /// A registry of clients with so many secrets each, all the same.
    fn registry(secrets: &[usize]) -> Snapshot {
        let sample = sample::client(&[]);
        let secret = sample.secrets.first().unwrap().clone();
        let mut snapshot = sample::snapshot(Vec::new(), sample.clone());
        snapshot.clients.clear();
        for (number, count) in secrets.iter().enumerate() {
            let id = ClientId::parse(&format!("client-{number:06}")).unwrap();
            let client = Client {
                id: id.clone(),
                secrets: vec![secret.clone(); *count],
                ..sample.clone()
            };
            snapshot.clients.insert(id, Arc::new(client));
        }
        snapshot
    }

    /// All pages.
    fn pages(snapshot: &Snapshot) -> Vec<UsePage> {
        let mut pages = vec![UsePage::of(snapshot, None)];
        while let Some(next) = pages.last().and_then(|page| page.next.clone()) {
            let after = ClientId::parse(&next).unwrap();
            pages.push(UsePage::of(snapshot, Some(&after)));
        }
        pages
    }

    #[test]
    fn a_credential_says_what_it_is_worth_and_when_it_was_used() {
        let mut client = sample::client(&[]);
        let day = Lifetime::from_days(1);
        let secret = client.secrets.pop().unwrap();
        let with = |not_before, expires| StoredSecret {
            not_before,
            expires,
            ..secret.clone()
        };
        client.secrets = vec![
            with(None, Some(NOW)),
            with(None, Some(NOW.plus(day))),
            with(Some(NOW.plus(day)), None),
        ];
        let snapshot = sample::snapshot(Vec::new(), client);
        Ledger::default().bind(&snapshot);
        let client = snapshot.clients.values().next().unwrap();
        client
            .secrets
            .first()
            .unwrap()
            .last_use
            .note(NOW.minus(day));
        let report = ClientReport::of(client, NOW);
        let states: Vec<_> = report
            .credentials
            .iter()
            .map(|it| it.state.as_str())
            .collect();
        assert_eq!(states, ["expired", "valid", "not yet valid"]);
        let first = report.credentials.first().unwrap();
        assert_eq!(first.last_used_seconds_ago, Some(86_400));
        assert_eq!(first.last_used, Some(NOW.minus(day).to_rfc3339()));
    }

    #[test]
    fn clients_with_several_credentials_are_told_up_to_a_bound() {
        let snapshot = registry(&[1, 2, 16, 0]);
        let report = RotatingReport::of(&snapshot, NOW);
        assert_eq!(report.total, 2);
        assert_eq!(report.first.len(), 2);
        let many = RotatingReport::of(&registry(&[16; 100]), NOW);
        assert_eq!(many.total, 100);
        assert_eq!(many.first.len(), MAX_ROTATING / 16);
    }

    #[test]
    fn a_hundred_thousand_clients_come_in_pages() {
        let pages = pages(&registry(&[1; 100_000]));
        assert_eq!(pages.len(), 100_000 / MAX_USES);
        let clients = pages.iter().flat_map(|page| &page.uses);
        assert!(clients.map(|it| it.client.clone()).is_sorted());
    }

    proptest! {
        #[test]
        fn each_credential_stands_in_one_page(counts in prop::collection::vec(0_usize..=16, 0..2000)) {
            let snapshot = registry(&counts);
            let pages = pages(&snapshot);
            let all: usize = pages.iter().map(|page| page.uses.len()).sum();
            prop_assert_eq!(all, counts.iter().sum::<usize>());
            prop_assert!(pages.iter().all(|page| page.uses.len() <= MAX_USES));
        }
    }
}
