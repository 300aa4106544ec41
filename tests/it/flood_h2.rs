//! Floods of HTTP/2 frames, line 70 of the security checklist: each is ended or answered, while good clients
//! get their tokens and memory stays where it was.

use std::time::{Duration, Instant};

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PRIORITY,
    RST_STREAM, Raw, WINDOW_UPDATE, field, fields, frame, request, settings,
};
use crate::support::{BILLING, Grantd, Healthy, eventually_async, long_or, shared};

const TOKEN: &str = "/oauth2/token";
const JWKS: &str = "/oauth2/jwks";

/// More than any flood that is ended gets through.
const MOST: usize = 200_000;

/// Error codes of RFC 9113 section 7.
const REFUSED_STREAM: u32 = 7;
const CANCEL: [u8; 4] = 8_u32.to_be_bytes();

/// Memory of the daemon beside what it keeps for 10,000 connections: a debug build without floods takes
/// about 40 MiB.
const MOST_MIB: u64 = 200;

fn daemon() -> Grantd {
    Grantd::serve()
        .setting("limits.idle_time = \"3s\"")
        .setting("limits.header_time = \"2s\"")
        .setting("limits.request_time = \"3s\"")
        .setting("limits.body_time = \"3s\"")
        .setting("limits.write_time = \"1s\"")
        .start()
}

/// The stream of this round: clients' streams are odd (RFC 9113 section 5.1.1).
fn stream(round: usize) -> u32 {
    u32::try_from(round * 2 + 1).unwrap()
}

fn flood_metric(grantd: &Grantd) -> f64 {
    grantd.metric("grantd_connections_ended_total{limit=\"flood\"}")
}

/// How long each flood goes on, on one connection after the other.
fn flood_time() -> Duration {
    long_or(Duration::from_secs(10), Duration::from_millis(700))
}

/// Sends the same until the connection ends, which it must within so many rounds, again and again; while
/// good clients are served.
async fn ended_within(
    grantd: &Grantd,
    name: &str,
    rounds: usize,
    bytes: impl Fn(usize) -> Vec<u8>,
) {
    let healthy = Healthy::start(grantd, 2).await;
    let end = Instant::now() + flood_time();
    let mut connections = 0;
    while Instant::now() < end {
        let raw = Raw::connect(grantd, &[]).await;
        let sent = raw.flood(MOST, &bytes).await;
        assert!(
            sent.is_some_and(|sent| sent < rounds),
            "{name}: {sent:?} of {rounds}"
        );
        connections += 1;
    }
    let name = format!("{name}, {connections} connections");
    let report = healthy.all_served(&name).await;
    assert!(
        report.resident_mib < MOST_MIB,
        "{} MiB",
        report.resident_mib
    );
}

#[tokio::test]
async fn checklist_70_floods_of_frames_are_ended_while_good_clients_are_served() {
    let grantd = daemon();
    let reset = |stream| frame(RST_STREAM, 0, stream, &CANCEL);

    ended_within(&grantd, "h2 rapid reset", 20_000, |round| {
        let stream = stream(round);
        [request(stream, END_STREAM, "GET", JWKS), reset(stream)].concat()
    })
    .await;
    let open = request(1, 0, "POST", TOKEN);
    ended_within(
        &grantd,
        "h2 empty DATA frames",
        20_000,
        |round| match round {
            0 => open.clone(),
            _ => frame(DATA, 0, 1, b""),
        },
    )
    .await;
    ended_within(
        &grantd,
        "h2 CONTINUATION flood",
        20_000,
        |round| match round {
            0 => frame(HEADERS, 0, 1, &fields("GET", JWKS)),
            _ => frame(CONTINUATION, 0, 1, &field("x-more", "of the same")),
        },
    )
    .await;
    for (name, one) in [
        ("h2 PING flood", frame(PING, 0, 0, b"01234567")),
        ("h2 SETTINGS flood", settings(&[(4, 65_535)])),
        ("h2 PRIORITY flood", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7])),
        (
            "h2 WINDOW_UPDATE flood",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
    ] {
        let before = flood_metric(&grantd);
        let hundred = one.repeat(100);
        ended_within(&grantd, name, 20_000, |_| hundred.clone()).await;
        assert!(flood_metric(&grantd) > before, "{name} is counted");
    }
}

#[tokio::test]
async fn checklist_70_requests_that_are_taken_back_after_they_began_end_the_connection() {
    let grantd = daemon();
    let healthy = Healthy::start(&grantd, 2).await;
    let before = flood_metric(&grantd);
    let mut raw = Raw::connect(&grantd, &[]).await;
    let mut taken_back = 0;
    // Each round is looked at before it is taken back, so no stream is reset unseen.
    while taken_back < 10_000 {
        let streams: Vec<u32> = (taken_back..taken_back + 10).map(stream).collect();
        let open: Vec<u8> = streams
            .iter()
            .flat_map(|stream| request(*stream, 0, "POST", TOKEN))
            .collect();
        if !raw.write(&open).await || !raw.is_alive().await {
            break;
        }
        let back: Vec<u8> = streams
            .iter()
            .flat_map(|stream| frame(RST_STREAM, 0, *stream, &CANCEL))
            .collect();
        if !raw.write(&back).await {
            break;
        }
        taken_back += 10;
    }
    assert!(taken_back < 1000, "{taken_back} requests were taken back");
    assert!(flood_metric(&grantd) > before, "it is counted");
    healthy.all_served("h2 reset after begun").await;
}

#[tokio::test]
async fn checklist_70_more_streams_than_allowed_are_refused_and_the_others_served() {
    // With its usual times: no stream may end before the last one is asked for.
    let grantd = shared();
    let mut raw = Raw::connect(&grantd, &[]).await;
    let refused =
        |frame: &Frame| frame.kind == RST_STREAM && frame.payload == REFUSED_STREAM.to_be_bytes();
    // One more than may be open at once. A machine that is busy may answer some of them early, with 503.
    let mut asked = 0;
    loop {
        let more = if asked == 0 { 129 } else { 4 };
        let requests: Vec<u8> = (asked..asked + more)
            .flat_map(|round| request(stream(round), 0, "POST", TOKEN))
            .collect();
        assert!(raw.write(&requests).await);
        asked += more;
        if raw.saw(refused).await.expect("the connection stands") {
            break;
        }
        assert!(asked < 1000, "RFC 9113 section 5.1.2");
    }
    assert!(raw.is_alive().await, "the connection stands");
}

#[tokio::test]
async fn checklist_70_a_peer_without_a_window_is_ended_in_time() {
    let grantd = daemon();
    let healthy = Healthy::start(&grantd, 2).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0: no answer can leave.
    let mut raw = Raw::connect(&grantd, &[(4, 0)]).await;
    let asked: Vec<u8> = (0..100)
        .flat_map(|round| request(stream(round), END_STREAM, "GET", JWKS))
        .collect();
    assert!(raw.write(&asked).await);
    let end = async {
        let said = raw.until(|frame| frame.kind == GOAWAY).await;
        while raw.next().await.is_some() {}
        said
    };
    let said = tokio::time::timeout(Duration::from_secs(15), end).await;
    assert_eq!(said, Ok(true), "GOAWAY, then the end");
    healthy.all_served("h2 peers without a window").await;
}

#[tokio::test]
async fn checklist_08_header_fields_are_counted_over_http_2_too() {
    let grantd = daemon();
    let mut raw = Raw::connect(&grantd, &[]).await;
    let mut block = fields("GET", JWKS);
    for _ in 0..65 {
        block.extend(field("x-padding", "a"));
    }
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    assert!(raw.write(&head).await);
    let mut status = None;
    while let Some(frame) = raw.next().await {
        if frame.kind == HEADERS && frame.stream == 1 {
            status = frame.payload.get(..4).map(<[u8]>::to_vec);
            break;
        }
    }
    // RFC 7541 section 6.2: a literal with the name of index 8, `:status`, and "431" in Huffman's code.
    let name = status.as_ref().and_then(|block| block.first()).copied();
    assert!(
        matches!(name, Some(0x08 | 0x18 | 0x48)),
        "not of the table: {status:?}"
    );
    assert!(raw.is_alive().await);
    drop(raw);

    // A head above the limit in bytes: refused, and the daemon serves on.
    let mut raw = Raw::connect(&grantd, &[]).await;
    let mut block = fields("GET", JWKS);
    for _ in 0..60 {
        block.extend(field("x-padding", &"a".repeat(120)));
    }
    block.extend((0..200).flat_map(|_| field("x-more", &"a".repeat(120))));
    let (first, rest) = block.split_at(16_000);
    let mut head = frame(HEADERS, END_STREAM, 1, first);
    head.extend(frame(CONTINUATION, END_HEADERS, 1, rest));
    let _may_be_closed = raw.write(&head).await;
    let granted = |frame: &Frame| frame.kind == HEADERS && frame.payload.first() == Some(&0x88);
    let mut seen = Vec::new();
    while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_secs(1), raw.next()).await {
        assert!(!granted(&frame), "it was served");
        seen.push(frame.kind);
    }
    assert!(!seen.is_empty());
}

#[tokio::test]
async fn streams_that_the_daemon_must_reset_end_the_connection_before_long() {
    let grantd = daemon();
    // More data than the length that was told: the daemon must reset the stream (RFC 9113 section 8.1.1), which
    // costs it and not the peer (CVE-2025-8671).
    let mut head = fields("POST", TOKEN);
    head.extend(field("content-length", "1"));
    let raw = Raw::connect(&grantd, &[]).await;
    let sent = raw.flood(MOST, |round| {
        let stream = stream(round);
        let open = frame(HEADERS, END_HEADERS, stream, &head);
        [open, frame(DATA, 0, stream, b"more")].concat()
    });
    let sent = sent.await;
    assert!(sent.is_some_and(|sent| sent < 5_000), "{sent:?}");
}

#[tokio::test]
async fn an_http_2_connection_that_asks_for_nothing_is_ended_though_it_pings() {
    let grantd = daemon();
    let mut raw = Raw::connect(&grantd, &[]).await;
    let ended = eventually_async(
        "the idle connection ends",
        Duration::from_secs(15),
        async || (!raw.is_alive().await).then_some(()),
    );
    ended.await;
    let idle = grantd.metric("grantd_connections_ended_total{limit=\"idle_time\"}");
    assert!(idle >= 1.0, "{idle}");
}

#[tokio::test]
async fn checklist_72_one_host_with_many_streams_leaves_room_for_who_comes_for_the_first_time() {
    let grantd = Grantd::serve().setting("limits.connections = 64").start();
    let form = field("content-type", "application/x-www-form-urlencoded");
    let head = [fields("POST", TOKEN), form].concat();
    let bodies_that_never_come: Vec<u8> = (0..120)
        .flat_map(|round| frame(HEADERS, END_HEADERS, stream(round), &head))
        .collect();
    let https = grantd.https().at([127, 99, 2, 1].into());
    let mut host = Vec::new();
    for _ in 0..5 {
        let mut raw = Raw::connect_to(&https, &[]).await;
        assert!(raw.write(&bodies_that_never_come).await && raw.is_alive().await);
        host.push(raw);
    }
    // 1,024 may be under way: half of them of peers that are not known, and half of those of one host.
    let shed = async || {
        let shed = grantd.metric("grantd_requests_shed_total{reason=\"in_flight\"}");
        (shed >= 600.0 - 256.0).then_some(())
    };
    eventually_async("it is held to its part", Duration::from_secs(20), shed).await;
    let ask = grantd.ask().of("reader").resource(BILLING);
    ask.send().await.granted();
}
