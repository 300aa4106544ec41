//! A journal and its shipper without the rest of a daemon, and what the stream then holds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream;
use bytes::Bytes;
use grantd::audit::chain::{Line, Verifier};
use grantd::audit::event::StopCause;
use grantd::audit::journal::{JournalSettings, Opening};
use grantd::audit::ship::{
    InboxPrefix, NatsSettings, NatsUrl, ShipCounters, ShipMark, ShipMarks, ShipPorts, ShipSettings,
    StatusBoard, StreamName, StreamReader, StreamStart, UnsavedMark, run,
};
use grantd::audit::{Decision, Journal, Trail};
use grantd::clock::Clock;
use grantd::domain::{ClientId, Denial, InstanceName, Issuer, RequestId};
use grantd::tasks::{Ended, Idle, Tasks};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{NatsServer, eventually_async};

/// Longest that anything here may take: a reconnection after a server's restart takes most.
pub const SOON: Duration = Duration::from_secs(30);

/// A mark that outlives its shipper, as in the store of a daemon.
#[derive(Clone, Default)]
pub struct Marks(Arc<Mutex<Option<ShipMark>>>);

impl Marks {
    /// A copy that changes by itself: of a copied disk.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(*self.0.lock().unwrap())))
    }
}

impl ShipMarks for Marks {
    fn load(&self) -> Option<ShipMark> {
        *self.0.lock().unwrap()
    }

    fn save(&self, mark: ShipMark) -> Result<(), UnsavedMark> {
        *self.0.lock().unwrap() = Some(mark);
        Ok(())
    }
}

/// The name of the stream in these tests.
pub fn stream() -> StreamName {
    StreamName::parse("AUDIT").unwrap()
}

/// The name of the instance in these tests.
pub fn instance() -> InstanceName {
    InstanceName::parse("auth-1").unwrap()
}

/// Settings for a shipper to this address, with short waits.
pub fn ship_settings(url: &str) -> ShipSettings {
    let mut nats = NatsSettings::new(
        vec![NatsUrl::parse(url).unwrap()],
        InboxPrefix::of_instance(&instance()),
    );
    nats.connect_timeout = Duration::from_secs(2);
    nats.request_timeout = Duration::from_secs(2);
    let mut settings = ShipSettings::new(nats, stream(), instance());
    settings.create_stream = true;
    settings.ack_timeout = Duration::from_secs(1);
    settings.look_every = Duration::from_millis(200);
    settings.mark_every = Duration::from_millis(50);
    settings.backoff = (Duration::from_millis(20), Duration::from_millis(500));
    settings
}

/// A journal with its shipper.
pub struct Shipper {
    pub journal: Journal,
    pub board: StatusBoard,
    pub counters: Arc<ShipCounters>,
    pub tasks: Tasks,
    stop: CancellationToken,
    _ended: Ended,
}

impl Shipper {
    /// Opens the journal in this folder and ships it. On a multi-threaded runtime.
    pub fn start(folder: &Path, settings: ShipSettings, marks: &Marks) -> Self {
        let clock = Clock::of_this_machine();
        let (tasks, ended) = Tasks::new(tokio::runtime::Handle::current(), Idle::default());
        let opening = Opening {
            issuer: Issuer::parse("https://auth.example.com").unwrap(),
            instance: settings.instance.clone(),
            version: "0.0.0",
            confirmed: marks.load().map(|mark| mark.sequence),
        };
        let bounds = JournalSettings {
            stream: true,
            ..JournalSettings::default()
        };
        let journal = Journal::open(folder, bounds, &opening, &tasks, clock).unwrap();
        let board = StatusBoard::default();
        let counters = Arc::new(ShipCounters::default());
        let stop = CancellationToken::new();
        let ports = ShipPorts {
            tail: journal.tail(),
            journal: journal.clone(),
            marks: Arc::new(marks.clone()),
            tasks: tasks.clone(),
            clock,
            stop: stop.clone(),
            board: board.clone(),
            counters: Arc::clone(&counters),
        };
        tasks.spawn("shipper", run(settings, ports));
        Self {
            journal,
            board,
            counters,
            tasks,
            stop,
            _ended: ended,
        }
    }

    /// Records so many events, as many at once as a busy daemon would.
    pub async fn record(&self, count: u64) {
        let clock = Clock::of_this_machine();
        let mut left = count;
        while left > 0 {
            let now = left.min(256);
            left -= now;
            let records = (0..now).map(|_| {
                let mut trail = Trail::new(
                    RequestId::from_bits(grantd::random::bits()),
                    "192.0.2.7".parse().unwrap(),
                );
                trail.proved = true;
                trail.client = Some(ClientId::parse("nightly-invoices").unwrap());
                let journal = self.journal.clone();
                async move {
                    let refused = Decision::Refused(Denial::ScopeNotGranted);
                    let recorded = journal.record(refused, &trail, clock.now(), SOON).await;
                    drop(recorded.unwrap());
                }
            });
            futures_util::future::join_all(records).await;
        }
    }

    /// The highest sequence on disk.
    pub fn durable(&self) -> u64 {
        *self.journal.tail().durable().borrow()
    }

    /// All lines of the journal.
    pub fn lines(&self) -> Vec<Line> {
        let tail = self.journal.tail();
        let mut lines: Vec<Line> = Vec::new();
        loop {
            let next = lines.last().map_or(tail.oldest(), |line| line.sequence + 1);
            let more = tail.read(next, 1000, usize::MAX).unwrap();
            if more.is_empty() {
                return lines;
            }
            lines.extend(more);
        }
    }

    /// Waits until the stream has confirmed everything that is on disk.
    pub async fn caught_up(&self) {
        let end = std::time::Instant::now() + SOON;
        let has_all = async || {
            let status = self.board.read();
            let all = status.confirmed > 0 && status.confirmed == self.durable();
            (all || end < std::time::Instant::now()).then_some(())
        };
        eventually_async("the stream has everything", SOON * 2, has_all).await;
        let status = self.board.read();
        assert_eq!(status.confirmed, self.durable(), "{status:?}");
    }

    /// Waits until the status fits.
    pub async fn until(&self, what: &str, fits: impl Fn(&grantd::audit::ship::ShipStatus) -> bool) {
        eventually_async(what, SOON, async || fits(&self.board.read()).then_some(())).await;
    }

    /// Stops as a daemon does: the journal ends, the shipper ships the rest.
    pub async fn stop(self) {
        self.tasks.stop();
        self.journal.stop(StopCause::Signal).await.unwrap();
        self.stop.cancel();
        assert!(self.tasks.ended_within(SOON).await, "the shipper ends");
        assert!(
            self.tasks.threads_ended_within(SOON).await,
            "the threads end"
        );
    }
}

/// Everything that the stream holds of the instance, in its order.
pub async fn stored(url: &str) -> Vec<Bytes> {
    let nats = ship_settings(url).nats;
    let opened = StreamReader::open(&nats, &stream(), &instance(), StreamStart::Beginning).await;
    let mut reader = opened.unwrap();
    let mut messages = Vec::new();
    while let Some(message) = reader.next().await.unwrap() {
        messages.push(message);
    }
    messages
}

/// The stream holds the journal: each line once, in order, and the chain is whole.
pub async fn assert_whole(shipper: &Shipper, url: &str) {
    let lines = shipper.lines();
    let stored = stored(url).await;
    assert_eq!(stored.len(), lines.len(), "as many messages as lines");
    let mut verifier = Verifier::from_the_beginning();
    for (message, line) in stored.into_iter().zip(&lines) {
        assert_eq!(&message, line.bytes(), "line {}", line.sequence);
        verifier.feed_bytes(message).unwrap();
    }
}

/// Makes the stream with these settings besides the safe ones.
pub async fn make_stream(server: &NatsServer, change: impl FnOnce(&mut jetstream::stream::Config)) {
    let mut config = grantd::audit::ship::safe_config("AUDIT", 65_536);
    change(&mut config);
    let context = jetstream::new(server.connect().await);
    context.create_stream(config).await.unwrap();
}

/// Publishes something on the instance's subjects, as nobody but the daemon should.
pub async fn intrude(server: &NatsServer, payload: &str) {
    let context = jetstream::new(server.connect().await);
    let subject = "grantd.audit.auth-1.token.issued";
    // The daemon makes the stream, which may not be there yet.
    eventually_async("the stream takes it", SOON, async || {
        let sent = context.publish(subject, payload.to_owned().into()).await;
        sent.unwrap().await.ok()
    })
    .await;
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// The data of the journal's events of this type.
pub fn data_of(shipper: &Shipper, event_type: &str) -> Vec<serde_json::Value> {
    shipper
        .lines()
        .iter()
        .filter(|line| line.event_type() == event_type)
        .map(|line| serde_json::from_str::<serde_json::Value>(line.text()).unwrap())
        .map(|event| event.get("data").cloned().unwrap_or(json!(null)))
        .collect()
}
