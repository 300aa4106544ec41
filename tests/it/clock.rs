//! A system clock that is wrong at the start: no token is dated by it, it is said what is wrong, and nothing is
//! lost. `libfaketime` stands for the wrong clock.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    BILLING, Deployment, Https, ServiceManager, assert_whole_journal, eventually, issued, jwks,
    passing, secret, verify_with,
};

/// Longest orderly end of a daemon.
const ENDED: Duration = Duration::from_secs(30);

/// The library that tells a process another time.
pub fn libfaketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let found = folders
        .map(|folder| folder.unwrap().path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists());
    found.expect("libfaketime, of the package faketime")
}

/// Starts the daemon at this time, asks it for a token, and stops it; what it told its service manager, and
/// what it answered.
async fn at(deployment: &Deployment, time: &str, status: &str) -> String {
    let manager = ServiceManager::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut command = passing(&deployment.command(), &[&socket], "public", "$$");
    let log = std::fs::File::create(deployment.path("log")).unwrap();
    command
        .env("LD_PRELOAD", libfaketime())
        .env("FAKETIME", format!("@{time}"))
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("NOTIFY_SOCKET", manager.socket())
        .stderr(Stdio::from(log));
    let mut child = command.spawn().unwrap();
    manager.says(status, 0);
    let https = Https::new(
        &deployment.path("tls/ca.pem"),
        &format!("https://localhost:{port}"),
    );
    let body = format!(
        "grant_type=client_credentials&client_id=reader&client_secret={}",
        secret("reader", 1)
    );
    let request = format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{body}",
        https.authority(),
        body.len()
    );
    let answer = https.raw(request.as_bytes()).await;
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = eventually("the daemon ends", ENDED, || child.try_wait().unwrap());
    let log = std::fs::read_to_string(deployment.path("log")).unwrap();
    assert!(ended.success(), "{log}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_at_the_start_issues_nothing_and_loses_nothing() {
    let deployment = Deployment::new();
    let mut grantd = deployment.serve();
    let keys = jwks(&grantd).await;
    let ask = || grantd.ask().of("reader").resource(BILLING);
    let before = verify_with(&keys, &ask().send().await.granted().text("access_token"));
    assert!(grantd.stop().success());

    // A board without a battery, and a battery that is broken.
    for (time, status) in [
        (
            "1970-01-02 00:00:00",
            "STATUS=NOT issuing tokens: the clock is behind: nothing is signed until it catches up or is accepted",
        ),
        (
            "2100-01-01 00:00:00",
            "STATUS=NOT issuing tokens: the clock is more than a year ahead of the last time that was seen",
        ),
    ] {
        let answer = at(&deployment, time, status).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(!answer.contains("access_token"), "{answer}");
    }

    // Set right, it goes on with the same keys, and every line is where it was.
    let mut grantd = deployment.serve();
    let ask = || grantd.ask().of("reader").resource(BILLING);
    let after = verify_with(
        &jwks(&grantd).await,
        &ask().send().await.granted().text("access_token"),
    );
    assert_eq!(before.header["kid"], after.header["kid"]);
    assert_eq!(grantd.readyz()["degraded"].to_string(), "[]");
    assert!(grantd.stop().success());
    let events = assert_whole_journal(&deployment.path("state"));
    assert_eq!(issued(&events).count(), 2);
}
