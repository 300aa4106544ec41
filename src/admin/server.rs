//! The daemon's end of the admin socket. Touches: fs, net.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::credentials;
use super::protocol::{
    Answer, KeysOutcome, MAX_LINES, MAX_REQUEST, MAX_WAIT_MS, Request, StatusReport,
};
use crate::audit::chain::Line;
use crate::audit::journal::Tail;
use crate::domain::{Algorithm, KeyId, Lifetime};
use crate::keys::rotate::{self, Command};
use crate::registry::check::expiries;
use crate::tasks::Tasks;
use crate::telemetry::status::Status;

/// Most callers at once: operators and their scripts, not a load.
const MAX_CALLERS: usize = 16;

/// How long a caller may be silent between two requests, and how long one may take to read.
const IDLE: Duration = Duration::from_secs(60);

/// The wait after `accept` failed, as it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Most bytes of lines in one answer: 1,000 usual lines fit.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Sees how the daemon stands.
#[derive(Clone)]
pub struct Look(Arc<dyn Fn() -> Status + Send + Sync>);

impl Look {
    /// By asking this.
    pub fn new(look: impl Fn() -> Status + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    /// How it stands now.
    pub(super) fn status(&self) -> Status {
        (self.0)()
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look")
    }
}

/// What requests are answered from. Later requests add their sources here.
#[derive(Clone, Debug)]
pub struct AdminPorts {
    /// The journal's durable end.
    pub tail: Tail,
    /// Runs connections, and what blocks.
    pub tasks: Tasks,
    /// Commands for the keys' task.
    pub keys: mpsc::Sender<rotate::Request>,
    /// Sees how the daemon stands.
    pub look: Look,
}

/// The socket can't be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the admin socket {}", path.display())]
pub struct BindFault {
    path: PathBuf,
    source: io::Error,
}

/// Makes the socket, for its owner alone. One that is left of a daemon before is replaced: call this
/// only while holding the lock of the state directory.
///
/// # Errors
/// [`BindFault`]: the path is too long for a socket (107 bytes), or the directory can't be written.
pub fn bind(path: &Path) -> Result<UnixListener, BindFault> {
    let fault = |source| BindFault {
        path: path.to_owned(),
        source,
    };
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fault(error)),
    }
    let listener = UnixListener::bind(path).map_err(fault)?;
    // The peer's user is checked for each connection; the mode is a second door.
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, owner_only).map_err(fault)?;
    Ok(listener)
}

/// Answers requests until the daemon stops. Start it by `tasks.spawn("admin", …)`.
pub async fn serve(listener: UnixListener, ports: AdminPorts) {
    let callers = Arc::new(Semaphore::new(MAX_CALLERS));
    let stopping = ports.tasks.stopping();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the admin socket");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&callers).try_acquire_owned() else {
            tracing::warn!("too many callers on the admin socket");
            continue;
        };
        let ports = ports.clone();
        let stopping = stopping.clone();
        ports.tasks.clone().spawn_short(async move {
            let _place = place;
            tokio::select! {
                ended = converse(stream, &ports) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "an admin connection broke");
                    }
                }
                () = stopping.cancelled() => {}
            }
        });
    }
}

async fn converse(stream: UnixStream, ports: &AdminPorts) -> io::Result<()> {
    let caller = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    if caller != 0 && caller != rustix::process::geteuid().as_raw() {
        tracing::warn!(uid = caller, "refused a caller of the admin socket");
        let answer = Answer::refuse("only root and the daemon's own user are served here");
        return writer.write_all(&answer.to_line()).await;
    }
    let mut reader = BufReader::new(reader);
    loop {
        let Ok(line) = timeout(IDLE, next_request(&mut reader)).await else {
            return Ok(());
        };
        let Some(line) = line? else {
            return Ok(());
        };
        let request = serde_json::from_slice(&line);
        let answered = async {
            match request {
                Ok(request) => answer(request, ports, &mut writer).await,
                Err(error) => {
                    let answer = Answer::refuse(format!("not a request: {error}"));
                    writer.write_all(&answer.to_line()).await
                }
            }
        };
        match timeout(IDLE, answered).await {
            Ok(answered) => answered?,
            Err(_) => return Ok(()),
        }
    }
}

/// The next line, or `None` at the end of the connection or behind too long a line.
async fn next_request(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    reader.take(limit).read_until(b'\n', &mut line).await?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

async fn answer(
    request: Request,
    ports: &AdminPorts,
    writer: &mut OwnedWriteHalf,
) -> io::Result<()> {
    match request {
        Request::AuditLines { from, max, wait_ms } => {
            audit_lines(ports, (from, max, wait_ms), writer).await
        }
        Request::KeysRotate {
            algorithm,
            compromised,
        } => {
            let answer = match rotation(algorithm.as_deref(), compromised.as_deref()) {
                Ok(command) => obey(ports, command).await,
                Err(reason) => Answer::refuse(reason),
            };
            writer.write_all(&answer.to_line()).await
        }
        Request::ClockAccept => {
            let answer = obey(ports, Command::AcceptClock).await;
            writer.write_all(&answer.to_line()).await
        }
        Request::Status { expiring_seconds } => {
            let window = expiring_seconds.map(Lifetime::from_seconds);
            let answer = status(ports, window).await;
            writer.write_all(&answer.to_line()).await
        }
        Request::Client { id } => {
            let answer = credentials::client(ports, id).await;
            writer.write_all(&answer.to_line()).await
        }
        Request::LastUse { after } => {
            let page = credentials::last_use(ports, after.as_deref()).await;
            writer.write_all(&page).await
        }
    }
}

async fn status(ports: &AdminPorts, window: Option<Lifetime>) -> Answer {
    let status = ports.look.status();
    let window = window.unwrap_or(status.seen.expiry_window);
    // A walk over all clients: not on a thread that serves requests.
    let report = ports.tasks.blocking(move || {
        let seen = &status.seen;
        let ending = seen.registry.as_deref().map_or_else(Vec::new, |served| {
            expiries(&served.snapshot, seen.now, window)
        });
        StatusReport::of(&status, &ending, window)
    });
    match report.await {
        Some(report) => Answer {
            ok: true,
            status: Some(report),
            ..Answer::default()
        },
        None => Answer::refuse("the daemon is stopping"),
    }
}

fn rotation(algorithm: Option<&str>, compromised: Option<&str>) -> Result<Command, String> {
    match (algorithm, compromised) {
        (Some(_), Some(_)) => Err("either an algorithm or a key, not both".to_owned()),
        (None, Some(kid)) => KeyId::parse(kid)
            .map(|kid| Command::Compromised { kid })
            .map_err(|_| "a key id has 43 characters of base64url".to_owned()),
        (Some(name), None) => name
            .parse::<Algorithm>()
            .map(|algorithm| Command::Rotate {
                algorithm: Some(algorithm),
            })
            .map_err(|error| error.to_string()),
        (None, None) => Ok(Command::Rotate { algorithm: None }),
    }
}

async fn obey(ports: &AdminPorts, command: Command) -> Answer {
    match rotate::ask(&ports.keys, command).await {
        Ok(outcome) => Answer {
            ok: true,
            keys: Some(KeysOutcome::from(&outcome)),
            ..Answer::default()
        },
        Err(error) => Answer::refuse(error.to_string()),
    }
}

async fn audit_lines(
    ports: &AdminPorts,
    (from, max, wait_ms): (u64, usize, u64),
    writer: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let oldest = ports.tail.oldest();
    let from = if from == 0 { oldest } else { from };
    let mut durable = ports.tail.durable();
    let wait = Duration::from_millis(wait_ms.min(MAX_WAIT_MS));
    if !wait.is_zero() {
        // Without a new line in time the answer has none.
        let _in_time = timeout(wait, durable.wait_for(|durable| *durable >= from)).await;
    }
    let last = *durable.borrow();
    let max = max.min(MAX_LINES);
    let lines = if max == 0 || from > last {
        Ok(Vec::new())
    } else {
        read(ports, from, max).await
    };
    let lines = match lines {
        Ok(lines) => lines,
        Err(error) => return writer.write_all(&Answer::refuse(error).to_line()).await,
    };
    let answer = Answer {
        ok: true,
        oldest: Some(oldest),
        durable: Some(last),
        lines: Some(lines.len()),
        ..Answer::default()
    };
    let mut out = answer.to_line();
    for line in &lines {
        out.extend_from_slice(line.bytes());
        out.push(b'\n');
    }
    writer.write_all(&out).await
}

async fn read(ports: &AdminPorts, from: u64, max: usize) -> Result<Vec<Line>, String> {
    let tail = ports.tail.clone();
    match ports
        .tasks
        .blocking(move || tail.read(from, max, MAX_BYTES))
        .await
    {
        Some(Ok(lines)) => Ok(lines),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the daemon is stopping".to_owned()),
    }
}
