//! Says what is strange about the stream: in the log and as an event. Touches: fs.
//!
//! An alarm must never stand in the way of shipping: a journal that is full becomes empty by it. What
//! can't be recorded now is owed, and recorded later.

use std::collections::VecDeque;

use super::decide::{Backwards, Stranger};
use crate::audit::event::{ControlEvent, LineageRenewal, RenewalCause, StreamAlarm};
use crate::audit::journal::Journal;
use crate::domain::chain;

/// Most alarms that are owed. More come only from a foreign publisher that goes on and on, and the
/// log and the counters have them all.
const MAX_OWED: usize = 16;

/// Alarms that are not yet events.
#[derive(Debug, Default)]
pub(super) struct Owed(VecDeque<Alarm>);

#[derive(Clone, Copy, Debug)]
enum Alarm {
    Event(StreamAlarm),
    Renewal(LineageRenewal),
}

impl Owed {
    /// The stream forgot what it had confirmed; it is filled again.
    pub(super) fn backwards(&mut self, how: &Backwards) {
        let alarm = match *how {
            Backwards::Recreated { before, now } => {
                let (before_at, now_at) = (before.to_rfc3339(), now.to_rfc3339());
                tracing::error!(
                    before = before_at,
                    now = now_at,
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
        self.push(Alarm::Event(alarm));
    }

    /// Lines that neither the journal nor the stream holds.
    pub(super) fn missing(&mut self, (first, last): (u64, u64)) {
        tracing::error!(
            first,
            last,
            "events are in neither the journal nor the stream"
        );
        self.push(Alarm::Event(StreamAlarm::Missing { first, last }));
    }

    /// A foreign message is last on our subjects: a new lineage begins.
    pub(super) fn foreign(&mut self, at: u64, stranger: Stranger) {
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
        self.push(Alarm::Renewal(LineageRenewal {
            cause,
            stream_head_sequence: stranger.line.map(|(sequence, _)| sequence),
            stream_head: Some(stranger.head),
        }));
    }

    fn push(&mut self, alarm: Alarm) {
        if self.0.len() < MAX_OWED {
            self.0.push_back(alarm);
        }
    }

    /// Records what is owed, as far as the journal takes it.
    pub(super) async fn pay(&mut self, journal: &Journal) {
        while let Some(alarm) = self.0.front().copied() {
            let recorded = match alarm {
                Alarm::Event(event) => journal.control(ControlEvent::Stream(event)).await,
                Alarm::Renewal(renewal) => journal.renew_lineage(renewal).await,
            };
            if let Err(error) = recorded {
                tracing::warn!(
                    error = chain(&error),
                    "an alarm about the stream can't be recorded now"
                );
                return;
            }
            self.0.pop_front();
        }
    }
}
