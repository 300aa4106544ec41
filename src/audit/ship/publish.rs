//! Publishes one unit and waits for its acknowledgement. Touches: net.
//!
//! A unit is one message, or an atomic batch (ADR-50): messages that carry one `Nats-Batch-Id` and
//! count up in `Nats-Batch-Sequence`, of which the last carries `Nats-Batch-Commit` and is the only
//! one that asks for an answer. The server stores all of them or none. The expected sequence stands
//! on a batch's first message only: nats-server 2.14.3 refuses valid batches with several (#8376).

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::{Client, Request};
use tokio::time::timeout;

use super::reply::{Doubt, Outcome, judge};
use super::settings::ShipSettings;
use crate::audit::chain::Line;
use crate::domain::chain;
use crate::random;

const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// The header of a line that the stream had confirmed and then forgotten. Its value is the highest
/// sequence that is sent once more. Such a line has no `Nats-Msg-Id`: the server may still remember
/// the id of a message that it has lost.
pub const REFILL_HEADER: &str = "Grantd-Refill";

/// What goes in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit<'a> {
    /// The lines, in order: one, or those of a batch.
    pub(super) lines: &'a [Line],
    /// Whether they go as an atomic batch.
    pub(super) batch: bool,
    /// The stream's sequence of the last message on our subjects.
    pub(super) expected: u64,
    /// Lines up to here were confirmed before.
    pub(super) refill_to: u64,
}

/// Publishes the unit; what became of it within the time-out.
pub(super) async fn publish(client: &Client, settings: &ShipSettings, unit: Unit<'_>) -> Outcome {
    // The client blocks here when its own queue is full; an acknowledgement has a limit of its own.
    let limit = settings.ack_timeout.saturating_mul(2);
    match timeout(limit, send(client, settings, unit)).await {
        Ok(Ok(payload)) => {
            let lines = u64::try_from(unit.lines.len()).unwrap_or(u64::MAX);
            judge(&payload, settings.stream.as_str(), lines)
        }
        Ok(Err(reason)) => Outcome::Doubt(Doubt::Unanswered(reason)),
        Err(_) => Outcome::Doubt(Doubt::Unanswered("timed out".to_owned())),
    }
}

async fn send(
    client: &Client,
    settings: &ShipSettings,
    unit: Unit<'_>,
) -> Result<bytes::Bytes, String> {
    let batch = unit.batch.then(|| format!("{:032x}", random::bits()));
    let Some((last, before)) = unit.lines.split_last() else {
        return Err("an empty unit".to_owned());
    };
    let mut headers = Headers::new(settings, unit, batch);
    for line in before {
        client
            .publish_with_headers(
                settings.subject(line.event_type()),
                headers.of(line, false),
                line.bytes().clone(),
            )
            .await
            .map_err(|error| chain(&error))?;
    }
    let request = Request::new()
        .headers(headers.of(last, true))
        .payload(last.bytes().clone())
        .timeout(Some(settings.ack_timeout));
    client
        .send_request(settings.subject(last.event_type()), request)
        .await
        .map(|message| message.payload)
        .map_err(|error| chain(&error))
}

/// Makes the headers of one message after the other.
struct Headers {
    batch: Option<String>,
    subjects: String,
    expected: u64,
    refill_to: u64,
    sent: u64,
}

impl Headers {
    fn new(settings: &ShipSettings, unit: Unit<'_>, batch: Option<String>) -> Self {
        Self {
            batch,
            subjects: settings.subjects(),
            expected: unit.expected,
            refill_to: unit.refill_to,
            sent: 0,
        }
    }

    fn of(&mut self, line: &Line, last: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.sent += 1;
        if self.sent == 1 {
            headers.insert(
                NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
                self.expected.to_string(),
            );
            headers.insert(EXPECTED_SUBJECT, self.subjects.as_str());
        }
        if line.sequence <= self.refill_to {
            headers.insert(REFILL_HEADER, self.refill_to.to_string());
        } else {
            headers.insert(NATS_MESSAGE_ID, line.hash.to_string());
        }
        if let Some(batch) = &self.batch {
            headers.insert(BATCH_ID, batch.as_str());
            headers.insert(BATCH_SEQUENCE, self.sent.to_string());
            if last {
                headers.insert(BATCH_COMMIT, "1");
            }
        }
        headers
    }
}
