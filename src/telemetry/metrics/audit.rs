//! Metrics of the journal and of shipping. Touches: memory.

use std::fmt;

use super::page::{Page, buckets, count, flag, float, read};
use crate::audit::Unrecorded;
use crate::audit::journal::{JournalCounters, JournalStatus, SYNC_BUCKETS};
use crate::audit::ship::{ShipCounters, ShipStatus};

pub(super) fn of_journal(seen: &JournalCounters, page: &mut Page<'_>) -> fmt::Result {
    let counters = [
        ("grantd_journal_events", "Lines made durable", &seen.events),
        (
            "grantd_journal_commits",
            "Commits, each one fdatasync",
            &seen.commits,
        ),
        (
            "grantd_journal_written_bytes",
            "Bytes made durable",
            &seen.bytes,
        ),
        (
            "grantd_journal_disk_full_commits",
            "Commits that found the disk full",
            &seen.disk_full,
        ),
        (
            "grantd_journal_segments_late",
            "Commits to a segment that was due for a change when the next was not ready",
            &seen.segments_late,
        ),
        (
            "grantd_refusals_recorded",
            "Refusals before a proof that were recorded one by one",
            &seen.refusals_recorded,
        ),
        (
            "grantd_refusals_counted",
            "Refusals before a proof that were counted for a summary",
            &seen.refusals_counted,
        ),
    ];
    for (name, help, counter) in counters {
        page.counter(name, help, read(counter))?;
    }
    let unrecorded = Unrecorded::ALL.iter().zip(&seen.unrecorded);
    page.counters(
        "grantd_journal_unrecorded",
        "Decisions not recorded",
        "reason",
        unrecorded.map(|(reason, count)| (reason.reason(), read(count))),
    )?;
    page.histogram(
        "grantd_journal_sync_duration_seconds",
        "How long fdatasync took",
        read(&seen.sync_micros),
        &buckets(&SYNC_BUCKETS, seen.sync_buckets.iter()),
    )
}

#[expect(clippy::too_many_lines, reason = "a table, a row a metric")]
pub(super) fn of_journal_status(status: &JournalStatus, page: &mut Page<'_>) -> fmt::Result {
    let until_full = status
        .time_to_full
        .map_or(f64::INFINITY, |time| time.as_secs_f64());
    let gauges = [
        (
            "grantd_journal_last_sequence",
            "The last line on disk",
            float(status.tip.sequence),
        ),
        (
            "grantd_journal_size_bytes",
            "Bytes of all segments",
            float(status.bytes),
        ),
        (
            "grantd_journal_segments",
            "Segments on disk",
            count(status.segments),
        ),
        (
            "grantd_journal_queued_events",
            "Events that wait for the disk",
            count(status.queued),
        ),
        (
            "grantd_journal_unshipped_bytes",
            "Bytes that the stream has not confirmed",
            float(status.unshipped_bytes),
        ),
        (
            "grantd_journal_unshipped_age_seconds",
            "Age of the oldest line that the stream has not confirmed",
            status.unshipped_age.as_secs_f64(),
        ),
        (
            "grantd_journal_fill_ratio",
            "How full the bound is at which tokens are refused",
            status.fill.unwrap_or(0.0),
        ),
        (
            "grantd_journal_keep_fill_ratio",
            "How full keep is",
            status.keep_fill,
        ),
        (
            "grantd_journal_time_to_full_seconds",
            "Until it is full at the rate of the last minute",
            until_full,
        ),
        (
            "grantd_journal_disk_full",
            "1 while the disk is full",
            flag(status.disk_full),
        ),
        (
            "grantd_journal_closed",
            "1 once nothing is recorded any more",
            flag(status.closed.is_some()),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, value)?;
    }
    Ok(())
}

pub(super) fn of_shipping(
    status: &ShipStatus,
    seen: &ShipCounters,
    page: &mut Page<'_>,
) -> fmt::Result {
    let gauges = [
        (
            "grantd_ship_connected",
            "1 while a NATS server is connected",
            flag(status.connected),
        ),
        (
            "grantd_ship_confirmed_sequence",
            "The last line in the stream",
            float(status.confirmed),
        ),
        (
            "grantd_ship_lag_events",
            "Lines that the stream is not known to hold",
            float(status.lag()),
        ),
        (
            "grantd_ship_findings",
            "What is unsafe about the stream's configuration",
            count(status.findings.len()),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, value)?;
    }
    for (name, help, counter) in counters_of(seen) {
        page.counter(name, help, read(counter))?;
    }
    Ok(())
}

/// Every counter of the shipper. Its gauges are in its status; a new field does not compile until it
/// is handled.
#[expect(clippy::too_many_lines, reason = "a table, a row a metric")]
fn counters_of(
    seen: &ShipCounters,
) -> [(&'static str, &'static str, &std::sync::atomic::AtomicU64); 11] {
    let ShipCounters {
        connected: _,
        connects,
        connect_failures,
        resolve_failures,
        shipped,
        units,
        doubts,
        refusals,
        foreign,
        backwards,
        refilled,
        missing,
        lag: _,
        findings: _,
    } = seen;
    [
        ("grantd_ship_connects", "Connections made", connects),
        (
            "grantd_ship_connect_failures",
            "Attempts to connect that failed",
            connect_failures,
        ),
        (
            "grantd_ship_resolve_failures",
            "Attempts to connect that failed because a name did not resolve",
            resolve_failures,
        ),
        (
            "grantd_ship_events",
            "Lines confirmed by the stream",
            shipped,
        ),
        (
            "grantd_ship_units",
            "Batches and single messages published",
            units,
        ),
        (
            "grantd_ship_doubts",
            "Units of which it was not known what became of them",
            doubts,
        ),
        (
            "grantd_ship_refusals",
            "Units that the stream refused",
            refusals,
        ),
        (
            "grantd_ship_foreign_messages",
            "Foreign messages found last on our subjects",
            foreign,
        ),
        (
            "grantd_ship_backwards",
            "Times that the stream went backwards",
            backwards,
        ),
        (
            "grantd_ship_refilled_events",
            "Lines sent once more because the stream had forgotten them",
            refilled,
        ),
        (
            "grantd_ship_missing_events",
            "Lines that neither the journal nor the stream holds",
            missing,
        ),
    ]
}
