//! The metrics, in the text format of OpenMetrics. Touches: memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Observations;
use super::observations::BUCKETS_MICROS;
use crate::audit::Journal;
use crate::audit::Unrecorded;
use crate::audit::journal::{JournalStatus, SYNC_BUCKETS};
use crate::audit::ship::{ShipCounters, StatusBoard};
use crate::domain::Denial;
use crate::keys::ring::KeyState;
use crate::listener::{ListenerCounters, ServedCertificate};
use crate::registry::publish::RegistryCounters;
use crate::world::Current;

/// Where the numbers are.
#[derive(Clone, Debug)]
pub struct Gauges {
    /// Token requests.
    pub observations: Arc<Observations>,
    /// Connections of the public listener.
    pub listener: Arc<ListenerCounters>,
    /// The journal.
    pub journal: Journal,
    /// The shipper.
    pub ship: Arc<ShipCounters>,
    /// What the shipper says of itself.
    pub board: StatusBoard,
    /// The registry's task.
    pub registry: Arc<RegistryCounters>,
    /// Registry and rings.
    pub current: Arc<Current>,
    /// The server's certificate.
    pub certificate: Arc<ServedCertificate>,
}

/// All metrics as they are now.
#[must_use]
pub fn render(gauges: &Gauges) -> String {
    let mut registry = Registry::with_prefix("grantd");
    registry.register_collector(Box::new(gauges.clone()));
    let mut text = String::with_capacity(16 * 1024);
    // Writing to a String does not fail.
    let _infallible = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

impl Collector for Gauges {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.requests(&mut page)?;
        self.connections(&mut page)?;
        self.of_journal(&mut page)?;
        self.of_shipper(&mut page)?;
        self.of_registry(&mut page)?;
        self.of_keys(&mut page)?;
        self.of_certificate(&mut page)
    }
}

/// Writes metrics one after the other.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    fn family<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            let labels = [(label, value)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A histogram of seconds from counts by upper bounds in microseconds.
    fn seconds(&mut self, name: &str, help: &str, sum: u64, buckets: &[(f64, u64)]) -> fmt::Result {
        let metric =
            self.0
                .encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        encode_histogram(metric, Duration::from_micros(sum).as_secs_f64(), buckets)
    }
}

fn encode_histogram(
    mut metric: MetricEncoder<'_>,
    sum: f64,
    buckets: &[(f64, u64)],
) -> fmt::Result {
    let count = buckets.iter().map(|(_, count)| count).sum();
    metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Buckets with their bounds in seconds; the last one has none.
fn buckets<'a>(bounds: &[u64], counts: impl Iterator<Item = &'a AtomicU64>) -> Vec<(f64, u64)> {
    let bounds = bounds
        .iter()
        .map(|micros| Duration::from_micros(*micros).as_secs_f64());
    bounds.chain([f64::MAX]).zip(counts.map(read)).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; 2^53 is beyond all that is counted"
)]
const fn float(number: u64) -> f64 {
    number as f64
}

impl Gauges {
    fn requests(&self, page: &mut Page<'_>) -> fmt::Result {
        let seen = &self.observations;
        page.counter("tokens_issued", "Tokens issued", read(&seen.issued))?;
        let denied = Denial::ALL.iter().zip(&seen.denied);
        let denied = denied.map(|(denial, count)| (denial.reason(), read(count)));
        page.family("tokens_denied", "Token requests refused", "reason", denied)?;
        page.counter(
            "tokens_unrecorded",
            "Token requests answered with 503 because there was no record",
            read(&seen.unrecorded),
        )?;
        let all = seen.buckets.iter().chain([&seen.slower]);
        page.seconds(
            "token_request_duration",
            "From the head of a token request to its answer",
            read(&seen.micros),
            &buckets(&BUCKETS_MICROS, all),
        )
    }

    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let seen = &self.listener;
        page.gauge(
            "connections_open",
            "Open connections",
            float(read(&seen.open)),
        )?;
        page.counter(
            "connections_accepted",
            "Connections accepted",
            read(&seen.accepted),
        )?;
        page.counter(
            "handshakes_failed",
            "TLS handshakes that failed or timed out",
            read(&seen.failed_handshakes),
        )?;
        page.counter(
            "accepts_failed",
            "Calls of accept that failed",
            read(&seen.failed_accepts),
        )
    }

    fn of_journal(&self, page: &mut Page<'_>) -> fmt::Result {
        let status = self.journal.status();
        let seen = self.journal.counters();
        page.counter("journal_events", "Lines made durable", read(&seen.events))?;
        page.counter(
            "journal_commits",
            "Commits, each one fdatasync",
            read(&seen.commits),
        )?;
        page.counter(
            "journal_written_bytes",
            "Bytes made durable",
            read(&seen.bytes),
        )?;
        page.counter(
            "journal_disk_full",
            "Commits that found the disk full",
            read(&seen.disk_full),
        )?;
        page.counter(
            "refusals_recorded",
            "Refusals before a proof that were recorded one by one",
            read(&seen.refusals_recorded),
        )?;
        page.counter(
            "refusals_counted",
            "Refusals before a proof that were counted for a summary",
            read(&seen.refusals_counted),
        )?;
        let unrecorded = Unrecorded::ALL.iter().zip(&seen.unrecorded);
        let unrecorded = unrecorded.map(|(reason, count)| (reason.reason(), read(count)));
        page.family(
            "journal_unrecorded",
            "Decisions not recorded",
            "reason",
            unrecorded,
        )?;
        page.seconds(
            "journal_sync_duration",
            "How long fdatasync took",
            read(&seen.sync_micros),
            &buckets(&SYNC_BUCKETS, seen.sync_buckets.iter()),
        )?;
        journal_gauges(&status, page)
    }

    fn of_shipper(&self, page: &mut Page<'_>) -> fmt::Result {
        let status = self.board.read();
        let connected = f64::from(u8::from(status.connected));
        page.gauge(
            "ship_connected",
            "1 while a NATS server is connected",
            connected,
        )?;
        page.gauge(
            "ship_lag_events",
            "Lines that the stream is not known to hold",
            float(status.lag()),
        )?;
        page.gauge(
            "ship_findings",
            "What is unsafe about the stream's configuration",
            float(u64::try_from(status.findings.len()).unwrap_or(u64::MAX)),
        )?;
        page.counter(
            "ship_connect_failures",
            "Connects that failed",
            read(&self.ship.connect_failures),
        )
    }

    fn of_registry(&self, page: &mut Page<'_>) -> fmt::Result {
        let seen = &self.registry;
        page.counter(
            "registry_applied",
            "Registries accepted",
            read(&seen.applied),
        )?;
        page.counter(
            "registry_rejected",
            "Registries refused",
            read(&seen.rejected),
        )?;
        page.gauge(
            "registry_problems",
            "Problems of the folder now",
            float(read(&seen.problems)),
        )?;
        let world = self.current.load();
        let Some(served) = &world.registry else {
            return page.gauge("registry_generation", "Registries served so far", 0.0);
        };
        let count = |number: usize| float(u64::try_from(number).unwrap_or(u64::MAX));
        page.gauge(
            "registry_generation",
            "Registries served so far",
            float(served.generation),
        )?;
        page.gauge(
            "registry_applied_timestamp_seconds",
            "Since when it is served",
            float(served.since.get()),
        )?;
        page.gauge(
            "registry_clients",
            "Clients served",
            count(served.snapshot.clients.len()),
        )?;
        page.gauge(
            "registry_resources",
            "Resources served",
            count(served.snapshot.resources.len()),
        )
    }

    fn of_certificate(&self, page: &mut Page<'_>) -> fmt::Result {
        let served = &self.certificate;
        page.gauge(
            "certificate_expiry_timestamp_seconds",
            "When the TLS certificate that is served expires",
            float(served.facts().not_after.get()),
        )?;
        page.counter(
            "certificate_reloads",
            "TLS certificates taken without a restart",
            read(&served.loaded),
        )?;
        page.counter(
            "certificate_refusals",
            "TLS certificates refused, the one before served on",
            read(&served.refused),
        )
    }

    fn of_keys(&self, page: &mut Page<'_>) -> fmt::Result {
        let world = self.current.load();
        let Some(rings) = &world.rings else {
            return page.gauge(
                "keys_ready",
                "1 while the default ring has a key that may sign",
                0.0,
            );
        };
        let signs = f64::from(u8::from(rings.ready()));
        page.gauge(
            "keys_ready",
            "1 while the default ring has a key that may sign",
            signs,
        )?;
        let clock = f64::from(u8::from(rings.clock().signs()));
        page.gauge(
            "clock_good",
            "1 while wall time is not behind its mark",
            clock,
        )?;
        let name = "keys";
        let mut metric =
            page.0
                .encode_descriptor(name, "Keys by state", None, MetricType::Gauge)?;
        for state in KeyState::ALL {
            let keys = rings
                .rings()
                .iter()
                .map(|ring| ring.in_state(state).count());
            let count = float(u64::try_from(keys.sum::<usize>()).unwrap_or(u64::MAX));
            ConstGauge::new(count).encode(metric.encode_family(&[("state", state.name())])?)?;
        }
        Ok(())
    }
}

fn journal_gauges(status: &JournalStatus, page: &mut Page<'_>) -> fmt::Result {
    page.gauge(
        "journal_sequence",
        "The last line on disk",
        float(status.tip.sequence),
    )?;
    page.gauge(
        "journal_confirmed",
        "The last line in the stream",
        float(status.confirmed),
    )?;
    page.gauge(
        "journal_bytes",
        "Bytes of all segments",
        float(status.bytes),
    )?;
    page.gauge(
        "journal_unshipped_bytes",
        "Bytes not yet in the stream",
        float(status.unshipped_bytes),
    )?;
    page.gauge(
        "journal_fill_ratio",
        "How full the bound is at which tokens are refused",
        status.fill.unwrap_or(0.0),
    )?;
    page.gauge(
        "journal_keep_fill_ratio",
        "How full keep is",
        status.keep_fill,
    )?;
    let forever = f64::INFINITY;
    let full = status
        .time_to_full
        .map_or(forever, |time| time.as_secs_f64());
    page.gauge(
        "journal_time_to_full_seconds",
        "When it is full at the rate of the last minute",
        full,
    )
}
