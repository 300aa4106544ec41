//! Streams that are not as they were: foreign messages, copied disks, streams that forget.

use std::sync::atomic::Ordering;

use async_nats::jetstream;
use serde_json::json;
use tempfile::TempDir;

use crate::support::ship::SOON;
use crate::support::ship::{
    Marks, Shipper, assert_whole, copy_folder, data_of, intrude, make_stream, ship_settings, stored,
};
use crate::support::{NatsServer, eventually_async};

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_publisher_is_an_alarm_and_a_new_lineage() {
    let server = NatsServer::start();
    let folder = TempDir::new().unwrap();
    let settings = ship_settings(&server.url());
    let shipper = Shipper::start(folder.path(), settings, &Marks::default());
    shipper.record(50).await;
    shipper.caught_up().await;
    for round in 1..=2 {
        intrude(&server, "{\"not\":\"a line\"}").await;
        eventually_async("the intruder is found", SOON, async || {
            (shipper.counters.foreign.load(Ordering::Relaxed) == round).then_some(())
        })
        .await;
        shipper.record(50).await;
        shipper.caught_up().await;
    }
    let renewals = data_of(&shipper, "daemon.lineage_renewed");
    assert_eq!(renewals.len(), 2);
    assert_eq!(renewals[0]["cause"], "stream_foreign");
    // The stream has each of our lines once and in order, and the two others.
    let mut messages = stored(&server.url()).await;
    messages.retain(|message| !message.starts_with(b"{\"not\""));
    let lines = shipper.lines();
    assert_eq!(messages.len(), lines.len());
    assert!(
        messages
            .iter()
            .zip(&lines)
            .all(|(message, line)| message == line.bytes())
    );
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intruder_among_unacknowledged_batches_loses_and_doubles_nothing() {
    let server = NatsServer::start();
    make_stream(&server, |_| {}).await;
    let folder = TempDir::new().unwrap();
    let shipper = Shipper::start(
        folder.path(),
        ship_settings(&server.url()),
        &Marks::default(),
    );
    let intruder = async {
        for _ in 0..5 {
            intrude(&server, "junk").await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::join!(shipper.record(4000), intruder);
    shipper.caught_up().await;
    let mut messages = stored(&server.url()).await;
    messages.retain(|message| message.as_ref() != b"junk");
    let lines = shipper.lines();
    assert_eq!(messages.len(), lines.len());
    assert!(
        messages
            .iter()
            .zip(&lines)
            .all(|(message, line)| message == line.bytes())
    );
    assert!(!data_of(&shipper, "daemon.lineage_renewed").is_empty());
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_state_begins_a_new_lineage_and_discards_nothing() {
    let server = NatsServer::start();
    let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let settings = ship_settings(&server.url());
    let marks = Marks::default();
    let original = Shipper::start(folder.path(), settings.clone(), &marks);
    original.record(100).await;
    original.caught_up().await;
    original.stop().await;
    copy_folder(folder.path(), copy.path());
    let copied_marks = marks.copy();

    let original = Shipper::start(folder.path(), settings.clone(), &marks);
    original.record(100).await;
    original.caught_up().await;
    let kept = original.lines();
    original.stop().await;

    let clone = Shipper::start(copy.path(), settings, &copied_marks);
    clone.record(30).await;
    clone.caught_up().await;
    let renewals = data_of(&clone, "daemon.lineage_renewed");
    assert_eq!(renewals.len(), 1);
    assert_eq!(renewals[0]["cause"], "stream_ahead");
    let messages = stored(&server.url()).await;
    for line in kept.iter().chain(&clone.lines()) {
        let times = messages
            .iter()
            .filter(|message| *message == line.bytes())
            .count();
        assert_eq!(times, 1, "line {}", line.sequence);
    }
    clone.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_is_filled_again_with_a_mark() {
    let server = NatsServer::start();
    let folder = TempDir::new().unwrap();
    let shipper = Shipper::start(
        folder.path(),
        ship_settings(&server.url()),
        &Marks::default(),
    );
    shipper.record(700).await;
    shipper.caught_up().await;
    let before = shipper.durable();
    let context = jetstream::new(server.connect().await);
    context.delete_stream("AUDIT").await.unwrap();
    make_stream(&server, |_| {}).await;
    shipper.record(20).await;
    eventually_async("the stream is noticed", SOON, async || {
        (shipper.counters.backwards.load(Ordering::Relaxed) == 1).then_some(())
    })
    .await;
    shipper.caught_up().await;
    assert_whole(&shipper, &server.url()).await;
    let alarms = data_of(&shipper, "daemon.stream_regressed");
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0]["cause"], "recreated");
    let stream = context.get_stream("AUDIT").await.unwrap();
    let first = stream.get_raw_message(1).await.unwrap();
    let refill = first.headers.get("Grantd-Refill").unwrap().to_string();
    assert!(refill.parse::<u64>().unwrap() >= before);
    assert!(first.headers.get("Nats-Msg-Id").is_none());
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_messages_are_filled_again_although_the_server_knows_their_ids() {
    let server = NatsServer::start();
    for batches in [true, false] {
        let context = jetstream::new(server.connect().await);
        let _first = context.delete_stream("AUDIT").await;
        make_stream(&server, |config| {
            config.deny_delete = false;
            config.allow_atomic_publish = batches;
        })
        .await;
        let folder = TempDir::new().unwrap();
        let shipper = Shipper::start(
            folder.path(),
            ship_settings(&server.url()),
            &Marks::default(),
        );
        shipper.record(100).await;
        shipper.caught_up().await;
        let mut stream = context.get_stream("AUDIT").await.unwrap();
        let last = stream.info().await.unwrap().state.last_sequence;
        for sequence in last - 4..=last {
            stream.delete_message(sequence).await.unwrap();
        }
        shipper.record(10).await;
        shipper.caught_up().await;
        assert_whole(&shipper, &server.url()).await;
        let alarms = data_of(&shipper, "daemon.stream_regressed");
        assert!(!alarms.is_empty());
        assert_eq!(alarms[0]["cause"], "lost");
        shipper.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_purged_is_not_sent_again() {
    let server = NatsServer::start();
    make_stream(&server, |config| config.deny_purge = false).await;
    let folder = TempDir::new().unwrap();
    let shipper = Shipper::start(
        folder.path(),
        ship_settings(&server.url()),
        &Marks::default(),
    );
    shipper.record(100).await;
    shipper.caught_up().await;
    let before = shipper.durable();
    let context = jetstream::new(server.connect().await);
    let stream = context.get_stream("AUDIT").await.unwrap();
    stream.purge().await.unwrap();
    shipper.record(10).await;
    shipper.caught_up().await;
    let messages = stored(&server.url()).await;
    let lines = shipper.lines();
    assert_eq!(messages.len() as u64, shipper.durable() - before);
    assert_eq!(messages.last().unwrap(), lines.last().unwrap().bytes());
    assert_eq!(shipper.counters.backwards.load(Ordering::Relaxed), 0);
    assert_eq!(
        data_of(&shipper, "daemon.lineage_renewed"),
        Vec::<serde_json::Value>::new()
    );
    assert_ne!(json!(messages.len()), json!(0));
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_state_on_an_old_stream_begins_behind_it() {
    let server = NatsServer::start();
    let settings = ship_settings(&server.url());
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let first = Shipper::start(folders[0].path(), settings.clone(), &Marks::default());
    first.record(60).await;
    first.caught_up().await;
    first.stop().await;
    let old = stored(&server.url()).await.len();
    let second = Shipper::start(folders[1].path(), settings, &Marks::default());
    second.record(10).await;
    second.caught_up().await;
    let messages = stored(&server.url()).await;
    let lines = second.lines();
    assert_eq!(messages.len(), old + lines.len());
    assert!(
        messages[old..]
            .iter()
            .zip(&lines)
            .all(|(message, line)| message == line.bytes())
    );
    let renewals = data_of(&second, "daemon.lineage_renewed");
    assert_eq!(renewals.len(), 1);
    assert_eq!(renewals[0]["cause"], "stream_foreign");
    second.stop().await;
}
