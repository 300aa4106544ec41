//! Starts the tasks over what was built. Touches: net, clock.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::Running;
use super::build::{Built, Registry, certificate_files};
use super::certificate;
use super::expiring::ExpiryTeller;
use super::health::Health;
use super::last_good::{Beginning, LastGood};
use super::last_use::{Kept, LastUseWriter};
use super::overlay::Emergencies;
use super::readiness::{Watch, tell_alarms};
use super::registry::RegistrySink;
use super::release::Releases;
use super::seams::{KeyEvents, StoredMark};
use super::service::{Manager, Reloads, Reporter};
use crate::admin::{self, Accept, AdminPorts, Change, Look};
use crate::audit::Journal;
use crate::audit::ship::{self, ShipCounters, ShipPorts, StatusBoard};
use crate::clock::Clock;
use crate::domain::{Lifetime, chain};
use crate::evidence::LocalSources;
use crate::http::{Admission, AdmissionCounters, Monitor, Service};
use crate::issue::Desk;
use crate::keys::rotate::{self, Keeper};
use crate::listener::{self, Bound, Lag, ListenerCounters};
use crate::registry::held::Gate;
use crate::registry::ledger::Ledger;
use crate::registry::overlay::{EntryId, Overlay};
use crate::registry::publish::RegistryCounters;
use crate::registry::watch as registry_watch;
use crate::settings::Settings;
use crate::store::{StateDir, Store, StoreError};
use crate::tasks::{Ended, Tasks};
use crate::telemetry::{self, Gauges, Observations};
use crate::world::Current;

/// What a running daemon is stopped by. The state stays locked until it is dropped.
pub(super) struct Started {
    pub(super) running: Running,
    pub(super) tasks: Tasks,
    pub(super) journal: Journal,
    pub(super) health: Arc<Health>,
    pub(super) manager: Manager,
    pub(super) reload: Arc<Notify>,
    rescan: Arc<Notify>,
    pub(super) stop_shipper: CancellationToken,
    /// Locked until it is dropped.
    state: StateDir,
}

/// What the tasks share.
struct Shared {
    settings: Settings,
    store: Arc<Store>,
    ledger: Arc<Ledger>,
    clock: Clock,
    gauges: Gauges,
}

/// The ends of the channels between the tasks.
struct Channels {
    longest_token: watch::Sender<Lifetime>,
    longest: watch::Receiver<Lifetime>,
    commands: mpsc::Sender<rotate::Request>,
    requests: mpsc::Receiver<rotate::Request>,
}

impl Channels {
    fn new(longest_token: Lifetime) -> Self {
        let (longest_token, longest) = watch::channel(longest_token);
        let (commands, requests) = mpsc::channel(rotate::MAX_COMMANDS);
        Self {
            longest_token,
            longest,
            commands,
            requests,
        }
    }
}

/// Starts every task. Called within the runtime.
pub(super) fn start(built: Built) -> (Started, Ended) {
    let clock = Clock::of_this_machine();
    let shared = Shared {
        gauges: gauges(&built, clock),
        settings: built.settings,
        store: built.store,
        ledger: built.ledger,
        clock,
    };
    let started = Started {
        running: Running {
            address: built.public.address,
            metrics: built.monitor.address,
            current: Arc::clone(&shared.gauges.current),
            clock,
        },
        tasks: built.tasks,
        journal: built.journal,
        health: Arc::new(Health::default()),
        manager: built.manager,
        reload: Arc::new(Notify::new()),
        rescan: Arc::new(Notify::new()),
        stop_shipper: CancellationToken::new(),
        state: built.state,
    };
    let channels = Channels::new(shared.settings.keys.longest_token);
    let (changes, asked) = mpsc::channel(admin::MAX_CHANGES);
    let ports = AdminPorts {
        tail: started.journal.tail(),
        tasks: started.tasks.clone(),
        journal: started.journal.clone(),
        keys: channels.commands.clone(),
        changes,
        look: look(&shared, &started),
        accept: accept(&built.registry, &shared, &started),
    };
    start_overlay(built.taken.last, asked, &shared, &started);
    let [everything, looks] = built.admin;
    let tasks = &started.tasks;
    tasks.spawn("admin", admin::serve(everything, ports.clone()));
    tasks.spawn("status", admin::serve(looks, ports));
    start_registry(
        built.registry,
        channels.longest_token.clone(),
        &shared,
        &started,
    );
    start_keys(built.keeper, channels, &shared, &started);
    start_shipper(&shared, &started);
    start_watch_of_credentials(&shared, &started);
    start_monitor(built.monitor, &shared, &started);
    let heartbeat = started.manager.heartbeat();
    start_listener(built.public.beating(heartbeat), &shared, &started);
    start_reports(&shared, &started);
    info!(address = %started.running.address, metrics = %started.running.metrics, "listening");
    (started, built.ended)
}

fn gauges(built: &Built, clock: Clock) -> Gauges {
    Gauges {
        clock,
        started: clock.now_seconds(),
        ships: built.settings.ship.is_some(),
        expiry_window: built.settings.expiry_window,
        keys: built.keeper.counters(),
        schedule: built.settings.keys.clone(),
        observations: Arc::new(Observations::default()),
        listener: Arc::new(ListenerCounters::default()),
        admission: Arc::new(AdmissionCounters::default()),
        lag: Arc::new(Lag::default()),
        journal: built.journal.clone(),
        ship: Arc::new(ShipCounters::default()),
        board: StatusBoard::default(),
        registry: built.registry.counters(),
        certificate: Arc::clone(&built.certificate),
        current: Arc::new(Current::taking(Overlay::of(
            built.taken.entries.iter().cloned(),
        ))),
    }
}

fn watch(shared: &Shared, started: &Started) -> Watch {
    Watch {
        gauges: shared.gauges.clone(),
        health: Arc::clone(&started.health),
        draining: started.tasks.draining(),
    }
}

fn look(shared: &Shared, started: &Started) -> Look {
    let watch = watch(shared, started);
    Look::new(move || watch.status())
}

/// What operators release changes with.
fn accept(registry: &Registry, shared: &Shared, started: &Started) -> Accept {
    let releases = Releases {
        gate: registry.gate(),
        journal: started.journal.clone(),
        store: Arc::clone(&shared.store),
        current: Arc::clone(&shared.gauges.current),
        health: Arc::clone(&started.health),
        tasks: started.tasks.clone(),
        rescan: Arc::clone(&started.rescan),
    };
    let tasks = started.tasks.clone();
    Accept::new(move |change, operator| {
        let releases = releases.clone();
        let (answer, answered) = oneshot::channel();
        // In a task of its own: who asked may go while half of it is done.
        tasks.spawn_short(async move {
            let _gone = answer.send(releases.release(change, operator).await);
        });
        async move {
            let stopping = || Err("the daemon is stopping".to_owned());
            answered.await.unwrap_or_else(|_| stopping())
        }
    })
}

impl Registry {
    fn gate(&self) -> Arc<Gate> {
        match self {
            Self::Unread(publisher) => publisher.gate(),
            Self::Read(read) => read.publisher.gate(),
        }
    }

    fn counters(&self) -> Arc<RegistryCounters> {
        match self {
            Self::Unread(publisher) => publisher.counters(),
            Self::Read(read) => read.publisher.counters(),
        }
    }

    fn read(self, folder: &Path, store: &Store) -> Result<Box<Beginning>, StoreError> {
        match self {
            Self::Unread(publisher) => Ok(Box::new(Beginning::read(*publisher, folder, store)?)),
            Self::Read(read) => Ok(read),
        }
    }
}

/// Reads what was kept and the folder, then watches the folder.
fn start_registry(
    registry: Registry,
    longest_token: watch::Sender<Lifetime>,
    shared: &Shared,
    started: &Started,
) {
    let (store, tasks) = (Arc::clone(&shared.store), started.tasks.clone());
    let (clock, health) = (shared.clock, Arc::clone(&started.health));
    let (current, journal) = (Arc::clone(&shared.gauges.current), started.journal.clone());
    let ledger = Arc::clone(&shared.ledger);
    let settings = shared.settings.registry.clone();
    let folder = started.state.registry();
    let (stop, rescan) = (started.tasks.stopping(), Arc::clone(&started.rescan));
    started.tasks.spawn("registry", async move {
        let reading = Arc::clone(&store);
        let read = tasks.blocking(move || registry.read(&folder, &reading));
        let beginning = match read.await {
            Some(Ok(beginning)) => beginning,
            Some(Err(failure)) => {
                error!(error = %chain(&failure), "the store failed: stopping");
                return health.failed("the store failed");
            }
            None => return,
        };
        let served = beginning.kept.as_ref().filter(|kept| kept.served);
        let number = served.map_or(0, |kept| kept.number);
        let last_good = LastGood {
            keep: beginning.keep,
            store,
            settings: settings.last_good,
            health: Arc::clone(&health),
            clock,
            tasks: tasks.clone(),
            number: Arc::new(AtomicU64::new(number)),
        };
        health.kept_broken(beginning.broken);
        tasks.spawn("last-good", last_good.clone().run());
        let mut sink = RegistrySink {
            current,
            journal,
            last_good,
            ledger,
            clock,
            health,
            tasks: tasks.clone(),
            standby: None,
            longest_token,
        };
        registry_watch::log(&beginning.update);
        sink.begin(beginning.kept, beginning.update).await;
        registry_watch::run(settings, beginning.publisher, sink, tasks, (stop, rescan)).await;
    });
}

fn start_keys(keeper: Keeper, channels: Channels, shared: &Shared, started: &Started) {
    let current = Arc::clone(&shared.gauges.current);
    let connections = rotate::Connections {
        clock: shared.clock,
        journal: KeyEvents(started.journal.clone()),
        publish: move |rings| current.publish_rings(&rings),
        longest_token: channels.longest,
        commands: channels.requests,
    };
    let (tasks, health) = (started.tasks.clone(), Arc::clone(&started.health));
    started.tasks.spawn("keys", async move {
        if let Err(fault) = rotate::run(keeper, connections, &tasks).await {
            error!(error = %chain(&fault), "the keys' state failed");
            health.failed("the keys' state failed");
        }
    });
}

/// What keeps the last uses of credentials, and what tells each day which of them expire.
fn start_watch_of_credentials(shared: &Shared, started: &Started) {
    let (tasks, current) = (&started.tasks, &shared.gauges.current);
    let kept = Kept {
        store: Arc::clone(&shared.store),
        clock: shared.clock,
        health: Arc::clone(&started.health),
        tasks: tasks.clone(),
    };
    let writer = LastUseWriter {
        ledger: Arc::clone(&shared.ledger),
        current: Arc::clone(current),
        every: shared.settings.last_use_every,
        kept: kept.clone(),
    };
    tasks.spawn("last use", writer.run(tasks.stopping()));
    let teller = ExpiryTeller {
        current: Arc::clone(current),
        certificate: Arc::clone(&shared.gauges.certificate),
        journal: started.journal.clone(),
        window: shared.settings.expiry_window,
        kept,
    };
    tasks.spawn("expiries", teller.run(tasks.stopping()));
}

/// What operators take away is in force before the first request, and kept by a task of its own.
fn start_overlay(last: EntryId, asked: mpsc::Receiver<Change>, shared: &Shared, started: &Started) {
    let emergencies = Emergencies {
        current: Arc::clone(&shared.gauges.current),
        store: Arc::clone(&shared.store),
        journal: started.journal.clone(),
        clock: shared.clock,
        health: Arc::clone(&started.health),
        tasks: started.tasks.clone(),
        last: Arc::new(AtomicU64::new(last.get())),
    };
    let (work, works) = mpsc::channel(admin::MAX_CHANGES);
    let tasks = &started.tasks;
    tasks.spawn("overlay", emergencies.clone().take(asked, work));
    tasks.spawn("overlay-keeper", emergencies.keep(works));
}

fn start_shipper(shared: &Shared, started: &Started) {
    let Some(ship) = shared.settings.ship.clone() else {
        return;
    };
    let ports = ShipPorts {
        tail: started.journal.tail(),
        journal: started.journal.clone(),
        marks: Arc::new(StoredMark {
            store: Arc::clone(&shared.store),
            health: Arc::clone(&started.health),
        }),
        tasks: started.tasks.clone(),
        clock: shared.clock,
        stop: started.stop_shipper.clone(),
        board: shared.gauges.board.clone(),
        counters: Arc::clone(&shared.gauges.ship),
    };
    started.tasks.spawn("shipper", ship::run(ship, ports));
}

fn start_monitor(bound: Bound, shared: &Shared, started: &Started) {
    let (shown, asked) = (watch(shared, started), watch(shared, started));
    let monitor = Monitor::new(
        move || telemetry::render(shown.status(), &shown.gauges),
        move || asked.readiness(),
    );
    let serving = listener::serve_plain(
        bound,
        Arc::new(monitor),
        shared.settings.connections.of_monitor(),
        started.tasks.clone(),
        Arc::new(ListenerCounters::default()),
    );
    started.tasks.spawn("monitor", serving);
    let telling = tell_alarms(watch(shared, started), started.tasks.stopping());
    started.tasks.spawn("alarms", telling);
}

/// What watches the certificate, and what tells the service manager how the daemon is.
fn start_reports(shared: &Shared, started: &Started) {
    let tasks = &started.tasks;
    let (certificate, asked) = mpsc::channel(certificate::MAX_ASKED);
    let renewals = certificate::Watch {
        files: certificate_files(&shared.settings),
        served: Arc::clone(&shared.gauges.certificate),
        host: shared.settings.issuer.host().to_owned(),
        clock: shared.clock,
        health: Arc::clone(&started.health),
        journal: started.journal.clone(),
        tasks: tasks.clone(),
    };
    tasks.spawn("certificate", renewals.run(asked, tasks.stopping()));
    let reporter = Reporter {
        manager: started.manager.clone(),
        running: started.running.clone(),
        look: watch(shared, started),
        reload: Arc::clone(&started.reload),
        reloads: Reloads {
            registry: Arc::clone(&started.rescan),
            registry_looks: Arc::clone(&shared.gauges.registry),
            certificate,
        },
    };
    tasks.spawn("reports", reporter.run(tasks.draining()));
}

fn start_listener(bound: Bound, shared: &Shared, started: &Started) {
    let settings = &shared.settings;
    let tls = match listener::tls_config(&shared.gauges.certificate) {
        Ok(tls) => tls,
        Err(error) => {
            error!(%error, "TLS cannot be served");
            return started.health.failed("TLS");
        }
    };
    let desk = Desk {
        issuer: settings.issuer.clone(),
        current: Arc::clone(&shared.gauges.current),
        sources: LocalSources::default(),
        journal: started.journal.clone(),
        clock: shared.clock,
        record_time: settings.http.request_time,
    };
    let gauges = &shared.gauges;
    let lag = Arc::clone(&gauges.lag);
    let watching = listener::watch_lag(Arc::clone(&lag), shared.clock, started.tasks.stopping());
    started.tasks.spawn("lag", watching);
    let draining = started.tasks.draining();
    let admission = Admission::new(&settings.http, lag, draining, Arc::clone(&gauges.admission));
    let counted = (Arc::clone(&gauges.observations), admission);
    let service = Service::new(desk, settings.algorithms(), settings.http, counted);
    let counters = (started.tasks.clone(), Arc::clone(&shared.gauges.listener));
    let serving = listener::serve_tls(
        bound,
        tls,
        Arc::new(service),
        settings.connections,
        counters,
    );
    let look = watch(shared, started);
    started.tasks.spawn("listener", async move {
        // Who connects meanwhile waits in the kernel's queue instead of being told that nothing is ready yet.
        look.settled().await;
        serving.await;
    });
}
