//! One session with one connection: find the place, then ship from there. Touches: fs, net, clock.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::alarm::Owed;
use super::backoff::Backoff;
use super::decide::Position;
use super::look::Known;
use super::marks::ShipMark;
use super::publish::{Unit, publish};
use super::reply::{Outcome, Refusal};
use super::run::ShipPorts;
use super::settings::ShipSettings;
use super::status::{ShipCounters, ShipState};
use super::stream::{StreamFault, StreamLink};
use crate::audit::chain::Line;
use crate::domain::{UnixMillis, chain};
use crate::random;

/// Most lines of one batch: the journal's largest commit. A server takes 1,000 messages a batch.
const MAX_UNIT_LINES: usize = 512;

/// Most bytes of one batch: 512 usual lines fit, 64 of the longest do.
const MAX_UNIT_BYTES: usize = 4 * 1024 * 1024;

/// How often the rate in the status is reckoned: it is a number a second.
const RATE_EVERY: Duration = Duration::from_secs(1);

/// Why a session ended.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// The daemon stops, and what could be shipped is.
    Stopped,
    /// Something failed: in words. Another session follows.
    Failed(String),
}

impl From<StreamFault> for SessionEnd {
    fn from(fault: StreamFault) -> Self {
        Self::Failed(chain(&fault))
    }
}

/// What outlives a session.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) mark: Option<ShipMark>,
    saved: Option<ShipMark>,
    pub(super) known: Option<Known>,
    pub(super) owed: Owed,
    pub(super) refill_to: u64,
    pub(super) missing: Option<(u64, u64)>,
    /// Lines confirmed since the daemon's start.
    pub(super) shipped: u64,
}

impl Memory {
    /// The mark of the last time.
    pub(super) async fn load(ports: &ShipPorts) -> Self {
        let marks = Arc::clone(&ports.marks);
        let mark = ports.tasks.blocking(move || marks.load()).await.flatten();
        Self {
            mark,
            saved: mark,
            ..Self::default()
        }
    }
}

/// A session.
pub(super) struct Session<'a> {
    pub(super) settings: &'a ShipSettings,
    pub(super) ports: &'a ShipPorts,
    pub(super) memory: &'a mut Memory,
    client: Client,
    pub(super) link: StreamLink,
    pub(super) created: UnixMillis,
    pub(super) batches: bool,
    pub(super) position: Position,
    /// Lines that were read and not yet confirmed, the first with the position's sequence.
    pub(super) lines: Vec<Line>,
    durable: watch::Receiver<u64>,
    refused: Backoff,
    pub(super) foreign: Backoff,
    doubts: Backoff,
    doubted: Option<u64>,
}

impl<'a> Session<'a> {
    /// Finds the stream, reports what is unsafe about it, and finds the place to go on from.
    pub(super) async fn open(
        settings: &'a ShipSettings,
        ports: &'a ShipPorts,
        memory: &'a mut Memory,
        client: Client,
    ) -> Result<Self, SessionEnd> {
        let (link, info) = StreamLink::open(client.clone(), settings).await?;
        let server = link.server();
        let batches = info.batches;
        tracing::info!(
            server,
            stream = settings.stream.as_str(),
            batches,
            "connected to NATS"
        );
        ports.board.change(|status| {
            status.server = Some(server);
            status.batches = Some(batches);
        });
        let mut session = Self {
            settings,
            ports,
            memory,
            client,
            link,
            created: info.created,
            batches,
            position: Position {
                next: 1,
                expected: 0,
                refill_to: 0,
            },
            lines: Vec::new(),
            durable: ports.tail.durable(),
            refused: Backoff::new(settings.backoff),
            foreign: Backoff::new(settings.backoff),
            doubts: Backoff::new(settings.backoff),
            doubted: None,
        };
        session.locate().await?;
        Ok(session)
    }

    /// Ships until the daemon stops or something fails.
    pub(super) async fn ship(&mut self) -> Result<(), SessionEnd> {
        let stop = self.ports.stop.clone();
        tokio::select! {
            end = self.work() => return end,
            () = stop.cancelled() => {}
        }
        // A unit that was cut off here is found again by its place.
        let drained = timeout(self.settings.drain, self.drain()).await;
        self.keep_mark().await;
        drained.unwrap_or(Ok(()))
    }

    /// Ships what is on disk, then ends.
    async fn drain(&mut self) -> Result<(), SessionEnd> {
        self.locate().await?;
        while self.position.next <= *self.durable.borrow() {
            self.send_unit().await?;
        }
        Ok(())
    }

    async fn work(&mut self) -> Result<(), SessionEnd> {
        let mut looks = interval(self.settings.look_every);
        let mut marks = interval(self.settings.mark_every);
        let mut rates = interval(RATE_EVERY);
        for ticks in [&mut looks, &mut marks, &mut rates] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.reset();
        }
        let mut before = self.memory.shipped;
        loop {
            let next = self.position.next;
            let mut durable = self.durable.clone();
            tokio::select! {
                biased;
                _ = rates.tick() => {
                    self.note_rate(self.memory.shipped.saturating_sub(before));
                    before = self.memory.shipped;
                }
                _ = marks.tick() => self.keep_mark().await,
                _ = looks.tick() => {
                    // Pays what is owed, too.
                    self.locate().await?;
                    self.foreign.reset();
                }
                there = reaches(&mut durable, next) => {
                    if !there {
                        // The journal is gone: the daemon is about to stop.
                        std::future::pending::<()>().await;
                    }
                    self.send_unit().await?;
                }
            }
        }
    }

    /// Ships one unit, and finds the place again where there is a doubt.
    async fn send_unit(&mut self) -> Result<(), SessionEnd> {
        if self.lines.is_empty() {
            self.read().await?;
        }
        let size = if self.batches { self.lines.len() } else { 1 };
        let unit = Unit {
            lines: self.lines.get(..size).unwrap_or_default(),
            batch: self.batches && size > 1,
            expected: self.position.expected,
            refill_to: self.memory.refill_to,
        };
        let counters = &self.ports.counters;
        ShipCounters::add(&counters.units, 1);
        match publish(&self.client, self.settings, unit).await {
            Outcome::Stored(at) => {
                self.confirmed(at, size);
                Ok(())
            }
            Outcome::Doubt(doubt) => {
                ShipCounters::add(&counters.doubts, 1);
                self.wait_in_doubt(&doubt.to_string()).await;
                tracing::info!(%doubt, next = self.position.next, "reading the stream to settle a doubt");
                self.locate().await
            }
            Outcome::Refused(refusal) => self.refused(&refusal).await,
        }
    }

    /// A second doubt about the same unit is no accident: it is shown, and tried again with a wait.
    async fn wait_in_doubt(&mut self, doubt: &str) {
        let next = self.position.next;
        if self.doubted.replace(next) == Some(next) {
            let words = format!("line {next} is not taken: {doubt}");
            self.ports.board.failed(self.ports.clock.now(), words);
            sleep(self.doubts.wait(dice())).await;
        } else {
            self.doubts.reset();
        }
    }

    async fn read(&mut self) -> Result<(), SessionEnd> {
        let next = self.position.next;
        let tail = self.ports.tail.clone();
        let read = self
            .ports
            .tasks
            .blocking(move || tail.read(next, MAX_UNIT_LINES, MAX_UNIT_BYTES))
            .await;
        match read {
            Some(Ok(lines)) if lines.first().is_some_and(|line| line.sequence == next) => {
                self.lines = lines;
                Ok(())
            }
            Some(Ok(_)) => Err(SessionEnd::Failed(format!(
                "the journal has no line {next}"
            ))),
            Some(Err(error)) => Err(SessionEnd::Failed(chain(&error))),
            None => Err(SessionEnd::Failed(
                "reading the journal broke off".to_owned(),
            )),
        }
    }

    /// The stream holds the first `size` lines, the last of them with its sequence `at`.
    fn confirmed(&mut self, at: u64, size: usize) {
        let Some(last) = self.lines.get(size.saturating_sub(1)) else {
            return;
        };
        let sequence = last.sequence;
        let lineage = last.lineage;
        let again = self.lines.iter().take(size);
        let refill_to = self.memory.refill_to;
        let again = again.filter(|line| line.sequence <= refill_to).count();
        let counters = &self.ports.counters;
        ShipCounters::add(&counters.refilled, again as u64);
        ShipCounters::add(&counters.shipped, size as u64);
        self.memory.shipped += size as u64;
        self.lines.drain(..size);
        self.memory.mark = Some(ShipMark {
            stream_created: self.created,
            stream_sequence: at,
            sequence,
            lineage,
        });
        self.position.next = sequence + 1;
        self.position.expected = at;
        if sequence >= refill_to {
            self.memory.refill_to = 0;
        }
        self.refused.reset();
        self.note_confirmed();
    }

    /// Tells the journal, the counters and the status.
    pub(super) fn note_confirmed(&self) {
        let sequence = self.position.next.saturating_sub(1);
        self.ports.tail.confirmed(sequence);
        let durable = *self.durable.borrow();
        let lag = durable.saturating_sub(sequence);
        ShipCounters::set(&self.ports.counters.lag, lag);
        self.ports.board.change(|status| {
            status.state = ShipState::Shipping;
            status.confirmed = sequence;
            status.durable = durable;
            if lag == 0 {
                status.last_error = None;
            }
        });
    }

    fn note_rate(&self, rate: u64) {
        let durable = *self.durable.borrow();
        let lag = durable.saturating_sub(self.position.next.saturating_sub(1));
        ShipCounters::set(&self.ports.counters.lag, lag);
        self.ports.board.change(|status| {
            status.durable = durable;
            status.rate = rate;
        });
    }

    async fn refused(&mut self, refusal: &Refusal) -> Result<(), SessionEnd> {
        ShipCounters::add(&self.ports.counters.refusals, 1);
        let words = refusal.to_string();
        let status = self.ports.board.read();
        if status.last_error.is_none_or(|last| last.message != words) {
            tracing::error!(reason = words, "the stream refuses audit events");
        }
        self.ports.board.failed(self.ports.clock.now(), words);
        self.ports
            .board
            .change(|status| status.state = ShipState::Refused);
        sleep(self.refused.wait(dice())).await;
        self.locate().await
    }

    /// Stores the mark if it has changed. A failure costs nothing but a longer look at the next start.
    async fn keep_mark(&mut self) {
        let Some(mark) = self
            .memory
            .mark
            .filter(|_| self.memory.mark != self.memory.saved)
        else {
            return;
        };
        let marks = Arc::clone(&self.ports.marks);
        match self.ports.tasks.blocking(move || marks.save(mark)).await {
            Some(Ok(())) => self.memory.saved = Some(mark),
            Some(Err(error)) => {
                tracing::warn!(error = chain(&error), "cannot keep the shipper's mark");
            }
            None => {}
        }
    }
}

/// Waits until this sequence is on disk; false when the journal is gone.
async fn reaches(durable: &mut watch::Receiver<u64>, sequence: u64) -> bool {
    let reached = durable.wait_for(|durable| *durable >= sequence).await;
    reached.is_ok()
}

pub(super) fn dice() -> u8 {
    random::bytes::<1>().first().copied().unwrap_or(0)
}
