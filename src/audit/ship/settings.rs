//! What the shipper is told: servers, stream, login, TLS, time-outs. Pure.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::InstanceName;

/// What every audit subject begins with; the instance and the event's type follow.
pub const SUBJECT_PREFIX: &str = "grantd.audit";

/// Most server URLs: a NATS cluster has three or five servers; more are found by gossip.
pub const MAX_URLS: usize = 16;

/// Longest stream name in bytes: what nats-server takes (`JSMaxNameLen`).
const MAX_STREAM_NAME: usize = 255;

/// Longest prefix of inboxes in bytes: far more than an account's layout needs.
const MAX_INBOX_PREFIX: usize = 128;

/// The NATS client's own default for one connection, handshake and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The JetStream client's own default for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an acknowledgement may take before the stored messages are read instead. A leader
/// election takes 2 to 4 s.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the stream's state is looked at when nothing else asks: a change of leader drops no
/// connection, so a stream that went backwards must be looked for.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long a stop waits for the stream to take the journal's last lines. What is left is shipped
/// after the next start.
const DRAIN: Duration = Duration::from_secs(3);

/// How often a mark is stored at most: each costs an `fdatasync`, and a stale one costs nothing but
/// a longer look at the stream.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// The shortest and the longest wait before another try. Eight doublings lie between them.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(20));

/// Why a text is no address, name or prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShipSetting {
    /// No URL of a NATS server.
    #[error("not a NATS server's URL: write nats://HOST:PORT, or tls://HOST:PORT for TLS")]
    Url,
    /// A user, a password or a token in a URL.
    #[error("a URL must not hold a login: name a file with the password, token or credentials")]
    SecretInUrl,
    /// No name of a stream.
    #[error("not a stream's name: 1 to 255 letters, digits, \"-\" and \"_\"")]
    Stream,
    /// No prefix of inboxes.
    #[error(
        "not a subject to begin inboxes with: words of letters, digits, \"-\" and \"_\", with dots between"
    )]
    Inbox,
}

/// The address of a NATS server, never with a login in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsUrl {
    text: String,
    host: String,
}

impl NatsUrl {
    /// A server's address: `nats://host:4222`, `tls://host`, or `host:port`.
    ///
    /// # Errors
    /// [`InvalidShipSetting`], also for a URL that holds a user or a password.
    pub fn parse(text: &str) -> Result<Self, InvalidShipSetting> {
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("nats://{text}")
        };
        let url = url::Url::parse(&full).map_err(|_| InvalidShipSetting::Url)?;
        if !url.username().is_empty() || url.password().is_some() || full.contains('@') {
            return Err(InvalidShipSetting::SecretInUrl);
        }
        let plain = url.query().is_none()
            && url.fragment().is_none()
            && matches!(url.path(), "" | "/")
            && matches!(url.scheme(), "nats" | "tls");
        let host = url.host_str().filter(|host| !host.is_empty());
        match host {
            Some(host) if plain => Ok(Self {
                host: host.trim_matches(['[', ']']).to_owned(),
                text: full,
            }),
            _ => Err(InvalidShipSetting::Url),
        }
    }

    /// The URL as the client takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host: a name or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// The name of a JetStream stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamName(String);

impl StreamName {
    /// A stream's name: 1 to 255 letters, digits, `-` and `_`.
    ///
    /// # Errors
    /// [`InvalidShipSetting::Stream`].
    pub fn parse(text: &str) -> Result<Self, InvalidShipSetting> {
        if text.is_empty() || text.len() > MAX_STREAM_NAME || !text.bytes().all(is_word) {
            return Err(InvalidShipSetting::Stream);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the names of this client's inboxes begin with: the subject that its NATS user may subscribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxPrefix(String);

impl InboxPrefix {
    /// A prefix such as `_INBOX_grantd_auth-1`.
    ///
    /// # Errors
    /// [`InvalidShipSetting::Inbox`].
    pub fn parse(text: &str) -> Result<Self, InvalidShipSetting> {
        let words = text.split('.');
        let good = words
            .clone()
            .all(|word| !word.is_empty() && word.bytes().all(is_word));
        if good && text.len() <= MAX_INBOX_PREFIX {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidShipSetting::Inbox)
        }
    }

    /// The prefix of an instance's own: `_INBOX_grantd_<instance>`.
    #[must_use]
    pub fn of_instance(instance: &InstanceName) -> Self {
        Self(format!("_INBOX_grantd_{instance}"))
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// How the client proves who it is. Secrets come from files alone, read anew at each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NatsLogin {
    /// Not at all, or by its TLS certificate.
    #[default]
    None,
    /// A user and a file with the password.
    Password {
        /// The user.
        user: String,
        /// The file with the password, and nothing else.
        file: PathBuf,
    },
    /// A file with a token.
    Token(PathBuf),
    /// A file with the seed of a user nkey (`SU…`).
    Nkey(PathBuf),
    /// A `.creds` file: a user JWT and its nkey's seed.
    Credentials(PathBuf),
}

/// TLS towards the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsTls {
    /// TLS even where the URL's scheme is `nats` and the server does not ask for it.
    pub required: bool,
    /// TLS before the server's greeting (`handshake_first` at the server).
    pub first: bool,
    /// PEM file of the certificate authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client's own certificate chain and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// How a NATS server is reached: what the shipper and the auditor's commands share.
#[derive(Clone, Debug)]
pub struct NatsSettings {
    /// The servers to try: 1 to [`MAX_URLS`].
    pub urls: Vec<NatsUrl>,
    /// How the client proves who it is.
    pub login: NatsLogin,
    /// TLS.
    pub tls: NatsTls,
    /// What the client's inboxes begin with.
    pub inbox_prefix: InboxPrefix,
    /// The limit of one attempt to connect to one address.
    pub connect_timeout: Duration,
    /// The limit of one request to the JetStream API.
    pub request_timeout: Duration,
}

impl NatsSettings {
    /// These servers with this prefix of inboxes, everything else at its default.
    #[must_use]
    pub const fn new(urls: Vec<NatsUrl>, inbox_prefix: InboxPrefix) -> Self {
        Self {
            urls,
            login: NatsLogin::None,
            tls: NatsTls {
                required: false,
                first: false,
                ca_file: None,
                certificate: None,
            },
            inbox_prefix,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
        }
    }
}

/// What the shipper is told.
#[derive(Clone, Debug)]
pub struct ShipSettings {
    /// The servers and how to reach them.
    pub nats: NatsSettings,
    /// The stream.
    pub stream: StreamName,
    /// Whose events they are: a token of the subject.
    pub instance: InstanceName,
    /// Whether a stream that does not exist is made. `dev` says yes; `serve` says no by default,
    /// because where and how often events are kept is for the operator of NATS to decide.
    pub create_stream: bool,
    /// The limit of one acknowledgement.
    pub ack_timeout: Duration,
    /// How often the stream's state is looked at.
    pub look_every: Duration,
    /// How often a mark is stored at most.
    pub mark_every: Duration,
    /// How long a stop waits for the last lines.
    pub drain: Duration,
    /// The shortest and the longest wait between tries.
    pub backoff: (Duration, Duration),
}

impl ShipSettings {
    /// These servers, this stream and this instance, everything else at its default.
    #[must_use]
    pub const fn new(nats: NatsSettings, stream: StreamName, instance: InstanceName) -> Self {
        Self {
            nats,
            stream,
            instance,
            create_stream: false,
            ack_timeout: ACK_TIMEOUT,
            look_every: LOOK_EVERY,
            mark_every: MARK_EVERY,
            drain: DRAIN,
            backoff: BACKOFF,
        }
    }

    /// The subject of an event of this type (`token.issued`).
    #[must_use]
    pub fn subject(&self, event_type: &str) -> String {
        format!("{SUBJECT_PREFIX}.{}.{event_type}", self.instance)
    }

    /// All subjects of the instance: `grantd.audit.<instance>.>`.
    #[must_use]
    pub fn subjects(&self) -> String {
        subjects_of(&self.instance)
    }
}

/// All subjects of an instance: `grantd.audit.<instance>.>`.
#[must_use]
pub fn subjects_of(instance: &InstanceName) -> String {
    format!("{SUBJECT_PREFIX}.{instance}.>")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn urls_never_hold_a_login() {
        for good in [
            "nats://localhost:4222",
            "tls://nats.example",
            "10.0.0.1:4222",
            "nats://[::1]:4222",
        ] {
            assert!(NatsUrl::parse(good).is_ok(), "{good}");
        }
        assert_eq!(NatsUrl::parse("nats://[::1]:4222").unwrap().host(), "::1");
        for secret in [
            "nats://user:pw@localhost",
            "nats://token@localhost",
            "a:b@localhost:4222",
        ] {
            assert_eq!(
                NatsUrl::parse(secret),
                Err(InvalidShipSetting::SecretInUrl),
                "{secret}"
            );
        }
        for bad in [
            "",
            "http://localhost",
            "nats://",
            "nats://host/path",
            "nats://host?x=1",
            "a b",
        ] {
            assert_eq!(NatsUrl::parse(bad), Err(InvalidShipSetting::Url), "{bad}");
        }
    }

    #[test]
    fn names_are_single_words() {
        assert!(StreamName::parse("GRANTD_AUDIT").is_ok());
        for bad in ["", "a.b", "a b", "a*", ">"] {
            assert_eq!(
                StreamName::parse(bad),
                Err(InvalidShipSetting::Stream),
                "{bad}"
            );
        }
        assert!(InboxPrefix::parse("_INBOX.auth-1").is_ok());
        for bad in ["", ".a", "a.", "a.>", "a b"] {
            assert_eq!(
                InboxPrefix::parse(bad),
                Err(InvalidShipSetting::Inbox),
                "{bad}"
            );
        }
    }

    #[test]
    fn subjects_hold_instance_and_type() {
        let instance = InstanceName::parse("auth-1").unwrap();
        let nats = NatsSettings::new(Vec::new(), InboxPrefix::of_instance(&instance));
        let settings = ShipSettings::new(nats, StreamName::parse("AUDIT").unwrap(), instance);
        assert_eq!(
            settings.subject("token.issued"),
            "grantd.audit.auth-1.token.issued"
        );
        assert_eq!(settings.subjects(), "grantd.audit.auth-1.>");
    }
}
