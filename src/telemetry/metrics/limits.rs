//! Metrics of what a limit ended, and of who was not let in. Touches: memory.

use std::fmt;

use super::page::{Page, float, read};
use crate::http::AdmissionCounters;
use crate::listener::{Lag, ListenerCounters};

pub(super) fn of_limits(
    seen: &ListenerCounters,
    let_in: &AdmissionCounters,
    lag: &Lag,
    page: &mut Page<'_>,
) -> fmt::Result {
    let ended = [
        ("address_limit", &seen.over_source),
        ("place_needed", &seen.evicted),
        ("header_time", &seen.late_heads),
        ("write_time", &seen.late_writes),
        ("idle_time", &seen.idle),
        ("max_age", &seen.aged),
        ("flood", &seen.floods),
    ];
    page.counters(
        "grantd_connections_ended",
        "Connections ended by a limit",
        "limit",
        ended.into_iter().map(|(limit, count)| (limit, read(count))),
    )?;
    let shed = [
        ("queue", &let_in.shed_queue),
        ("in_flight", &let_in.shed_in_flight),
        ("memory", &let_in.shed_memory),
    ];
    page.counters(
        "grantd_requests_shed",
        "Token requests answered with 503 because there was too much to do",
        "reason",
        shed.into_iter()
            .map(|(reason, count)| (reason, read(count))),
    )?;
    page.counter(
        "grantd_failures_throttled",
        "Token requests that failed too often and were answered late, with 429",
        read(&let_in.throttled),
    )?;
    page.gauge(
        "grantd_answers_held",
        "Answers that are held back now",
        float(read(&let_in.held)),
    )?;
    page.gauge(
        "grantd_queue_wait_seconds",
        "How long work waited for its turn at the last look",
        lag.last().as_secs_f64(),
    )
}
