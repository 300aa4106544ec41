//! Opens and binds the parts, from the edges inwards. Touches: fs, net, process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::warn;

use super::certificate;
use super::last_good::Beginning;
use super::overlay::Taken;
use super::seams::read_mark;
use super::service::Manager;
use super::{Plan, Sockets};
use crate::admin::{self, Door, GroupName, Kind, Listening};
use crate::audit::Journal;
use crate::audit::journal::{OpenError, Opening};
use crate::clock::Clock;
use crate::keys::custody::{Custody, CustodyError};
use crate::keys::rotate::{Keeper, KeysError, OnMissing, Parts};
use crate::keys::seal::{SealError, Sealer};
use crate::keys::time::Reading;
use crate::listener::{self, BindError, Bound, CertificateFiles, ServedCertificate, TlsError};
use crate::mint::jws;
use crate::registry::ledger::Ledger;
use crate::registry::publish::{Publisher, Update};
use crate::settings::{AdminSettings, Settings, SocketSettings};
use crate::store::{OnCorruption, StateDir, StateDirError, Store, StoreError};
use crate::tasks::{Ended, Idle, Tasks, ThreadError};

/// Why the daemon does not start. Each names what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No threads or descriptors.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// An address can't be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sealing key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key files.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] admin::BindFault),
    /// A thread.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// The folder holds no registry to be served, and the start was to be strict.
    #[error("not started (--strict): the registry folder holds no registry that can be served")]
    Registry(Box<Update>),
}

/// The registry's task before it runs.
pub(super) enum Registry {
    /// Nothing was read yet.
    Unread(Box<Publisher>),
    /// The folder was read, and what was kept.
    Read(Box<Beginning>),
}

/// Everything that is opened and bound; nothing runs yet but the journal.
pub struct Built {
    pub(super) settings: Settings,
    pub(super) state: StateDir,
    pub(super) store: Arc<Store>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) keeper: Keeper,
    pub(super) journal: Journal,
    pub(super) certificate: Arc<ServedCertificate>,
    pub(super) registry: Registry,
    pub(super) manager: Manager,
    pub(super) public: Bound,
    pub(super) monitor: Bound,
    /// The socket for everything, and the one that only looks.
    pub(super) admin: [Listening; 2],
    /// What operators took away.
    pub(super) taken: Taken,
    pub(super) tasks: Tasks,
    pub(super) ended: Ended,
}

/// Opens and binds everything. Blocks on the disk.
///
/// # Errors
/// [`StartError`] for the first thing that is not as it must be. No event was recorded then.
pub fn build(plan: Plan, runtime: &Handle, idle: Idle) -> Result<Built, StartError> {
    let descriptors = listener::raise_limit();
    let Plan {
        mut settings,
        sockets,
        accept_lost_journal,
        strict,
    } = plan;
    let Sockets { public, monitor } = sockets;
    let clock = Clock::of_this_machine();
    // The admin socket registers with the runtime.
    let _context = runtime.enter();
    let (tasks, ended) = Tasks::new(runtime.clone(), idle);
    let manager = Manager::of_this_process(&tasks)?;
    let certificate = certificate::first(&certificate_files(&settings), clock)?;
    // Before the ports: a second daemon with the same settings is told of the first, not of a port.
    let state = StateDir::open(&settings.state)?;
    let public = bind(public, settings.listen)?;
    let monitor = bind(monitor, settings.metrics_listen)?;
    let store = Arc::new(Store::open(&state.db(), OnCorruption::Refuse)?);
    let ledger = Arc::new(Ledger::of(store.last_uses()?));
    let keeper = open_keys(&settings, &store, clock)?;
    if accept_lost_journal {
        // The new journal's lines are other lines: what was confirmed says nothing of them.
        store.set_ship_mark(&[])?;
    }
    let publisher = Publisher::new(&settings.registry, clock);
    let registry = if strict {
        strictly(publisher, &state, &store)?
    } else {
        Registry::Unread(Box::new(publisher))
    };
    let mark = read_mark(&store)?;
    let taken = Taken::read(&store)?;
    let admin = bind_admin(&settings.admin, &settings.state)?;
    let opening = Opening {
        issuer: settings.issuer.clone(),
        instance: settings.instance.clone(),
        version: env!("CARGO_PKG_VERSION"),
        confirmed: mark.map(|mark| mark.sequence),
    };
    let journal = Journal::open(&state.journal(), settings.journal, &opening, &tasks, clock)?;
    fit_connections(&mut settings, descriptors);
    Ok(Built {
        settings,
        state,
        store,
        ledger,
        keeper,
        journal,
        certificate: ServedCertificate::new(certificate),
        registry,
        manager,
        public,
        monitor,
        admin,
        taken,
        tasks,
        ended,
    })
}

/// Reads the registry before anything is recorded, and goes no further without a good one.
fn strictly(publisher: Publisher, state: &StateDir, store: &Store) -> Result<Registry, StartError> {
    let read = Beginning::read(publisher, &state.registry(), store)?;
    match &read.update {
        Update::Applied(_) => Ok(Registry::Read(Box::new(read))),
        refused => Err(StartError::Registry(Box::new(refused.clone()))),
    }
}

/// Connections get what is left of the descriptors once everything else is open, so that the journal and the
/// registry can always open their files.
fn fit_connections(settings: &mut Settings, descriptors: u64) {
    let wanted = settings.connections;
    let fitting = wanted.fitting(listener::connections_below(descriptors));
    if fitting.connections < wanted.connections {
        warn!(
            wanted = wanted.connections,
            fits = fitting.connections,
            descriptors,
            "limits.connections does not fit, for this process may open only so many files: raise \
             LimitNOFILE= of the service (or ulimit -n), or lower the setting"
        );
    }
    settings.connections = fitting;
}

fn bind(bound: Option<Bound>, address: SocketAddr) -> Result<Bound, BindError> {
    bound.map_or_else(|| listener::bind(address), Ok)
}

/// The two sockets for operators, and links to them where commands look that know the state directory alone.
fn bind_admin(settings: &AdminSettings, state: &Path) -> Result<[Listening; 2], admin::BindFault> {
    let door = |kind, socket: &SocketSettings| Door {
        kind,
        path: socket.path.clone(),
        group: socket.group.as_deref().map(GroupName::parse),
        mode: socket.mode,
    };
    let everything = door(Kind::Admin, &settings.admin);
    let looks = door(Kind::Status, &settings.status);
    let listening = [admin::bind(&everything)?, admin::bind(&looks)?];
    admin::link(&StateDir::admin_socket_of(state), &everything)?;
    admin::link(&StateDir::status_socket_of(state), &looks)?;
    Ok(listening)
}

/// Where certificate and key are.
pub(super) fn certificate_files(settings: &Settings) -> CertificateFiles {
    CertificateFiles {
        certificate: settings.certificate.clone(),
        key: settings.certificate_key.clone(),
    }
}

fn open_keys(settings: &Settings, store: &Arc<Store>, clock: Clock) -> Result<Keeper, StartError> {
    let sealer = settings
        .sealing_key
        .as_deref()
        .map(Sealer::read)
        .transpose()?;
    let custody = Custody::open(&settings.keys_dir, sealer)?;
    custody.tidy()?;
    let parts = Parts {
        vault: Box::new(custody),
        store: Arc::clone(store) as Arc<dyn crate::keys::ports::RingStore>,
        settings: settings.keys.clone(),
        self_test: jws::self_test,
        missing: OnMissing::Refuse,
    };
    let reading = Reading {
        wall: clock.now_seconds(),
        boot: clock.boot(),
    };
    Ok(Keeper::open(parts, reading)?)
}
