//! Writes metrics one after the other, each with its whole name. Touches: memory.
//!
//! Names are written out where they are used, as `docs/metrics.md` has them, but for the `_total` of
//! counters and the `_info` of facts, which the format adds.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;

/// Takes metrics.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    /// A number that only grows.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    /// Seconds that only grow.
    pub(super) fn spent(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        let metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(seconds).encode(metric)
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    /// One counter for each value of a label.
    pub(super) fn counters<'v>(
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

    /// One gauge for each set of labels.
    pub(super) fn gauges<'v, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        values: impl Iterator<Item = ([&'v str; N], f64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (value, number) in values {
            let labels: Vec<_> = labels.iter().copied().zip(value).collect();
            ConstGauge::new(number).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Facts in words: a gauge that is always 1.
    pub(super) fn info(&mut self, name: &str, help: &str, facts: &[(&str, &str)]) -> fmt::Result {
        let metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        let facts: Vec<(String, String)> = facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Info::new(facts).encode(metric)
    }

    /// A histogram of seconds, from their sum in microseconds and counts by upper bounds in seconds.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        sum_micros: u64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_micros(sum_micros).as_secs_f64();
        metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }
}

/// What a counter of a part says now.
pub(super) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Buckets with their bounds, from microseconds to seconds; the last one has none.
pub(super) fn buckets<'a>(
    bounds: &[u64],
    counts: impl Iterator<Item = &'a AtomicU64>,
) -> Vec<(f64, u64)> {
    let bounds = bounds
        .iter()
        .map(|micros| Duration::from_micros(*micros).as_secs_f64());
    bounds
        .chain([f64::INFINITY])
        .zip(counts.map(read))
        .collect()
}

/// A number as a gauge has it.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; 2^53 is beyond all that is counted"
)]
pub(super) const fn float(number: u64) -> f64 {
    number as f64
}

/// A count of things in memory as a gauge has it.
pub(super) fn count(number: usize) -> f64 {
    float(u64::try_from(number).unwrap_or(u64::MAX))
}

/// 1 for yes.
pub(super) fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}
