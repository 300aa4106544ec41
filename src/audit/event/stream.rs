//! The events about the stream that the shipper finds strange. Pure.

use super::json::Object;
use super::{Envelope, EventKind, head};
use crate::domain::UnixMillis;

/// What the shipper found: a stream that went backwards, or lines that are nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamAlarm {
    /// `daemon.stream_regressed`: the stream is another one than before.
    Recreated {
        /// When the one before was made.
        before: UnixMillis,
        /// When this one was made.
        now: UnixMillis,
    },
    /// `daemon.stream_regressed`: its last sequence is smaller than one that it had confirmed, or was
    /// given a second time.
    Forgot {
        /// The stream's sequence that was confirmed.
        confirmed: u64,
        /// The stream's last sequence now.
        last: u64,
    },
    /// `daemon.stream_regressed`: it still has lines of ours, but not the last that it had confirmed.
    Lost {
        /// The journal's sequence that was confirmed.
        confirmed: u64,
        /// The journal's sequence of the last line that is there.
        held: u64,
    },
    /// `daemon.stream_gap`: lines that neither the stream nor the journal holds.
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
}

impl StreamAlarm {
    pub(super) const fn kind(self) -> EventKind {
        match self {
            Self::Recreated { .. } | Self::Forgot { .. } | Self::Lost { .. } => {
                EventKind::DaemonStreamRegressed
            }
            Self::Missing { .. } => EventKind::DaemonStreamGap,
        }
    }

    pub(super) fn head(self, envelope: &Envelope<'_>) -> Vec<u8> {
        head(envelope, self.kind(), None, |data| self.fill(data))
    }

    fn fill(self, data: &mut Object<'_>) {
        match self {
            Self::Recreated { before, now } => {
                data.plain("cause", b"recreated");
                data.millis("created_before", before);
                data.millis("created_now", now);
            }
            Self::Forgot { confirmed, last } => {
                data.plain("cause", b"forgot");
                data.number("confirmed_stream_sequence", confirmed);
                data.number("last_stream_sequence", last);
            }
            Self::Lost { confirmed, held } => {
                data.plain("cause", b"lost");
                data.number("confirmed_sequence", confirmed);
                data.number("held_sequence", held);
            }
            Self::Missing { first, last } => {
                data.number("first_sequence", first);
                data.number("last_sequence", last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::audit::event::Origin;
    use crate::domain::{InstanceName, Issuer};

    #[test]
    fn each_alarm_is_an_event() {
        let issuer = Issuer::parse("https://auth.example.com").unwrap();
        let origin = Origin::new(&issuer, &InstanceName::parse("auth-1").unwrap());
        let envelope = Envelope {
            origin: &origin,
            id: [b'0'; 32],
            at: UnixMillis::new(0),
        };
        let (before, now) = (UnixMillis::new(1), UnixMillis::new(2));
        let cases = [
            (StreamAlarm::Recreated { before, now }, "regressed"),
            (
                StreamAlarm::Forgot {
                    confirmed: 9,
                    last: 7,
                },
                "regressed",
            ),
            (
                StreamAlarm::Lost {
                    confirmed: 9,
                    held: 7,
                },
                "regressed",
            ),
            (StreamAlarm::Missing { first: 1, last: 4 }, "gap"),
        ];
        for (alarm, name) in cases {
            let mut head = alarm.head(&envelope);
            head.push(b'}');
            let value: serde_json::Value = serde_json::from_slice(&head).unwrap();
            let expected = format!("dev.grantd.daemon.stream_{name}.v1");
            assert_eq!(value.get("type").unwrap(), expected.as_str());
        }
    }
}
