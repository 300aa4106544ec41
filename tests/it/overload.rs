//! Floods of connections and requests (lines 22, 68, 71 and 72 of the security checklist): good clients get their
//! tokens throughout, and memory and descriptors stay within their bounds. What each flood did to a good
//! client's p99 is shown.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::support::{
    BILLING, Grantd, Healthy, Https, Protocol, attacker, eventually, eventually_async, exchange,
    good_form, long_or, secret,
};

/// Long enough for a connection to end by a limit of a second or two, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Memory that a debug build may have resident with 1,000 connections; measured is about 70 MiB.
const MOST_MIB: u64 = 250;

fn ended(grantd: &Grantd, limit: &str) -> f64 {
    grantd.metric(&format!(
        "grantd_connections_ended_total{{limit={limit:?}}}"
    ))
}

fn open(grantd: &Grantd) -> f64 {
    grantd.metric("grantd_connections_open")
}

/// Opens connections, a hundred at a time, and keeps all that open.
async fn open_many<T, F>(count: usize, open: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = std::io::Result<T>> + Send + 'static,
{
    let mut kept = Vec::with_capacity(count);
    for first in (0..count).step_by(100) {
        let mut opening = JoinSet::new();
        for number in first..(first + 100).min(count) {
            opening.spawn(tokio::time::timeout(SOON, open(number)));
        }
        for opened in opening.join_all().await {
            let opened = opened.expect("whoever connects gets a place in time");
            kept.extend(opened.ok());
        }
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_68_idle_connections_lock_nobody_out() {
    const PLACES: usize = 1000;
    let flood = long_or(18_000, 3_000);
    let grantd = Grantd::serve()
        .setting(&format!("limits.connections = {PLACES}"))
        .start();
    let healthy = Healthy::start(&grantd, 4).await;
    let https = grantd.https().clone();
    let kept = open_many(flood, move |number| {
        let https = https.at(attacker(number));
        async move { https.try_connect(Protocol::Http1).await }
    })
    .await;
    assert!(kept.len() > flood * 9 / 10, "{} connected", kept.len());
    // Who comes new finds a place too.
    for _ in 0..20 {
        let ask = grantd.ask().of("reader").resource(BILLING);
        ask.send().await.granted();
    }
    assert!(open(&grantd) <= 1000.0, "{} open", open(&grantd));
    assert!(ended(&grantd, "place_needed") > 1000.0);
    let report = healthy
        .all_served(&format!("{flood} idle TLS connections, {PLACES} places"))
        .await;
    assert!(
        report.resident_mib < MOST_MIB,
        "{} MiB",
        report.resident_mib
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_68_half_handshakes_are_given_up_in_time() {
    let grantd = Grantd::serve()
        .setting("limits.handshake_time = \"2s\"")
        .start();
    let healthy = Healthy::start(&grantd, 4).await;
    let address = grantd.https().address();
    let kept = open_many(long_or(9_000, 2_000), move |number| async move {
        let socket = TcpSocket::new_v4()?;
        socket.bind((attacker(number), 0).into())?;
        let mut stream = socket.connect(address).await?;
        // The head of a TLS record that never comes whole.
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await?;
        Ok(stream)
    })
    .await;
    let count = kept.len();
    let gone = || (open(&grantd) < 20.0).then_some(());
    eventually("all are given up", SOON, gone);
    let failed = grantd.metric("grantd_handshakes_failed_total");
    assert!(failed >= 1000.0, "{failed}");
    let report = healthy
        .all_served(&format!("{count} half handshakes"))
        .await;
    assert!(
        report.resident_mib < MOST_MIB,
        "{} MiB",
        report.resident_mib
    );
    drop(kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_new_connections_leaves_good_clients_their_tokens() {
    let grantd = Grantd::serve().start();
    let healthy = Healthy::start(&grantd, 4).await;
    let end = Instant::now() + long_or(Duration::from_secs(30), Duration::from_secs(3));
    let count = Arc::new(AtomicU64::new(0));
    let mut flood = JoinSet::new();
    for number in 0..32 {
        let (https, count) = (
            grantd.https().at(attacker(number * 100)),
            Arc::clone(&count),
        );
        flood.spawn(async move {
            while Instant::now() < end {
                let connected = https.try_connect(Protocol::Http2).await;
                count.fetch_add(u64::from(connected.is_ok()), Ordering::Relaxed);
            }
        });
    }
    flood.join_all().await;
    let count = count.load(Ordering::Relaxed);
    assert!(count > 100, "{count} connections");
    let report = healthy
        .all_served(&format!(
            "{count} connections, opened and closed at full speed"
        ))
        .await;
    assert!(
        report.resident_mib < MOST_MIB,
        "{} MiB",
        report.resident_mib
    );
}

/// A flooder: asks for what is refused as fast as answers come, on one connection after the other.
async fn refused_at_full_speed(
    https: Https,
    form: impl Fn(u64) -> String,
    end: Instant,
) -> [u64; 2] {
    let mut statuses = [0, 0];
    let mut round = 0;
    while Instant::now() < end {
        let Ok(mut stream) = https.try_connect(Protocol::Http1).await else {
            continue;
        };
        let mut buffer = [0; 4096];
        while Instant::now() < end {
            round += 1;
            let body = form(round);
            let request = format!(
                "POST /oauth2/token HTTP/1.1\r\nHost: h\r\nContent-Type: \
                 application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(request.as_bytes()).await.is_err() {
                break;
            }
            let Ok(count @ 1..) = stream.read(&mut buffer).await else {
                break;
            };
            let answer = String::from_utf8_lossy(&buffer[..count]);
            match answer.split(' ').nth(1) {
                Some("401") => statuses[0] += 1,
                Some("429") => {
                    assert!(answer.contains("retry-after: "), "{answer}");
                    statuses[1] += 1;
                }
                Some("503") => {}
                other => panic!("answered {other:?}: {answer}"),
            }
        }
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_22_refused_requests_at_full_speed_leave_good_clients_their_tokens() {
    let grantd = Grantd::serve().start();
    let healthy = Healthy::start(&grantd, 4).await;
    let end = Instant::now() + long_or(Duration::from_secs(60), Duration::from_secs(5));
    let mut flood = JoinSet::new();
    for number in 0..64_usize {
        // Eight hosts: some guess a client's secret, some make up clients, one is where a good client is.
        let from = match number % 8 {
            0 => Ipv4Addr::new(127, 254, 0, 1).into(),
            host => attacker(host * 100),
        };
        let form = move |round: u64| match number % 2 {
            0 => format!(
                "grant_type=client_credentials&client_id=reader&client_secret={}",
                secret("writer", 1)
            ),
            _ => format!(
                "grant_type=client_credentials&client_id=c{number}-{round}&client_secret=wrong"
            ),
        };
        flood.spawn(refused_at_full_speed(grantd.https().at(from), form, end));
    }
    let mut answers = [0, 0];
    for [refused, throttled] in flood.join_all().await {
        answers[0] += refused;
        answers[1] += throttled;
    }
    // The client that they all pretend to be is served also where they are, and anew.
    let ask = grantd.ask().of("reader").resource(BILLING);
    ask.from([127, 254, 0, 1].into()).send().await.granted();
    let [refused, throttled] = answers;
    let name = format!("refused at full speed: {refused} times 401, {throttled} times 429");
    let report = healthy.all_served(&name).await;
    assert!(refused > 0 && throttled > 0, "{answers:?}");
    // Four hosts with one client's part each, four with a host's: what is answered at once is bounded,
    // whatever they send.
    assert!(refused < 12_000, "{refused} were answered at once");
    let counted = grantd.metric("grantd_failures_throttled_total");
    assert!(counted >= 1.0, "{counted}");
    assert!(
        report.resident_mib < MOST_MIB,
        "{} MiB",
        report.resident_mib
    );
}

/// Runs slowhttptest for some seconds in one of its modes.
fn slowhttptest(grantd: &Grantd, mode: &str, arguments: &[&str]) {
    let url = format!("https://{}/oauth2/token", grantd.https().authority());
    let seconds = long_or("30", "4");
    let output = Command::new("slowhttptest")
        .args([mode, "-u", &url, "-l", seconds, "-c", "800", "-r", "400"])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("slowhttptest, of the package of that name: {error}"));
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(words.contains("slow"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_68_slow_heads_bodies_and_readers_are_ended_in_time() {
    let grantd = Arc::new(
        Grantd::serve()
            .setting("limits.header_time = \"2s\"")
            .setting("limits.body_time = \"2s\"")
            .setting("limits.write_time = \"2s\"")
            .setting("limits.idle_time = \"3s\"")
            .start(),
    );
    for (mode, name, arguments) in [
        ("-H", "slow heads", ["-i", "1", "-x", "24"].as_slice()),
        ("-B", "slow bodies", &["-i", "1", "-s", "8192", "-x", "10"]),
        (
            "-X",
            "slow readers",
            &["-w", "1", "-y", "2", "-n", "1", "-z", "1", "-k", "3"],
        ),
    ] {
        let healthy = Healthy::start(&grantd, 2).await;
        let flooded = Arc::clone(&grantd);
        let flood = move || slowhttptest(&flooded, mode, arguments);
        tokio::task::spawn_blocking(flood).await.unwrap();
        let report = healthy
            .all_served(&format!("slowhttptest {mode}, {name}"))
            .await;
        assert!(
            report.resident_mib < MOST_MIB,
            "{} MiB",
            report.resident_mib
        );
    }
    assert!(
        ended(&grantd, "header_time") > 0.0,
        "slow heads are counted"
    );
    let late = grantd.metric("grantd_tokens_denied_total{reason=\"body_timeout\"}");
    assert!(late > 0.0, "slow bodies are counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_72_when_work_waits_too_long_those_who_are_known_go_first() {
    let grantd = Arc::new(Grantd::serve().start());
    let healthy = Healthy::start(&grantd, 2).await;
    let mut strangers = Vec::new();
    for number in 0..8 {
        let https = grantd.https().at(attacker(number * 100));
        strangers.push(https.connect(Protocol::Http1).await);
    }
    let body = good_form();
    let request = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let starved = Arc::clone(&grantd);
    // A processor that is there only now and then, for less than a probe takes: what a daemon sees when others
    // take it.
    let starving = std::thread::spawn(move || {
        for _ in 0..16 {
            starved.signal(Signal::STOP);
            std::thread::sleep(Duration::from_millis(250));
            starved.signal(Signal::CONT);
            std::thread::sleep(Duration::from_millis(7));
        }
    });
    let mut shed = None;
    for mut stranger in strangers {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answer = exchange(&mut stranger, request.as_bytes()).await;
        if answer.starts_with("HTTP/1.1 503 ") {
            shed = Some(answer);
        }
    }
    starving.join().unwrap();
    let shed = shed.expect("a stranger was told to come back later");
    assert!(shed.contains("temporarily_unavailable"), "{shed}");
    assert!(shed.contains("retry-after: "), "{shed}");
    assert!(grantd.metric("grantd_requests_shed_total{reason=\"queue\"}") >= 1.0);
    healthy
        .all_served("a daemon that gets a processor now and then")
        .await;
    let again = async || {
        let answer = grantd.ask().of("reader").resource(BILLING).send().await;
        (answer.status == 200).then_some(())
    };
    eventually_async("all are served again", SOON, again).await;
}

#[tokio::test]
async fn checklist_21_slowing_down_does_not_tell_which_names_there_are() {
    let grantd = Grantd::serve()
        .setting("limits.failures_per_minute = 1")
        .start();
    let mut told = Vec::new();
    for name in ["reader", "disabled", "nobody", "nobody-else"] {
        let mut at_once = 0;
        let late = loop {
            let ask = grantd.ask().from(attacker(1)).with_secret(name, "wrong");
            let answer = ask.resource(BILLING).send().await;
            match answer.status {
                401 => at_once += 1,
                _ => {
                    let said = answer.text("error_description");
                    assert!(said.starts_with("too many failed attempts"), "{said}");
                    break answer.status;
                }
            }
        };
        told.push((at_once, late));
    }
    // Five minutes' worth at once, whoever the name belongs to.
    assert_eq!(told, [(5, 429); 4]);
    let ask = grantd.ask().from(attacker(1)).of("reader");
    let good = ask.resource(BILLING).send().await;
    assert_eq!(good.status, 200, "right credentials are never held up");
}
