#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod bounds;
mod faults;
mod recovery;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::audit::chain::{Line, Step, Verifier};
use crate::audit::decision::Outcome;
use crate::audit::event::{KeyEvent, KeyStep, LineageRenewal, RenewalCause};
use crate::domain::{
    Algorithm, ClientId, Digest, InstanceName, Issuer, KeyId, RequestId, ResourceIdentifier,
    TokenId, UnixSeconds,
};
use crate::mint::{SignedToken, TokenFacts};
use crate::tasks::{Ended, Idle};

/// Longer than anything here takes on a slow disk.
const LONG: Duration = Duration::from_secs(30);

/// A state directory, and what runs on it.
struct House {
    dir: TempDir,
    runtime: Runtime,
    tasks: Tasks,
    ended: Ended,
}

impl House {
    fn new() -> Self {
        Self::at(TempDir::new().unwrap())
    }

    fn at(dir: TempDir) -> Self {
        let runtime = crate::tasks::runtime(2, &Idle::default()).unwrap();
        let (tasks, ended) = Tasks::new(runtime.handle().clone(), Idle::default());
        Self {
            dir,
            runtime,
            tasks,
            ended,
        }
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    fn open(
        &self,
        settings: JournalSettings,
        confirmed: Option<u64>,
    ) -> Result<Journal, OpenError> {
        let opening = Opening {
            issuer: Issuer::parse("https://auth.example.com").unwrap(),
            instance: InstanceName::parse("auth-1").unwrap(),
            version: "0.1.0",
            confirmed,
        };
        let clock = Clock::of_this_machine();
        Journal::open(&self.journal(), settings, &opening, &self.tasks, clock)
    }

    fn start(&self) -> Journal {
        self.open(JournalSettings::default(), None).unwrap()
    }

    /// Issues a token; the sequence of its receipt.
    fn issue(&self, journal: &Journal, number: u128) -> Result<u64, Unrecorded> {
        self.runtime.block_on(issue(journal, number))
    }

    fn control(&self, journal: &Journal) -> Result<u64, Unrecorded> {
        self.runtime.block_on(journal.control(a_control_event()))
    }

    fn stop(&self, journal: &Journal) -> u64 {
        self.tasks.stop();
        let stopped = self.runtime.block_on(journal.stop(StopCause::Signal));
        let sequence = stopped.unwrap();
        let limit = std::time::Duration::from_secs(10);
        let ended = self.tasks.threads_ended_within(limit);
        assert!(self.runtime.block_on(ended), "the threads end");
        sequence
    }
}

fn a_control_event() -> ControlEvent {
    ControlEvent::Key(KeyEvent {
        key: KeyId::from_thumbprint(Digest::of(b"key")),
        algorithm: Algorithm::Es256,
        step: KeyStep::Created,
        created: UnixSeconds::new(0),
        published: None,
        signs_from: None,
        activated: None,
        retired: None,
        tokens_until: None,
    })
}

fn token(number: u128) -> SignedToken {
    SignedToken::unsigned(TokenFacts {
        id: TokenId::from_bits(number),
        key: KeyId::from_thumbprint(Digest::of(b"key")),
        algorithm: Algorithm::Es256,
        client: ClientId::parse("nightly-invoices").unwrap(),
        audience: ResourceIdentifier::parse("https://billing.example.com/api").unwrap(),
        scope: Arc::from("invoice:read"),
        issued: UnixSeconds::new(1_795_422_600),
        expires: UnixSeconds::new(1_795_423_500),
    })
}

fn trail(number: u128) -> Trail {
    let mut trail = Trail::new(RequestId::from_bits(number), "192.0.2.7".parse().unwrap());
    trail.client = Some(ClientId::parse("nightly-invoices").unwrap());
    trail.proved = true;
    trail
}

async fn issue(journal: &Journal, number: u128) -> Result<u64, Unrecorded> {
    let at = Clock::of_this_machine().now();
    let decision = Decision::Issued(token(number));
    let recorded = journal.record(decision, &trail(number), at, LONG).await?;
    let Outcome::Token { token, receipt } = recorded.outcome() else {
        panic!("a token was issued");
    };
    let sequence = receipt.sequence();
    assert!(token.reveal(&receipt).is_some());
    Ok(sequence)
}

/// The lines of all segments on disk, verified as a whole chain.
fn lines(journal: &Path) -> Vec<Line> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .filter(|path| !path.ends_with(files::NEXT))
        .collect();
    names.sort();
    let mut verifier = Verifier::from_anywhere();
    let mut lines = Vec::new();
    for name in names {
        let bytes = std::fs::read(&name).unwrap();
        for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\n").expect("whole lines");
            let (line, _) = verifier.feed_bytes(line.to_vec().into()).unwrap();
            if at == 0 {
                assert!(name.ends_with(segment_name(line.sequence)));
            }
            lines.push(line);
        }
    }
    lines
}

fn types(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(Line::event_type).collect()
}

fn data(line: &Line) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(line.text()).unwrap()["data"].clone()
}

/// Polls until it holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::of_this_machine();
    let end = clock.monotonic() + LONG;
    while !holds() {
        assert!(clock.monotonic() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_token_has_its_event_on_disk_when_it_is_revealed() {
    let house = House::new();
    let journal = house.start();
    let sequence = house.issue(&journal, 0xabc).unwrap();
    let lines = lines(&house.journal());
    assert_eq!(
        types(&lines),
        ["daemon.lineage_started", "daemon.started", "token.issued"]
    );
    assert_eq!(lines[2].sequence, sequence);
    assert_eq!(data(&lines[2])["jti"], format!("{:032x}", 0xabc));
    assert_eq!(data(&lines[1])["previous_stop"], "none");
    house.stop(&journal);
}

#[test]
fn a_receipt_reveals_its_own_token_only() {
    let house = House::new();
    let journal = house.start();
    let recorded = house.runtime.block_on(journal.record(
        Decision::Issued(token(1)),
        &trail(1),
        UnixMillis::new(0),
        LONG,
    ));
    let Outcome::Token { receipt, .. } = recorded.unwrap().outcome() else {
        panic!("a token was issued");
    };
    assert!(token(2).reveal(&receipt).is_none());
    house.stop(&journal);
}

#[test]
fn a_clean_stop_ends_with_a_commit_of_its_own_and_the_chain_goes_on() {
    let house = House::new();
    let journal = house.start();
    house.issue(&journal, 1).unwrap();
    let stopped = house.stop(&journal);
    assert_eq!(house.issue(&journal, 2), Err(Unrecorded::Stopping));
    let dir = house.dir;
    let house = House::at(dir);
    let journal = house.start();
    house.issue(&journal, 3).unwrap();
    house.stop(&journal);
    let lines = lines(&house.journal());
    let last = &lines[usize::try_from(stopped).unwrap() - 1];
    assert_eq!((last.event_type(), last.batch), ("daemon.stopped", stopped));
    let started = &lines[usize::try_from(stopped).unwrap()];
    assert_eq!(data(started)["previous_stop"], "clean");
    assert_eq!(data(started)["previous_sequence"], stopped);
    assert!(lines.iter().all(|line| line.lineage == lines[0].lineage));
}

#[test]
fn many_requests_share_commits_and_every_one_has_its_own_line() {
    let house = House::new();
    let journal = house.start();
    let before = journal.status().tip.sequence;
    let sequences: Vec<u64> = house.runtime.block_on(async {
        let requests = (0..2000).map(|number| {
            let journal = journal.clone();
            async move { issue(&journal, number).await.unwrap() }
        });
        futures_util::future::join_all(requests).await
    });
    let sorted: std::collections::BTreeSet<u64> = sequences.iter().copied().collect();
    assert_eq!(sorted.len(), 2000);
    assert_eq!(*sorted.first().unwrap(), before + 1);
    assert_eq!(*sorted.last().unwrap(), before + 2000);
    let counters = journal.counters();
    let commits = counters.commits.load(std::sync::atomic::Ordering::Relaxed);
    assert!(commits < 200, "{commits} commits");
    house.stop(&journal);
    let lines = lines(&house.journal());
    for (number, sequence) in sequences.iter().enumerate() {
        let line = &lines[usize::try_from(*sequence).unwrap() - 1];
        assert_eq!(data(line)["jti"], format!("{number:032x}"));
    }
}

#[test]
fn a_new_lineage_names_the_old_head_and_survives_a_restart() {
    let house = House::new();
    let journal = house.start();
    house.issue(&journal, 1).unwrap();
    let old = journal.status().tip;
    let renewal = LineageRenewal {
        cause: RenewalCause::StreamAhead,
        stream_head_sequence: Some(99),
        stream_head: Some(Digest::of(b"stream")),
    };
    let sequence = house
        .runtime
        .block_on(journal.renew_lineage(renewal))
        .unwrap();
    assert_eq!(sequence, old.sequence + 1);
    house.issue(&journal, 2).unwrap();
    let new = journal.status().tip.lineage;
    assert_ne!(new, old.lineage);
    house.stop(&journal);
    let house = House::at(house.dir);
    let journal = house.start();
    assert_eq!(journal.status().tip.lineage, new);
    house.stop(&journal);
    let lines = lines(&house.journal());
    let mut verifier = Verifier::from_the_beginning();
    let renewed: Vec<u64> = lines
        .iter()
        .filter(|line| verifier.feed(line).unwrap() == Step::NewLineage)
        .map(|line| line.sequence)
        .collect();
    assert_eq!(renewed, [sequence]);
}

#[test]
fn the_tail_reads_the_same_from_memory_and_from_disk_and_splits_no_commit() {
    let house = House::new();
    let settings = JournalSettings {
        segment_bytes: 0,
        ..JournalSettings::default()
    };
    let journal = house.open(settings, None).unwrap();
    let tail = journal.tail();
    // More than is kept in memory.
    while tail.0.index().bytes() < 10 << 20 {
        house.runtime.block_on(async {
            let requests = (0..500).map(|number| issue(&journal, number));
            futures_util::future::join_all(requests).await
        });
    }
    let durable = *tail.durable().borrow();
    assert!(tail.0.index().remembered(1, 1).is_none());
    let mut read = Vec::new();
    let mut from = 1;
    while from <= durable {
        let lines = tail.read(from, 100, 50_000).unwrap();
        let batches: std::collections::BTreeSet<u64> =
            lines.iter().map(|line| line.batch).collect();
        let bytes: usize = lines.iter().map(|line| line.bytes().len()).sum();
        assert!(lines.len() <= 100 && bytes <= 50_000);
        let next = tail.read(lines.last().unwrap().sequence + 1, 1, 0).unwrap();
        let split = next
            .first()
            .is_some_and(|next| batches.contains(&next.batch));
        assert!(
            !split || batches.len() == 1,
            "a commit is split only when it is alone"
        );
        from = lines.last().unwrap().sequence + 1;
        read.extend(lines);
    }
    assert_eq!(read, lines(&house.journal()));
    assert!(journal.status().segments > 10);
    assert_eq!(tail.read(durable + 1, 10, 1000).unwrap(), []);
    assert_eq!(tail.read(3, 1, usize::MAX).unwrap()[0].sequence, 3);
    assert_eq!(tail.read(durable, usize::MAX, 1).unwrap().len(), 1);
    house.stop(&journal);
}
