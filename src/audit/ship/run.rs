//! The shipper's task: one session after the other, with a wait between. Touches: net, clock.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::connect::{ConnectFault, Connection, connect};
use super::marks::ShipMarks;
use super::session::{Memory, Session, SessionEnd};
use super::settings::ShipSettings;
use super::status::{ShipCounters, ShipState, StatusBoard};
use crate::audit::journal::{Journal, Tail};
use crate::clock::Clock;
use crate::domain::chain;
use crate::random;
use crate::tasks::Tasks;

/// What the shipper needs of the daemon.
#[derive(Clone)]
pub struct ShipPorts {
    /// The journal's durable end.
    pub tail: Tail,
    /// Where alarms are recorded and lineages renewed.
    pub journal: Journal,
    /// Where the mark is kept.
    pub marks: Arc<dyn ShipMarks>,
    /// Runs what blocks.
    pub tasks: Tasks,
    /// The time of failures.
    pub clock: Clock,
    /// Cancelled once the journal has written its last line: the shipper ships what is left, within
    /// [`ShipSettings::drain`], and ends.
    pub stop: CancellationToken,
    /// Where the status is written.
    pub board: StatusBoard,
    /// What telemetry reads.
    pub counters: Arc<ShipCounters>,
}

/// Ships until the daemon stops. Start it by `tasks.spawn("shipper", …)`.
pub async fn run(settings: ShipSettings, ports: ShipPorts) {
    let settings = Arc::new(settings);
    let mut memory = Memory::load(&ports).await;
    let mut backoff = Backoff::new(settings.backoff);
    loop {
        let shipped = memory.shipped;
        let end = one_session(&settings, &ports, &mut memory).await;
        if memory.shipped > shipped {
            backoff.reset();
        }
        disconnected(&ports);
        let SessionEnd::Failed(reason) = end else {
            break;
        };
        failed(&ports, &reason);
        let wait = backoff.wait(*random::bytes::<1>().first().unwrap_or(&0));
        // At a stop one more try is worth its while only if lines are left and time is.
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = ports.stop.cancelled() => break,
        }
    }
    ports
        .board
        .change(|status| status.state = ShipState::Stopped);
}

async fn one_session(
    settings: &Arc<ShipSettings>,
    ports: &ShipPorts,
    memory: &mut Memory,
) -> SessionEnd {
    ports
        .board
        .change(|status| status.state = ShipState::Connecting);
    let name = format!("grantd {}", settings.instance);
    let notices = (ports.board.clone(), ports.clock);
    let notice = move |words: &str| {
        tracing::warn!(notice = words, "the NATS server complains");
        notices.0.failed(notices.1.now(), words.to_owned());
    };
    let connected = tokio::select! {
        connected = connect(&settings.nats, &name, notice) => connected,
        () = ports.stop.cancelled() => return SessionEnd::Stopped,
    };
    match connected {
        Ok(connection) => hold(settings, ports, memory, connection).await,
        Err(fault) => {
            ShipCounters::add(&ports.counters.connect_failures, 1);
            if matches!(fault, ConnectFault::Resolve { .. }) {
                ShipCounters::add(&ports.counters.resolve_failures, 1);
            }
            SessionEnd::Failed(chain(&fault))
        }
    }
}

async fn hold(
    settings: &Arc<ShipSettings>,
    ports: &ShipPorts,
    memory: &mut Memory,
    connection: Connection,
) -> SessionEnd {
    ShipCounters::add(&ports.counters.connects, 1);
    ShipCounters::set(&ports.counters.connected, 1);
    ports.board.change(|status| {
        status.connected = true;
        status.state = ShipState::Locating;
    });
    let lost = connection.lost.clone();
    let session = async {
        let mut session = Session::open(settings, ports, memory, connection.client).await?;
        session.ship().await
    };
    tokio::select! {
        end = session => match end {
            Ok(()) => SessionEnd::Stopped,
            Err(end) => end,
        },
        () = lost.cancelled() => SessionEnd::Failed("the connection was lost".to_owned()),
    }
}

fn disconnected(ports: &ShipPorts) {
    ShipCounters::set(&ports.counters.connected, 0);
    ports.board.change(|status| status.connected = false);
}

fn failed(ports: &ShipPorts, reason: &str) {
    let durable = *ports.tail.durable().borrow();
    ports.board.change(|status| status.durable = durable);
    let status = ports.board.read();
    ShipCounters::set(&ports.counters.lag, status.lag());
    let news = status
        .last_error
        .as_ref()
        .is_none_or(|last| last.message != reason);
    // The first of a kind is a warning; what merely goes on is in the status and the counters.
    if news {
        tracing::warn!(
            reason,
            lag = status.lag(),
            "cannot ship audit events; trying again"
        );
    } else {
        tracing::debug!(reason, "still cannot ship audit events");
    }
    ports.board.failed(ports.clock.now(), reason.to_owned());
}
