//! Tells once a day what expires: an event, and a line of the log. Touches: fs, clock.
//!
//! Once a registry is served, and then at the first look of each day in UTC. The day is kept in the store, so
//! that a restart does not tell again. Nothing is told while nothing expires within the window or has expired
//! within as long before.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::last_use::{Kept, Written};
use crate::audit::event::{
    ControlEvent, ExpiryCount, MAX_NAMED, NamedExpiry, Outside, RegistryExpiring,
};
use crate::audit::{Journal, UsedCredential};
use crate::domain::{Lifetime, UnixSeconds};
use crate::issue::reference;
use crate::listener::ServedCertificate;
use crate::registry::check::{Expiring, Expiry, expiries};
use crate::registry::deadlines::Moments;
use crate::registry::snapshot::Served;
use crate::world::Current;

/// How often to look whether a day has begun, or a registry is served: as often as the keys' task looks at
/// the clock.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait after an event that the journal did not take: each try walks over all clients.
const RETRY: Duration = Duration::from_secs(60);

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Tells what expires.
pub(super) struct ExpiryTeller {
    pub(super) current: Arc<Current>,
    pub(super) certificate: Arc<ServedCertificate>,
    pub(super) journal: Journal,
    pub(super) window: Lifetime,
    pub(super) kept: Kept,
}

/// What is looked at, at one moment.
struct Seen {
    served: Arc<Served>,
    certificate: UnixSeconds,
    now: UnixSeconds,
    window: Lifetime,
}

impl ExpiryTeller {
    /// Looks until the daemon stops.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let store = Arc::clone(&self.kept.store);
        let Written::Done(mut told) = self.kept.blocking(move || store.expiry_day()).await else {
            return stopping.cancelled().await;
        };
        let mut pause = LOOK;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = LOOK;
            let Some(seen) = self.look() else { continue };
            let day = seen.now.get() / DAY;
            if told == Some(day) || !seen.is_something() {
                continue;
            }
            match self.tell(seen).await {
                Some(true) => {
                    told = Some(day);
                    self.keep(day).await;
                }
                Some(false) => pause = RETRY,
                // It stops.
                None => {}
            }
        }
    }

    /// What there is to look at: nothing before a registry is served, nor by a clock that is not believed.
    fn look(&self) -> Option<Seen> {
        let world = self.current.load();
        let believed = world.rings.as_ref().is_some_and(|it| it.clock().signs());
        Some(Seen {
            served: world.registry.clone().filter(|_| believed)?,
            certificate: self.certificate.facts().not_after,
            now: self.kept.clock.now_seconds(),
            window: self.window,
        })
    }

    /// Records the event; whether it is on disk. `None` while the daemon stops.
    async fn tell(&self, seen: Seen) -> Option<bool> {
        let event = self.kept.tasks.blocking(move || seen.event()).await?;
        for count in event.counts.iter().filter(|count| count.expiring > 0) {
            let (class, expiring, expired) = (count.class, count.expiring, count.expired);
            let within = self.window;
            warn!(class, expiring, expired, %within, "something expires: see `grantd status`");
        }
        let recorded = self.journal.control(ControlEvent::RegistryExpiring(event));
        match recorded.await {
            Ok(_) => Some(true),
            Err(reason) => {
                error!(%reason, "what expires is not recorded: trying again");
                Some(false)
            }
        }
    }

    /// Keeps the day. Where that fails for want of room, a restart tells once more.
    async fn keep(&self, day: u64) {
        let store = Arc::clone(&self.kept.store);
        let kept = self.kept.blocking(move || store.set_expiry_day(day));
        if let Written::NoRoom(full) = kept.await {
            warn!(error = %full, "the day of the last expiry event is not kept");
        }
    }
}

impl Seen {
    /// The moments of each class.
    fn classes(&self) -> [(&'static str, Moments); 3] {
        let deadlines = &self.served.snapshot.deadlines;
        [
            (Expiring::CLIENT, deadlines.clients.clone()),
            (Expiring::SECRET, deadlines.secrets.clone()),
            ("certificate", Moments::of([self.certificate])),
        ]
    }

    /// Whether something expires soon, or has lately.
    fn is_something(&self) -> bool {
        let near = |moments: &Moments| {
            moments.within(self.now, self.window) + moments.lately(self.now, self.window) > 0
        };
        let deadlines = &self.served.snapshot.deadlines;
        near(&deadlines.clients)
            || near(&deadlines.secrets)
            || near(&Moments::of([self.certificate]))
    }

    /// The event. A walk over all clients.
    fn event(&self) -> RegistryExpiring {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let counts = self
            .classes()
            .into_iter()
            .map(|(class, moments)| ExpiryCount {
                class,
                expiring: number(moments.within(self.now, self.window)),
                expired: number(moments.passed(self.now)),
            });
        RegistryExpiring {
            registry: reference(&self.served),
            window: self.window,
            counts: counts.collect(),
            named: self.named(),
        }
    }

    /// What comes next first, then what has expired last.
    fn named(&self) -> Vec<NamedExpiry> {
        let expiries = expiries(&self.served.snapshot, self.now, self.window);
        let mut all: Vec<NamedExpiry> = expiries.into_iter().map(named).collect();
        if self.certificate <= self.now.plus(self.window) {
            all.push(NamedExpiry {
                class: "certificate",
                client: None,
                credential: None,
                at: self.certificate,
                passed: self.certificate <= self.now,
            });
        }
        all.sort_by_key(|expiry| (expiry.passed, self.now.get().abs_diff(expiry.at.get())));
        all.truncate(MAX_NAMED);
        all
    }
}

fn named(expiry: Expiry) -> NamedExpiry {
    NamedExpiry {
        class: expiry.what.class(),
        client: Some(expiry.client),
        credential: match expiry.what {
            Expiring::Client => None,
            Expiring::Secret(id, label) => Some(UsedCredential {
                id,
                label: label.as_deref().map(Outside::new),
            }),
        },
        at: expiry.at,
        passed: expiry.passed,
    }
}
