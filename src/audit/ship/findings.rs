//! What about a stream's configuration can lose or delay events. Pure.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy};
use async_nats::jetstream::stream::{StorageType, StorageType::File};

/// Something about the stream that its operator should change, or have decided on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Events are kept in memory.
    MemoryStorage,
    /// One copy only.
    OneReplica,
    /// At a bound the oldest events are dropped instead of new ones refused.
    DiscardsOld,
    /// A bound in bytes or messages is missing, so that a full disk is the bound.
    Unbounded,
    /// Single messages may be deleted.
    DeleteAllowed,
    /// The stream may be purged.
    PurgeAllowed,
    /// Events are dropped at this age.
    MaxAge(Duration),
    /// Acknowledged before it is written.
    AsyncPersistence,
    /// Events are dropped once consumers have seen them.
    Retention,
    /// No acknowledgements at all.
    NoAcknowledgements,
    /// A bound per subject drops or refuses events.
    PerSubject(i64),
    /// A line may be longer than the stream takes.
    SmallMessages(i32),
    /// The server or the stream allows no atomic batches: one message at a time.
    NoBatches,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryStorage => f.write_str("storage is memory: a restart loses the events"),
            Self::OneReplica => f.write_str("replicas is 1: one disk holds the only copy"),
            Self::DiscardsOld => f.write_str("discard is old: a full stream drops events unseen; set discard to new"),
            Self::Unbounded => f.write_str("neither max_bytes nor max_msgs is set: the disk is the bound"),
            Self::DeleteAllowed => f.write_str("deny_delete is off: single events can be deleted"),
            Self::PurgeAllowed => f.write_str("deny_purge is off: all events can be purged"),
            Self::MaxAge(age) => write!(f, "max_age is {} s: older events are dropped", age.as_secs()),
            Self::AsyncPersistence => f.write_str("persist_mode is async: acknowledged before it is written"),
            Self::Retention => f.write_str("retention is not limits: consumed events are dropped"),
            Self::NoAcknowledgements => f.write_str("no_ack is on: nothing is ever confirmed"),
            Self::PerSubject(most) => write!(f, "max_msgs_per_subject is {most}: events are dropped or refused"),
            Self::SmallMessages(most) => write!(f, "max_msg_size is {most} bytes: a long event would be refused"),
            Self::NoBatches => f.write_str("no atomic batches (allow_atomic, nats-server 2.12.1 or later): one event at a time, a few thousand a second at most"),
        }
    }
}

/// What is unsafe in this configuration. A stream of one server on purpose has one replica; it is
/// reported all the same, and the operator knows.
#[must_use]
pub fn findings(config: &Config, batches: bool, longest_line: usize) -> Vec<Finding> {
    let small = config.max_message_size > 0
        && usize::try_from(config.max_message_size).is_ok_and(|most| most < longest_line);
    let cases = [
        (!matches!(config.storage, File), Finding::MemoryStorage),
        (config.num_replicas < 2, Finding::OneReplica),
        (config.discard != DiscardPolicy::New, Finding::DiscardsOld),
        (
            config.max_bytes <= 0 && config.max_messages <= 0,
            Finding::Unbounded,
        ),
        (!config.deny_delete, Finding::DeleteAllowed),
        (!config.deny_purge, Finding::PurgeAllowed),
        (!config.max_age.is_zero(), Finding::MaxAge(config.max_age)),
        (
            config.persist_mode == Some(PersistenceMode::Async),
            Finding::AsyncPersistence,
        ),
        (
            config.retention != RetentionPolicy::Limits,
            Finding::Retention,
        ),
        (config.no_ack, Finding::NoAcknowledgements),
        (
            config.max_messages_per_subject > 0,
            Finding::PerSubject(config.max_messages_per_subject),
        ),
        (small, Finding::SmallMessages(config.max_message_size)),
        (!batches, Finding::NoBatches),
    ];
    cases
        .into_iter()
        .filter_map(|(unsafe_here, finding)| unsafe_here.then_some(finding))
        .collect()
}

/// The configuration of a stream that grantd makes by itself: nothing in it can lose an event
/// unseen. One replica, because a single server takes no more; no bound, because only an operator
/// knows the disk.
#[must_use]
pub fn safe_config(name: &str, longest_line: usize) -> Config {
    Config {
        name: name.to_owned(),
        description: Some("grantd audit events".to_owned()),
        subjects: vec![format!("{}.>", super::SUBJECT_PREFIX)],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: i32::try_from(longest_line + HEADER_ROOM).unwrap_or(-1),
        num_replicas: 1,
        deny_delete: true,
        deny_purge: true,
        allow_atomic_publish: true,
        ..Config::default()
    }
}

/// Room for a message's headers, which count in `max_msg_size`: ours are under 500 bytes.
const HEADER_ROOM: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_that_we_make_is_safe_but_for_what_we_cannot_know() {
        let config = safe_config("AUDIT", 65_536);
        assert_eq!(
            findings(&config, true, 65_536),
            [Finding::OneReplica, Finding::Unbounded]
        );
    }

    #[test]
    fn each_unsafe_setting_is_named() {
        let config = Config {
            storage: StorageType::Memory,
            discard: DiscardPolicy::Old,
            retention: RetentionPolicy::Interest,
            max_age: Duration::from_secs(60),
            max_messages_per_subject: 1,
            max_message_size: 100,
            persist_mode: Some(PersistenceMode::Async),
            no_ack: true,
            ..Config::default()
        };
        let found = findings(&config, false, 65_536);
        assert_eq!(found.len(), 13);
        assert!(found.iter().all(|finding| !finding.to_string().is_empty()));
    }
}
