//! The daemon's end of the sockets. Touches: net.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::accept::Accept;
use super::access::{Kind, Listening};
use super::change::{self, Change, Done};
use super::credentials;
use super::protocol::{
    Answer, ChangeReport, KeysOutcome, MAX_LINES, MAX_REQUEST, MAX_WAIT_MS, OverlayEntryReport,
    OverlayReport, Request, StatusReport,
};
use crate::audit::Journal;
use crate::audit::chain::Line;
use crate::audit::event::{AdminAct, AdminEvent, ControlEvent};
use crate::audit::journal::Tail;
use crate::domain::{Algorithm, Caller, KeyId, Lifetime};
use crate::keys::rotate::{self, Command};
use crate::registry::check::expiries;
use crate::registry::overlay::{self, MAX_ENTRIES};
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
    /// Records who did what.
    pub journal: Journal,
    /// Commands for the keys' task.
    pub keys: mpsc::Sender<rotate::Request>,
    /// Changes of what operators take away.
    pub changes: mpsc::Sender<Change>,
    /// Sees how the daemon stands.
    pub look: Look,
    /// Releases changes that are held back.
    pub accept: Accept,
}

/// Answers requests until the daemon stops. Start it by `tasks.spawn("admin", …)`.
pub async fn serve(listening: Listening, ports: AdminPorts) {
    let Listening {
        listener,
        kind,
        by_file,
    } = listening;
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
                ended = admit(stream, (kind, by_file), &ports) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "an admin connection broke");
                    }
                }
                () = stopping.cancelled() => {}
            }
        });
    }
}

/// Lets in whom the socket's file lets in; where it is its owner's alone, only root and the owner.
async fn admit(
    stream: UnixStream,
    (kind, by_file): (Kind, bool),
    ports: &AdminPorts,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let caller = Caller {
        uid: peer.uid(),
        gid: peer.gid(),
        pid: peer.pid().and_then(|pid| pid.try_into().ok()).unwrap_or(0),
    };
    let (reader, mut writer) = stream.into_split();
    let owner = caller.uid == 0 || caller.uid == rustix::process::geteuid().as_raw();
    if !by_file && !owner {
        tracing::warn!(
            uid = caller.uid,
            pid = caller.pid,
            "refused a caller of the admin socket"
        );
        let answer = Answer::refuse("only root and the daemon's own user are served here");
        return writer.write_all(&answer.to_line()).await;
    }
    converse(BufReader::new(reader), writer, (kind, caller), ports).await
}

async fn converse(
    mut reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
    (kind, caller): (Kind, Caller),
    ports: &AdminPorts,
) -> io::Result<()> {
    loop {
        let Ok(line) = timeout(IDLE, next_request(&mut reader)).await else {
            return Ok(());
        };
        let Some(line) = line? else {
            return Ok(());
        };
        let request = serde_json::from_slice::<Request>(&line);
        let answered = async {
            match request {
                Ok(request) if kind == Kind::Status && !request.only_looks() => {
                    let answer = Answer::refuse(
                        "this socket only looks: changes go through the admin socket",
                    );
                    writer.write_all(&answer.to_line()).await
                }
                Ok(request) => answer(request, caller, ports, &mut writer).await,
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
    caller: Caller,
    ports: &AdminPorts,
    writer: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let answer = match request {
        Request::RegistryAccept { change } => ports.accept.answer(&change, caller).await,
        Request::AuditLines { from, max, wait_ms } => {
            return audit_lines(ports, (from, max, wait_ms), writer).await;
        }
        Request::KeysRotate {
            algorithm,
            compromised,
        } => match rotation(algorithm.as_deref(), compromised.as_deref()) {
            Ok(command) => obey(ports, caller, command).await,
            Err(reason) => Answer::refuse(reason),
        },
        Request::ClockAccept => obey(ports, caller, Command::AcceptClock).await,
        Request::Status { expiring_seconds } => {
            status(ports, expiring_seconds.map(Lifetime::from_seconds)).await
        }
        Request::Client { id } => credentials::client(ports, id).await,
        Request::LastUse { after } => {
            let page = credentials::last_use(ports, after.as_deref()).await;
            return writer.write_all(&page).await;
        }
        Request::ClientDisable { client, reason } => {
            change(ports, caller, change::disable(&client), reason.as_deref()).await
        }
        Request::Revoke {
            client,
            jti,
            before,
            reason,
        } => {
            let command = change::revoke(client.as_deref(), jti.as_deref(), before.as_deref());
            change(ports, caller, command, reason.as_deref()).await
        }
        Request::OverlayClear {
            entry,
            client,
            force,
            reason,
        } => {
            let command = change::clear(entry, client.as_deref(), force);
            change(ports, caller, command, reason.as_deref()).await
        }
        Request::OverlayList => list(ports),
    };
    writer.write_all(&answer.to_line()).await
}

/// Has the overlay changed, and says what of it is not as it should be.
async fn change(
    ports: &AdminPorts,
    caller: Caller,
    command: Result<overlay::Command, String>,
    reason: Option<&str>,
) -> Answer {
    let asked = command.and_then(|command| Ok((command, change::reason(reason)?)));
    let (command, reason) = match asked {
        Ok(asked) => asked,
        Err(error) => return Answer::refuse(error),
    };
    match change::ask(&ports.changes, command, caller, reason).await {
        Err(error) => Answer::refuse(error.to_string()),
        Ok(done) => {
            let seen = (ports.look.0)().seen;
            let registry = seen.registry.as_ref().map(|served| &*served.snapshot);
            Answer {
                ok: true,
                warnings: warnings(&done),
                change: Some(ChangeReport {
                    entry: OverlayEntryReport::of(&done.entry, registry),
                    in_force: done.in_force,
                    changed: done.changed,
                }),
                ..Answer::default()
            }
        }
    }
}

/// What an operator should know of a change that was made.
fn warnings(done: &Done) -> Vec<String> {
    let mut warnings = Vec::new();
    if done.in_force && !done.entry.kept {
        warnings.push(
            "it is in force, but the disk has no room for it: it is tried again, and a restart before would forget it".to_owned(),
        );
    }
    if done.in_force && !done.entry.recorded {
        warnings.push(
            "it is in force, but the audit journal takes no event: it is recorded as soon as it can be".to_owned(),
        );
    }
    let client = done.entry.what.client().filter(|_| done.in_force);
    if let Some(client) = client {
        match done.says {
            Some(overlay::Says::Absent) => warnings.push(format!(
                "the registry has no client {client}: it is in force should there be one; is the id mistyped?"
            )),
            Some(overlay::Says::Nothing) => warnings.push(format!(
                "no registry is served, so nobody knows the client {client}: it is in force whatever comes"
            )),
            _ => {}
        }
    }
    warnings
}

fn list(ports: &AdminPorts) -> Answer {
    let seen = (ports.look.0)().seen;
    let registry = seen.registry.as_ref().map(|served| &*served.snapshot);
    Answer {
        ok: true,
        overlay: Some(OverlayReport::of(
            &seen.overlay,
            registry,
            seen.now,
            MAX_ENTRIES,
        )),
        ..Answer::default()
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

/// Has the keys' task obey, and records who asked: what came of it the task has recorded then.
async fn obey(ports: &AdminPorts, caller: Caller, command: Command) -> Answer {
    let act = match &command {
        Command::AcceptClock => AdminAct::ClockAccepted,
        Command::Rotate { algorithm } => AdminAct::KeysRotated {
            algorithm: *algorithm,
            compromised: None,
        },
        Command::Compromised { kid } => AdminAct::KeysRotated {
            algorithm: None,
            compromised: Some(kid.clone()),
        },
    };
    let outcome = match rotate::ask(&ports.keys, command).await {
        Ok(outcome) => outcome,
        Err(error) => return Answer::refuse(error.to_string()),
    };
    let event = ControlEvent::Admin(AdminEvent {
        caller,
        act,
        reason: None,
    });
    let mut warnings = Vec::new();
    if let Err(reason) = ports.journal.control(event).await {
        tracing::error!(%reason, %caller, "who gave a command is not recorded");
        warnings.push(format!(
            "it is done, but who asked for it is not recorded: {reason}"
        ));
    }
    Answer {
        ok: true,
        keys: Some(KeysOutcome::from(&outcome)),
        warnings,
        ..Answer::default()
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
