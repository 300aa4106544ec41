//! Connects to a NATS server. Touches: fs, net.
//!
//! Every attempt reads its files anew, so that a new password or certificate needs no restart, and
//! says exactly what is wrong. A client that loses its server is thrown away: the caller comes here
//! again, after its own wait.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::settings::{NatsLogin, NatsSettings, NatsTls};
use crate::domain::Secret;
use crate::secret_file::{self, SecretFileFault};

/// Longest file with a password, token, seed or credentials in bytes. A user JWT with many
/// permissions has a few KiB.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// How often an idle connection is checked. Two unanswered pings are a lost connection.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// The wait between the client's own attempts when it loses its server; it gives up soon.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFault {
    /// A file with a secret can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file with a secret is not there, empty or too long.
    #[error("audit.nats.{setting}")]
    Secret {
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong.
        source: SecretFileFault,
    },
    /// A file is too long or has another form.
    #[error("{} is {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// No server's name resolves.
    #[error("cannot resolve the host {host:?}: {reason}")]
    Resolve {
        /// The last host that was tried.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No server can be reached, or none takes this login.
    #[error("cannot connect to {servers}: {reason}")]
    Connect {
        /// The servers that were tried.
        servers: String,
        /// What the client said.
        reason: String,
    },
}

/// A connected client and the news of its end.
#[derive(Debug)]
pub(super) struct Connection {
    /// The client.
    pub(super) client: Client,
    /// Cancelled when the connection is lost.
    pub(super) lost: CancellationToken,
}

/// Connects once. `notice` hears what the server complains of later, such as a missing permission.
///
/// # Errors
/// [`ConnectFault`], after [`NatsSettings::connect_timeout`] for each server at most.
pub(super) async fn connect(
    settings: &NatsSettings,
    name: &str,
    notice: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Connection, ConnectFault> {
    let options = with_login(ConnectOptions::new(), &settings.login)?;
    let options = with_tls(options, &settings.tls).await?;
    resolve(settings).await?;
    let lost = CancellationToken::new();
    let attempts = settings.urls.len();
    let options = options
        .name(name)
        .custom_inbox_prefix(settings.inbox_prefix.as_str())
        .connection_timeout(settings.connect_timeout)
        .request_timeout(Some(settings.request_timeout))
        .ping_interval(PING_INTERVAL)
        .max_reconnects(attempts.saturating_mul(2).saturating_add(1))
        .reconnect_delay_callback(move |attempt| {
            if attempt <= attempts {
                Duration::ZERO
            } else {
                RECONNECT_DELAY
            }
        })
        .event_callback(on_event(lost.clone(), notice));
    let urls: Vec<&str> = settings.urls.iter().map(super::NatsUrl::as_str).collect();
    let limit = settings.connect_timeout * u32::try_from(attempts + 1).unwrap_or(u32::MAX);
    let fault = |reason: String| ConnectFault::Connect {
        servers: urls.join(", "),
        reason,
    };
    match timeout(limit, options.connect(urls.as_slice())).await {
        Ok(Ok(client)) => Ok(Connection { client, lost }),
        Ok(Err(error)) => Err(fault(error.to_string())),
        Err(_) => Err(fault("timed out".to_owned())),
    }
}

/// What the client's events mean to us. The client wants a future that is `Sync`.
fn on_event(
    lost: CancellationToken,
    notice: impl Fn(&str) + Send + Sync + 'static,
) -> impl Fn(Event) -> std::future::Ready<()> + Send + Sync + 'static {
    move |event| {
        match event {
            Event::Disconnected | Event::Closed => lost.cancel(),
            Event::ServerError(error) => notice(&error.to_string()),
            Event::ClientError(error) => notice(&error.to_string()),
            Event::Connected | Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {}
        }
        std::future::ready(())
    }
}

fn with_login(options: ConnectOptions, login: &NatsLogin) -> Result<ConnectOptions, ConnectFault> {
    Ok(match login {
        NatsLogin::None => options,
        NatsLogin::Password { user, file } => {
            let password = read_secret("password_file", file)?;
            options.user_and_password(user.clone(), password.expose().clone())
        }
        NatsLogin::Token(file) => options.token(read_secret("token_file", file)?.expose().clone()),
        NatsLogin::Nkey(file) => options.nkey(read_seed("nkey_file", file)?.expose().clone()),
        NatsLogin::Credentials(file) => {
            // The client's parser wants a line feed behind the last dashes.
            let text = format!("{}\n", read_seed("creds_file", file)?.expose());
            let credentials = Secret::new(text);
            options
                .credentials(credentials.expose())
                .map_err(|_| ConnectFault::Content {
                    path: file.clone(),
                    what: "no credentials file: it needs a user JWT and an nkey seed",
                })?
        }
    })
}

async fn with_tls(options: ConnectOptions, tls: &NatsTls) -> Result<ConnectOptions, ConnectFault> {
    let mut options = options.require_tls(tls.required);
    if tls.first {
        options = options.tls_first();
    }
    if let Some(path) = &tls.ca_file {
        let text = read_limited(path).await?;
        if !CertificateDer::pem_slice_iter(&text).any(|certificate| certificate.is_ok()) {
            return Err(ConnectFault::Content {
                path: path.clone(),
                what: "no PEM file with a certificate",
            });
        }
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &tls.certificate {
        read_limited(certificate).await?;
        secret_file::read_private(key, MAX_SECRET_FILE).map_err(|source| ConnectFault::Secret {
            setting: "key",
            source,
        })?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// Fails when no server's name resolves; the client itself would not say which.
async fn resolve(settings: &NatsSettings) -> Result<(), ConnectFault> {
    let mut failed = None;
    for url in &settings.urls {
        let host = url.host();
        if host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let reason = match timeout(settings.connect_timeout, lookup_host((host, 0))).await {
            Ok(Ok(mut addresses)) => match addresses.next() {
                Some(_) => return Ok(()),
                None => "it has no address".to_owned(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timed out".to_owned(),
        };
        failed = Some((host.to_owned(), reason));
    }
    failed.map_or(Ok(()), |(host, reason)| {
        Err(ConnectFault::Resolve { host, reason })
    })
}

/// The secret in a file, without the line's end behind it. The file is a few bytes on a local disk, read
/// once for each connection.
fn read_secret(setting: &'static str, path: &Path) -> Result<Secret<String>, ConnectFault> {
    let bytes = secret_file::read_password(path, MAX_SECRET_FILE)
        .map_err(|source| ConnectFault::Secret { setting, source })?;
    text_of(&bytes, path)
}

/// The same of a file with a private key, which others must not be able to read.
fn read_seed(setting: &'static str, path: &Path) -> Result<Secret<String>, ConnectFault> {
    let bytes = secret_file::read_secret(path, MAX_SECRET_FILE)
        .map_err(|source| ConnectFault::Secret { setting, source })?;
    text_of(&bytes, path)
}

fn text_of(bytes: &[u8], path: &Path) -> Result<Secret<String>, ConnectFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| ConnectFault::Content {
        path: path.to_owned(),
        what: "not UTF-8",
    })?;
    Ok(Secret::new(text.to_owned()))
}

async fn read_limited(path: &Path) -> Result<Vec<u8>, ConnectFault> {
    let fault = |source| ConnectFault::Read {
        path: path.to_owned(),
        source,
    };
    let file = tokio::fs::File::open(path).await.map_err(fault)?;
    let mut bytes = Vec::new();
    let mut limited = file.take(MAX_SECRET_FILE + 1);
    let length = limited.read_to_end(&mut bytes).await.map_err(fault)?;
    if length as u64 > MAX_SECRET_FILE {
        return Err(ConnectFault::Content {
            path: path.to_owned(),
            what: "longer than 64 KiB",
        });
    }
    Ok(bytes)
}
