//! A command's end of the admin socket. Blocking, for commands have one thing to do. Touches: net.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::protocol::{
    AcceptedRegistry, Answer, ChangeReport, ClientReport, CredentialUse, KeysOutcome, MAX_ANSWER,
    MAX_USE_LINE, MAX_USES, OverlayReport, Request, StatusReport,
};
use crate::audit::chain::MAX_LINE;
use crate::domain::Lifetime;
use crate::keys::rotate::Command;

/// The limit of one answer: the daemon waits 10 s at most before it begins one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest line of the journal in bytes, with its line feed.
const MAX_JOURNAL_LINE: usize = MAX_LINE + 1;

/// A connection to a live daemon.
#[derive(Debug)]
pub struct AdminClient {
    stream: BufReader<UnixStream>,
}

/// Why the daemon's answer is none.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The connection broke, or took too long.
    #[error("the daemon's admin socket gives no answer")]
    Io(#[from] io::Error),
    /// The daemon said no.
    #[error("the daemon refuses: {0}")]
    Refused(String),
    /// Something that is no answer: another program, or another version.
    #[error("the daemon's answer is not understood: is it of another version?")]
    Answer,
}

/// Lines of the journal, and its bounds.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The first sequence in the journal.
    pub oldest: u64,
    /// The highest sequence on disk.
    pub durable: u64,
    /// The lines, byte for byte, without line feeds.
    pub lines: Vec<Bytes>,
}

/// A page of last uses.
#[derive(Clone, Debug)]
pub struct Uses {
    /// When the daemon was asked, in RFC 3339.
    pub now: String,
    /// The credentials, in the order of their clients.
    pub uses: Vec<CredentialUse>,
    /// The client after which the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl AdminClient {
    /// Connects to a socket.
    ///
    /// # Errors
    /// As the system says: `NotFound` or `ConnectionRefused` when no daemon is there.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Up to `max` lines from `from` (0: the oldest) on; waits for one when there is none yet.
    ///
    /// # Errors
    /// [`ClientFault`].
    pub fn audit_lines(
        &mut self,
        from: u64,
        max: usize,
        wait: Duration,
    ) -> Result<Lines, ClientFault> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let answer = self.ask(&Request::AuditLines { from, max, wait_ms })?;
        let (Some(oldest), Some(durable), Some(count)) =
            (answer.oldest, answer.durable, answer.lines)
        else {
            return Err(ClientFault::Answer);
        };
        let mut lines = Vec::with_capacity(count.min(max));
        for _ in 0..count {
            lines.push(Bytes::from(self.line(MAX_JOURNAL_LINE)?));
        }
        Ok(Lines {
            oldest,
            durable,
            lines,
        })
    }

    /// Rotates rings: of one algorithm, of all, or away from a key that is in wrong hands. What was done, and
    /// what is not as it should be.
    ///
    /// # Errors
    /// [`ClientFault::Refused`] with the rotation's own words.
    pub fn rotate_keys(
        &mut self,
        command: &Command,
    ) -> Result<(KeysOutcome, Vec<String>), ClientFault> {
        let request = match command {
            Command::Rotate { algorithm } => Request::KeysRotate {
                algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()),
                compromised: None,
            },
            Command::Compromised { kid } => Request::KeysRotate {
                algorithm: None,
                compromised: Some(kid.as_str().to_owned()),
            },
            Command::AcceptClock => Request::ClockAccept,
        };
        let answer = self.ask(&request)?;
        let keys = answer.keys.ok_or(ClientFault::Answer)?;
        Ok((keys, answer.warnings))
    }

    /// How the daemon stands, with what expires within this window, or within that of its settings.
    ///
    /// # Errors
    /// [`ClientFault`].
    pub fn status(&mut self, expiring: Option<Lifetime>) -> Result<StatusReport, ClientFault> {
        let expiring_seconds = expiring.map(Lifetime::seconds);
        let answer = self.ask(&Request::Status { expiring_seconds })?;
        answer.status.ok_or(ClientFault::Answer)
    }

    /// One client of the registry that is served.
    ///
    /// # Errors
    /// [`ClientFault::Refused`] when there is none of this id.
    pub fn client(&mut self, id: &str) -> Result<ClientReport, ClientFault> {
        let answer = self.ask(&Request::Client { id: id.to_owned() })?;
        answer.client.ok_or(ClientFault::Answer)
    }

    /// The last uses of the credentials of the clients behind this one, as many as one answer holds.
    ///
    /// # Errors
    /// [`ClientFault`].
    pub fn last_use(&mut self, after: Option<String>) -> Result<Uses, ClientFault> {
        let answer = self.ask(&Request::LastUse { after })?;
        let (Some(now), Some(count)) = (answer.now, answer.lines) else {
            return Err(ClientFault::Answer);
        };
        let mut uses = Vec::with_capacity(count.min(MAX_USES));
        for _ in 0..count {
            let line = self.line(MAX_USE_LINE)?;
            uses.push(serde_json::from_slice(&line).map_err(|_| ClientFault::Answer)?);
        }
        Ok(Uses {
            now,
            uses,
            next: answer.next,
        })
    }

    /// What operators took away.
    ///
    /// # Errors
    /// [`ClientFault`].
    pub fn overlay(&mut self) -> Result<OverlayReport, ClientFault> {
        let answer = self.ask(&Request::OverlayList)?;
        answer.overlay.ok_or(ClientFault::Answer)
    }

    /// Has the overlay changed by a request that does so; the change, and what is not as it should be.
    ///
    /// # Errors
    /// [`ClientFault::Refused`] with the daemon's own words.
    pub fn change(
        &mut self,
        request: &Request,
    ) -> Result<(ChangeReport, Vec<String>), ClientFault> {
        let answer = self.ask(request)?;
        let change = answer.change.ok_or(ClientFault::Answer)?;
        Ok((change, answer.warnings))
    }

    /// Releases a change of the registry that is held back.
    ///
    /// # Errors
    /// [`ClientFault::Refused`] when another change waits, or none.
    pub fn accept_registry(&mut self, change: &str) -> Result<AcceptedRegistry, ClientFault> {
        let change = change.to_owned();
        let answer = self.ask(&Request::RegistryAccept { change })?;
        answer.accepted.ok_or(ClientFault::Answer)
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, ClientFault> {
        let mut line = serde_json::to_vec(request).map_err(|_| ClientFault::Answer)?;
        line.push(b'\n');
        let sent = self.stream.get_mut().write_all(&line);
        // Who is not let in is told so before it has asked, and the question meets a closed door.
        let line = match (sent, self.line(MAX_ANSWER)) {
            (Err(unsent), Err(_)) => return Err(unsent.into()),
            (_, answered) => answered?,
        };
        let answer: Answer = serde_json::from_slice(&line).map_err(|_| ClientFault::Answer)?;
        if answer.ok {
            return Ok(answer);
        }
        Err(ClientFault::Refused(answer.error.unwrap_or_default()))
    }

    fn line(&mut self, max: usize) -> Result<Vec<u8>, ClientFault> {
        let mut line = Vec::new();
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        let mut limited = self.stream.by_ref().take(max);
        limited.read_until(b'\n', &mut line)?;
        if line.pop() == Some(b'\n') {
            Ok(line)
        } else {
            Err(ClientFault::Answer)
        }
    }
}
