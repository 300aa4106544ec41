//! Verifies that lines follow one another. Pure.

use bytes::Bytes;

use super::{Line, LineFault, Lineage};
use crate::domain::Digest;

/// The type of the one line that may change the lineage.
const RENEWED: &str = "daemon.lineage_renewed";

/// The end of a chain: what the next line must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Sequence of the last line; 0 before the first.
    pub sequence: u64,
    /// The batch of the last line.
    pub batch: u64,
    /// Hash of the last line; [`Digest::ZERO`] before the first.
    pub hash: Digest,
    /// The lineage of the last line.
    pub lineage: Lineage,
}

/// How a good line follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first line that this verifier sees.
    First,
    /// One more line of the same commit.
    SameBatch,
    /// The first line of a commit.
    NewBatch,
    /// The first line of a new lineage, which names the old one and its head.
    NewLineage,
}

/// What is wrong with a chain, at one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The bytes are no line: altered, cut or foreign.
    #[error("the line that should be {expected} is damaged: {fault}")]
    Damaged {
        /// The sequence that was expected; 0 when any was.
        expected: u64,
        /// What is wrong with its bytes.
        fault: LineFault,
    },
    /// The first line of a journal that claims to be whole is not number 1.
    #[error("the first line is {found}, not 1: the lines before it are missing")]
    Beginning {
        /// The sequence of the first line.
        found: u64,
    },
    /// Sequences were left out.
    #[error("line {found} stands where line {expected} should: lines are missing")]
    Gap {
        /// The sequence that was expected.
        expected: u64,
        /// The sequence that was there.
        found: u64,
    },
    /// The line before once more, byte for byte.
    #[error("line {sequence} is there twice")]
    Repeated {
        /// Its sequence.
        sequence: u64,
    },
    /// A sequence that was there before, with other bytes.
    #[error("line {sequence} is there again with other content, after line {after}: a fork")]
    Fork {
        /// The sequence of the second line.
        sequence: u64,
        /// The sequence of the line before it.
        after: u64,
    },
    /// The line is whole, but does not name the line before it.
    #[error(
        "line {sequence} follows another line than the one before it: prev is {found}, not {expected}"
    )]
    WrongPrev {
        /// Its sequence.
        sequence: u64,
        /// The hash of the line before.
        expected: Digest,
        /// What it names.
        found: Digest,
    },
    /// `batch` is neither that of the line before nor the line's own sequence.
    #[error(
        "line {sequence} names batch {found}: it must be {sequence} or the batch of the line before"
    )]
    WrongBatch {
        /// Its sequence.
        sequence: u64,
        /// What it names.
        found: u64,
    },
    /// Another lineage without the event that renews it, or one that names another head.
    #[error(
        "line {sequence} changes the lineage from {old} to {new} without naming the head of the old one"
    )]
    WrongLineage {
        /// Its sequence.
        sequence: u64,
        /// The lineage of the line before.
        old: Lineage,
        /// Its lineage.
        new: Lineage,
    },
}

/// Takes lines in order and says how each follows the one before, or what is wrong.
///
/// After a finding the verifier stands where it stood: [`Verifier::resume_at`] goes on behind it.
#[derive(Clone, Debug)]
pub struct Verifier {
    tip: Option<Tip>,
    whole: bool,
}

impl Verifier {
    /// Of lines from any point on: the first is taken as it is.
    #[must_use]
    pub const fn from_anywhere() -> Self {
        Self {
            tip: None,
            whole: false,
        }
    }

    /// Of a whole journal: the first line must be number 1.
    #[must_use]
    pub const fn from_the_beginning() -> Self {
        Self {
            tip: None,
            whole: true,
        }
    }

    /// Of lines that follow this one.
    #[must_use]
    pub const fn after(tip: Tip) -> Self {
        Self {
            tip: Some(tip),
            whole: false,
        }
    }

    /// The last line that was good.
    #[must_use]
    pub const fn tip(&self) -> Option<&Tip> {
        self.tip.as_ref()
    }

    /// Goes on at this line, whatever was wrong with it.
    pub fn resume_at(&mut self, line: &Line) {
        self.tip = Some(line.tip());
    }

    /// Parses and verifies the next line.
    ///
    /// # Errors
    /// The [`Finding`] at this line.
    pub fn feed_bytes(&mut self, bytes: Bytes) -> Result<(Line, Step), Finding> {
        let expected = self.tip.map_or(0, |tip| tip.sequence + 1);
        let line = Line::parse(bytes).map_err(|fault| Finding::Damaged { expected, fault })?;
        let step = self.feed(&line)?;
        Ok((line, step))
    }

    /// Verifies the next line.
    ///
    /// # Errors
    /// The [`Finding`] at this line.
    pub fn feed(&mut self, line: &Line) -> Result<Step, Finding> {
        let step = match &self.tip {
            None => self.first(line)?,
            Some(tip) => tip.next(line)?,
        };
        self.tip = Some(line.tip());
        Ok(step)
    }

    fn first(&self, line: &Line) -> Result<Step, Finding> {
        let sequence = line.sequence;
        if self.whole && sequence != 1 || sequence == 0 {
            return Err(Finding::Beginning { found: sequence });
        }
        if sequence == 1 && line.prev != Digest::ZERO {
            return Err(Finding::WrongPrev {
                sequence,
                expected: Digest::ZERO,
                found: line.prev,
            });
        }
        if line.batch == 0 || line.batch > sequence {
            let found = line.batch;
            return Err(Finding::WrongBatch { sequence, found });
        }
        Ok(Step::First)
    }
}

impl Tip {
    fn next(&self, line: &Line) -> Result<Step, Finding> {
        let sequence = line.sequence;
        if sequence == self.sequence && line.hash == self.hash {
            return Err(Finding::Repeated { sequence });
        }
        if sequence <= self.sequence {
            let after = self.sequence;
            return Err(Finding::Fork { sequence, after });
        }
        if sequence != self.sequence + 1 {
            let expected = self.sequence + 1;
            let found = sequence;
            return Err(Finding::Gap { expected, found });
        }
        if line.prev != self.hash {
            return Err(Finding::WrongPrev {
                sequence,
                expected: self.hash,
                found: line.prev,
            });
        }
        if line.batch != sequence && line.batch != self.batch {
            let found = line.batch;
            return Err(Finding::WrongBatch { sequence, found });
        }
        if line.lineage != self.lineage {
            return self.renewed(line);
        }
        if line.batch == sequence {
            Ok(Step::NewBatch)
        } else {
            Ok(Step::SameBatch)
        }
    }

    /// A new lineage begins with an event that names the old one and its head, in a commit of its own.
    fn renewed(&self, line: &Line) -> Result<Step, Finding> {
        #[derive(serde::Deserialize)]
        struct Event {
            data: Data,
        }
        #[derive(serde::Deserialize)]
        struct Data {
            old_lineage: String,
            old_head: String,
        }
        let names_the_head = serde_json::from_slice::<Event>(line.bytes()).is_ok_and(|event| {
            event.data.old_lineage == self.lineage.to_string()
                && event.data.old_head == self.hash.to_string()
        });
        if line.event_type() == RENEWED && line.batch == line.sequence && names_the_head {
            return Ok(Step::NewLineage);
        }
        Err(Finding::WrongLineage {
            sequence: line.sequence,
            old: self.lineage,
            new: line.lineage,
        })
    }
}

impl Line {
    /// The chain's end, once this line is its last.
    #[must_use]
    pub const fn tip(&self) -> Tip {
        Tip {
            sequence: self.sequence,
            batch: self.batch,
            hash: self.hash,
            lineage: self.lineage,
        }
    }
}
