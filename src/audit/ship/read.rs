//! Reads an instance's events back from the stream, for auditors. Touches: net.
//!
//! An ordered pull consumer on `grantd.audit.<instance>.>`: the server keeps no state of it beyond
//! the connection, and nothing is acknowledged or changed.

use std::time::Duration;

use async_nats::datetime::from_nanos;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::connect::{ConnectFault, connect};
use super::settings::{NatsSettings, StreamName, subjects_of};
use crate::domain::{InstanceName, UnixSeconds, chain};
use crate::random;

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
    messages: Ordered,
    /// Messages that were there when the reader was opened and have not come yet.
    left: u64,
    /// Of these, how many to pass over.
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
        let maker = Maker {
            handle,
            subjects,
            limit: nats.request_timeout,
        };
        let (consumer, skip) = maker.consumer(start).await?;
        let left = consumer.cached_info().num_pending;
        let messages = consumer.messages().await;
        Ok(Self {
            messages: messages.map_err(|error| request("reading the stream", &error))?,
            left,
            skip,
            limit: nats.request_timeout,
            _client: client,
        })
    }

    /// The next event, or `None` at what was the end when the reader was opened.
    ///
    /// # Errors
    /// [`ReadFault`], also when nothing comes within the request's time-out.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadFault> {
        loop {
            if self.left == 0 {
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
        match self.messages.next().await {
            Some(Ok(message)) => {
                self.left = self.left.saturating_sub(1);
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

/// Makes the consumer that begins in the right place.
struct Maker {
    handle: Stream<()>,
    subjects: String,
    limit: Duration,
}

impl Maker {
    /// The consumer, and how many of its messages to pass over.
    async fn consumer(
        &self,
        start: StreamStart,
    ) -> Result<(Consumer<OrderedConfig>, u64), ReadFault> {
        match start {
            StreamStart::Beginning => Ok((self.from(DeliverPolicy::All).await?, 0)),
            StreamStart::Since(moment) => {
                let nanos = i128::from(moment.get()) * 1_000_000_000;
                let start_time = from_nanos(nanos).map_err(|error| request("start", &*error))?;
                let policy = DeliverPolicy::ByStartTime { start_time };
                Ok((self.from(policy).await?, 0))
            }
            StreamStart::Last(wanted) => self.last(wanted).await,
        }
    }

    /// The last messages. Other instances' lie between ours: looks further back until there are
    /// enough.
    async fn last(&self, wanted: u64) -> Result<(Consumer<OrderedConfig>, u64), ReadFault> {
        let info = self.handle.get_info().await;
        let info = info.map_err(|error| request("stream info", &error))?;
        let last = info.state.last_sequence;
        let mut span = wanted.max(1);
        loop {
            let start_sequence = (last + 1).saturating_sub(span).max(1);
            let policy = DeliverPolicy::ByStartSequence { start_sequence };
            let consumer = self.from(policy).await?;
            let pending = consumer.cached_info().num_pending;
            if pending >= wanted || start_sequence == 1 {
                return Ok((consumer, pending.saturating_sub(wanted)));
            }
            span = span.saturating_mul(4);
        }
    }

    async fn from(
        &self,
        deliver_policy: DeliverPolicy,
    ) -> Result<Consumer<OrderedConfig>, ReadFault> {
        // With a name and one filter both stand in the request's subject, so that a NATS user can be
        // held to them.
        let config = OrderedConfig {
            name: Some(format!("grantd-audit-{:032x}", random::bits())),
            deliver_policy,
            filter_subject: self.subjects.clone(),
            description: Some("grantd audit".to_owned()),
            ..OrderedConfig::default()
        };
        let made = timeout(self.limit, self.handle.create_consumer(config)).await;
        made.map_err(|error| request("reading the stream", &error))?
            .map_err(|error| request("reading the stream", &error))
    }
}

fn request(what: &'static str, error: &(dyn std::error::Error + 'static)) -> ReadFault {
    ReadFault::Request {
        what,
        reason: chain(error),
    }
}
