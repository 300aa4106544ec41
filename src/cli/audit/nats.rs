//! A stream as the source of events, and the options to reach it. Touches: net.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::Fault;
use super::source::{SourceFault, Start};
use crate::audit::ship::{
    InboxPrefix, MAX_URLS, NatsLogin, NatsSettings, NatsTls, NatsUrl, StreamName, StreamReader,
    StreamStart,
};
use crate::domain::InstanceName;
use crate::tasks;

/// The stream to read from, and how to reach it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Reading from a stream")]
pub(super) struct NatsArgs {
    /// A NATS server, nats://HOST:PORT or tls://HOST:PORT; several by repeating it
    #[arg(long, value_name = "URL", value_parser = parse(NatsUrl::parse), requires_all = ["stream", "instance"])]
    nats: Vec<NatsUrl>,
    /// The stream's name
    #[arg(long, value_name = "NAME", value_parser = parse(StreamName::parse), requires = "nats")]
    stream: Option<StreamName>,
    /// The daemon whose events to read: its instance name
    #[arg(long, value_name = "NAME", value_parser = parse(InstanceName::parse), requires = "nats")]
    instance: Option<InstanceName>,
    /// Trust these certificate authorities instead of the system's (PEM)
    #[arg(long, value_name = "FILE", requires = "nats")]
    nats_ca: Option<PathBuf>,
    /// The client's own certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "nats_key")]
    nats_cert: Option<PathBuf>,
    /// The key of the client's certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "nats_cert")]
    nats_key: Option<PathBuf>,
    /// Log in as this user
    #[arg(long, value_name = "USER", requires = "nats_password_file")]
    nats_user: Option<String>,
    /// The file with the user's password
    #[arg(long, value_name = "FILE", requires = "nats_user", group = "login")]
    nats_password_file: Option<PathBuf>,
    /// Log in with the token in this file
    #[arg(long, value_name = "FILE", requires = "nats", group = "login")]
    nats_token_file: Option<PathBuf>,
    /// Log in with the nkey whose seed is in this file
    #[arg(long, value_name = "FILE", requires = "nats", group = "login")]
    nats_nkey_file: Option<PathBuf>,
    /// Log in with this .creds file
    #[arg(long, value_name = "FILE", requires = "nats", group = "login")]
    nats_creds: Option<PathBuf>,
    /// What the names of inboxes begin with, where the user may subscribe to no others
    #[arg(long, value_name = "SUBJECT", default_value = "_INBOX", value_parser = parse(InboxPrefix::parse))]
    nats_inbox_prefix: InboxPrefix,
}

/// Makes a parser for clap from one of ours.
fn parse<T, E: std::error::Error>(
    parse: fn(&str) -> Result<T, E>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| parse(text).map_err(|error| error.to_string())
}

impl NatsArgs {
    fn settings(&self) -> Result<(NatsSettings, StreamName, InstanceName), Fault> {
        let (Some(stream), Some(instance)) = (&self.stream, &self.instance) else {
            return Err(Fault::Usage(
                "--nats needs --stream and --instance".to_owned(),
            ));
        };
        if self.nats.len() > MAX_URLS {
            return Err(Fault::Usage(format!("--nats: {MAX_URLS} servers at most")));
        }
        let mut settings = NatsSettings::new(self.nats.clone(), self.nats_inbox_prefix.clone());
        settings.login = self.login();
        settings.tls = NatsTls {
            required: self.nats_ca.is_some() || self.nats_cert.is_some(),
            first: false,
            ca_file: self.nats_ca.clone(),
            certificate: self.nats_cert.clone().zip(self.nats_key.clone()),
        };
        Ok((settings, stream.clone(), instance.clone()))
    }

    fn login(&self) -> NatsLogin {
        if let (Some(user), Some(file)) = (&self.nats_user, &self.nats_password_file) {
            return NatsLogin::Password {
                user: user.clone(),
                file: file.clone(),
            };
        }
        let token = self.nats_token_file.clone().map(NatsLogin::Token);
        let nkey = self.nats_nkey_file.clone().map(NatsLogin::Nkey);
        let creds = self.nats_creds.clone().map(NatsLogin::Credentials);
        token.or(nkey).or(creds).unwrap_or_default()
    }
}

/// The lines of a stream, for a command that does nothing else meanwhile.
pub(super) struct StreamLines {
    runtime: Runtime,
    reader: StreamReader,
    description: String,
}

impl StreamLines {
    pub(super) fn open(args: &NatsArgs, start: Start) -> Result<Self, Fault> {
        let (settings, stream, instance) = args.settings()?;
        let runtime = tasks::runtime(1, &tasks::Idle::default()).map_err(SourceFault::Runtime)?;
        let start = match start {
            Start::Beginning => StreamStart::Beginning,
            Start::Last(count) => StreamStart::Last(count),
            Start::Since(moment) => StreamStart::Since(moment),
        };
        let opened = runtime.block_on(StreamReader::open(&settings, &stream, &instance, start));
        Ok(Self {
            runtime,
            reader: opened.map_err(SourceFault::from)?,
            description: format!("stream {} of instance {instance}", stream.as_str()),
        })
    }

    pub(super) fn describe(&self) -> String {
        self.description.clone()
    }

    pub(super) fn next(&mut self) -> Result<Option<Bytes>, SourceFault> {
        Ok(self.runtime.block_on(self.reader.next())?)
    }

    pub(super) fn wait(&mut self, limit: Duration) -> Result<Option<Bytes>, SourceFault> {
        Ok(self.runtime.block_on(self.reader.wait(limit))?)
    }
}
