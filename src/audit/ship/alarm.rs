//! Says what is strange about the stream: in the log and as an event. Touches: fs.

use super::connect::with_causes;
use super::decide::{Backwards, Stranger};
use super::run::ShipPorts;
use super::session::SessionEnd;
use crate::audit::event::{ControlEvent, LineageRenewal, RenewalCause, StreamAlarm};
use crate::audit::journal::Unrecorded;

/// The stream forgot what it had confirmed; it is filled again.
pub(super) async fn backwards(ports: &ShipPorts, how: &Backwards) -> Result<(), SessionEnd> {
    let alarm = match *how {
        Backwards::Recreated { before, now } => {
            tracing::error!(
                before = before.to_rfc3339(),
                now = now.to_rfc3339(),
                "the audit stream is another one than before; filling it again"
            );
            StreamAlarm::Recreated { before, now }
        }
        Backwards::Forgot { confirmed, last } => {
            tracing::error!(
                confirmed,
                last,
                "the audit stream went backwards; filling it again"
            );
            StreamAlarm::Forgot { confirmed, last }
        }
        Backwards::Lost { confirmed, held } => {
            tracing::error!(
                confirmed,
                held,
                "the audit stream lost events that it had confirmed; filling it again"
            );
            StreamAlarm::Lost { confirmed, held }
        }
    };
    record(ports, alarm).await
}

/// Lines that neither the journal nor the stream holds.
pub(super) async fn missing(
    ports: &ShipPorts,
    (first, last): (u64, u64),
) -> Result<(), SessionEnd> {
    tracing::error!(
        first,
        last,
        "events are in neither the journal nor the stream"
    );
    record(ports, StreamAlarm::Missing { first, last }).await
}

/// A foreign message is last on our subjects: a new lineage begins.
pub(super) async fn foreign(
    ports: &ShipPorts,
    at: u64,
    stranger: Stranger,
) -> Result<(), SessionEnd> {
    let cause = if stranger.related {
        RenewalCause::StreamAhead
    } else {
        RenewalCause::StreamForeign
    };
    tracing::error!(
        stream_sequence = at,
        kind = ?stranger.kind,
        line = stranger.line.map(|(sequence, _)| sequence),
        head = %stranger.head,
        "a foreign message stands on our audit subjects; beginning a new lineage"
    );
    let renewal = LineageRenewal {
        cause,
        stream_head_sequence: stranger.line.map(|(sequence, _)| sequence),
        stream_head: Some(stranger.head),
    };
    let renewed = ports.journal.renew_lineage(renewal).await;
    renewed.map(drop).map_err(|error| unrecorded(&error))
}

async fn record(ports: &ShipPorts, alarm: StreamAlarm) -> Result<(), SessionEnd> {
    let recorded = ports.journal.control(ControlEvent::Stream(alarm)).await;
    recorded.map(drop).map_err(|error| unrecorded(&error))
}

fn unrecorded(error: &Unrecorded) -> SessionEnd {
    SessionEnd::Failed(format!("cannot record an alarm: {}", with_causes(error)))
}
