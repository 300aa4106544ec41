//! Finds the place in the stream again, and says what is strange about it. Touches: fs, net.

use tokio::time::sleep;

use super::decide::{Action, Decision, Own, Position, Stranger, decide};
use super::findings::findings;
use super::look::{self, Known};
use super::marks::ShipMark;
use super::session::{Session, SessionEnd, dice};
use super::status::ShipCounters;
use super::stream::Info;
use crate::audit::chain::MAX_LINE;

impl Session<'_> {
    /// Looks at the stream and decides where to go on. Whatever is strange is said here.
    pub(super) async fn locate(&mut self) -> Result<(), SessionEnd> {
        let own = look::own(self.ports, self.memory.mark);
        let (info, view) = look::view(self.ports, &self.link, &own, self.memory.known).await?;
        self.note_config(&info);
        let decision = decide(&own, &view);
        self.created = info.created;
        self.say(&decision);
        self.position = match decision.action {
            Action::Ship(position) => position,
            Action::Foreign { at, stranger } => {
                // What a stream that went backwards has of ours must be looked for from its beginning.
                let mark = own.mark.filter(|_| decision.backwards.is_none());
                self.stranger(&Own { mark, ..own }, at, stranger).await?
            }
        };
        self.lines.clear();
        self.memory.refill_to = self.memory.refill_to.max(self.position.refill_to);
        self.remember(decision.backwards.is_some()).await;
        self.note_confirmed();
        self.memory.owed.pay(&self.ports.journal).await;
        Ok(())
    }

    /// Alarms about a stream that went backwards, and about lines that are nowhere.
    fn say(&mut self, decision: &Decision) {
        if let Some(backwards) = &decision.backwards {
            ShipCounters::add(&self.ports.counters.backwards, 1);
            self.memory.known = None;
            self.memory.owed.backwards(backwards);
        }
        if let Some(missing) = decision
            .missing
            .filter(|_| decision.missing != self.memory.missing)
        {
            self.memory.missing = decision.missing;
            ShipCounters::add(&self.ports.counters.missing, missing.1 - missing.0 + 1);
            self.memory.owed.missing(missing);
        }
    }

    /// Something foreign is last: how far the stream has our lines, a new lineage, go on behind it.
    async fn stranger(
        &mut self,
        own: &Own,
        at: u64,
        stranger: Stranger,
    ) -> Result<Position, SessionEnd> {
        ShipCounters::add(&self.ports.counters.foreign, 1);
        let confirmed = self.memory.mark.map_or(0, |mark| mark.sequence);
        // Our lines can be in a stream without a mark only if a lineage of ours is.
        let ours = stranger.related || confirmed > 0;
        let next = look::walk(self.ports, &self.link, own, at, ours).await?;
        let position = Position {
            next,
            expected: at,
            refill_to: if next <= confirmed { confirmed } else { 0 },
        };
        self.memory.owed.foreign(at, stranger);
        self.memory.known = Some(Known {
            at,
            next: position.next,
        });
        sleep(self.foreign.wait(dice())).await;
        Ok(position)
    }

    /// Brings the mark to what was found, also backwards.
    async fn remember(&mut self, backwards: bool) {
        let sequence = self.position.next.saturating_sub(1);
        let further = self.memory.mark.is_none_or(|mark| mark.sequence < sequence);
        if sequence == 0 {
            if backwards {
                self.memory.mark = None;
            }
            return;
        }
        if backwards || further {
            let held = look::line_at(self.ports, sequence)
                .await
                .map(|line| line.lineage);
            let before = self.memory.mark.map(|mark| mark.lineage);
            if let Some(lineage) = held.or(before) {
                self.memory.mark = Some(ShipMark {
                    stream_created: self.created,
                    stream_sequence: self.position.expected,
                    sequence,
                    lineage,
                });
            }
        }
    }

    /// Reports findings about the configuration when they change; a stream that allows batches from
    /// now on, or no longer, is taken at its word.
    fn note_config(&mut self, info: &Info) {
        self.batches = info.batches;
        let found = findings(&info.config, info.batches, MAX_LINE);
        ShipCounters::set(&self.ports.counters.findings, found.len() as u64);
        if self.ports.board.read().findings != found {
            for finding in &found {
                tracing::warn!(%finding, stream = self.settings.stream.as_str(), "the audit stream is not safe");
            }
        }
        self.ports.board.change(|status| {
            status.batches = Some(info.batches);
            status.findings = found;
        });
    }
}
