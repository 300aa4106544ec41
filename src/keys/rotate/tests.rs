//! Rotation with real key files, stopped at every write. Touches: fs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::domain::{Algorithm, KeyId, Secret, UnixSeconds};
use crate::keys::custody::{Custody, CustodyError};
use crate::keys::ports::{RingStore, StateFault, Stored, Vault};
use crate::keys::ring::{KeyRecord, KeyState, Ring};
use crate::keys::rings::NoSigner;
use crate::keys::schedule::{LONGEST_TOKEN, ScheduleSettings};
use crate::mint::jws;

const START: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// Counts down the writes until the machine stops.
#[derive(Clone, Default)]
struct Power(Arc<AtomicUsize>);

impl Power {
    fn on() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    fn spend(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    fn fault() -> StateFault {
        StateFault::Failed("the power is off".into())
    }
}

/// Key files on a machine that may stop.
struct Files(Custody, Power);

impl Files {
    fn powered(&self) -> Result<(), CustodyError> {
        let error = || CustodyError::NoFolder(PathBuf::from("the power is off"));
        self.1.spend().then_some(()).ok_or_else(error)
    }
}

impl Vault for Files {
    fn load(&self) -> Result<Vec<Stored>, CustodyError> {
        self.0.load()
    }

    fn create(&self, record: &KeyRecord, pkcs8: &Secret<Vec<u8>>) -> Result<(), CustodyError> {
        self.powered()?;
        self.0.create(record, pkcs8)
    }

    fn update(&self, record: &KeyRecord) -> Result<(), CustodyError> {
        self.powered()?;
        self.0.update(record)
    }

    fn remove(&self, record: &KeyRecord) -> Result<(), CustodyError> {
        self.powered()?;
        self.0.remove(record)
    }
}

/// A store in memory, of a machine that may stop.
#[derive(Default)]
struct Memory {
    recorded: Mutex<HashMap<Algorithm, Vec<KeyRecord>>>,
    mark: Mutex<Option<UnixSeconds>>,
    power: Mutex<Power>,
}

impl RingStore for Memory {
    fn recorded(&self, algorithm: Algorithm) -> Result<Vec<KeyRecord>, StateFault> {
        let recorded = self.recorded.lock().unwrap();
        Ok(recorded.get(&algorithm).cloned().unwrap_or_default())
    }

    fn set_recorded(&self, algorithm: Algorithm, keys: &[KeyRecord]) -> Result<(), StateFault> {
        if !self.power.lock().unwrap().spend() {
            return Err(Power::fault());
        }
        let mut recorded = self.recorded.lock().unwrap();
        recorded.insert(algorithm, keys.to_vec());
        Ok(())
    }

    fn time_mark(&self) -> Result<Option<UnixSeconds>, StateFault> {
        Ok(*self.mark.lock().unwrap())
    }

    fn set_time_mark(&self, mark: UnixSeconds) -> Result<(), StateFault> {
        if !self.power.lock().unwrap().spend() {
            return Err(Power::fault());
        }
        *self.mark.lock().unwrap() = Some(mark);
        Ok(())
    }
}

/// What a round showed, and what it answered.
struct Shown {
    rings: Option<Arc<Rings>>,
    answer: Option<Result<Outcome, CommandError>>,
}

/// A machine with a deployment on it.
struct Machine {
    _guard: tempfile::TempDir,
    folder: PathBuf,
    store: Arc<Memory>,
    settings: ScheduleSettings,
    journal: Vec<(String, KeyId)>,
    shown: Option<Arc<Rings>>,
    now: u64,
}

impl Machine {
    fn new(algorithms: &[Algorithm]) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let folder = guard.path().join("keys");
        let settings = ScheduleSettings {
            algorithms: algorithms.to_vec(),
            ..ScheduleSettings::default()
        };
        let custody = Custody::make(&folder, None).unwrap();
        let at = UnixSeconds::new(START);
        for algorithm in algorithms {
            make_first_ring(&custody, *algorithm, &settings, at, jws::self_test).unwrap();
        }
        Self {
            _guard: guard,
            folder,
            store: Arc::default(),
            settings,
            journal: Vec::new(),
            shown: None,
            now: START,
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            wall: UnixSeconds::new(self.now),
            boot: Duration::from_secs(self.now - START + 50),
        }
    }

    fn try_boot(&self, power: &Power) -> Result<Keeper, KeysError> {
        *self.store.power.lock().unwrap() = power.clone();
        let custody = Custody::open(&self.folder, None).unwrap();
        let store: Arc<dyn RingStore> = Arc::<Memory>::clone(&self.store);
        let parts = Parts {
            vault: Box::new(Files(custody, power.clone())),
            store,
            settings: self.settings.clone(),
            self_test: jws::self_test,
            missing: OnMissing::Refuse,
        };
        Keeper::open(parts, self.reading())
    }

    fn boot(&self, power: &Power) -> Keeper {
        self.try_boot(power).unwrap()
    }

    /// One round as `run` makes it; `None` when the power went off.
    fn round(
        &mut self,
        keeper: &mut Keeper,
        power: &Power,
        command: Option<&Command>,
    ) -> Option<Shown> {
        let outcome = keeper
            .advance(self.reading(), LONGEST_TOKEN, command)
            .ok()?;
        for event in keeper.untold() {
            if !power.spend() {
                return None;
            }
            if let KeysEvent::Key(event) = &event {
                let told = (event.kind.name().to_owned(), event.key.id.clone());
                self.journal.push(told);
            }
            keeper.told(event);
        }
        let rings = keeper.settle().ok()?;
        if let Some(rings) = &rings {
            self.check(rings);
            self.shown = Some(Arc::clone(rings));
            keeper.shown();
        }
        Some(Shown {
            rings,
            answer: outcome,
        })
    }

    /// What is shown is whole, on disk and on record.
    fn check(&self, rings: &Rings) {
        let custody = Custody::open(&self.folder, None).unwrap();
        let mut on_disk: Vec<KeyRecord> = custody
            .load()
            .unwrap()
            .into_iter()
            .map(|s| s.record)
            .collect();
        let mut shown: Vec<KeyRecord> =
            rings.rings().iter().flat_map(Ring::keys).cloned().collect();
        on_disk.sort_by(|a, b| a.id.cmp(&b.id));
        shown.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(on_disk, shown);
        for ring in rings.rings() {
            let listed = self.settings.lists(ring.algorithm());
            let signing = ring.in_state(KeyState::Active).count();
            assert!(signing <= 1 && listed == ring.next().is_some());
        }
        for algorithm in rings.listed() {
            if let Ok(signer) = rings.signer(*algorithm) {
                let told = ("activated".to_owned(), signer.kid.clone());
                assert!(self.journal.contains(&told));
                assert!(signer.published_until.get() >= self.now + LONGEST_TOKEN.seconds());
            }
        }
    }

    /// Rounds until nothing changes.
    fn settle(&mut self, keeper: &mut Keeper, power: &Power) -> Arc<Rings> {
        for _ in 0..6 {
            self.round(keeper, power, None).expect("powered");
            self.now += 1;
        }
        self.shown.clone().expect("shown")
    }

    fn count(&self, kind: &str) -> usize {
        self.journal.iter().filter(|(k, _)| k == kind).count()
    }
}

fn states(rings: &Rings, algorithm: Algorithm) -> Vec<&'static str> {
    let of = |ring: &&Ring| ring.algorithm() == algorithm;
    let ring = rings.rings().iter().find(of).unwrap();
    let mut states: Vec<KeyState> = ring.keys().iter().map(|key| key.state).collect();
    states.sort();
    states.into_iter().map(KeyState::name).collect()
}

#[test]
fn the_first_ring_signs_at_once_and_a_month_later_the_next_key_does() {
    let mut machine = Machine::new(&[Algorithm::Es256, Algorithm::EdDsa]);
    let power = Power::on();
    let mut keeper = machine.boot(&power);
    let rings = machine.settle(&mut keeper, &power);
    assert_eq!(rings.default_algorithm(), Some(Algorithm::Es256));
    assert!(rings.ready());
    let first = rings.signer(Algorithm::Es256).unwrap().kid.clone();
    let unlisted = rings.signer(Algorithm::Rs256).unwrap_err();
    assert_eq!(unlisted, NoSigner::NotListed(Algorithm::Rs256));
    let told: Vec<&str> = machine
        .journal
        .iter()
        .map(|(kind, _)| kind.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "created",
            "activated",
            "created",
            "created",
            "activated",
            "created"
        ]
    );
    for step in [vec![DAY; 29], vec![3600; 24]].concat() {
        machine.now += step;
        machine.round(&mut keeper, &power, None).unwrap();
    }
    machine.now += 60;
    let rings = machine.settle(&mut keeper, &power);
    assert_eq!(
        states(&rings, Algorithm::Es256),
        ["next", "active", "retiring"]
    );
    let second = rings.signer(Algorithm::Es256).unwrap().kid.clone();
    assert_ne!(first, second);
    let body = String::from_utf8(rings.jwks().body().to_vec()).unwrap();
    assert!(body.contains(first.as_str()) && body.contains(second.as_str()));
    for _ in 0..5 {
        machine.now += 3600;
        machine.round(&mut keeper, &power, None).unwrap();
    }
    let rings = machine.settle(&mut keeper, &power);
    assert_eq!(states(&rings, Algorithm::Es256), ["next", "active"]);
    assert_eq!(machine.count("removed"), 2);
}

#[test]
fn a_crash_at_any_write_of_a_rotation_resumes() {
    let mut crashes = 0;
    for writes in 0.. {
        let mut machine = Machine::new(&[Algorithm::Es256]);
        let power = Power::on();
        let mut keeper = machine.boot(&power);
        machine.settle(&mut keeper, &power);
        while machine.now < START + 29 * DAY {
            machine.now += DAY;
            machine.round(&mut keeper, &power, None).unwrap();
        }
        machine.now = START + 30 * DAY - 100;
        machine.round(&mut keeper, &power, None).unwrap();
        assert_eq!(machine.count("activated"), 1);
        let before = machine.journal.len();
        machine.now = START + 30 * DAY;
        power.0.store(writes, Ordering::Relaxed);
        // The rotation begins with the power counting down.
        let mut stopped = false;
        for _ in 0..6 {
            machine.now += 1;
            stopped |= machine.round(&mut keeper, &power, None).is_none();
        }
        drop(keeper);
        crashes += usize::from(stopped);
        machine.now += 100;
        let power = Power::on();
        let mut keeper = machine.boot(&power);
        let rings = machine.settle(&mut keeper, &power);
        assert_eq!(
            states(&rings, Algorithm::Es256),
            ["next", "active", "retiring"]
        );
        for kind in ["activated", "retired", "created"] {
            let after = machine.journal.get(before..).unwrap();
            let times = after.iter().filter(|(k, _)| k == kind).count();
            assert!(
                (1..=2).contains(&times),
                "{kind} {times} times after {writes} writes"
            );
        }
        if !stopped {
            break;
        }
    }
    assert!(
        crashes >= 8,
        "mark, four files, three events, store: {crashes}"
    );
}

#[test]
fn a_crash_at_any_write_of_an_emergency_resumes() {
    for writes in 0.. {
        let mut machine = Machine::new(&[Algorithm::Es256]);
        let power = Power::on();
        let mut keeper = machine.boot(&power);
        let rings = machine.settle(&mut keeper, &power);
        let kid = rings.signer(Algorithm::Es256).unwrap().kid.clone();
        let command = Command::Compromised { kid: kid.clone() };
        power.0.store(writes, Ordering::Relaxed);
        let mut done = machine.round(&mut keeper, &power, Some(&command)).is_some();
        for _ in 0..3 {
            machine.now += 1;
            done &= machine.round(&mut keeper, &power, None).is_some();
        }
        drop(keeper);
        let power = Power::on();
        let mut keeper = machine.boot(&power);
        let rings = machine.settle(&mut keeper, &power);
        let body = String::from_utf8(rings.jwks().body().to_vec()).unwrap();
        // Before the first write nothing has happened: the operator, unanswered, asks again.
        let begun = machine.count("withdrawn") > 0;
        assert!(begun || writes < 2, "after {writes} writes");
        assert_eq!(body.contains(kid.as_str()), !begun);
        assert_eq!(states(&rings, Algorithm::Es256), ["next", "active"]);
        if done {
            assert_eq!(machine.count("removed"), 1);
            break;
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told twice")]
fn an_emergency_says_whether_the_lead_had_passed() {
    let mut machine = Machine::new(&[Algorithm::Es256]);
    let power = Power::on();
    let mut keeper = machine.boot(&power);
    let rings = machine.settle(&mut keeper, &power);
    let kid = rings.signer(Algorithm::Es256).unwrap().kid.clone();
    let early = Command::Rotate { algorithm: None };
    let refused = machine
        .round(&mut keeper, &power, Some(&early))
        .unwrap()
        .answer;
    let refused = refused.unwrap().unwrap_err();
    assert!(matches!(refused, CommandError::NotReady(_)), "{refused}");
    let compromised = Command::Compromised { kid: kid.clone() };
    let Shown {
        rings,
        answer: done,
    } = machine
        .round(&mut keeper, &power, Some(&compromised))
        .unwrap();
    let done = done.unwrap().unwrap().rotated.remove(0);
    assert_eq!(done.withdrawn, Some(kid.clone()));
    assert!(done.relieved && !done.lead_passed && done.published_for.seconds() < 60);
    let signer = rings
        .as_ref()
        .unwrap()
        .signer(Algorithm::Es256)
        .unwrap()
        .kid
        .clone();
    assert_eq!(done.signs, Some(signer));
    machine.settle(&mut keeper, &power);
    machine.now += DAY + 3600;
    machine.settle(&mut keeper, &power);
    let rotate = Command::Rotate {
        algorithm: Some(Algorithm::Es256),
    };
    // A day that passed at once is a step of the clock: it gives no lead.
    let refused = machine
        .round(&mut keeper, &power, Some(&rotate))
        .unwrap()
        .answer;
    assert!(
        refused.unwrap().is_ok(),
        "boot time passed too, so it is none"
    );
    let unknown = Command::Compromised { kid };
    let refused = machine
        .round(&mut keeper, &power, Some(&unknown))
        .unwrap()
        .answer;
    assert!(matches!(refused, Some(Err(CommandError::NoSuchKey(_)))));
    let other = Command::Rotate {
        algorithm: Some(Algorithm::Ps256),
    };
    let refused = machine
        .round(&mut keeper, &power, Some(&other))
        .unwrap()
        .answer;
    assert_eq!(
        refused,
        Some(Err(CommandError::NotListed(Algorithm::Ps256)))
    );
    let accept = Command::AcceptClock;
    let refused = machine
        .round(&mut keeper, &power, Some(&accept))
        .unwrap()
        .answer;
    assert_eq!(refused, Some(Err(CommandError::ClockNotBehind)));
}

#[test]
fn a_clock_behind_signs_nothing_until_it_is_accepted() {
    let mut machine = Machine::new(&[Algorithm::Es256]);
    let power = Power::on();
    let mut keeper = machine.boot(&power);
    machine.now += 10_000;
    machine.settle(&mut keeper, &power);
    keeper.keep_mark().unwrap();
    machine.now -= 5000;
    let mut keeper = machine.boot(&power);
    let rings = machine.round(&mut keeper, &power, None).unwrap().rings;
    let rings = rings.unwrap();
    assert!(!rings.ready());
    assert_eq!(
        rings.signer(Algorithm::Es256).unwrap_err(),
        NoSigner::ClockBehind
    );
    assert!(!rings.jwks().body().is_empty());
    let accept = Command::AcceptClock;
    let Shown {
        rings,
        answer: done,
    } = machine.round(&mut keeper, &power, Some(&accept)).unwrap();
    assert!(done.unwrap().is_ok());
    assert!(rings.unwrap().ready());
    assert!(machine.store.time_mark().unwrap().unwrap().get() <= machine.now);
}

#[test]
fn lost_files_and_empty_folders_are_refused_with_advice() {
    let mut machine = Machine::new(&[Algorithm::Es256]);
    let power = Power::on();
    let mut keeper = machine.boot(&power);
    let rings = machine.settle(&mut keeper, &power);
    drop(keeper);
    let kid = rings.signer(Algorithm::Es256).unwrap().kid.clone();
    let name = format!("es256-{kid}.toml");
    std::fs::rename(machine.folder.join(&name), machine.folder.join("aside")).unwrap();
    let refused = machine.try_boot(&power).err().unwrap();
    assert!(
        matches!(&refused, KeysError::Missing(keys) if keys.len() == 1),
        "{refused}"
    );
    assert!(refused.to_string().contains("init --keys-lost"));
    std::fs::rename(machine.folder.join("aside"), machine.folder.join(&name)).unwrap();
    assert!(machine.try_boot(&power).is_ok());
    let empty = |folder: &Path| {
        for entry in std::fs::read_dir(folder).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    };
    empty(&machine.folder);
    assert!(matches!(
        machine.try_boot(&power),
        Err(KeysError::Missing(_))
    ));
    machine.store = Arc::default();
    assert!(matches!(machine.try_boot(&power), Err(KeysError::NoKeys)));
}

#[test]
fn a_lost_store_is_rebuilt_from_the_files() {
    let mut machine = Machine::new(&[Algorithm::Es256]);
    let power = Power::on();
    let mut keeper = machine.boot(&power);
    let before = machine.settle(&mut keeper, &power);
    drop(keeper);
    machine.store = Arc::default();
    let mut keeper = machine.boot(&power);
    let after = machine.settle(&mut keeper, &power);
    assert_eq!(before.rings(), after.rings());
    assert_eq!(before.jwks().etag(), after.jwks().etag());
}

#[test]
fn a_broken_key_and_bad_settings_are_refused() {
    let mut machine = Machine::new(&[Algorithm::Es256]);
    let power = Power::on();
    let parts = Parts {
        vault: Box::new(Custody::open(&machine.folder, None).unwrap()),
        store: Arc::<Memory>::default(),
        settings: machine.settings.clone(),
        self_test: |_| false,
        missing: OnMissing::Refuse,
    };
    let broken = Keeper::open(parts, machine.reading());
    assert!(matches!(broken, Err(KeysError::SelfTest(_))));
    machine.settings.publish_lead = crate::domain::Lifetime::from_hours(12);
    let refused = machine.try_boot(&power).err().unwrap();
    assert!(
        refused.to_string().contains("publish_lead 12h"),
        "{refused}"
    );
}

#[test]
fn an_added_algorithm_warms_up() {
    let mut machine = Machine::new(&[Algorithm::Es256]);
    machine.settings.algorithms.push(Algorithm::EdDsa);
    let power = Power::on();
    let mut keeper = machine.boot(&power);
    let rings = machine.settle(&mut keeper, &power);
    assert!(rings.ready());
    let warming = rings.signer(Algorithm::EdDsa).unwrap_err();
    assert!(matches!(warming, NoSigner::Warming { .. }));
    assert_eq!(states(&rings, Algorithm::EdDsa), ["next"]);
    for _ in 0..26 {
        machine.now += 3600;
        machine.round(&mut keeper, &power, None).unwrap();
    }
    machine.now += 60 * 60;
    let rings = machine.settle(&mut keeper, &power);
    assert!(rings.signer(Algorithm::EdDsa).is_ok());
}

#[test]
fn the_task_publishes_answers_and_stops() {
    let runtime = crate::tasks::runtime(1, &crate::tasks::Idle::default()).unwrap();
    let (tasks, _ended) = Tasks::new(runtime.handle().clone(), crate::tasks::Idle::default());
    let machine = Machine::new(&[Algorithm::Es256]);
    let custody = Custody::open(&machine.folder, None).unwrap();
    let clock = Clock::of_this_machine();
    let store: Arc<dyn RingStore> = Arc::<Memory>::clone(&machine.store);
    *machine.store.power.lock().unwrap() = Power::on();
    let parts = Parts {
        vault: Box::new(custody),
        store,
        settings: machine.settings.clone(),
        self_test: jws::self_test,
        missing: OnMissing::Refuse,
    };
    let keeper = Keeper::open(parts, read(clock)).unwrap();
    let (commands, requests) = mpsc::channel(MAX_COMMANDS);
    let (_longest, longest_token) = tokio::sync::watch::channel(LONGEST_TOKEN);
    let (shown, mut seen) = tokio::sync::watch::channel(None);
    let connections = Connections {
        clock,
        journal: |_event: KeysEvent| async { Ok::<(), NotRecorded>(()) },
        publish: move |rings: Arc<Rings>| {
            shown.send_replace(Some(rings));
        },
        longest_token,
        commands: requests,
    };
    runtime.block_on(async {
        let of_task = tasks.clone();
        let (done, ended) = oneshot::channel();
        tasks.spawn("keys", async move {
            let ended = run(keeper, connections, &of_task).await;
            done.send(ended.is_ok()).unwrap();
        });
        seen.wait_for(Option::is_some).await.unwrap();
        let rings = seen.borrow().clone().unwrap();
        let kid = rings.rings()[0].active().unwrap().id.clone();
        let done = ask(&commands, Command::Compromised { kid: kid.clone() }).await;
        assert_eq!(done.unwrap().rotated[0].withdrawn, Some(kid.clone()));
        // The answer comes after the change is visible.
        let rings = seen.borrow().clone().unwrap();
        assert_ne!(rings.rings()[0].active().unwrap().id, kid);
        tasks.stop();
        assert!(ended.await.unwrap());
    });
}
