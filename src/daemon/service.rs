//! Tells the service manager how the daemon is: `sd_notify(3)` and the watchdog. Touches: net, process.
//!
//! **Invariant:** the watchdog is fed by the acceptor's loop alone, and only while it turns: a hung acceptor
//! ends the daemon, a hung disk does not. Once that loop has ended, the stop feeds it, whose every wait has an
//! end. What is sent goes through a thread of its own, so that a service
//! manager that hangs stops nothing either.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Running;
use super::readiness::Watch;
use crate::listener::Heartbeat;
use crate::registry::publish::RegistryCounters;
use crate::settings::service_manager;
use crate::tasks::{Tasks, ThreadError};

/// Words that wait to be sent; more are dropped. A few of each kind.
const MAX_WORDS: usize = 32;

/// How often it is looked whether a reload is done.
const RELOAD_LOOK: Duration = Duration::from_millis(10);

/// How often the status line is looked at.
const STATUS_LOOK: Duration = Duration::from_secs(1);

/// After how many looks a status that differs by its numbers alone is told again.
const STATUS_EVERY: u32 = 5;

/// Longest wait for what SIGHUP asked for. Below the 90 seconds that systemd gives a reload.
const RELOAD_WAIT: Duration = Duration::from_secs(60);

/// The watchdog is fed this often in its time, so that a late beat is none that is missing.
const BEATS: u32 = 3;

/// What is told.
#[derive(Debug)]
pub(super) enum Word {
    /// Tokens are asked for and answered.
    Ready,
    /// SIGHUP: the files are looked at.
    Reloading,
    /// The daemon ends.
    Stopping,
    /// How it is, for people.
    Status(String),
    /// The acceptor's loop turns.
    Alive,
    /// Nothing more.
    End,
}

/// The service manager. Cheap to clone; says nothing where none listens.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    words: Option<SyncSender<Word>>,
}

impl Manager {
    /// The one that started this process, if one wants to be told.
    ///
    /// # Errors
    /// [`ThreadError`] when the system refuses a thread.
    pub(super) fn of_this_process(tasks: &Tasks) -> Result<Self, ThreadError> {
        if !service_manager::is_notified() {
            return Ok(Self { words: None });
        }
        let (words, heard) = sync_channel(MAX_WORDS);
        tasks.thread("service-manager", move || tell(&heard))?;
        Ok(Self { words: Some(words) })
    }

    /// Tells it; what it does not take in time is dropped.
    pub(super) fn say(&self, word: Word) {
        if let Some(words) = &self.words {
            let _full = words.try_send(word);
        }
    }

    /// How often the service manager wants to hear of it, if it watches.
    fn beat_time(&self) -> Option<Duration> {
        self.words.as_ref()?;
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        let limit = sd_notify::watchdog_enabled()?;
        Some((limit / BEATS).max(Duration::from_millis(1)))
    }

    /// Says that it goes on for as long as this takes: a drain may last longer than the watchdog waits.
    pub(super) async fn alive_during<T>(&self, work: impl Future<Output = T>) -> T {
        let beating = async {
            let Some(every) = self.beat_time() else {
                return std::future::pending().await;
            };
            loop {
                self.say(Word::Alive);
                tokio::time::sleep(every).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = beating => std::future::pending().await,
        }
    }

    /// What the acceptor beats with, if the service manager watches.
    pub(super) fn heartbeat(&self) -> Option<Heartbeat> {
        let every = self.beat_time()?;
        info!(?every, "the service manager's watchdog is fed");
        let manager = self.clone();
        let beat = Box::new(move || manager.say(Word::Alive));
        Some(Heartbeat { every, beat })
    }
}

/// Sends what is said, until the end.
fn tell(heard: &Receiver<Word>) {
    let mut complained = false;
    while let Ok(word) = heard.recv() {
        let sent = match &word {
            Word::Ready => send(&[NotifyState::Ready]),
            Word::Reloading => NotifyState::monotonic_usec_now()
                .and_then(|now| send(&[NotifyState::Reloading, now])),
            Word::Stopping => send(&[NotifyState::Stopping]),
            Word::Status(line) => send(&[NotifyState::Status(line)]),
            Word::Alive => send(&[NotifyState::Watchdog]),
            Word::End => return,
        };
        if let Err(error) = sent
            && !std::mem::replace(&mut complained, true)
        {
            warn!(%error, "the service manager does not listen");
        }
    }
}

fn send(state: &[NotifyState<'_>]) -> std::io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    sd_notify::notify(state)
}

/// What tells the service manager how the daemon is.
pub(super) struct Reporter {
    pub(super) manager: Manager,
    pub(super) running: Running,
    pub(super) look: Watch,
    /// SIGHUP.
    pub(super) reload: Arc<Notify>,
    pub(super) reloads: Reloads,
}

/// What SIGHUP looks at again.
pub(super) struct Reloads {
    pub(super) registry: Arc<Notify>,
    pub(super) registry_looks: Arc<RegistryCounters>,
    pub(super) certificate: mpsc::Sender<oneshot::Sender<()>>,
}

impl Reporter {
    /// Reports until the daemon stops.
    pub(super) async fn run(self, stop: CancellationToken) {
        // Up, whether tokens are issued or not: another start would heal nothing.
        self.look.settled().await;
        if stop.is_cancelled() {
            return;
        }
        let mut told = self.status();
        self.manager.say(Word::Status(told.line.clone()));
        self.manager.say(Word::Ready);
        let mut looks = tokio::time::interval(STATUS_LOOK);
        let mut since: u32 = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.reload.notified() => {
                    self.manager.say(Word::Reloading);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(RELOAD_WAIT) => {
                            warn!("what SIGHUP asked for takes long: it goes on");
                        }
                        () = self.reloads.look() => {}
                    }
                    self.manager.say(Word::Ready);
                    since = STATUS_EVERY;
                }
                _ = looks.tick() => since = since.saturating_add(1),
            }
            let status = self.status();
            let another = status.condition != told.condition
                || (since >= STATUS_EVERY && status.line != told.line);
            if another {
                self.manager.say(Word::Status(status.line.clone()));
                told = status;
                since = 0;
            }
        }
    }

    fn status(&self) -> Status {
        let readiness = self.look.readiness();
        let world = self.running.current.load();
        let served = world.registry.as_deref();
        Status::of(
            &readiness.reasons,
            &readiness.degraded,
            served.map(|served| (served.snapshot.clients.len(), served.generation)),
            self.look.lag(),
        )
    }
}

impl Reloads {
    /// Has the registry and the certificate looked at, and waits until that is done.
    async fn look(&self) {
        let asked = &self.registry_looks.asked;
        let before = asked.load(Ordering::Acquire);
        self.registry.notify_one();
        let (answer, answered) = oneshot::channel();
        if self.certificate.send(answer).await.is_ok() {
            let _gone = answered.await;
        }
        while asked.load(Ordering::Acquire) == before {
            tokio::time::sleep(RELOAD_LOOK).await;
        }
    }
}

/// How the daemon is, in a line.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    /// The part whose change is news.
    condition: String,
    /// All of it.
    line: String,
}

impl Status {
    /// `served` are clients and generation, `lag` the events that the stream does not have.
    fn of(
        reasons: &[String],
        degraded: &[String],
        served: Option<(usize, u64)>,
        lag: Option<u64>,
    ) -> Self {
        let condition = match (reasons, degraded) {
            ([], []) => "Issuing tokens".to_owned(),
            ([], degraded) => format!("Issuing tokens, but: {}", degraded.join("; ")),
            (reasons, _) => format!("NOT issuing tokens: {}", reasons.join("; ")),
        };
        let served = served.map_or_else(String::new, |(clients, generation)| {
            format!(". {clients} clients of registry generation {generation}")
        });
        let lag = lag.map_or_else(String::new, |lag| {
            format!(", {lag} events not in the stream yet")
        });
        // The service manager takes one line.
        let line = format!("{condition}{served}{lag}").replace(['\n', '\r'], " ");
        Self { condition, line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_what_is_wrong_first_and_in_one_line() {
        let some = |words: &str| vec![words.to_owned()];
        let status = Status::of(&[], &[], Some((7, 2)), Some(0));
        assert_eq!(
            status.line,
            "Issuing tokens. 7 clients of registry generation 2, 0 events not in the stream yet"
        );
        let status = Status::of(&some("a\nb"), &some("c"), None, None);
        assert_eq!(status.line, "NOT issuing tokens: a b");
        let status = Status::of(&[], &some("c"), None, None);
        assert_eq!(status.line, "Issuing tokens, but: c");
    }
}
