//! Reads an instance's events back from the stream, for auditors. Touches: net.
//!
//! An ordered pull consumer on `grantd.audit.<instance>.>`: the server keeps no state of it beyond
//! the connection, and nothing is acknowledged or changed.

use std::time::Duration;

use async_nats::datetime::from_nanos;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::connect::{ConnectFault, connect, with_causes};
use super::settings::{NatsSettings, StreamName, subjects_of};
use crate::domain::{InstanceName, UnixSeconds};

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStart {
    /// With the oldest event that the stream has.
    Beginning,
    /// With what the stream stored at this moment or later.
    Since(UnixSeconds),
    /// With the last events, this many.
    Last(u64),
}

/// Why the stream can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectFault),
    /// The server refused, or did not answer in time.
    #[error("{what}: {reason}")]
    Request {
        /// What was asked for.
        what: &'static str,
        /// What came of it.
        reason: String,
    },
}

/// The messages on an instance's subjects, in the stream's order.
pub struct StreamReader {
    messages: Option<Ordered>,
    /// The last message when the reader was opened; 0: there was none.
    last: u64,
    at: u64,
    skip: u64,
    limit: Duration,
    // The client ends with the reader.
    _client: async_nats::Client,
}

impl StreamReader {
    /// Connects and begins to read.
    ///
    /// # Errors
    /// [`ReadFault`].
    pub async fn open(
        nats: &NatsSettings,
        stream: &StreamName,
        instance: &InstanceName,
        start: StreamStart,
    ) -> Result<Self, ReadFault> {
        let connection = connect(nats, "grantd audit", |words| {
            tracing::warn!(notice = words, "the NATS server complains");
        })
        .await?;
        let client = connection.client;
        let context = ContextBuilder::new()
            .timeout(nats.request_timeout)
            .build(client.clone());
        let handle = context
            .get_stream_no_info(stream.as_str())
            .await
            .map_err(|error| request("stream", &error))?;
        let subjects = subjects_of(instance);
        let last = last_of(&handle, &subjects).await?;
        let mut reader = Self {
            messages: None,
            last,
            at: 0,
            skip: 0,
            limit: nats.request_timeout,
            _client: client,
        };
        let consumer = reader.consumer(&handle, &subjects, start).await?;
        if consumer.cached_info().num_pending == 0 {
            reader.at = reader.last;
        }
        let messages = consumer.messages().await;
        reader.messages = Some(messages.map_err(|error| request("reading the stream", &error))?);
        Ok(reader)
    }

    async fn consumer(
        &mut self,
        handle: &Stream<()>,
        subjects: &str,
        start: StreamStart,
    ) -> Result<Consumer<OrderedConfig>, ReadFault> {
        let (mut policy, wanted) = match start {
            StreamStart::Beginning => (DeliverPolicy::All, 0),
            StreamStart::Since(moment) => {
                let nanos = i128::from(moment.get()) * 1_000_000_000;
                let start_time = from_nanos(nanos).map_err(|error| request("start", &*error))?;
                (DeliverPolicy::ByStartTime { start_time }, 0)
            }
            StreamStart::Last(wanted) => (self.back(wanted), wanted),
        };
        let mut span = wanted;
        loop {
            let config = OrderedConfig {
                deliver_policy: policy,
                filter_subject: subjects.to_owned(),
                description: Some("grantd audit".to_owned()),
                ..OrderedConfig::default()
            };
            let made = timeout(self.limit, handle.create_consumer(config)).await;
            let consumer = made
                .map_err(|error| request("reading the stream", &error))?
                .map_err(|error| request("reading the stream", &error))?;
            let pending = consumer.cached_info().num_pending;
            // Other instances' events lie between ours: look further back until there are enough.
            if wanted == 0 || pending >= wanted || span >= self.last {
                self.skip = if wanted == 0 {
                    0
                } else {
                    pending.saturating_sub(wanted)
                };
                return Ok(consumer);
            }
            span = span.saturating_mul(4).max(1);
            policy = self.back(span);
        }
    }

    /// From so many sequences before the last message on.
    fn back(&self, span: u64) -> DeliverPolicy {
        let start_sequence = (self.last + 1).saturating_sub(span).max(1);
        DeliverPolicy::ByStartSequence { start_sequence }
    }

    /// The next event, or `None` at what was the end when the reader was opened.
    ///
    /// # Errors
    /// [`ReadFault`], also when nothing comes within the request's time-out.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadFault> {
        loop {
            if self.at >= self.last {
                return Ok(None);
            }
            let limit = self.limit.saturating_mul(2);
            let got = timeout(limit, self.receive()).await;
            let payload = got.map_err(|error| request("waiting for an event", &error))??;
            if self.skip == 0 {
                return Ok(Some(payload));
            }
            self.skip -= 1;
        }
    }

    /// The next event, however long it takes, at most this long.
    ///
    /// # Errors
    /// [`ReadFault`].
    pub async fn wait(&mut self, limit: Duration) -> Result<Option<Bytes>, ReadFault> {
        match timeout(limit, self.receive()).await {
            Ok(received) => received.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn receive(&mut self) -> Result<Bytes, ReadFault> {
        let Some(messages) = self.messages.as_mut() else {
            return std::future::pending().await;
        };
        match messages.next().await {
            Some(Ok(message)) => {
                let info = message.info();
                self.at = info
                    .map_err(|error| request("reading the stream", &*error))?
                    .stream_sequence;
                Ok(message.message.payload)
            }
            Some(Err(error)) => Err(request("reading the stream", &error)),
            None => Err(ReadFault::Request {
                what: "reading the stream",
                reason: "the consumer ended".to_owned(),
            }),
        }
    }
}

async fn last_of(handle: &Stream<()>, subjects: &str) -> Result<u64, ReadFault> {
    match handle.get_last_raw_message_by_subject(subjects).await {
        Ok(message) => Ok(message.sequence),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
        Err(error) => Err(request("reading the stream", &error)),
    }
}

fn request(what: &'static str, error: &(dyn std::error::Error + 'static)) -> ReadFault {
    ReadFault::Request {
        what,
        reason: with_causes(error),
    }
}
