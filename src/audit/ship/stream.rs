//! The stream as the shipper sees it: its state, its configuration, single messages. Touches: net.
//!
//! Messages are read from the stream's leader (`STREAM.MSG.GET`), never by a direct get, which any
//! replica may answer with old news.

use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{LastRawMessageError, LastRawMessageErrorKind};
use async_nats::jetstream::{Context, ErrorCode, stream};
use async_nats::{Client, ServerInfo};
use bytes::Bytes;

use super::findings::safe_config;
use super::settings::ShipSettings;
use crate::audit::chain::MAX_LINE;
use crate::domain::{UnixMillis, chain};

/// The first server whose atomic batches can be trusted: 2.12.0 could commit a batch in part.
const BATCHES_SINCE: (u64, u64, u64) = (2, 12, 1);

/// Why the stream gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum StreamFault {
    /// There is no such stream, and we are not to make it.
    #[error("there is no stream {0:?}: make it (see docs/audit-events.md), or set create_stream")]
    Missing(String),
    /// The stream does not take our subjects.
    #[error("the stream {stream:?} does not take {subject}: add it to the stream's subjects")]
    Subject {
        /// The stream.
        stream: String,
        /// Our subjects.
        subject: String,
    },
    /// The server refused, or did not answer in time.
    #[error("{what}: {reason}")]
    Request {
        /// What was asked for.
        what: &'static str,
        /// What came of it.
        reason: String,
    },
}

/// The stream's state at one moment.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub(super) created: UnixMillis,
    pub(super) last_sequence: u64,
    pub(super) config: stream::Config,
    /// Whether units may be atomic batches.
    pub(super) batches: bool,
}

/// A stored message.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) at: u64,
    pub(super) payload: Bytes,
}

/// A handle of the stream over one connection.
#[derive(Debug)]
pub(super) struct StreamLink {
    context: Context,
    handle: stream::Stream<()>,
    name: String,
    subjects: String,
    server: ServerInfo,
}

impl StreamLink {
    /// Finds the stream, or makes it where that is wanted.
    pub(super) async fn open(
        client: Client,
        settings: &ShipSettings,
    ) -> Result<(Self, Info), StreamFault> {
        let server = client.server_info();
        let context = ContextBuilder::new()
            .timeout(settings.nats.request_timeout)
            .build(client);
        let name = settings.stream.as_str().to_owned();
        let handle = context
            .get_stream_no_info(&name)
            .await
            .map_err(|error| request("stream", &error))?;
        let link = Self {
            context,
            handle,
            name,
            subjects: settings.subjects(),
            server,
        };
        let info = match link.info().await {
            Err(StreamFault::Missing(_)) if settings.create_stream => link.create().await?,
            other => other?,
        };
        if !takes(&info.config.subjects, &link.subjects) {
            return Err(StreamFault::Subject {
                stream: link.name,
                subject: link.subjects,
            });
        }
        Ok((link, info))
    }

    /// The server's name and version.
    pub(super) fn server(&self) -> String {
        format!("{} {}", self.server.server_name, self.server.version)
    }

    /// The stream's state, from its leader.
    pub(super) async fn info(&self) -> Result<Info, StreamFault> {
        let asked = self
            .context
            .request(format!("STREAM.INFO.{}", self.name), &serde_json::json!({}))
            .await;
        match asked.map_err(|error| request("stream info", &error))? {
            Response::Ok(info) => Ok(self.judge(info)),
            Response::Err { error } if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Err(StreamFault::Missing(self.name.clone()))
            }
            Response::Err { error } => Err(request("stream info", &error)),
        }
    }

    async fn create(&self) -> Result<Info, StreamFault> {
        let config = safe_config(&self.name, MAX_LINE);
        let asked = self
            .context
            .request(format!("STREAM.CREATE.{}", self.name), &config)
            .await;
        match asked.map_err(|error| request("making the stream", &error))? {
            Response::Ok(info) => {
                tracing::info!(stream = self.name, "made the stream for audit events");
                Ok(self.judge(info))
            }
            Response::Err { error } => Err(request("making the stream", &error)),
        }
    }

    fn judge(&self, info: stream::Info) -> Info {
        let millis = info.created.unix_timestamp_nanos() / 1_000_000;
        Info {
            created: UnixMillis::new(u64::try_from(millis).unwrap_or(0)),
            last_sequence: info.state.last_sequence,
            batches: info.config.allow_atomic_publish && has_batches(&self.server.version),
            config: info.config,
        }
    }

    /// The last message on our subjects.
    pub(super) async fn last(&self) -> Result<Option<Stored>, StreamFault> {
        let asked = self
            .handle
            .get_last_raw_message_by_subject(&self.subjects)
            .await;
        found(asked)
    }

    /// The message with this sequence of the stream, whatever its subject.
    pub(super) async fn at(&self, sequence: u64) -> Result<Option<Stored>, StreamFault> {
        found(self.handle.get_raw_message(sequence).await)
    }

    /// The first message on our subjects with this sequence of the stream or a later one.
    pub(super) async fn from(&self, sequence: u64) -> Result<Option<Stored>, StreamFault> {
        let asked = self
            .handle
            .raw_message_builder()
            .sequence(sequence)
            .next_by_subject(&self.subjects)
            .send()
            .await;
        found(asked)
    }
}

fn found(asked: Result<StreamMessage, LastRawMessageError>) -> Result<Option<Stored>, StreamFault> {
    match asked {
        Ok(message) => Ok(Some(Stored {
            at: message.sequence,
            payload: message.payload,
        })),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(request("reading a stored message", &error)),
    }
}

fn request(what: &'static str, error: &(dyn std::error::Error + 'static)) -> StreamFault {
    StreamFault::Request {
        what,
        reason: chain(error),
    }
}

/// Whether a server of this version has atomic batches that hold what they promise.
fn has_batches(version: &str) -> bool {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = release.split('.').map(str::parse::<u64>);
    let mut next = || numbers.next().and_then(Result::ok);
    match (next(), next(), next()) {
        (Some(major), Some(minor), Some(patch)) => (major, minor, patch) >= BATCHES_SINCE,
        _ => false,
    }
}

/// Whether one of the stream's subjects covers `ours`, which ends in `>`.
fn takes(subjects: &[String], ours: &str) -> bool {
    subjects.iter().any(|subject| {
        let mut mine = ours.split('.');
        for token in subject.split('.') {
            match (token, mine.next()) {
                (">", Some(_)) => return true,
                ("*", Some(mine)) if mine != ">" => {}
                (token, Some(mine)) if token == mine => {}
                _ => return false,
            }
        }
        mine.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_need_a_server_that_keeps_them_whole() {
        for (version, has) in [
            ("2.15.1", true),
            ("2.12.1", true),
            ("2.12.0", false),
            ("2.9.10", false),
            ("2.14.0-RC.1", true),
            ("3.0.0", true),
            ("", false),
        ] {
            assert_eq!(has_batches(version), has, "{version}");
        }
    }

    #[test]
    fn a_stream_must_take_all_our_subjects() {
        for (subject, all) in [
            ("grantd.audit.>", true),
            (">", true),
            ("grantd.*.a.>", true),
            ("grantd.audit.a.>", true),
            ("grantd.audit.b.>", false),
            ("grantd.audit.*", false),
            ("grantd.audit.a.token.issued", false),
        ] {
            let subjects = [subject.to_owned()];
            assert_eq!(takes(&subjects, "grantd.audit.a.>"), all, "{subject}");
        }
    }
}
