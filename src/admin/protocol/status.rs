//! How a daemon stands, as it is sent to `grantd status`. Pure.

use serde::{Deserialize, Serialize};

use super::credentials::RotatingReport;
use super::overlay::{MAX_STATUS_ENTRIES, OverlayReport};
use crate::domain::{CommitId, Lifetime, UnixSeconds};
use crate::keys::outlook::{in_order, next_step, since};
use crate::keys::ring::{KeyRecord, Ring};
use crate::registry::check::{Expiring, Expiry};
use crate::registry::snapshot::Served;
use crate::telemetry::status::{HeldChange, Seen, Status};

/// Most expiries that are sent, the earliest first; how many there are is sent besides. More than
/// anybody reads.
pub const MAX_EXPIRIES: usize = 200;

/// How a daemon stands. Moments are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Whether a good client would get its token.
    pub ready: bool,
    /// Why not, a sentence each.
    pub reasons: Vec<String>,
    /// What is not as it should be though tokens are issued.
    pub degraded: Vec<String>,
    /// The daemon's version.
    pub version: String,
    /// When it started.
    pub started: String,
    /// When it was asked.
    pub now: String,
    /// Seconds for which it has run.
    pub uptime_seconds: u64,
    /// What is served; `None` until a registry was accepted.
    pub registry: Option<RegistryReport>,
    /// What is wrong with the folder now.
    pub problems: Vec<String>,
    /// What operators took away above the registry: the first of it.
    #[serde(default)]
    pub overlay: OverlayReport,
    /// While the folder holds no good registry and the last good one is served.
    #[serde(default)]
    pub last_good: Option<LastGoodReport>,
    /// A change that waits for an operator.
    #[serde(default)]
    pub held: Option<HeldReport>,
    /// The keys, ring by ring.
    pub keys: Vec<KeyReport>,
    /// What wall time is worth.
    pub clock: ClockReport,
    /// The journal.
    pub journal: JournalReport,
    /// The stream; `None` where none is configured.
    pub stream: Option<StreamReport>,
    /// Until when the TLS certificate that is served is valid.
    pub certificate_not_after: String,
    /// For how many seconds it still is; 0 when it is not any more.
    pub certificate_seconds: u64,
    /// What is wrong with the certificate's files, or with its time.
    pub certificate_problems: Vec<String>,
    /// What expires.
    pub expiring: ExpiringReport,
    /// Who has several secrets.
    pub rotating: RotatingReport,
}

/// What is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryReport {
    /// Its digest.
    pub digest: String,
    /// Its git commit, where it is known.
    pub commit: Option<String>,
    /// Whether the folder differs from that commit, where that is known.
    pub dirty: Option<bool>,
    /// Counts the registries that were served.
    pub generation: u64,
    /// Since when it is served.
    pub since: String,
    /// How many clients it has.
    pub clients: usize,
    /// How many resources it has.
    pub resources: usize,
}

/// A registry that is served though the folder holds no good one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGoodReport {
    /// When the folder was last seen to hold it.
    pub seen: String,
    /// Seconds since then.
    pub age_seconds: u64,
    /// Whether that is longer than `registry.last_good_max_age`.
    pub too_old: bool,
    /// Whether it was kept from a run before.
    pub restored: bool,
}

/// A change that is held back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldReport {
    /// What it takes away, as a hash: what `grantd registry accept` is told.
    pub hash: String,
    /// The commit that it came with.
    pub commit: Option<String>,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
}

/// A key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    /// Its ring.
    pub algorithm: String,
    /// Its id.
    pub kid: String,
    /// Its state.
    pub state: String,
    /// Since when it is in that state.
    pub since: String,
    /// What it does next, with the key as the subject: `signs`.
    pub step: String,
    /// When, if that is known.
    pub step_at: Option<String>,
}

/// What wall time is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReport {
    /// By how many seconds it is behind its mark; more than 0: no token is signed.
    pub behind_seconds: u64,
    /// By how many seconds it leapt ahead without having held.
    pub ahead_seconds: u64,
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalReport {
    /// The last sequence on disk.
    pub last_sequence: u64,
    /// The first sequence still there.
    pub oldest_sequence: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// How many segments there are.
    pub segments: usize,
    /// Bytes that the stream has not confirmed.
    pub unshipped_bytes: u64,
    /// Age of the oldest line that the stream has not confirmed.
    pub unshipped_age_seconds: u64,
    /// How full the bound is at which tokens are refused, 1 being full; `None` where the oldest is dropped.
    pub fill: Option<f64>,
    /// How full `keep` is.
    pub keep_fill: f64,
    /// In how many seconds it is full at the rate of the last minute; `None`: it does not fill.
    pub full_in_seconds: Option<u64>,
    /// Whether the disk is full.
    pub disk_full: bool,
}

/// The stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReport {
    /// What the shipper is doing.
    pub state: String,
    /// Whether a server is connected.
    pub connected: bool,
    /// Its name and version.
    pub server: Option<String>,
    /// The last sequence that the stream is known to hold.
    pub confirmed_sequence: u64,
    /// Lines that it is not known to hold.
    pub lag: u64,
    /// Lines confirmed in the last second.
    pub rate: u64,
    /// The last failure, until the shipper has caught up after it.
    pub last_error: Option<String>,
    /// What is unsafe about its configuration.
    pub findings: Vec<String>,
}

/// What expires within a window, or has expired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiringReport {
    /// The window.
    pub window_seconds: u64,
    /// How many there are.
    pub total: usize,
    /// The earliest of them.
    pub first: Vec<ExpiryReport>,
}

/// A client or a secret that expires.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryReport {
    /// When.
    pub at: String,
    /// `client` or `secret`.
    pub class: String,
    /// Whose.
    pub client: String,
    /// Which of its credentials; `None` for the client itself.
    pub credential: Option<String>,
    /// Whether it has passed.
    pub passed: bool,
    /// When the credential, or any of the client, was last used; `None` where no use is known.
    pub last_used: Option<String>,
    /// How long ago that was.
    pub last_used_seconds_ago: Option<u64>,
    /// The whole in a sentence.
    pub message: String,
}

impl StatusReport {
    /// What is sent of a status, with what expires within this window.
    #[must_use]
    pub fn of(status: &Status, expiring: &[Expiry], window: Lifetime) -> Self {
        let (seen, standing) = (&status.seen, &status.standing);
        Self {
            ready: standing.ready,
            reasons: standing.reasons.clone(),
            degraded: standing.degraded.clone(),
            version: seen.version.to_owned(),
            started: seen.started.to_rfc3339(),
            now: seen.now.to_rfc3339(),
            uptime_seconds: seen.now.since(seen.started).seconds(),
            registry: seen.registry.as_deref().map(RegistryReport::of),
            problems: seen.problems.clone(),
            overlay: OverlayReport::of(
                &seen.overlay,
                seen.registry.as_ref().map(|served| &*served.snapshot),
                seen.now,
                MAX_STATUS_ENTRIES,
            ),
            last_good: last_good(seen),
            held: seen.folder.held.as_ref().map(held),
            keys: keys(seen),
            clock: ClockReport {
                behind_seconds: seen.clock_behind.seconds(),
                ahead_seconds: seen.clock_ahead.seconds(),
            },
            journal: JournalReport::of(seen),
            stream: seen.ship.as_ref().map(StreamReport::of),
            certificate_not_after: seen.certificate_not_after.to_rfc3339(),
            certificate_seconds: seen.certificate_not_after.since(seen.now).seconds(),
            certificate_problems: seen.certificate_problems.clone(),
            expiring: ExpiringReport {
                window_seconds: window.seconds(),
                total: expiring.len(),
                first: expiring
                    .iter()
                    .take(MAX_EXPIRIES)
                    .map(|it| expiry(it, seen))
                    .collect(),
            },
            rotating: seen
                .registry
                .as_deref()
                .map_or_else(Default::default, |served| {
                    RotatingReport::of(&served.snapshot, seen.now)
                }),
        }
    }
}

impl RegistryReport {
    fn of(served: &Served) -> Self {
        Self {
            digest: served.snapshot.digest.to_string(),
            commit: served
                .commit
                .as_ref()
                .map(CommitId::as_str)
                .map(str::to_owned),
            dirty: served.dirty,
            generation: served.generation,
            since: served.since.to_rfc3339(),
            clients: served.snapshot.clients.len(),
            resources: served.snapshot.resources.len(),
        }
    }
}

impl JournalReport {
    fn of(seen: &Seen) -> Self {
        let journal = &seen.journal;
        Self {
            last_sequence: journal.tip.sequence,
            oldest_sequence: journal.oldest,
            bytes: journal.bytes,
            segments: journal.segments,
            unshipped_bytes: journal.unshipped_bytes,
            unshipped_age_seconds: journal.unshipped_age.as_secs(),
            fill: journal.fill,
            keep_fill: journal.keep_fill,
            full_in_seconds: journal.time_to_full.map(|time| time.as_secs()),
            disk_full: journal.disk_full,
        }
    }
}

impl StreamReport {
    fn of(ship: &crate::audit::ship::ShipStatus) -> Self {
        Self {
            state: ship.state.as_str().to_owned(),
            connected: ship.connected,
            server: ship.server.clone(),
            confirmed_sequence: ship.confirmed,
            lag: ship.lag(),
            rate: ship.rate,
            last_error: ship
                .last_error
                .as_ref()
                .map(|error| format!("{}: {}", error.at.to_rfc3339(), error.message)),
            findings: ship.findings.iter().map(ToString::to_string).collect(),
        }
    }
}

fn last_good(seen: &Seen) -> Option<LastGoodReport> {
    let last_good = seen.folder.last_good.as_ref()?;
    Some(LastGoodReport {
        seen: last_good.seen.to_rfc3339(),
        age_seconds: last_good.age(seen.now).seconds(),
        too_old: last_good.is_too_old(seen.now),
        restored: last_good.restored,
    })
}

fn held(held: &HeldChange) -> HeldReport {
    let commit = held.commit.as_ref().map(CommitId::as_str);
    HeldReport {
        hash: held.hash.to_string(),
        commit: commit.map(str::to_owned),
        reasons: held.reasons.clone(),
    }
}

fn keys(seen: &Seen) -> Vec<KeyReport> {
    let rings = seen.rings.iter().flat_map(|rings| rings.rings());
    let keys = rings.flat_map(|ring| in_order(ring).into_iter().map(move |key| (ring, key)));
    keys.map(|(ring, record)| key(ring, record, seen)).collect()
}

fn key(ring: &Ring, key: &KeyRecord, seen: &Seen) -> KeyReport {
    let (step, at) = next_step(ring, key, &seen.schedule);
    KeyReport {
        algorithm: ring.algorithm().name().to_owned(),
        kid: key.id.as_str().to_owned(),
        state: key.state.name().to_owned(),
        since: since(key).to_rfc3339(),
        step: step.verb().to_owned(),
        step_at: at.map(UnixSeconds::to_rfc3339),
    }
}

fn expiry(expiry: &Expiry, seen: &Seen) -> ExpiryReport {
    let used = last_used(expiry, seen);
    ExpiryReport {
        at: expiry.at.to_rfc3339(),
        class: expiry.what.class().to_owned(),
        credential: match &expiry.what {
            Expiring::Client => None,
            Expiring::Secret(id, _) => Some(id.as_str().to_owned()),
        },
        last_used: used.map(UnixSeconds::to_rfc3339),
        last_used_seconds_ago: used.map(|at| seen.now.since(at).seconds()),
        client: expiry.client.as_str().to_owned(),
        passed: expiry.passed,
        message: expiry.to_string(),
    }
}

/// The last use of what expires: of a client, that of any of its credentials.
fn last_used(expiry: &Expiry, seen: &Seen) -> Option<UnixSeconds> {
    let clients = &seen.registry.as_deref()?.snapshot.clients;
    let secrets = clients.get(&expiry.client)?.secrets.iter();
    let concerned = secrets.filter(|secret| match &expiry.what {
        Expiring::Client => true,
        Expiring::Secret(id, _) => secret.id == *id,
    });
    concerned.filter_map(|secret| secret.last_use.at()).max()
}
