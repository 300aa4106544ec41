//! Builds the parts from the edges inwards, and starts them. Touches: fs, net, process.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::Running;
use super::health::Health;
use super::readiness;
use super::registry::RegistrySink;
use super::seams::{KeyEvents, StoredMark};
use crate::admin::{self, AdminPorts};
use crate::audit::Journal;
use crate::audit::journal::{OpenError, Opening};
use crate::audit::ship::{self, ShipCounters, ShipMarks, ShipPorts, StatusBoard};
use crate::clock::Clock;
use crate::evidence::LocalSources;
use crate::http::{Monitor, Service};
use crate::issue::Desk;
use crate::keys::custody::{Custody, CustodyError};
use crate::keys::rotate::{self, Keeper, KeysError, OnMissing, Parts};
use crate::keys::seal::{SealError, Sealer};
use crate::keys::time::Reading;
use crate::listener::{self, BindError, Bound, ListenerCounters, TlsError};
use crate::mint::jws;
use crate::registry::publish::Publisher;
use crate::registry::watch::{self as registry_watch, Sink};
use crate::settings::Settings;
use crate::store::{OnCorruption, StateDir, StateDirError, Store, StoreError};
use crate::tasks::{Ended, Tasks};
use crate::telemetry::{self, Gauges, Observations};
use crate::world::Current;

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
}

/// Everything that is opened and bound; nothing runs yet but the journal.
pub struct Built {
    settings: Settings,
    state: StateDir,
    store: Arc<Store>,
    keeper: Keeper,
    journal: Journal,
    tls: Arc<ServerConfig>,
    public: Bound,
    monitor: Bound,
    admin: UnixListener,
    tasks: Tasks,
    ended: Ended,
}

/// What a running daemon is stopped by. The state stays locked until it is dropped.
pub(super) struct Started {
    pub(super) running: Running,
    pub(super) tasks: Tasks,
    pub(super) journal: Journal,
    pub(super) health: Arc<Health>,
    pub(super) rescan: Arc<Notify>,
    pub(super) stop_shipper: CancellationToken,
    /// Locked until it is dropped.
    _state: StateDir,
}

/// Opens and binds everything. Blocks on the disk.
///
/// # Errors
/// [`StartError`] for the first thing that is not as it must be. Nothing was changed on disk then, but for
/// what recovery moved aside.
pub fn build(
    settings: Settings,
    bound: Option<Bound>,
    runtime: &Handle,
) -> Result<Built, StartError> {
    let clock = Clock::of_this_machine();
    // The admin socket registers with the runtime.
    let _context = runtime.enter();
    let (tasks, ended) = Tasks::new(runtime.clone());
    let tls = listener::load_tls(&settings.certificate, &settings.certificate_key)?;
    let public = match bound {
        Some(bound) => bound,
        None => listener::bind(settings.listen)?,
    };
    let monitor = listener::bind(settings.metrics_listen)?;
    let state = StateDir::open(&settings.state)?;
    let store = Arc::new(Store::open(&state.db(), OnCorruption::Refuse)?);
    let keeper = open_keys(&settings, &store, clock)?;
    let mark = StoredMark(Arc::clone(&store)).load();
    let opening = Opening {
        issuer: settings.issuer.clone(),
        instance: settings.instance.clone(),
        version: env!("CARGO_PKG_VERSION"),
        confirmed: mark.map(|mark| mark.sequence),
    };
    let journal = Journal::open(&state.journal(), settings.journal, &opening, &tasks, clock)?;
    let admin = admin::bind(&state.admin_socket())?;
    Ok(Built {
        settings,
        state,
        store,
        keeper,
        journal,
        tls,
        public,
        monitor,
        admin,
        tasks,
        ended,
    })
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

impl Built {
    /// Starts every task. Called within the runtime.
    ///
    /// # Errors
    /// None today; starting a part may fail one day.
    pub(super) fn start(self) -> Result<(Started, Ended), StartError> {
        let clock = Clock::of_this_machine();
        let (current, health) = (Arc::new(Current::default()), Arc::new(Health::default()));
        let (longest_token, longest) = watch::channel(self.settings.keys.longest_token);
        let (commands, requests) = mpsc::channel(rotate::MAX_COMMANDS);
        let publisher = Publisher::new(&self.settings.registry, clock);
        let gauges = Gauges {
            observations: Arc::new(Observations::default()),
            listener: Arc::new(ListenerCounters::default()),
            journal: self.journal.clone(),
            ship: Arc::new(ShipCounters::default()),
            board: StatusBoard::default(),
            registry: publisher.counters(),
            current: Arc::clone(&current),
        };
        let started = Started {
            running: Running {
                address: self.public.address,
                metrics: self.monitor.address,
                current: Arc::clone(&current),
            },
            tasks: self.tasks.clone(),
            journal: self.journal.clone(),
            health: Arc::clone(&health),
            rescan: Arc::new(Notify::new()),
            stop_shipper: CancellationToken::new(),
            _state: self.state,
        };
        let sink = RegistrySink {
            current: Arc::clone(&current),
            journal: self.journal.clone(),
            store: Arc::clone(&self.store),
            clock,
            health: Arc::clone(&health),
            tasks: self.tasks.clone(),
            longest_token,
        };
        start_registry(&self.settings, publisher, sink, &started);
        let connections = rotate::Connections {
            clock,
            journal: KeyEvents(self.journal.clone()),
            publish: {
                let current = Arc::clone(&current);
                move |rings| current.publish_rings(&rings)
            },
            longest_token: longest,
            commands: requests,
        };
        start_keys(self.keeper, connections, &started);
        start_shipper(&self.settings, &self.store, &gauges, &started, clock);
        let ports = AdminPorts {
            tail: self.journal.tail(),
            tasks: self.tasks.clone(),
            keys: commands,
        };
        self.tasks.spawn("admin", admin::serve(self.admin, ports));
        start_monitor(&self.settings, self.monitor, &gauges, &started);
        let desk = Desk {
            issuer: self.settings.issuer.clone(),
            current,
            sources: LocalSources::default(),
            journal: self.journal,
            clock,
            record_time: self.settings.http.request_time,
        };
        let service = Service::new(
            desk,
            self.settings.algorithms(),
            self.settings.http,
            Arc::clone(&gauges.observations),
        );
        let serving = listener::serve_tls(
            self.public,
            self.tls,
            Arc::new(service),
            self.settings.connections,
            (self.tasks.clone(), gauges.listener),
        );
        self.tasks.spawn("listener", serving);
        info!(address = %started.running.address, metrics = %started.running.metrics, "listening");
        Ok((started, self.ended))
    }
}

/// Reads the folder for the first time, then watches it.
fn start_registry(
    settings: &Settings,
    mut publisher: Publisher,
    mut sink: RegistrySink,
    started: &Started,
) {
    let (settings, tasks) = (settings.registry.clone(), started.tasks.clone());
    let (stop, rescan) = (started.tasks.stopping(), Arc::clone(&started.rescan));
    started.tasks.spawn("registry", async move {
        let first = tasks.blocking(move || {
            let update = publisher.first();
            (publisher, update)
        });
        let Some((publisher, update)) = first.await else {
            return;
        };
        registry_watch::log(&update);
        sink.take(update).await;
        registry_watch::run(settings, publisher, sink, tasks, (stop, rescan)).await;
    });
}

fn start_keys<P>(keeper: Keeper, connections: rotate::Connections<KeyEvents, P>, started: &Started)
where
    P: Fn(Arc<crate::keys::rings::Rings>) + Send + Sync + 'static,
{
    let tasks = started.tasks.clone();
    let health = Arc::clone(&started.health);
    started.tasks.spawn("keys", async move {
        if let Err(fault) = rotate::run(keeper, connections, &tasks).await {
            error!(error = %crate::domain::chain(&fault), "the keys' state failed");
            health.failed("the keys' state failed");
        }
    });
}

fn start_shipper(
    settings: &Settings,
    store: &Arc<Store>,
    gauges: &Gauges,
    started: &Started,
    clock: Clock,
) {
    let Some(ship) = settings.ship.clone() else {
        return;
    };
    let ports = ShipPorts {
        tail: started.journal.tail(),
        journal: started.journal.clone(),
        marks: Arc::new(StoredMark(Arc::clone(store))),
        tasks: started.tasks.clone(),
        clock,
        stop: started.stop_shipper.clone(),
        board: gauges.board.clone(),
        counters: Arc::clone(&gauges.ship),
    };
    started.tasks.spawn("shipper", ship::run(ship, ports));
}

fn start_monitor(settings: &Settings, bound: Bound, gauges: &Gauges, started: &Started) {
    let shown = gauges.clone();
    let (gauges, health) = (gauges.clone(), Arc::clone(&started.health));
    let (draining, ships) = (started.tasks.draining(), settings.ship.is_some());
    let monitor = Monitor::new(
        move || telemetry::render(&shown),
        move || {
            let ship = ships.then(|| gauges.board.read());
            readiness::judge(
                &gauges.current.load(),
                &health,
                &gauges.journal.status(),
                ship.as_ref(),
                draining.is_cancelled(),
            )
        },
    );
    let serving = listener::serve_plain(
        bound,
        Arc::new(monitor),
        settings.connections,
        started.tasks.clone(),
        Arc::new(ListenerCounters::default()),
    );
    started.tasks.spawn("monitor", serving);
}
