//! `[limits]` of `grantd.toml`: each checked by itself, then all as a whole. Pure.

use std::time::Duration;

use super::check::Problems;
use super::{defaults, file};
use crate::http::HttpLimits;
use crate::listener::ConnectionLimits;

/// Longest life of a connection that may be set: longer, and it never moves to a new host.
const LONGEST_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Connections of a gateway over which all clients come, with all streams in use: so many always fit, however
/// few connections are allowed.
const GATEWAY: usize = 4;

/// Turns the table into limits. Returns the workers of the runtime and the longest drain with them.
pub(super) fn convert(
    limits: &file::Limits,
    problems: &mut Problems<'_>,
) -> (usize, Duration, ConnectionLimits, HttpLimits) {
    let http = requests(limits, problems);
    let connections = connections(limits, &http, problems);
    hold_together(&connections, &http, problems);
    let workers = problems.count(
        "limits.workers",
        limits.workers,
        problems.surroundings.processors,
    );
    let streams = usize::try_from(connections.streams).unwrap_or(usize::MAX);
    let http = HttpLimits {
        // In each half one request for each connection, or the streams of a gateway's few.
        in_flight: connections
            .connections
            .saturating_mul(2)
            .max(streams.saturating_mul(2 * GATEWAY)),
        ..http
    };
    (workers, connections.drain_time, connections, http)
}

fn requests(limits: &file::Limits, problems: &mut Problems<'_>) -> HttpLimits {
    let file::Limits {
        body_size,
        body_time,
        request_time,
        failures_per_minute,
        ..
    } = limits;
    HttpLimits {
        body_bytes: problems.size("limits.body_size", body_size, defaults::BODY_BYTES),
        body_time: problems.timeout("limits.body_time", body_time, defaults::BODY_TIME),
        request_time: problems.timeout("limits.request_time", request_time, defaults::REQUEST_TIME),
        failures_per_minute: problems.count32(
            "limits.failures_per_minute",
            *failures_per_minute,
            defaults::FAILURES_PER_MINUTE,
        ),
        in_flight: 0,
    }
}

fn connections(
    limits: &file::Limits,
    http: &HttpLimits,
    problems: &mut Problems<'_>,
) -> ConnectionLimits {
    // Exhaustive: a new setting does not compile until it is handled here or in `requests`.
    let file::Limits {
        connections,
        connections_per_address,
        handshake_time,
        header_time,
        header_size,
        header_fields,
        streams,
        idle_time,
        max_age,
        write_time,
        drain_time,
        body_size: _,
        body_time: _,
        request_time: _,
        failures_per_minute: _,
        workers: _,
    } = limits;
    let mut time = |name: &str, text: &Option<String>, default| {
        problems.timeout(&format!("limits.{name}"), text, default)
    };
    let handshake_time = time("handshake_time", handshake_time, defaults::HANDSHAKE_TIME);
    let header_time = time("header_time", header_time, defaults::HEADER_TIME);
    let idle_time = time("idle_time", idle_time, defaults::IDLE_TIME);
    let write_time = time("write_time", write_time, defaults::WRITE_TIME);
    let drain_time = time("drain_time", drain_time, defaults::DRAIN_TIME);
    let connections = problems.count("limits.connections", *connections, defaults::CONNECTIONS);
    let fields = defaults::HEADER_FIELDS;
    ConnectionLimits {
        connections,
        per_address: problems.count(
            "limits.connections_per_address",
            *connections_per_address,
            connections.div_ceil(defaults::ADDRESS_PART),
        ),
        handshake_time,
        header_time,
        header_bytes: problems.size("limits.header_size", header_size, defaults::HEADER_BYTES),
        header_fields: problems.count("limits.header_fields", *header_fields, fields),
        body_bytes: http.body_bytes,
        idle_time,
        max_age: problems.timeout_up_to("limits.max_age", max_age, defaults::MAX_AGE, LONGEST_AGE),
        write_time,
        linger: http.request_time + write_time,
        streams: problems.count32(
            "limits.streams",
            streams.map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
            usize::try_from(defaults::STREAMS).unwrap_or(usize::MAX),
        ),
        drain_time,
    }
}

/// What no value can say by itself: a limit that another one makes void.
fn hold_together(connections: &ConnectionLimits, http: &HttpLimits, problems: &mut Problems<'_>) {
    let mut order = |(less, a): (&str, u128), (more, b): (&str, u128), unit: &str| {
        if a > b {
            problems.add(format!(
                "limits.{less} = {a}{unit} is more than limits.{more} = {b}{unit}, and would never be \
                 reached: set one of them"
            ));
        }
    };
    let seconds = |time: Duration| u128::from(time.as_secs());
    let count = |count: usize| count as u128;
    order(
        ("body_time", seconds(http.body_time)),
        ("request_time", seconds(http.request_time)),
        "s",
    );
    order(
        ("connections_per_address", count(connections.per_address)),
        ("connections", count(connections.connections)),
        "",
    );
    for (name, time) in [
        ("idle_time", connections.idle_time),
        ("request_time", http.request_time),
    ] {
        order(
            (name, seconds(time)),
            ("max_age", seconds(connections.max_age)),
            "s",
        );
    }
    order(
        ("header_time", seconds(connections.header_time)),
        ("idle_time", seconds(connections.idle_time)),
        "s",
    );
}
