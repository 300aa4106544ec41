//! Limits of connections (lines 68 and 71 of the security checklist): each time and each number is kept, and a
//! daemon that runs out of descriptors goes on.

use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{
    BILLING, Grantd, Protocol, attacker, eventually, eventually_async, exchange, good_form,
};

/// Long enough for a connection to end by a limit of a second or two, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn ended(grantd: &Grantd, limit: &str) -> f64 {
    grantd.metric(&format!(
        "grantd_connections_ended_total{{limit={limit:?}}}"
    ))
}

fn open(grantd: &Grantd) -> f64 {
    grantd.metric("grantd_connections_open")
}

/// A TCP connection on which nothing is said.
async fn silent(grantd: &Grantd, from: IpAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(grantd.https().address()).await
}

/// A request for the token endpoint, as bytes.
fn request(grantd: &Grantd, body: &str) -> Vec<u8> {
    let host = grantd.https().authority();
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_peer_that_never_reads_is_ended() {
    let grantd = Grantd::serve()
        .setting("limits.write_time = \"1s\"")
        .start();
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    let one = "GET /oauth2/jwks HTTP/1.1\r\nHost: h\r\n\r\n".repeat(50);
    let writing = async {
        // Its answers fill every buffer on the way; nothing of them is read.
        while stream.write_all(one.as_bytes()).await.is_ok() {}
    };
    let ending = tokio::time::timeout(SOON, writing).await;
    assert!(ending.is_ok(), "the connection ends");
    assert!(ended(&grantd, "write_time") >= 1.0);
}

#[tokio::test]
async fn checklist_68_a_head_has_its_time_and_an_idle_connection_its_own() {
    let grantd = Grantd::serve()
        .setting("limits.header_time = \"1s\"")
        .setting("limits.idle_time = \"4s\"")
        .start();
    let mut slow = grantd.https().connect(Protocol::Http1).await;
    let start = Instant::now();
    let said = exchange(&mut slow, b"POST /oauth2/token HTTP/1.1\r\nHost: h\r\n").await;
    assert_eq!((said.as_str(), ended(&grantd, "header_time")), ("", 1.0));
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );

    let mut kept = grantd.https().connect(Protocol::Http1).await;
    let start = Instant::now();
    let said = exchange(&mut kept, &request(&grantd, &good_form())).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert!(
        start.elapsed() >= Duration::from_secs(4),
        "an answered connection may stay idle"
    );
    assert_eq!(ended(&grantd, "idle_time"), 1.0);
}

#[tokio::test]
async fn a_connection_has_a_longest_life_and_ends_between_requests() {
    let grantd = Grantd::serve()
        .setting("limits.max_age = \"4s\"")
        .setting("limits.idle_time = \"4s\"")
        .setting("limits.request_time = \"4s\"")
        .setting("limits.body_time = \"4s\"")
        .setting("limits.header_time = \"4s\"")
        .start();
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    let mut buffer = vec![0; 8192];
    let answers = async {
        let mut answers = 0;
        loop {
            stream
                .write_all(&request(&grantd, &good_form()))
                .await
                .unwrap();
            let count = stream.read(&mut buffer).await.unwrap();
            let answer = String::from_utf8_lossy(&buffer[..count]).into_owned();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            answers += 1;
            if answer.contains("connection: close") {
                break answers;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let answers = tokio::time::timeout(SOON, answers).await.unwrap();
    assert!(answers > 3, "{answers}");
    assert_eq!(
        stream.read(&mut buffer).await.unwrap(),
        0,
        "closed after the last answer"
    );
    assert_eq!(ended(&grantd, "max_age"), 1.0);

    let io = hyper_util::rt::TokioIo::new(grantd.https().connect(Protocol::Http2).await);
    let (_sender, connection) = hyper::client::conn::http2::handshake::<
        _,
        _,
        http_body_util::Full<bytes::Bytes>,
    >(hyper_util::rt::TokioExecutor::new(), io)
    .await
    .unwrap();
    let gone = tokio::time::timeout(SOON, connection).await;
    assert!(
        matches!(gone, Ok(Ok(()))),
        "GOAWAY without an error: {gone:?}"
    );
}

#[tokio::test]
async fn one_address_can_hold_only_its_part_of_the_connections() {
    let grantd = Grantd::serve()
        .setting("limits.connections_per_address = 3")
        .start();
    let host = IpAddr::from([127, 99, 1, 1]);
    let https = grantd.https().at(host);
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(https.connect(Protocol::Http1).await);
    }
    assert!(
        https.try_connect(Protocol::Http1).await.is_err(),
        "one more is closed"
    );
    assert!(ended(&grantd, "address_limit") >= 1.0);
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    kept.pop();
    let again = async || https.try_connect(Protocol::Http1).await.ok();
    eventually_async("its place is free again", SOON, again).await;
}

#[tokio::test]
async fn checklist_71_sixty_four_descriptors_are_enough_to_serve_record_and_reload() {
    let grantd = Grantd::serve()
        .descriptors(64)
        .setting("audit.segment = \"4KiB\"")
        .start();
    let warned = || {
        grantd
            .log()
            .contains("limits.connections does not fit")
            .then_some(())
    };
    eventually("it says that the connections do not fit", SOON, warned);
    // Keeps every place taken while a client asks, the journal changes its segment and the registry is read.
    let mut idle = Vec::new();
    for round in 0..60 {
        for number in 0..4 {
            idle.extend(
                silent(&grantd, attacker(round * 400 + number * 100))
                    .await
                    .ok(),
            );
        }
        grantd
            .ask()
            .of("reader")
            .resource(BILLING)
            .send()
            .await
            .granted();
    }
    let segments = std::fs::read_dir(grantd.ready.state.join("journal"))
        .unwrap()
        .count();
    assert!(segments > 2, "{segments} segments");
    let before = grantd.metric("grantd_registry_generation");
    let more = "[resource.more]\nidentifier = \"https://more.test\"\nname = \"More\"\nowner = \"team-more\"\n";
    std::fs::write(grantd.registry().join("more.toml"), more).unwrap();
    let applied = || (grantd.metric("grantd_registry_generation") > before).then_some(());
    eventually("the change is served", SOON, applied);
    assert_eq!(grantd.readyz()["ready"], true);
    let mut grantd = grantd;
    assert!(grantd.stop().success());
}

#[tokio::test]
async fn checklist_71_accept_backs_off_without_descriptors_and_goes_on_with_them() {
    let grantd = Grantd::serve().start();
    let pid = grantd.ready.pid;
    let limit = |soft: u64| {
        let set = Command::new("prlimit")
            .args([format!("--pid={pid}"), format!("--nofile={soft}:")])
            .status()
            .expect("prlimit, of the package util-linux");
        assert!(set.success());
    };
    let processor = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    limit(1);
    let waiting = silent(&grantd, attacker(0)).await.unwrap();
    // No descriptor is left for the second listener either: the log says it.
    eventually("accept fails", SOON, || {
        grantd.log().contains("accept failed").then_some(())
    });
    let before = processor();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = processor() - before;
    assert!(
        used < 30,
        "it spins: {used} ticks of a hundredth second in a second"
    );
    limit(1024);
    let failed = grantd.metric("grantd_accepts_failed_total");
    assert!(
        (2.0..200.0).contains(&failed),
        "it pauses between two calls: {failed}"
    );
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    drop(waiting);
}

#[tokio::test]
async fn the_second_listener_answers_while_the_first_one_drains() {
    let mut grantd = Grantd::serve().start();
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    let whole = request(&grantd, &good_form());
    let (begun, rest) = whole.split_at(whole.len() - 5);
    stream.write_all(begun).await.unwrap();
    let busy = || (open(&grantd) >= 1.0).then_some(());
    eventually("the request has begun", SOON, busy);
    grantd.signal(Signal::TERM);
    let says = || grantd.log().contains("accepting nothing new").then_some(());
    eventually("it drains", SOON, says);
    assert_eq!(grantd.monitor("/healthz").0, 200);
    assert_eq!(grantd.monitor("/readyz").0, 503);
    assert!(
        grantd
            .monitor("/metrics")
            .1
            .contains("grantd_connections_open")
    );
    let answer = exchange(&mut stream, rest).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(grantd.ended(SOON).success());
}
