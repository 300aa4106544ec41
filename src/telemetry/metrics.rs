//! The metrics, in the text format of OpenMetrics. Touches: fs, process, clock.
//!
//! `docs/metrics.md` lists them; a test holds the list to what a daemon shows.

mod audit;
mod limits;
mod page;
mod requests;
mod state;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::Observations;
use super::process::Process;
use super::status::{FolderStanding, Seen, Status};
use crate::audit::Journal;
use crate::audit::ship::{ShipCounters, StatusBoard};
use crate::clock::Clock;
use crate::domain::{Lifetime, UnixSeconds};
use crate::http::AdmissionCounters;
use crate::keys::rotate::KeysCounters;
use crate::keys::schedule::ScheduleSettings;
use crate::listener::{Lag, ListenerCounters, ServedCertificate};
use crate::registry::publish::RegistryCounters;
use crate::world::Current;
use page::Page;

/// Where the numbers are.
#[derive(Clone, Debug)]
pub struct Gauges {
    /// Wall time, and the time spent on this process.
    pub clock: Clock,
    /// When the daemon started.
    pub started: UnixSeconds,
    /// Token requests.
    pub observations: Arc<Observations>,
    /// Connections of the public listener.
    pub listener: Arc<ListenerCounters>,
    /// The certificate that is served.
    pub certificate: Arc<ServedCertificate>,
    /// Who was let in, and who was not.
    pub admission: Arc<AdmissionCounters>,
    /// How long work waits for its turn.
    pub lag: Arc<Lag>,
    /// How far ahead expiry dates are told.
    pub expiry_window: Lifetime,
    /// The journal.
    pub journal: Journal,
    /// Whether a stream is configured.
    pub ships: bool,
    /// The shipper.
    pub ship: Arc<ShipCounters>,
    /// What the shipper says of itself.
    pub board: StatusBoard,
    /// The registry's task.
    pub registry: Arc<RegistryCounters>,
    /// The keys' task.
    pub keys: Arc<KeysCounters>,
    /// What the keys' schedule goes by.
    pub schedule: ScheduleSettings,
    /// Registry and rings.
    pub current: Arc<Current>,
}

impl Gauges {
    /// Takes each number once. How the folder and the certificate stand, and whether it stops, the
    /// daemon knows.
    #[must_use]
    pub fn look(
        &self,
        (problems, folder): (Vec<String>, FolderStanding),
        certificate_problems: Vec<String>,
        stopping: bool,
    ) -> Seen {
        let world = self.current.load();
        Seen {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            now: self.clock.now_seconds(),
            stopping,
            registry: world.registry.clone(),
            problems,
            expiry_window: self.expiry_window,
            overlay: Arc::clone(&world.overlay),
            folder,
            rings: world.rings.clone(),
            schedule: self.schedule.clone(),
            keys_unwritable: self.keys.unwritable.load(Ordering::Relaxed) > 0,
            clock_behind: seconds(&self.keys.clock_behind),
            clock_ahead: seconds(&self.keys.clock_ahead),
            journal: self.journal.status(),
            ship: self.ships.then(|| self.board.read()),
            certificate_not_after: self.certificate.facts().not_after,
            certificate_problems,
        }
    }
}

fn seconds(gauge: &AtomicU64) -> Lifetime {
    Lifetime::from_seconds(gauge.load(Ordering::Relaxed))
}

/// All metrics as they are now.
#[must_use]
pub fn render(status: Status, gauges: &Gauges) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown {
        process: Process::now(gauges.clock),
        gauges: gauges.clone(),
        status,
    }));
    let mut text = String::with_capacity(32 * 1024);
    // Writing to a String does not fail.
    let _infallible = prometheus_client::encoding::text::encode(&mut text, &registry);
    // The crate spells infinity as Rust does; OpenMetrics has +Inf (its ABNF, realnumber).
    text.replace(" inf\n", " +Inf\n")
}

/// What one page shows.
#[derive(Debug)]
struct Shown {
    status: Status,
    process: Process,
    gauges: Gauges,
}

impl Collector for Shown {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (page, gauges, seen) = (&mut Page(encoder), &self.gauges, &self.status.seen);
        page.info(
            "grantd_build",
            "The program",
            &[("version", self.status.seen.version)],
        )?;
        requests::of_process(&self.process, seen.started, page)?;
        state::of_standing(&self.status.standing, page)?;
        requests::of_requests(&gauges.observations, page)?;
        requests::of_connections(&gauges.listener, page)?;
        limits::of_limits(&gauges.listener, &gauges.admission, &gauges.lag, page)?;
        requests::of_certificate(&gauges.certificate, page)?;
        audit::of_journal(gauges.journal.counters(), page)?;
        audit::of_journal_status(&seen.journal, page)?;
        if let Some(ship) = &seen.ship {
            audit::of_shipping(ship, &gauges.ship, page)?;
        }
        state::of_registry(seen, &gauges.registry, page)?;
        state::of_expiries(seen, page)?;
        state::of_overlay(seen, page)?;
        state::of_keys(seen, &gauges.keys, page)
    }
}
