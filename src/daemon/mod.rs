//! Builds everything, runs it, and stops it in the order of the data flow. Touches: fs, net, process.
//!
//! **Invariant:** nothing is answered before the state is locked and recovered. A stop takes in nothing new,
//! finishes requests, writes the journal's last line, gives the shipper a moment, and only then lets go of
//! the state. Whatever ends early ends the daemon, in this order too, with a failing exit code.

mod build;
mod certificate;
mod expiring;
mod hardening;
mod health;
mod last_good;
mod last_use;
mod look;
mod overlay;
mod readiness;
mod registry;
mod release;
mod seams;
mod service;
mod signals;
mod sockets;
mod start;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

pub use build::{Built, StartError, build};
pub use hardening::harden;
pub use sockets::{Sockets, SocketsError};

use crate::audit::event::StopCause;
use crate::clock::Clock;
use crate::registry::snapshot::Served;
use crate::settings::Settings;
use crate::tasks::{Ended, Idle};
use crate::world::Current;
use service::Word;
use signals::{Asked, Signals};

/// How long tasks other than connections may take to end: they wait for nothing but a disk.
const TASKS_END: Duration = Duration::from_secs(10);

/// How often a starting daemon looks whether it is ready.
const READY_LOOK: Duration = Duration::from_millis(10);

/// What a running daemon shows to whoever started it.
#[derive(Clone, Debug)]
pub struct Running {
    /// Where tokens are asked for.
    pub address: SocketAddr,
    /// Where metrics are shown.
    pub metrics: SocketAddr,
    /// What is served.
    pub current: Arc<Current>,
    /// By which a registry grows old.
    pub clock: Clock,
}

impl Running {
    /// Whether tokens can be issued: a registry is served, and the default ring signs.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let world = self.current.load();
        let now = self.clock.now_seconds();
        let usable = |served: &Arc<Served>| served.is_usable(now);
        world.registry.as_ref().is_some_and(usable)
            && world.rings.as_ref().is_some_and(|rings| rings.ready())
    }
}

/// How a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop, and drained.
    Stopped,
    /// It was asked to stop twice, and did not wait.
    Hurried,
    /// A part ended early or failed.
    Failed(&'static str),
}

/// What a daemon is started with.
#[derive(Debug)]
pub struct Plan {
    /// Its settings.
    pub settings: Settings,
    /// The sockets that are bound already.
    pub sockets: Sockets,
    /// Whether an operator accepts that the journal was lost: what the stream confirmed is then no reason to
    /// refuse a journal that ends before it.
    pub accept_lost_journal: bool,
    /// Whether not to start on a folder that holds no registry to be served, whatever was kept.
    pub strict: bool,
}

/// Runs a daemon until it is told to stop. `ready` is called once, when tokens can be issued.
///
/// # Errors
/// [`StartError`] when it can't start.
pub fn run(plan: Plan, ready: impl FnOnce(&Running)) -> Result<End, StartError> {
    let settings = &plan.settings;
    let idle = Idle::default();
    let runtime = crate::tasks::runtime(settings.workers, &idle).map_err(StartError::Runtime)?;
    let drain = settings.drain;
    let built = build(plan, runtime.handle(), idle)?;
    let (end, started) = runtime.block_on(async {
        let (started, mut ended) = start::start(built);
        let end = serve(&started, &mut ended, ready, drain).await;
        (end, started)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    // Only now is the state free for another daemon.
    drop(started);
    Ok(end)
}

/// Waits for the end, and brings it about.
async fn serve(
    built: &start::Started,
    ended: &mut Ended,
    ready: impl FnOnce(&Running),
    drain: Duration,
) -> End {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            error!(%error, "cannot listen to signals");
            return End::Failed("signals");
        }
    };
    let mut ready = Some(ready);
    let mut looks = tokio::time::interval(READY_LOOK);
    let (end, cause) = loop {
        tokio::select! {
            _ = looks.tick(), if ready.is_some() => {
                if built.running.is_ready() && let Some(ready) = ready.take() {
                    ready(&built.running);
                }
            }
            asked = signals.next() => match asked {
                Asked::Rescan => {
                    info!("looking at the registry again, and at the certificate");
                    built.reload.notify_one();
                }
                Asked::Stop => break (End::Stopped, StopCause::Signal),
            },
            task = ended.first() => {
                error!(task, "a task ended early: stopping");
                break (End::Failed(task), StopCause::TaskEnded(task));
            }
            what = built.health.failure() => {
                error!(what, "stopping");
                break (End::Failed(what), StopCause::TaskEnded(what));
            }
        }
    };
    info!("stopping: accepting nothing new");
    tokio::select! {
        closed = built.manager.alive_during(stop(built, cause, drain)) => match end {
            End::Stopped if !closed => End::Failed("the journal"),
            end => end,
        },
        () = second_stop(&mut signals) => {
            warn!("told to stop twice: not waiting");
            End::Hurried
        }
    }
}

async fn second_stop(signals: &mut Signals) {
    while signals.next().await != Asked::Stop {}
}

/// The order of the data flow: listeners, connections, journal, shipper, the rest.
/// Whether all ended as it should: a journal that could not be closed is a failure.
async fn stop(built: &start::Started, cause: StopCause, drain: Duration) -> bool {
    let (tasks, manager) = (&built.tasks, &built.manager);
    manager.say(Word::Stopping);
    manager.say(Word::Status("Stopping: finishing requests".to_owned()));
    tasks.drain();
    if !tasks.connections_ended_within(drain).await {
        warn!("some connections did not end in time");
    }
    tasks.stop();
    let closed = match built.journal.stop(cause).await {
        Ok(sequence) => {
            info!(sequence, "the journal is closed");
            true
        }
        Err(reason) => {
            error!(%reason, "the journal could not be closed cleanly");
            false
        }
    };
    built.stop_shipper.cancel();
    if !tasks.ended_within(TASKS_END).await {
        warn!("some tasks did not end in time");
    }
    manager.say(Word::End);
    if !tasks.threads_ended_within(TASKS_END).await {
        warn!("some threads did not end in time");
    }
    info!("stopped");
    closed
}
