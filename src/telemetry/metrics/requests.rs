//! Metrics of requests, connections and the process. Touches: memory.

use std::fmt;
use std::sync::atomic::Ordering;

use super::super::observations::{BUCKETS_MICROS, Observations};
use super::super::process::Process;
use super::page::{Page, buckets, float, read};
use crate::domain::{Denial, UnixSeconds};
use crate::listener::{ListenerCounters, ServedCertificate};

pub(super) fn of_process(
    process: &Process,
    started: UnixSeconds,
    page: &mut Page<'_>,
) -> fmt::Result {
    page.spent(
        "process_cpu_seconds",
        "Time that processors spent on the process",
        process.cpu_seconds,
    )?;
    page.gauge(
        "process_resident_memory_bytes",
        "Bytes in memory",
        float(process.resident_bytes),
    )?;
    page.gauge(
        "process_virtual_memory_bytes",
        "Bytes of address space",
        float(process.virtual_bytes),
    )?;
    page.gauge(
        "process_open_fds",
        "Open file descriptors",
        float(process.open_fds),
    )?;
    page.gauge(
        "process_max_fds",
        "Most file descriptors that may be open",
        process.max_fds.map_or(f64::INFINITY, float),
    )?;
    page.gauge(
        "process_start_time_seconds",
        "When the daemon started",
        float(started.get()),
    )
}

pub(super) fn of_requests(seen: &Observations, page: &mut Page<'_>) -> fmt::Result {
    page.counter("grantd_tokens_issued", "Tokens issued", read(&seen.issued))?;
    let denied = Denial::ALL.iter().zip(&seen.denied);
    page.counters(
        "grantd_tokens_denied",
        "Token requests refused",
        "reason",
        denied.map(|(denial, count)| (denial.reason(), read(count))),
    )?;
    page.counter(
        "grantd_tokens_unrecorded",
        "Token requests answered with 503 because there was no record",
        read(&seen.unrecorded),
    )?;
    let all = seen.buckets.iter().chain([&seen.slower]);
    page.histogram(
        "grantd_token_request_duration_seconds",
        "From the head of a token request to its answer",
        read(&seen.micros),
        &buckets(&BUCKETS_MICROS, all),
    )
}

pub(super) fn of_connections(seen: &ListenerCounters, page: &mut Page<'_>) -> fmt::Result {
    page.gauge(
        "grantd_connections_open",
        "Open connections",
        float(read(&seen.open)),
    )?;
    page.counter(
        "grantd_connections_accepted",
        "Connections accepted",
        read(&seen.accepted),
    )?;
    page.counter(
        "grantd_handshakes_failed",
        "TLS handshakes that failed or timed out",
        read(&seen.failed_handshakes),
    )?;
    page.counter(
        "grantd_accepts_failed",
        "Calls of accept that failed",
        read(&seen.failed_accepts),
    )
}

pub(super) fn of_certificate(served: &ServedCertificate, page: &mut Page<'_>) -> fmt::Result {
    page.gauge(
        "grantd_certificate_not_after_timestamp_seconds",
        "From when on the TLS certificate is not valid any more",
        float(served.facts().not_after.get()),
    )?;
    page.counter(
        "grantd_certificate_reloads",
        "TLS certificates taken without a restart",
        read(&served.loaded),
    )?;
    page.counter(
        "grantd_certificate_refusals",
        "TLS certificates refused, the one before served on",
        read(&served.refused),
    )?;
    page.gauge(
        "grantd_certificate_refused",
        "Whether the certificate's files hold a pair that is refused",
        f64::from(u8::from(served.refusing.load(Ordering::Relaxed))),
    )
}
