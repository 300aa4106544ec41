//! The task that keeps the rings in step with time. Touches: clock, fs, process.
//!
//! Each second, and at each command of an operator: look at the clocks, write what is due to the
//! key files, put it on record, write it to the store, and only then show it to requests. A crash
//! between any two of these resumes at the next start: the files are the truth, and what the store
//! does not know yet is what has not been recorded yet.
//!
//! **Invariant:** what is shown is on disk and on record. A failure of the store ends the task, and
//! with it the daemon; a full disk, and a failure to write a key file or to record an event, is tried again.

mod command;
mod fault;
mod first;
mod keeper;
mod load;
mod obey;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

pub use command::{Command, CommandError, Outcome, Rotated, Waiting};
pub use fault::KeysError;
pub use first::make_first_ring;
pub use keeper::{Keeper, KeysCounters, OnMissing, Parts};

use super::event::KeysEvent;
use super::ports::{KeyJournal, NotRecorded};
use super::rings::Rings;
use super::time::Reading;
use crate::clock::Clock;
use crate::domain::{Lifetime, chain};
use crate::tasks::Tasks;

/// How often the clocks are looked at: key times are whole seconds.
const TICK: Duration = Duration::from_secs(1);

/// Most commands that wait: operators type them.
pub const MAX_COMMANDS: usize = 4;

/// A command on its way to the task, and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Answered once the outcome is visible to requests, or refused.
    pub answer: oneshot::Sender<Result<Outcome, CommandError>>,
}

/// What the task is connected to.
pub struct Connections<J, P> {
    /// The machine's clocks.
    pub clock: Clock,
    /// The journal.
    pub journal: J,
    /// Takes each new state of the rings, the first one too.
    pub publish: P,
    /// The longest lifetime of a token by the registry's policy, as it changes.
    pub longest_token: tokio::sync::watch::Receiver<Lifetime>,
    /// Commands of operators.
    pub commands: mpsc::Receiver<Request>,
}

/// Runs until the daemon stops. The first rings are published at once, or as soon as the journal
/// takes their events.
///
/// # Errors
/// [`KeysError`] when the store failed: the daemon must stop.
pub async fn run<J, P>(
    keeper: Keeper,
    mut connections: Connections<J, P>,
    tasks: &Tasks,
) -> Result<(), KeysError>
where
    J: KeyJournal,
    P: Fn(Arc<Rings>) + Send + Sync,
{
    let stopping = tasks.stopping();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut keeper = Some(keeper);
    loop {
        let request = tokio::select! {
            () = stopping.cancelled() => break,
            Some(request) = connections.commands.recv() => Some(request),
            _ = ticks.tick() => None,
        };
        let Some(held) = keeper.take() else { break };
        let (command, answer) = request.map_or((None, None), |r| (Some(r.command), Some(r.answer)));
        let round = round(held, command, &connections, tasks).await?;
        keeper = round.keeper;
        if let (Some(answer), Some(outcome)) = (answer, round.outcome) {
            // Whoever asked may have gone away: the change stands, and is on record.
            drop(answer.send(outcome));
        }
    }
    match keeper.map_or(Ok(()), |mut keeper| keeper.keep_mark()) {
        // The mark on disk is older then, and the next start believes the clock all the same.
        Err(fault) if !fault.ends_the_daemon() => {
            warn!(error = %chain(&fault), "the mark of time is not kept");
            Ok(())
        }
        kept => kept,
    }
}

/// What a round leaves: nothing once the runtime is going down.
#[derive(Default)]
struct Round {
    keeper: Option<Keeper>,
    outcome: Option<Result<Outcome, CommandError>>,
}

impl Round {
    fn of(keeper: Keeper, outcome: Option<Result<Outcome, CommandError>>) -> Self {
        Self {
            keeper: Some(keeper),
            outcome,
        }
    }
}

/// One round: write, record, keep, show.
async fn round<J, P>(
    mut keeper: Keeper,
    command: Option<Command>,
    connections: &Connections<J, P>,
    tasks: &Tasks,
) -> Result<Round, KeysError>
where
    J: KeyJournal,
    P: Fn(Arc<Rings>) + Send + Sync,
{
    let reading = read(connections.clock);
    let longest = *connections.longest_token.borrow();
    let written = tasks.blocking(move || {
        let written = keeper.advance(reading, longest, command.as_ref());
        (keeper, written)
    });
    // `None` when the runtime is going down: so is the daemon.
    let Some((mut keeper, written)) = written.await else {
        return Ok(Round::default());
    };
    let outcome = match written {
        Ok(outcome) => outcome,
        Err(fault) if fault.ends_the_daemon() => return Err(fault),
        Err(fault) => {
            error!(error = %chain(&fault), "key files cannot be written: trying again");
            // What was written stands, and is recorded and shown: a file that can't be written must
            // not keep another key from being withdrawn.
            Some(Err(command_failed(&fault)))
        }
    };
    if let Err(NotRecorded) = record(&mut keeper, &connections.journal).await {
        warn!("a change of the keys cannot be recorded yet: trying again");
        return Ok(Round::of(keeper, Some(Err(CommandError::NotRecorded))));
    }
    let kept = tasks.blocking(move || {
        let kept = keeper.settle();
        (keeper, kept)
    });
    let Some((mut keeper, kept)) = kept.await else {
        return Ok(Round::default());
    };
    match kept {
        Ok(Some(rings)) => {
            (connections.publish)(rings);
            keeper.shown();
        }
        Ok(None) => {}
        Err(fault) if fault.ends_the_daemon() => return Err(fault),
        Err(fault) => {
            warn!(error = %chain(&fault), "the keys' state is not kept yet: trying again");
            return Ok(Round::of(keeper, Some(Err(command_failed(&fault)))));
        }
    }
    Ok(Round::of(keeper, outcome))
}

async fn record<J: KeyJournal>(keeper: &mut Keeper, journal: &J) -> Result<(), NotRecorded> {
    for event in keeper.untold() {
        journal.record(event.clone()).await?;
        log(&event);
        keeper.told(event);
    }
    Ok(())
}

fn log(event: &KeysEvent) {
    match event {
        KeysEvent::Key(event) => {
            info!(kid = %event.key.id, algorithm = %event.key.algorithm, "key {}", event.kind.name());
        }
        KeysEvent::Clock(event) => {
            warn!(wall = %event.wall, key_time = %event.key_time, before = event.before.name(),
                  "clock {}", event.now.name());
        }
    }
}

fn read(clock: Clock) -> Reading {
    Reading {
        wall: clock.now_seconds(),
        boot: clock.boot(),
    }
}

fn command_failed(fault: &KeysError) -> CommandError {
    CommandError::Failed(chain(fault))
}

/// Sends a command to the task and waits for its answer: what the admin socket calls.
///
/// # Errors
/// [`CommandError`]: the command's own, or [`CommandError::Stopping`].
pub async fn ask(
    commands: &mpsc::Sender<Request>,
    command: Command,
) -> Result<Outcome, CommandError> {
    let (answer, answered) = oneshot::channel();
    let sent = commands.try_send(Request { command, answer });
    sent.map_err(|_| CommandError::Stopping)?;
    answered.await.unwrap_or(Err(CommandError::Stopping))
}

/// Connects a closure as the journal, where a trait would be too much.
impl<F, R> KeyJournal for F
where
    F: Fn(KeysEvent) -> R + Send + Sync,
    R: Future<Output = Result<(), NotRecorded>> + Send,
{
    fn record(&self, event: KeysEvent) -> impl Future<Output = Result<(), NotRecorded>> + Send {
        self(event)
    }
}

#[cfg(test)]
mod tests;
