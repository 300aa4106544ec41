//! The rings in memory, beside their files and their record. Touches: fs, process.
//!
//! What [`super::run`] does each second, in its parts: [`Keeper::advance`] writes files,
//! [`Keeper::untold`] says what is to be recorded, [`Keeper::settle`] writes the store,
//! [`Keeper::shown`] says that requests see it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::event::{ClockEvent, KeysEvent, differences};
use super::super::generate::generate;
use super::super::material::PrivateKey;
use super::super::ports::{RingStore, Vault};
use super::super::ring::{Change, KeyRecord, Ring};
use super::super::rings::Rings;
use super::super::schedule::{
    ScheduleSettings, Step, change, due, fresh, postponements, publication,
};
use super::super::time::{ClockState, Observation, Reading, TimeKeeper};
use super::command::{Command, CommandError, Outcome};
use super::fault::KeysError;
use super::load::{missing, newest, tested};
use crate::domain::{Algorithm, KeyId, Lifetime, UnixSeconds};

/// Most steps of one ring in one round: a rotation takes four.
const MAX_STEPS: usize = 32;

/// How far the mark in memory may be ahead of the one on disk: one write a minute.
const MARK_EVERY: Lifetime = Lifetime::from_seconds(60);

/// What the rotation works with.
pub struct Parts {
    /// Where the keys lie.
    pub vault: Box<dyn Vault>,
    /// What survives beside them.
    pub store: Arc<dyn RingStore>,
    /// What the schedule goes by.
    pub settings: ScheduleSettings,
    /// Signs and verifies once: `mint::jws::self_test`. An argument, for `keys` never calls up into
    /// `mint`, which alone signs.
    pub self_test: fn(&PrivateKey) -> bool,
    /// What a key that is on record without a file means.
    pub missing: OnMissing,
}

/// What to do when keys are on record, but their files are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// Refuse to start: a disk may be lost, or not mounted.
    #[default]
    Refuse,
    /// Go on without them: an operator said so.
    Accept,
}

/// What telemetry reads of the keys.
#[derive(Debug, Default)]
pub struct KeysCounters {
    /// Keys that began to sign since the start.
    pub activations: AtomicU64,
    /// Writes of key files that failed.
    pub failed_writes: AtomicU64,
    /// 1 while the last write of a key file failed (a gauge).
    pub unwritable: AtomicU64,
    /// By how many seconds wall time is behind the mark; 0 when it is not.
    pub clock_behind: AtomicU64,
    /// By how many seconds wall time leapt ahead while the daemon ran, without having held; 0 when it
    /// has not. What it is ahead of at a start is most likely the time of the stop: no alarm.
    pub clock_ahead: AtomicU64,
}

/// The rings, their keys and their time. One lives as long as the daemon.
pub struct Keeper {
    pub(super) parts: Parts,
    rings: Vec<Ring>,
    keys: HashMap<KeyId, Arc<PrivateKey>>,
    /// The keys as they were last recorded, as the store has them.
    recorded: HashMap<Algorithm, Vec<KeyRecord>>,
    /// Events of this round that are on record already.
    told: Vec<KeysEvent>,
    /// The keys that requests see.
    visible: HashSet<KeyId>,
    /// Steps that a leap of time asks for before any other may be taken.
    owed: VecDeque<(Algorithm, Step)>,
    time: TimeKeeper,
    kept_mark: Option<UnixSeconds>,
    pub(super) seen: Observation,
    clock_told: ClockState,
    clock_accepted: bool,
    stale: bool,
    counters: Arc<KeysCounters>,
}

impl Keeper {
    /// Loads and tests every key, and judges the clock. Changes nothing on disk.
    ///
    /// # Errors
    /// [`KeysError`] with advice.
    pub fn open(parts: Parts, reading: Reading) -> Result<Self, KeysError> {
        let faults = parts.settings.faults();
        if !faults.is_empty() {
            return Err(KeysError::Settings(faults));
        }
        let (records, keys) = tested(parts.vault.load()?, parts.self_test)?;
        let mut recorded = HashMap::new();
        for algorithm in Algorithm::ALL {
            recorded.insert(algorithm, parts.store.recorded(algorithm)?);
        }
        let kept_mark = parts.store.time_mark()?;
        let mark = kept_mark.or_else(|| newest(&records));
        if parts.missing == OnMissing::Refuse {
            let lost = missing(recorded.values().flatten(), &keys, &parts.settings, mark);
            if !lost.is_empty() {
                return Err(KeysError::Missing(lost));
            }
            if records.is_empty() {
                return Err(KeysError::NoKeys);
            }
        }
        let mut time = TimeKeeper::start(mark, reading);
        let seen = time.observe(reading);
        let ring = |algorithm| Ring::new(algorithm, records.iter().cloned());
        Ok(Self {
            rings: Algorithm::ALL.into_iter().map(ring).collect(),
            keys,
            recorded,
            told: Vec::new(),
            visible: HashSet::new(),
            owed: VecDeque::new(),
            time,
            kept_mark,
            seen,
            clock_told: ClockState::Steady,
            clock_accepted: false,
            stale: true,
            counters: Arc::default(),
            parts,
        })
    }

    /// The counters, for telemetry.
    #[must_use]
    pub fn counters(&self) -> Arc<KeysCounters> {
        Arc::clone(&self.counters)
    }

    /// The rings as they are on disk, for a command of a stopped daemon.
    #[must_use]
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// Looks at the clocks, obeys a command, and writes every step that is due to the key files.
    ///
    /// # Errors
    /// [`KeysError`]; what was written stands, and the next call goes on from there.
    pub fn advance(
        &mut self,
        reading: Reading,
        longest_token: Lifetime,
        command: Option<&Command>,
    ) -> Result<Option<Result<Outcome, CommandError>>, KeysError> {
        self.parts.settings.longest_token = longest_token;
        let accepted = command == Some(&Command::AcceptClock) && self.time.accept(reading);
        self.clock_accepted |= accepted;
        self.observe(reading);
        let done = self.write(command, accepted);
        let failed = u64::from(done.is_err());
        self.counters.unwritable.store(failed, Ordering::Relaxed);
        self.counters
            .failed_writes
            .fetch_add(failed, Ordering::Relaxed);
        done
    }

    fn observe(&mut self, reading: Reading) {
        let before = self.seen.clock;
        self.seen = self.time.observe(reading);
        let seen = self.seen;
        if seen.leapt > Lifetime::ZERO {
            for ring in &self.rings {
                let of_ring = |step| (ring.algorithm(), step);
                let steps = postponements(ring, seen.leapt).map(of_ring);
                self.owed.extend(steps);
            }
        }
        self.stale |= before.signs() != seen.clock.signs();
        let (behind, ahead) = match seen.clock {
            ClockState::Steady => (0, 0),
            ClockState::Behind { by } => (by.seconds(), 0),
            ClockState::Ahead {
                since_start: true, ..
            } => (0, 0),
            ClockState::Ahead { by, .. } => (0, by.seconds()),
        };
        self.counters.clock_behind.store(behind, Ordering::Relaxed);
        self.counters.clock_ahead.store(ahead, Ordering::Relaxed);
    }

    fn write(
        &mut self,
        command: Option<&Command>,
        accepted: bool,
    ) -> Result<Option<Result<Outcome, CommandError>>, KeysError> {
        while let Some((algorithm, step)) = self.owed.front().cloned() {
            self.apply(algorithm, &step)?;
            self.owed.pop_front();
        }
        let outcome = match command {
            None => None,
            Some(Command::AcceptClock) if accepted => Some(Ok(Outcome::default())),
            Some(command) => Some(self.obey(command)?),
        };
        for algorithm in Algorithm::ALL {
            self.catch_up(algorithm)?;
        }
        Ok(outcome)
    }

    /// Takes every step of a ring that is due.
    pub(super) fn catch_up(&mut self, algorithm: Algorithm) -> Result<(), KeysError> {
        for _ in 0..MAX_STEPS {
            let Some(ring) = self.ring(algorithm) else {
                return Ok(());
            };
            let published = publication(ring, |id| self.visible.contains(id));
            let step = published.or_else(|| due(ring, &self.seen, &self.parts.settings));
            match step {
                None => return Ok(()),
                Some(Step::Remove(id)) if !self.is_recorded(algorithm, &id) => return Ok(()),
                Some(step) => self.apply(algorithm, &step)?,
            }
        }
        Ok(())
    }

    /// Whether the key's present state is on record: before that its file may not go, or nobody
    /// would learn of that state.
    fn is_recorded(&self, algorithm: Algorithm, id: &KeyId) -> bool {
        let state = |keys: &[KeyRecord]| keys.iter().find(|key| key.id == *id).map(|k| k.state);
        let recorded = self.recorded.get(&algorithm).and_then(|keys| state(keys));
        recorded.is_some() && recorded == self.ring(algorithm).and_then(|ring| state(ring.keys()))
    }

    pub(super) fn ring(&self, algorithm: Algorithm) -> Option<&Ring> {
        self.rings.iter().find(|ring| ring.algorithm() == algorithm)
    }

    /// Takes one step: its file first, then memory.
    pub(super) fn apply(&mut self, algorithm: Algorithm, step: &Step) -> Result<(), KeysError> {
        if self.owed.is_empty() {
            self.keep_mark()?;
        }
        let change = match step {
            Step::Create => Some(self.create(algorithm)?),
            step => {
                let (seen, settings) = (self.seen, &self.parts.settings);
                self.ring(algorithm)
                    .and_then(|ring| change(ring, step, &seen, settings))
            }
        };
        let Some(change) = change else { return Ok(()) };
        match &change {
            Change::Write(_) if *step == Step::Create => {}
            Change::Write(record) => self.parts.vault.update(record)?,
            Change::Remove(id) => {
                let record = self.ring(algorithm).and_then(|ring| ring.find(id)).cloned();
                if let Some(record) = record {
                    self.parts.vault.remove(&record)?;
                }
                self.keys.remove(id);
            }
        }
        for ring in &mut self.rings {
            if ring.algorithm() == algorithm {
                *ring = ring.with(&change);
            }
        }
        if matches!(step, Step::Activate(_)) {
            self.counters.activations.fetch_add(1, Ordering::Relaxed);
        }
        self.stale = true;
        Ok(())
    }

    fn create(&mut self, algorithm: Algorithm) -> Result<Change, KeysError> {
        let made = generate(algorithm)?;
        if !(self.parts.self_test)(&made.key) {
            return Err(KeysError::SelfTest(made.key.id().clone()));
        }
        let (id, at) = (made.key.id().clone(), self.seen.key_time);
        let record = fresh(id, algorithm, at, &self.parts.settings);
        self.parts.vault.create(&record, &made.pkcs8)?;
        self.keys.insert(record.id.clone(), Arc::new(made.key));
        Ok(Change::Write(record))
    }

    /// What is to be put on record before [`Keeper::settle`]: the rest of it, after a failure.
    #[must_use]
    pub fn untold(&self) -> Vec<KeysEvent> {
        let mut events = Vec::new();
        if self.clock_told.name() != self.seen.clock.name() || self.clock_accepted {
            events.push(KeysEvent::Clock(ClockEvent {
                before: self.clock_told,
                now: self.seen.clock,
                wall: self.seen.wall,
                key_time: self.seen.key_time,
                accepted: self.clock_accepted,
            }));
        }
        for ring in &self.rings {
            let recorded = self.recorded.get(&ring.algorithm());
            let recorded = recorded.map_or(&[][..], Vec::as_slice);
            let changes = differences(recorded, ring.keys());
            events.extend(changes.into_iter().map(KeysEvent::Key));
        }
        events.retain(|event| !self.is_told(event));
        events
    }

    fn is_told(&self, event: &KeysEvent) -> bool {
        self.told.iter().any(|told| match (told, event) {
            (KeysEvent::Key(a), KeysEvent::Key(b)) => a.kind == b.kind && a.key.id == b.key.id,
            _ => false,
        })
    }

    /// Says that an event is on record.
    pub fn told(&mut self, event: KeysEvent) {
        if let KeysEvent::Clock(event) = event {
            self.clock_told = event.now;
            self.clock_accepted = false;
        } else {
            self.told.push(event);
        }
    }

    /// Writes what is on record to the store, and says what requests are to see, if that is new.
    ///
    /// # Errors
    /// [`KeysError::State`]: the daemon must stop, unless the disk is full. Then what is told stays told, and
    /// the next call goes on from there.
    pub fn settle(&mut self) -> Result<Option<Arc<Rings>>, KeysError> {
        for ring in &self.rings {
            let algorithm = ring.algorithm();
            let recorded = self.recorded.get(&algorithm).map(Vec::as_slice);
            if recorded.unwrap_or_default() != ring.keys() {
                self.parts.store.set_recorded(algorithm, ring.keys())?;
                self.recorded.insert(algorithm, ring.keys().to_vec());
            }
        }
        self.told.clear();
        let kept = self.kept_mark.unwrap_or(UnixSeconds::new(0));
        if self.time.mark() < kept || self.time.mark().since(kept) >= MARK_EVERY {
            self.keep_mark()?;
        }
        if !self.stale {
            return Ok(None);
        }
        self.stale = false;
        let settings = &self.parts.settings;
        let rings = Rings::build(&self.rings, &self.keys, settings, &self.seen);
        Ok(Some(Arc::new(rings)))
    }

    /// Says that requests see what [`Keeper::settle`] returned last.
    pub fn shown(&mut self) {
        let published = self.rings.iter().flat_map(Ring::published);
        self.visible = published.map(|key| key.id.clone()).collect();
    }

    /// Keeps the mark: at a stop, so that nothing of it is lost.
    ///
    /// # Errors
    /// [`KeysError::State`]: the store failed.
    pub fn keep_mark(&mut self) -> Result<(), KeysError> {
        let mark = self.time.mark();
        if self.owed.is_empty() && self.kept_mark != Some(mark) {
            self.parts.store.set_time_mark(mark)?;
            self.kept_mark = Some(mark);
        }
        Ok(())
    }
}
