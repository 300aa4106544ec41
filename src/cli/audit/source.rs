//! Where events come from: a live daemon, the files of a stopped one, or a stream. Touches: fs, net.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{FlockOperation, Mode, OFlags};

use super::Fault;
use super::files::{FileLines, SegmentFault};
use super::nats::{NatsArgs, StreamLines};
use crate::admin::{AdminClient, ClientFault, MAX_LINES, SOCKET};
use crate::audit::ship::ReadFault;
use crate::domain::UnixSeconds;

/// The journal's folder in the state directory.
const JOURNAL: &str = "journal";

/// The file that a live daemon holds locked.
const LOCK: &str = "lock";

/// How long one wait for a new event lasts before the next begins.
const WAIT: Duration = Duration::from_secs(5);

/// Where to read events from.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct SourceArgs {
    /// The state directory of a daemon on this machine, live or stopped
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "nats",
        required_unless_present_any = ["nats", "socket"]
    )]
    state: Option<PathBuf>,
    /// A socket of a live daemon, where its state directory can't be reached: the one that only looks does
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state", "nats"])]
    socket: Option<PathBuf>,
    #[command(flatten)]
    nats: NatsArgs,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With the oldest event.
    Beginning,
    /// With the last events, this many.
    Last(u64),
    /// With events of this moment; earlier ones may come too.
    Since(UnixSeconds),
}

/// Why events can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceFault {
    /// There is no state directory.
    #[error("there is no journal in {}: is it the state directory?", .0.display())]
    NoState(PathBuf),
    /// A daemon runs, and its socket does not answer.
    #[error("a daemon holds {}, but its admin socket can't be reached", path.display())]
    Unreachable {
        /// The state directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody answers on the socket that was named.
    #[error("cannot ask a daemon at {}", path.display())]
    NoSocket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The live daemon gives no lines.
    #[error(transparent)]
    Live(#[from] ClientFault),
    /// A segment can't be read.
    #[error(transparent)]
    Segment(#[from] SegmentFault),
    /// The stream can't be read.
    #[error(transparent)]
    Stream(#[from] ReadFault),
    /// A runtime for the network can't be started.
    #[error("cannot start the network")]
    Runtime(#[source] io::Error),
}

/// Events in their order, from wherever they are.
pub(super) enum Source {
    /// A live daemon.
    Live(LiveLines),
    /// The files of a stopped one.
    Files(FileLines),
    /// A stream.
    Stream(Box<StreamLines>),
}

impl Source {
    /// Finds the events.
    pub(super) fn open(args: &SourceArgs, start: Start) -> Result<Self, Fault> {
        if let Some(socket) = &args.socket {
            let client = AdminClient::connect(socket).map_err(|source| SourceFault::NoSocket {
                path: socket.clone(),
                source,
            })?;
            return Ok(Self::Live(LiveLines::open(client, socket, start)?));
        }
        let Some(state) = &args.state else {
            return Ok(Self::Stream(Box::new(StreamLines::open(
                &args.nats, start,
            )?)));
        };
        match AdminClient::connect(&state.join(SOCKET)) {
            Ok(client) => Ok(Self::Live(LiveLines::open(client, state, start)?)),
            Err(error) => Ok(stopped(state, start, error)?),
        }
    }

    /// The next event, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, SourceFault> {
        match self {
            Self::Live(lines) => lines.next(Duration::ZERO),
            Self::Files(lines) => Ok(lines.next()?),
            Self::Stream(lines) => lines.next(),
        }
    }

    /// The next event; `None` when none came for a while.
    pub(super) fn wait(&mut self) -> Result<Option<Bytes>, SourceFault> {
        match self {
            Self::Live(lines) => lines.next(WAIT),
            Self::Files(lines) => Ok(lines.wait()?),
            Self::Stream(lines) => lines.wait(WAIT),
        }
    }

    /// The source in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Live(lines) => format!("{} (live daemon)", lines.state.display()),
            Self::Files(lines) => format!("{} (stopped daemon)", lines.folder().display()),
            Self::Stream(lines) => lines.describe(),
        }
    }

    /// Something worth knowing that is no finding.
    pub(super) fn note(&self) -> Option<String> {
        match self {
            Self::Files(lines) => lines.note(),
            Self::Live(_) | Self::Stream(_) => None,
        }
    }
}

/// No socket answers: the files may be read when no daemon holds the lock.
fn stopped(state: &Path, start: Start, source: io::Error) -> Result<Source, SourceFault> {
    if is_locked(&state.join(LOCK)) {
        return Err(SourceFault::Unreachable {
            path: state.to_owned(),
            source,
        });
    }
    let folder = state.join(JOURNAL);
    if !folder.is_dir() {
        return Err(SourceFault::NoState(state.to_owned()));
    }
    Ok(Source::Files(FileLines::open(&folder, start)?))
}

/// Whether somebody holds the lock. A lock that is not there is held by nobody.
fn is_locked(path: &Path) -> bool {
    let Ok(file) = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    // Given back when the file is closed, at once.
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)
        .is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK)
}

/// The journal of a live daemon.
pub(super) struct LiveLines {
    client: AdminClient,
    state: PathBuf,
    next: u64,
    end: u64,
    ready: std::vec::IntoIter<Bytes>,
}

impl LiveLines {
    fn open(mut client: AdminClient, state: &Path, start: Start) -> Result<Self, SourceFault> {
        let bounds = client.audit_lines(0, 0, Duration::ZERO)?;
        let next = match start {
            Start::Beginning | Start::Since(_) => bounds.oldest,
            Start::Last(count) => (bounds.durable + 1)
                .saturating_sub(count)
                .max(bounds.oldest),
        };
        Ok(Self {
            client,
            state: state.to_owned(),
            next,
            end: bounds.durable,
            ready: Vec::new().into_iter(),
        })
    }

    /// The next line. Without a wait the end is what it was when the source was opened.
    fn next(&mut self, wait: Duration) -> Result<Option<Bytes>, SourceFault> {
        if let Some(line) = self.ready.next() {
            return Ok(Some(line));
        }
        let mut most = MAX_LINES;
        if wait.is_zero() {
            if self.next > self.end {
                return Ok(None);
            }
            let left = self.end - self.next + 1;
            most = most.min(usize::try_from(left).unwrap_or(most));
        }
        let lines = self.client.audit_lines(self.next, most, wait)?.lines;
        self.next += lines.len() as u64;
        self.ready = lines.into_iter();
        Ok(self.ready.next())
    }
}
