//! Promise 3, tried on simulated months. Pure.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::Digest;
use crate::keys::time::{Reading, TimeKeeper};

const START: u64 = 1_800_000_000;
const HOUR: u64 = 3600;

fn kid(number: u64) -> KeyId {
    KeyId::from_thumbprint(Digest::of(&number.to_be_bytes()))
}

fn at(time: u64) -> Observation {
    Observation {
        key_time: UnixSeconds::new(time),
        wall: UnixSeconds::new(time),
        clock: ClockState::Steady,
        leapt: Lifetime::ZERO,
    }
}

/// Takes every step that is due; their names.
fn settle(ring: &mut Ring, now: &Observation, settings: &ScheduleSettings) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Some(step) = due(ring, now, settings) {
        names.push(name(&step));
        assert!(names.len() < 20, "{names:?}");
        let number = 1000 * now.key_time.get() + ring.keys().len() as u64 * 10 + names.len() as u64;
        take(ring, &step, now, settings, number);
    }
    names
}

fn take(ring: &mut Ring, step: &Step, now: &Observation, settings: &ScheduleSettings, number: u64) {
    let made = fresh(kid(number), ring.algorithm(), now.key_time, settings);
    let change = change(ring, step, now, settings).unwrap_or(Change::Write(made));
    *ring = ring.with(&change);
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::Create => "create",
        Step::Publish(_) => "publish",
        Step::Activate(_) => "activate",
        Step::Retire(_) => "retire",
        Step::Withdraw(_) => "withdraw",
        Step::Extend(_) => "extend",
        Step::Postpone(..) => "postpone",
        Step::Remove(_) => "remove",
    }
}

fn first_ring(settings: &ScheduleSettings) -> Ring {
    let first = first_active(kid(1), Algorithm::Es256, UnixSeconds::new(START));
    let mut ring = Ring::new(Algorithm::Es256, [first]);
    assert_eq!(
        settle(&mut ring, &at(START), settings),
        ["create", "extend"]
    );
    let publish = publication(&ring, |_| true).unwrap();
    take(&mut ring, &publish, &at(START), settings, 0);
    ring
}

#[test]
fn a_key_lives_as_the_design_says() {
    let settings = ScheduleSettings::default();
    let mut ring = first_ring(&settings);
    let month = START + 30 * 24 * HOUR;
    let steps = settle(&mut ring, &at(month - 1), &settings);
    assert_eq!(steps, ["extend"]);
    let steps = settle(&mut ring, &at(month), &settings);
    assert_eq!(steps, ["activate", "retire", "create", "extend"][..3]);
    let old = ring.find(&kid(1)).unwrap().clone();
    assert_eq!(old.state, KeyState::Retiring);
    let gone = gone_at(&old, &settings).unwrap().get();
    assert!(gone >= month + 2 * HOUR);
    assert_eq!(settle(&mut ring, &at(gone - 1), &settings), ["extend"]);
    assert_eq!(settle(&mut ring, &at(gone), &settings), ["remove"]);
    assert_eq!(ring.keys().len(), 2);
}

#[test]
fn a_next_key_that_is_not_ready_keeps_the_active_one_signing() {
    let settings = ScheduleSettings::default();
    let mut ring = first_ring(&settings);
    let month = START + 30 * 24 * HOUR;
    let next = ring.next().unwrap().id.clone();
    let step = Step::Postpone(next, Lifetime::from_days(30));
    take(&mut ring, &step, &at(START), &settings, 0);
    assert_eq!(settle(&mut ring, &at(month), &settings), ["extend"]);
    let ready = month + 25 * HOUR;
    assert_eq!(settle(&mut ring, &at(ready), &settings)[0], "activate");
}

#[test]
fn a_new_algorithm_warms_up_and_an_unlisted_one_winds_down() {
    let settings = ScheduleSettings::default();
    let mut ring = Ring::new(Algorithm::Es256, []);
    assert_eq!(settle(&mut ring, &at(START), &settings), ["create"]);
    let publish = publication(&ring, |_| true).unwrap();
    take(&mut ring, &publish, &at(START), &settings, 0);
    let lead = START + 25 * HOUR;
    assert!(settle(&mut ring, &at(lead - 1), &settings).is_empty());
    let steps = settle(&mut ring, &at(lead), &settings);
    assert_eq!(steps, ["activate", "create"]);
    let other = ScheduleSettings {
        algorithms: vec![Algorithm::EdDsa],
        ..ScheduleSettings::default()
    };
    assert_eq!(settle(&mut ring, &at(lead), &other), ["retire", "remove"]);
    assert_eq!(ring.keys().len(), 1);
    let steps = settle(&mut ring, &at(lead + 4 * HOUR), &other);
    assert_eq!(steps, ["remove"]);
    assert!(settle(&mut ring, &at(lead + 5 * HOUR), &other).is_empty());
}

#[test]
fn a_withdrawn_active_key_is_relieved_at_once_and_a_withdrawn_old_one_relieves_nobody() {
    let settings = ScheduleSettings::default();
    let mut ring = first_ring(&settings);
    take(&mut ring, &Step::Withdraw(kid(1)), &at(START), &settings, 0);
    let steps = settle(&mut ring, &at(START), &settings);
    assert_eq!(steps, ["activate", "create", "remove"]);
    // An old key of a ring that is warming up again: its withdrawal activates nothing.
    let old = KeyRecord {
        state: KeyState::Retiring,
        retired: Some(UnixSeconds::new(START)),
        ..first_active(kid(1), Algorithm::Es256, UnixSeconds::new(START))
    };
    let mut ring = Ring::new(Algorithm::Es256, [old]);
    settle(&mut ring, &at(START), &settings);
    take(&mut ring, &Step::Withdraw(kid(1)), &at(START), &settings, 0);
    assert_eq!(settle(&mut ring, &at(START), &settings), ["remove"]);
    assert!(ring.active().is_none());
}

#[test]
fn a_clock_that_is_not_steady_removes_nothing_and_one_behind_relieves_nobody() {
    let settings = ScheduleSettings::default();
    let mut ring = first_ring(&settings);
    let month = START + 30 * 24 * HOUR;
    let by = Lifetime::from_hours(1);
    let behind = Observation {
        clock: ClockState::Behind { by },
        ..at(month)
    };
    assert_eq!(settle(&mut ring, &behind, &settings), ["extend"]);
    settle(&mut ring, &at(month), &settings);
    let later = month + 10 * 24 * HOUR;
    let since_start = false;
    let ahead = Observation {
        clock: ClockState::Ahead { by, since_start },
        ..at(later)
    };
    assert_eq!(settle(&mut ring, &ahead, &settings), ["extend"]);
    let slow = Observation {
        wall: UnixSeconds::new(month),
        ..at(later)
    };
    assert!(settle(&mut ring, &slow, &settings).is_empty());
    assert_eq!(settle(&mut ring, &at(later), &settings), ["remove"]);
}

#[test]
fn settings_that_break_promise_3_are_refused_with_the_arithmetic() {
    let settings = ScheduleSettings {
        publish_lead: Lifetime::from_hours(12),
        active_for: Lifetime::from_hours(1),
        prune_margin: Lifetime::from_minutes(1),
        algorithms: vec![Algorithm::Es256, Algorithm::Es256],
        ..ScheduleSettings::default()
    };
    let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults[1].starts_with("publish_lead 12h must be longer than verifier_cache_max 1d"));
    assert!(faults[1].contains("1d + 5m = 1d5m"), "{}", faults[1]);
    assert!(ScheduleSettings::default().faults().is_empty());
    let none = ScheduleSettings {
        algorithms: vec![],
        ..ScheduleSettings::default()
    };
    assert_eq!(none.faults(), [ScheduleFault::NoAlgorithm]);
}

/// A deployment: its disk, what verifiers can fetch, and what they hold.
struct Deployment {
    real: u64,
    boot: u64,
    /// How far wall time is from the truth.
    error: i64,
    settings: ScheduleSettings,
    time: TimeKeeper,
    mark_on_disk: UnixSeconds,
    disk: Ring,
    served: Ring,
    seen: Observation,
    seen_at: u64,
    keys_made: u64,
    /// When each key was first served, in true time, and the cache that was promised then.
    first_served: HashMap<KeyId, (u64, u64)>,
    /// The cache that was promised when each key was activated.
    activated: HashMap<KeyId, u64>,
    exempt: HashSet<KeyId>,
    withdrawn: HashSet<KeyId>,
    signed: HashSet<KeyId>,
    tokens: Vec<(KeyId, u64)>,
}

impl Deployment {
    fn new() -> Self {
        let settings = ScheduleSettings::default();
        let reading = Reading {
            wall: UnixSeconds::new(START),
            boot: Duration::from_secs(100),
        };
        let mut time = TimeKeeper::start(None, reading);
        let seen = time.observe(reading);
        let first = first_active(kid(0), Algorithm::Es256, UnixSeconds::new(START));
        let disk = Ring::new(Algorithm::Es256, [first]);
        let mut deployment = Self {
            real: START,
            boot: 100,
            error: 0,
            settings,
            time,
            mark_on_disk: UnixSeconds::new(START),
            served: disk.clone(),
            disk,
            seen,
            seen_at: START,
            keys_made: 1,
            first_served: HashMap::new(),
            activated: HashMap::new(),
            exempt: HashSet::from([kid(0)]),
            withdrawn: HashSet::new(),
            signed: HashSet::new(),
            tokens: Vec::new(),
        };
        deployment.tick(usize::MAX);
        deployment
    }

    fn wall(&self) -> u64 {
        self.real.checked_add_signed(self.error).unwrap()
    }

    fn reading(&self) -> Reading {
        Reading {
            wall: UnixSeconds::new(self.wall()),
            boot: Duration::from_secs(self.boot),
        }
    }

    /// One write of one key's file.
    fn write(&mut self, step: &Step) {
        if *step == Step::Create {
            self.keys_made += 1;
        }
        if let Step::Activate(id) = step
            && self.disk.active().is_none()
            && self.disk.in_state(KeyState::Withdrawn).any(was_signing)
        {
            self.exempt.insert(id.clone());
        }
        if let Step::Activate(id) = step {
            let cache = self.settings.verifier_cache_max.seconds();
            self.activated.insert(id.clone(), cache);
        }
        let number = self.keys_made;
        take(&mut self.disk, step, &self.seen, &self.settings, number);
        self.mark_on_disk = self.time.mark();
    }

    /// What the task does each second; a crash after so many writes.
    fn tick(&mut self, mut writes: usize) -> bool {
        self.seen = self.time.observe(self.reading());
        self.seen_at = self.real;
        let mut steps: Vec<Step> = postponements(&self.disk, self.seen.leapt).collect();
        if self.seen.leapt == Lifetime::ZERO {
            steps.clear();
        }
        for step in steps {
            if writes == 0 {
                return false;
            }
            writes -= 1;
            let mark = self.mark_on_disk;
            self.write(&step);
            self.mark_on_disk = mark;
        }
        loop {
            let served = &self.served;
            let publish = publication(&self.disk, |id| served.find(id).is_some());
            let step = publish.or_else(|| due(&self.disk, &self.seen, &self.settings));
            let Some(step) = step else { break };
            if writes == 0 {
                return false;
            }
            writes -= 1;
            self.write(&step);
        }
        if self.time.mark().since(self.mark_on_disk) >= Lifetime::from_seconds(60) {
            self.mark_on_disk = self.time.mark();
        }
        self.serve();
        true
    }

    fn serve(&mut self) {
        self.served = self.disk.clone();
        let promise = (self.real, self.settings.verifier_cache_max.seconds());
        for key in self.served.published() {
            self.first_served.entry(key.id.clone()).or_insert(promise);
        }
        let ids: Vec<KeyId> = self.served.published().map(|key| key.id.clone()).collect();
        self.first_served.retain(|id, _| ids.contains(id));
    }

    fn restart(&mut self, down: u64, rebooted: bool) {
        self.real += down;
        self.boot = if rebooted { 5 } else { self.boot + down };
        self.time = TimeKeeper::start(Some(self.mark_on_disk), self.reading());
        self.seen = self.time.observe(self.reading());
        self.seen_at = self.real;
        // Nothing is served before the first whole round: no token, and no JWKS.
        assert!(self.tick(usize::MAX));
    }

    /// A token by the rings that are served, as `mint` makes it.
    fn issue(&mut self) {
        if !self.seen.clock.signs() {
            return;
        }
        let Some(signer) = self.served.active() else {
            return;
        };
        let wanted = self.wall() + self.settings.longest_token.seconds();
        let expires = wanted.min(signer.tokens_until.unwrap().get());
        if expires <= self.wall() {
            return;
        }
        let id = signer.id.clone();
        let (since, cache) = self.first_served[&id];
        if self.signed.insert(id.clone()) && !self.exempt.contains(&id) {
            let cache = cache.max(self.activated[&id]);
            let published = self.real - since;
            assert!(
                published > cache,
                "signs {published} s after, cache {cache} s"
            );
        }
        // A wrong clock that is not believed yet is judged by true time. One that is believed can't
        // be told from a right one: then verifiers are taken to share its error.
        let (believed, then) = (self.seen.key_time.get(), self.seen_at);
        let shared_error = believed.saturating_sub(then + 60);
        self.tokens.push((id, expires - shared_error));
    }

    fn check(&mut self) {
        let (real, withdrawn) = (self.real, &self.withdrawn);
        self.tokens
            .retain(|(id, expires)| *expires > real && !withdrawn.contains(id));
        for (id, expires) in &self.tokens {
            let found = self.served.find(id);
            let left = expires - real;
            assert!(found.is_some(), "a token of {left} s more has no key");
        }
        assert_eq!(self.served.in_state(KeyState::Active).count(), 1);
        assert!(self.served.next().is_some());
    }

    fn run(&mut self, seconds: u64) {
        let ticks = seconds.clamp(1, 12);
        for _ in 0..ticks {
            let part = seconds.div_ceil(ticks);
            self.real += part;
            self.boot += part;
            self.issue();
            self.tick(usize::MAX);
            self.issue();
            self.check();
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Run(u64),
    Restart { down: u64, rebooted: bool },
    Crash { writes: usize, down: u64 },
    ClockError(i64),
    Leap(i64),
    Accept,
    Rotate,
    Compromised(usize),
    Settings(u64, u64, u64),
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1u64..60 * HOUR).prop_map(Event::Run),
        3 => (1u64..900).prop_map(Event::Run),
        2 => (1u64..50 * HOUR, any::<bool>())
            .prop_map(|(down, rebooted)| Event::Restart { down, rebooted }),
        2 => (0usize..6, 1u64..1000).prop_map(|(writes, down)| Event::Crash { writes, down }),
        2 => (-50i64..50).prop_map(Event::ClockError),
        1 => prop_oneof![-200_000i64..-100, 100i64..400_000].prop_map(Event::Leap),
        2 => Just(Event::Accept),
        1 => Just(Event::Rotate),
        1 => (0usize..4).prop_map(Event::Compromised),
        1 => (0u64..3, 0u64..3, 0u64..3).prop_map(|(a, b, c)| Event::Settings(a, b, c)),
    ]
}

fn happen(deployment: &mut Deployment, event: &Event) {
    match event {
        Event::Run(seconds) => deployment.run(*seconds),
        Event::Restart { down, rebooted } => deployment.restart(*down, *rebooted),
        Event::Crash { writes, down } => {
            // Something is due, and the machine stops in the midst of it.
            deployment.real += 40 * HOUR;
            deployment.boot += 40 * HOUR;
            deployment.tick(*writes);
            deployment.restart(*down, true);
        }
        Event::ClockError(error) => deployment.error = *error,
        Event::Leap(leap) => deployment.error = *leap,
        Event::Accept => {
            let reading = deployment.reading();
            if deployment.time.accept(reading) {
                deployment.mark_on_disk = deployment.time.mark();
            }
        }
        Event::Rotate => {
            let next = deployment.disk.next().unwrap().clone();
            let ready = ready_at(&next, &deployment.settings);
            if ready.is_some_and(|at| at <= deployment.seen.key_time) {
                deployment.write(&Step::Activate(next.id));
            }
            deployment.tick(usize::MAX);
        }
        Event::Compromised(which) => {
            let keys = deployment.disk.keys();
            let id = keys[which % keys.len()].id.clone();
            deployment.withdrawn.insert(id.clone());
            deployment.write(&Step::Withdraw(id));
            deployment.tick(usize::MAX);
        }
        Event::Settings(cache, active, longest) => {
            let cache = Lifetime::from_hours([6, 24, 48][usize::try_from(*cache).unwrap()]);
            let lead = cache.plus(Lifetime::from_minutes(5 + active * 30));
            deployment.settings = ScheduleSettings {
                verifier_cache_max: cache,
                publish_lead: lead,
                active_for: lead.plus(Lifetime::from_hours(active * 40)),
                longest_token: Lifetime::from_minutes(
                    [5, 60, 1440][usize::try_from(*longest).unwrap()],
                ),
                ..ScheduleSettings::default()
            };
            assert!(deployment.settings.faults().is_empty());
            deployment.restart(3, false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// One key signs, each was known long enough, and every unexpired token verifies: in true time,
    /// whatever the clock, the disk and the operator do.
    #[test]
    fn promise_3_holds(events in prop::collection::vec(events(), 1..60)) {
        let mut deployment = Deployment::new();
        deployment.check();
        for event in &events {
            happen(&mut deployment, event);
            deployment.check();
        }
    }
}
