//! The events that are not about one request: registry, keys, the daemon itself. Pure.

use super::admin::AdminEvent;
use super::certificate::{CertificateLoaded, CertificateRefused};
use super::expiring::RegistryExpiring;
use super::json::Object;
use super::keys::{ClockChange, KeyEvent};
use super::last_good::{RegistryAccepted, RegistryHeld, RegistryRestored};
use super::token::{fill_registry, registry};
use super::{Envelope, EventKind, Outside, StreamAlarm, head};
use crate::audit::chain::{Lineage, Tip};
use crate::audit::decision::RegistryRef;
use crate::domain::{CommitId, Digest};

/// Most problems of a refused registry that its event names; it counts the rest. So an event stays
/// below half of a line, however long the texts are once escaped.
pub const MAX_PROBLEMS: usize = 16;

/// An event that [`crate::audit::Journal::control`] records.
#[derive(Clone, Debug)]
pub enum ControlEvent {
    /// `registry.applied`
    RegistryApplied(RegistryApplied),
    /// `registry.rejected`
    RegistryRejected(RegistryRejected),
    /// `key.*`
    Key(KeyEvent),
    /// `daemon.stream_regressed`, `daemon.stream_gap`
    Stream(StreamAlarm),
    /// `daemon.clock_changed`
    Clock(ClockChange),
    /// `daemon.certificate_loaded`
    CertificateLoaded(CertificateLoaded),
    /// `daemon.certificate_refused`
    CertificateRefused(CertificateRefused),
    /// `registry.expiring`
    RegistryExpiring(RegistryExpiring),
    /// `admin.*`
    Admin(AdminEvent),
    /// `registry.restored`
    RegistryRestored(RegistryRestored),
    /// `registry.held`
    RegistryHeld(RegistryHeld),
    /// `admin.registry_accepted`
    RegistryAccepted(RegistryAccepted),
}

/// A registry that is served from now on.
#[derive(Clone, Debug)]
pub struct RegistryApplied {
    /// The registry.
    pub registry: RegistryRef,
    /// The digest of the one before; `None` for the first of all.
    pub previous: Option<Digest>,
    /// What it holds.
    pub totals: ObjectCounts,
    /// How its clients differ from those before.
    pub clients: Counts,
    /// How its resources differ from those before.
    pub resources: Counts,
    /// Whether `[policy]` differs.
    pub policy_changed: bool,
}

/// How many objects a registry has.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectCounts {
    /// Its clients.
    pub clients: u64,
    /// Its resources.
    pub resources: u64,
}

/// How many objects of a kind differ between two registries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// New ones.
    pub added: u64,
    /// Ones with another content.
    pub changed: u64,
    /// Ones that are gone.
    pub removed: u64,
}

/// A registry that was not accepted.
#[derive(Clone, Debug)]
pub struct RegistryRejected {
    /// The commit of the refused folder, when it is a git work tree.
    pub commit: Option<CommitId>,
    /// Whether the folder differs from that commit, where that is known.
    pub dirty: Option<bool>,
    /// How many problems there are.
    pub total: u64,
    /// The first of them; those beyond [`MAX_PROBLEMS`] are left out.
    pub problems: Vec<Location>,
    /// The registry that is served on.
    pub serving: Option<RegistryRef>,
}

/// A problem of a registry file.
#[derive(Clone, Debug)]
pub struct Location {
    /// The file, below the registry folder.
    pub file: Outside,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// The column, from 1; 0 for the line as a whole.
    pub column: u64,
    /// What is wrong, without the marked line.
    pub what: Outside,
}

/// Why a lineage is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalCause {
    /// The stream holds lines of this chain that the journal does not: a restored or cloned disk.
    StreamAhead,
    /// The stream's last message for this instance is none of the journal's lines.
    StreamForeign,
    /// An operator asked for it.
    Operator,
}

/// The facts of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineageRenewal {
    /// Why.
    pub cause: RenewalCause,
    /// The sequence (of a line) that the stream's last message has.
    pub stream_head_sequence: Option<u64>,
    /// The SHA-256 of the stream's last message, or the hash of its line.
    pub stream_head: Option<Digest>,
}

/// Why a daemon stops cleanly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// It was told to, by a signal or by its service manager.
    Signal,
    /// A task or thread ended early.
    TaskEnded(&'static str),
}

/// What was moved aside at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecovered {
    /// The segment, by its file name.
    pub segment: String,
    /// Where in it the valid lines ended, in bytes.
    pub offset: u64,
    /// How many bytes were moved.
    pub bytes: u64,
    /// The file that they were moved to, below the journal's folder.
    pub moved_to: String,
    /// The last sequence that stands.
    pub kept_until: u64,
}

/// What `daemon.started` says.
#[derive(Clone, Copy, Debug)]
pub(in crate::audit) struct Started<'a> {
    /// The program's version.
    pub version: &'a str,
    /// How the daemon before ended; `None` when there was none.
    pub previous_stop_clean: Option<bool>,
    /// The last sequence of the daemon before.
    pub previous_sequence: u64,
    /// What was moved aside.
    pub recovered: Option<&'a JournalRecovered>,
}

impl ControlEvent {
    /// Which event it is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::RegistryApplied(_) => EventKind::RegistryApplied,
            Self::RegistryRejected(_) => EventKind::RegistryRejected,
            Self::Key(event) => event.step.kind(),
            Self::Stream(alarm) => alarm.kind(),
            Self::Clock(_) => EventKind::DaemonClockChanged,
            Self::CertificateLoaded(_) => EventKind::DaemonCertificateLoaded,
            Self::CertificateRefused(_) => EventKind::DaemonCertificateRefused,
            Self::RegistryExpiring(_) => EventKind::RegistryExpiring,
            Self::Admin(event) => event.kind(),
            Self::RegistryRestored(_) => EventKind::RegistryRestored,
            Self::RegistryHeld(_) => EventKind::RegistryHeld,
            Self::RegistryAccepted(_) => EventKind::AdminRegistryAccepted,
        }
    }

    /// The head of its line.
    pub(in crate::audit) fn head(&self, envelope: &Envelope<'_>) -> Vec<u8> {
        let kind = self.kind();
        match self {
            Self::RegistryApplied(event) => head(envelope, kind, None, |data| event.fill(data)),
            Self::RegistryRejected(event) => head(envelope, kind, None, |data| event.fill(data)),
            Self::Key(event) => head(envelope, kind, Some(event.key.as_str()), |data| {
                event.fill(data);
            }),
            Self::Stream(alarm) => alarm.head(envelope),
            Self::Clock(change) => head(envelope, kind, None, |data| change.fill(data)),
            Self::CertificateLoaded(event) => head(envelope, kind, None, |data| event.fill(data)),
            Self::CertificateRefused(event) => head(envelope, kind, None, |data| event.fill(data)),
            Self::RegistryExpiring(event) => head(envelope, kind, None, |data| event.fill(data)),
            Self::Admin(event) => event.head(envelope),
            Self::RegistryRestored(event) => event.head(envelope),
            Self::RegistryHeld(event) => event.head(envelope),
            Self::RegistryAccepted(event) => event.head(envelope),
        }
    }
}

impl RegistryApplied {
    fn fill(&self, data: &mut Object<'_>) {
        data.object("registry", |object| fill_registry(object, &self.registry));
        if let Some(previous) = &self.previous {
            data.shown("previous_digest", previous);
        }
        data.number("clients_total", self.totals.clients);
        data.number("resources_total", self.totals.resources);
        data.object("clients", |object| self.clients.fill(object));
        data.object("resources", |object| self.resources.fill(object));
        data.truth("policy_changed", self.policy_changed);
    }
}

impl Counts {
    fn fill(self, object: &mut Object<'_>) {
        object.number("added", self.added);
        object.number("changed", self.changed);
        object.number("removed", self.removed);
    }
}

impl RegistryRejected {
    fn fill(&self, data: &mut Object<'_>) {
        data.optional("commit", self.commit.as_ref().map(CommitId::as_str));
        if let Some(dirty) = self.dirty {
            data.truth("dirty", dirty);
        }
        data.number("problems_total", self.total);
        let first = self.problems.iter().take(MAX_PROBLEMS);
        data.list("problems", first, |object, problem| {
            object.text("file", problem.file.as_str());
            object.number("line", problem.line);
            object.number("column", problem.column);
            object.text("what", problem.what.as_str());
        });
        // What is served on, under the name that every event has for it.
        registry(data, self.serving.as_ref());
    }
}

impl RenewalCause {
    /// The cause as events spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StreamAhead => "stream_ahead",
            Self::StreamForeign => "stream_foreign",
            Self::Operator => "operator",
        }
    }
}

impl JournalRecovered {
    fn fill(&self, data: &mut Object<'_>) {
        data.text("segment", Outside::cut(&self.segment).as_str());
        data.number("offset", self.offset);
        data.number("bytes", self.bytes);
        data.text("moved_to", Outside::cut(&self.moved_to).as_str());
        data.number("kept_until", self.kept_until);
    }

    /// `daemon.journal_recovered`
    pub(in crate::audit) fn head(&self, envelope: &Envelope<'_>) -> Vec<u8> {
        let kind = EventKind::DaemonJournalRecovered;
        head(envelope, kind, None, |data| self.fill(data))
    }
}

impl StopCause {
    /// `daemon.stopped`: the last line of a daemon that stopped cleanly.
    pub(in crate::audit) fn head(self, envelope: &Envelope<'_>) -> Vec<u8> {
        head(
            envelope,
            EventKind::DaemonStopped,
            None,
            |data| match self {
                Self::Signal => data.plain("cause", b"signal"),
                Self::TaskEnded(name) => {
                    data.plain("cause", b"task_ended");
                    data.text("task", Outside::cut(name).as_str());
                }
            },
        )
    }
}

/// `daemon.started`
pub(in crate::audit) fn daemon_started(envelope: &Envelope<'_>, started: &Started<'_>) -> Vec<u8> {
    head(envelope, EventKind::DaemonStarted, None, |data| {
        data.text("version", Outside::cut(started.version).as_str());
        let stop: &[u8] = match started.previous_stop_clean {
            None => b"none",
            Some(true) => b"clean",
            Some(false) => b"unclean",
        };
        data.plain("previous_stop", stop);
        data.number("previous_sequence", started.previous_sequence);
        if let Some(recovered) = started.recovered {
            data.object("moved_aside", |object| recovered.fill(object));
        }
    })
}

/// `daemon.lineage_started`: the first line of a journal.
pub(in crate::audit) fn lineage_started(envelope: &Envelope<'_>, lineage: Lineage) -> Vec<u8> {
    head(envelope, EventKind::DaemonLineageStarted, None, |data| {
        data.plain("new_lineage", &lineage.to_hex());
    })
}

/// `daemon.lineage_renewed`: the first line of a new lineage, after `old`.
pub(in crate::audit) fn lineage_renewed(
    envelope: &Envelope<'_>,
    renewal: &LineageRenewal,
    old: &Tip,
    new: Lineage,
) -> Vec<u8> {
    head(envelope, EventKind::DaemonLineageRenewed, None, |data| {
        data.plain("cause", renewal.cause.name().as_bytes());
        data.plain("old_lineage", &old.lineage.to_hex());
        data.number("old_sequence", old.sequence);
        data.shown("old_head", old.hash);
        data.plain("new_lineage", &new.to_hex());
        if let Some(sequence) = renewal.stream_head_sequence {
            data.number("stream_head_sequence", sequence);
        }
        if let Some(head) = &renewal.stream_head {
            data.shown("stream_head", head);
        }
    })
}
