//! The shipper and a real server: single messages, atomic batches, outages, lost acknowledgements.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream;
use grantd::audit::ship::Finding;
use tempfile::TempDir;

use crate::support::ship::{Marks, Shipper, assert_whole, make_stream, ship_settings, stored};
use crate::support::{NatsServer, Proxy, long_or};

#[tokio::test(flavor = "multi_thread")]
async fn batches_fill_a_stream_that_grantd_made() {
    let server = NatsServer::start();
    let folder = TempDir::new().unwrap();
    let shipper = Shipper::start(
        folder.path(),
        ship_settings(&server.url()),
        &Marks::default(),
    );
    shipper.record(3000).await;
    shipper.caught_up().await;
    let status = shipper.board.read();
    assert_eq!(status.batches, Some(true));
    assert!(
        status.connected && status.last_error.is_none(),
        "{status:?}"
    );
    assert_eq!(status.findings, [Finding::OneReplica, Finding::Unbounded]);
    let units = shipper.counters.units.load(Ordering::Relaxed);
    assert!(units < 1500, "batches: {units} units");
    assert_whole(&shipper, &server.url()).await;
    headers_are_as_documented(&server, &shipper).await;
    shipper.stop().await;
    // The last line of all, too, is in the stream.
    let last = stored(&server.url()).await.pop().unwrap();
    assert!(String::from_utf8_lossy(&last).contains("dev.grantd.daemon.stopped.v1"));
}

async fn headers_are_as_documented(server: &NatsServer, shipper: &Shipper) {
    let context = jetstream::new(server.connect().await);
    let stream = context.get_stream("AUDIT").await.unwrap();
    let message = stream.get_raw_message(1).await.unwrap();
    let first = &shipper.lines()[0];
    assert_eq!(
        message.subject.as_str(),
        format!("grantd.audit.auth-1.{}", first.event_type())
    );
    let header = |name: &str| message.headers.get(name).map(ToString::to_string);
    assert_eq!(header("Nats-Msg-Id"), Some(first.hash.to_string()));
    assert_eq!(
        header("Nats-Expected-Last-Subject-Sequence"),
        Some("0".to_owned())
    );
    assert_eq!(
        header("Nats-Expected-Last-Subject-Sequence-Subject"),
        Some("grantd.audit.auth-1.>".to_owned())
    );
    assert_eq!(header("Grantd-Refill"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_batches_gets_single_messages() {
    let server = NatsServer::start();
    make_stream(&server, |config| config.allow_atomic_publish = false).await;
    let folder = TempDir::new().unwrap();
    let marks = Marks::default();
    let shipper = Shipper::start(folder.path(), ship_settings(&server.url()), &marks);
    shipper.record(500).await;
    shipper.caught_up().await;
    let status = shipper.board.read();
    assert_eq!(status.batches, Some(false));
    assert!(status.findings.contains(&Finding::NoBatches));
    assert_whole(&shipper, &server.url()).await;
    shipper.stop().await;
    // A second daemon on the same state goes on where the first ended.
    let shipper = Shipper::start(folder.path(), ship_settings(&server.url()), &marks);
    shipper.record(50).await;
    shipper.caught_up().await;
    assert_eq!(shipper.counters.foreign.load(Ordering::Relaxed), 0);
    assert_eq!(shipper.counters.backwards.load(Ordering::Relaxed), 0);
    assert_whole(&shipper, &server.url()).await;
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_mark_the_shipper_finds_the_place_by_the_stream() {
    let server = NatsServer::start();
    let folder = TempDir::new().unwrap();
    let settings = ship_settings(&server.url());
    let shipper = Shipper::start(folder.path(), settings.clone(), &Marks::default());
    shipper.record(300).await;
    shipper.caught_up().await;
    shipper.stop().await;
    let shipper = Shipper::start(folder.path(), settings, &Marks::default());
    shipper.record(10).await;
    shipper.caught_up().await;
    assert_whole(&shipper, &server.url()).await;
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_a_stream() {
    let server = NatsServer::start();
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let one = ship_settings(&server.url());
    let mut other = one.clone();
    other.instance = grantd::domain::InstanceName::parse("auth-2").unwrap();
    let one = Shipper::start(folders[0].path(), one, &Marks::default());
    let other = Shipper::start(folders[1].path(), other, &Marks::default());
    tokio::join!(one.record(800), other.record(700));
    one.caught_up().await;
    other.caught_up().await;
    assert_whole(&one, &server.url()).await;
    for shipper in [one, other] {
        assert_eq!(shipper.counters.foreign.load(Ordering::Relaxed), 0);
        shipper.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_gets_each_line_once() {
    for batches in [true, false] {
        let mut server = NatsServer::start();
        make_stream(&server, |config| config.allow_atomic_publish = batches).await;
        let folder = TempDir::new().unwrap();
        let settings = ship_settings(&server.url());
        let shipper = Shipper::start(folder.path(), settings, &Marks::default());
        for _ in 0..long_or(15, 3) {
            shipper.record(200).await;
            let load = shipper.record(1500);
            let faults = async {
                tokio::time::sleep(Duration::from_millis(30)).await;
                server.kill();
                server.run();
            };
            tokio::join!(load, faults);
        }
        shipper.caught_up().await;
        assert_whole(&shipper, &server.url()).await;
        shipper.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_acknowledgements_neither_lose_nor_double_a_line() {
    for batches in [true, false] {
        let server = NatsServer::start();
        make_stream(&server, |config| config.allow_atomic_publish = batches).await;
        let proxy = Proxy::before(([127, 0, 0, 1], server.port()).into());
        let mut settings = ship_settings(&format!("nats://{}", proxy.address()));
        settings.ack_timeout = Duration::from_millis(200);
        settings.nats.request_timeout = Duration::from_millis(500);
        let folder = TempDir::new().unwrap();
        let shipper = Shipper::start(folder.path(), settings, &Marks::default());
        for round in 0..long_or(20, 4) {
            shipper.record(100).await;
            shipper.caught_up().await;
            proxy.mute(true);
            shipper.record(300).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            if round % 2 == 0 {
                proxy.reset();
            }
            proxy.mute(false);
            proxy.delay(Duration::from_millis(round % 3));
        }
        proxy.delay(Duration::ZERO);
        shipper.caught_up().await;
        assert!(shipper.counters.doubts.load(Ordering::Relaxed) > 0);
        assert_whole(&shipper, &server.url()).await;
        shipper.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_at_the_start_stops_nothing() {
    let mut server = NatsServer::start();
    let url = server.url();
    server.kill();
    let folder = TempDir::new().unwrap();
    let shipper = Shipper::start(folder.path(), ship_settings(&url), &Marks::default());
    shipper.record(100).await;
    shipper
        .until("a failure to connect is reported", |status| {
            let words = status
                .last_error
                .as_ref()
                .map(|error| error.message.as_str());
            words.is_some_and(|words| words.contains("cannot connect to nats://127.0.0.1"))
        })
        .await;
    assert!(!shipper.board.read().connected);
    server.run();
    shipper.caught_up().await;
    assert_whole(&shipper, &url).await;
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_said_by_name() {
    let folder = TempDir::new().unwrap();
    let settings = ship_settings("nats://nats.grantd.invalid:4222");
    let shipper = Shipper::start(folder.path(), settings, &Marks::default());
    shipper.record(5).await;
    shipper
        .until("the host is named", |status| {
            let words = status
                .last_error
                .as_ref()
                .map(|error| error.message.as_str());
            words.is_some_and(|words| {
                words.contains("cannot resolve the host \"nats.grantd.invalid\"")
            })
        })
        .await;
    crate::support::eventually("it goes on trying", crate::support::ship::SOON, || {
        (shipper.counters.resolve_failures.load(Ordering::Relaxed) > 2).then_some(())
    });
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_refuses_and_goes_on_when_there_is_room() {
    let server = NatsServer::start();
    make_stream(&server, |config| config.max_messages = 50).await;
    let folder = TempDir::new().unwrap();
    let shipper = Shipper::start(
        folder.path(),
        ship_settings(&server.url()),
        &Marks::default(),
    );
    shipper.record(200).await;
    shipper
        .until("the refusal is reported", |status| {
            let words = status
                .last_error
                .as_ref()
                .map(|error| error.message.as_str());
            words.is_some_and(|words| words.contains("the stream is full"))
        })
        .await;
    let context = jetstream::new(server.connect().await);
    let mut stream = context.get_stream("AUDIT").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.max_messages = 5000;
    context.update_stream(config).await.unwrap();
    shipper.caught_up().await;
    assert_whole(&shipper, &server.url()).await;
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_waited_for() {
    let server = NatsServer::start();
    let folder = TempDir::new().unwrap();
    let mut settings = ship_settings(&server.url());
    settings.create_stream = false;
    let shipper = Shipper::start(folder.path(), settings, &Marks::default());
    shipper
        .until("the missing stream is named", |status| {
            let words = status
                .last_error
                .as_ref()
                .map(|error| error.message.as_str());
            words.is_some_and(|words| words.contains("there is no stream \"AUDIT\""))
        })
        .await;
    make_stream(&server, |_| {}).await;
    shipper.record(10).await;
    shipper.caught_up().await;
    assert_whole(&shipper, &server.url()).await;
    shipper.stop().await;
}
