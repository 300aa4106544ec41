//! What the stream's answer to a publish means. Pure.

use serde::Deserialize;

/// "wrong last sequence": somebody else's message, or our own whose acknowledgement was lost.
const WRONG_LAST_SEQUENCE: u64 = 10071;
/// The same without the number, as clusters answer.
const WRONG_LAST_SEQUENCE_CONSTANT: u64 = 10164;
/// A message of the batch is stored already.
const DUPLICATE_IN_BATCH: u64 = 10201;
/// A message of the batch was lost on its way, so nothing was stored.
const INCOMPLETE_BATCH: u64 = 10176;
/// The stream takes no atomic batches (any more).
const BATCHES_DISABLED: u64 = 10174;
/// The stream is at a bound and `discard` is `new`.
const STREAM_FULL: u64 = 10077;

/// The answer as the server writes it (`PubAck`, or an error in its place).
#[derive(Debug, Deserialize)]
struct Wire {
    error: Option<WireError>,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    count: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct WireError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// What became of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it is stored; the last line has this sequence in the stream.
    Stored(u64),
    /// It may be stored or not: the stream's last message must be read.
    Doubt(Doubt),
    /// The stream refuses for a reason that trying again at once does not cure.
    Refused(Refusal),
}

/// Why it is not known what became of a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Doubt {
    /// No acknowledgement in time, or the connection broke.
    #[error("no acknowledgement: {0}")]
    Unanswered(String),
    /// The stream's last message on our subjects is not the one that was expected.
    #[error("the stream's last message is not the expected one: {0}")]
    Conflict(String),
    /// The server says that it has one of the messages already.
    #[error("the stream has a message of this unit already")]
    Duplicate,
    /// An answer that is none: not JSON, of another stream, of another number of messages.
    #[error("an acknowledgement that makes no sense")]
    Senseless,
}

/// Why the stream refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// At a bound: the operator must make room.
    #[error("the stream is full: {0}")]
    Full(String),
    /// Its configuration has changed: batches are not allowed any more.
    #[error("the stream takes no atomic batches any more")]
    NoBatches,
    /// Anything else that the server says.
    #[error("{description} (error {code})")]
    Other {
        /// JetStream's error code.
        code: u64,
        /// The server's words.
        description: String,
    },
}

/// Judges the answer to a unit of `lines` lines for this stream.
#[must_use]
pub(super) fn judge(payload: &[u8], stream: &str, lines: u64) -> Outcome {
    let Ok(wire) = serde_json::from_slice::<Wire>(payload) else {
        return Outcome::Doubt(Doubt::Senseless);
    };
    if let Some(error) = wire.error {
        return judge_error(error);
    }
    if wire.duplicate {
        // The flag alone proves nothing: the same id with another body is answered alike.
        return Outcome::Doubt(Doubt::Duplicate);
    }
    // A single message's acknowledgement has no count.
    if wire.stream != stream || wire.seq == 0 || wire.count.unwrap_or(1) != lines {
        return Outcome::Doubt(Doubt::Senseless);
    }
    Outcome::Stored(wire.seq)
}

fn judge_error(error: WireError) -> Outcome {
    let description = error.description;
    match error.err_code {
        WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_CONSTANT => {
            Outcome::Doubt(Doubt::Conflict(description))
        }
        DUPLICATE_IN_BATCH => Outcome::Doubt(Doubt::Duplicate),
        INCOMPLETE_BATCH => Outcome::Doubt(Doubt::Unanswered(description)),
        STREAM_FULL => Outcome::Refused(Refusal::Full(description)),
        BATCHES_DISABLED => Outcome::Refused(Refusal::NoBatches),
        code => Outcome::Refused(Refusal::Other { code, description }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u64) -> Vec<u8> {
        format!(r#"{{"error":{{"code":400,"err_code":{code},"description":"words"}},"stream":"A","seq":0}}"#)
            .into_bytes()
    }

    #[test]
    fn a_full_acknowledgement_is_the_only_yes() {
        let batch = br#"{"stream":"A","seq":10,"batch":"b","count":5}"#;
        assert_eq!(judge(batch, "A", 5), Outcome::Stored(10));
        assert_eq!(
            judge(br#"{"stream":"A","seq":3}"#, "A", 1),
            Outcome::Stored(3)
        );
        for (payload, lines) in [
            (&b"{\"stream\":\"A\",\"seq\":10,\"count\":5}"[..], 4),
            (b"{\"stream\":\"B\",\"seq\":10,\"count\":5}", 5),
            (b"{\"stream\":\"A\",\"seq\":10}", 5),
            (b"{\"stream\":\"A\"}", 1),
            (b"", 1),
            (b"+OK", 1),
        ] {
            assert_eq!(judge(payload, "A", lines), Outcome::Doubt(Doubt::Senseless));
        }
    }

    #[test]
    fn conflicts_and_duplicates_are_doubts() {
        for code in [10071, 10164] {
            assert_eq!(
                judge(&error(code), "A", 1),
                Outcome::Doubt(Doubt::Conflict("words".to_owned()))
            );
        }
        assert_eq!(
            judge(&error(10201), "A", 2),
            Outcome::Doubt(Doubt::Duplicate)
        );
        let flagged = br#"{"stream":"A","seq":7,"duplicate":true}"#;
        assert_eq!(judge(flagged, "A", 1), Outcome::Doubt(Doubt::Duplicate));
    }

    #[test]
    fn other_errors_are_refusals() {
        let full = Refusal::Full("words".to_owned());
        assert_eq!(judge(&error(10077), "A", 1), Outcome::Refused(full));
        assert_eq!(
            judge(&error(10174), "A", 1),
            Outcome::Refused(Refusal::NoBatches)
        );
        assert!(matches!(
            judge(&error(10023), "A", 1),
            Outcome::Refused(Refusal::Other { code: 10023, .. })
        ));
    }
}
