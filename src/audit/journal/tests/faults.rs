//! Disks that fill, fail or hang.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

/// A disk of a test's making.
#[derive(Clone, Default)]
struct Disk {
    bytes: Arc<std::sync::Mutex<Vec<u8>>>,
    /// The bytes that fit; a write beyond is cut there.
    room: Arc<AtomicUsize>,
    fails_to_sync: Arc<AtomicBool>,
    fails_to_truncate: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
}

impl files::Appendable for Disk {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.bytes.lock().unwrap();
        assert_eq!(
            disk.len() as u64,
            offset,
            "nothing is left of an unfinished commit"
        );
        let room = self.room.load(Ordering::SeqCst).saturating_sub(disk.len());
        let fits = bytes.len().min(room);
        disk.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.fails_to_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("lost"));
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.fails_to_truncate.load(Ordering::SeqCst) {
            return Err(io::Error::other("no"));
        }
        self.bytes
            .lock()
            .unwrap()
            .truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}

/// A journal on such a disk, without a keeper.
fn on(house: &House, disk: Box<dyn files::Appendable>) -> Journal {
    let folder = Folder::open(&house.journal()).unwrap();
    let tip = beginning(Lineage::from_bits(1));
    let mut index = Index::new(VecDeque::new(), tip);
    index.push_segment(UnixMillis::new(0));
    let issuer = Issuer::parse("https://auth.example.com").unwrap();
    let ground = Ground {
        folder,
        settings: JournalSettings::default(),
        origin: Origin::new(&issuer, &InstanceName::parse("auth-1").unwrap()),
        clock: Clock::of_this_machine(),
    };
    let shared = Arc::new(Shared::new(ground, index, 0));
    let writer = Writer::new(Arc::clone(&shared), disk, tip);
    house
        .tasks
        .thread("journal-writer", move || writer.run())
        .unwrap();
    Journal { shared }
}

fn stored(disk: &Disk) -> Vec<Line> {
    let bytes = disk.bytes.lock().unwrap().clone();
    let mut verifier = Verifier::from_the_beginning();
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").expect("whole lines").to_vec())
        .map(|line| verifier.feed_bytes(line.into()).unwrap().0)
        .collect()
}

#[test]
fn a_full_disk_answers_503_loses_nothing_and_recovers() {
    let house = House::new();
    let disk = Disk::default();
    disk.room.store(4000, Ordering::SeqCst);
    let journal = on(&house, Box::new(disk.clone()));
    let mut issued = Vec::new();
    let refused = loop {
        match house.issue(&journal, issued.len() as u128) {
            Ok(sequence) => issued.push(sequence),
            Err(reason) => break reason,
        }
    };
    assert_eq!(refused, Unrecorded::DiskFull);
    assert!(journal.status().disk_full);
    assert_eq!(stored(&disk).len(), issued.len());
    assert_eq!(house.issue(&journal, 77), Err(Unrecorded::DiskFull));
    disk.room.store(usize::MAX, Ordering::SeqCst);
    issued.push(house.issue(&journal, 88).unwrap());
    assert!(!journal.status().disk_full);
    assert_eq!(issued, (1..=issued.len() as u64).collect::<Vec<_>>());
    assert_eq!(stored(&disk).len(), issued.len());
    assert_eq!(journal.tail().read(1, 100, 1 << 20).unwrap(), stored(&disk));
    house.stop(&journal);
}

#[test]
fn refusals_that_a_full_disk_did_not_take_are_counted() {
    let house = House::new();
    let disk = Disk::default();
    let journal = on(&house, Box::new(disk.clone()));
    let trail = Trail::new(RequestId::from_bits(1), "192.0.2.1".parse().unwrap());
    for _ in 0..10 {
        let decision = Decision::Refused(Denial::WrongSecret);
        let recorded = journal.record(decision, &trail, UnixMillis::new(0), LONG);
        assert!(house.runtime.block_on(recorded).is_ok());
    }
    eventually("the writer gave up on them", || {
        let counters = journal.counters();
        counters.refusals_counted.load(Ordering::Relaxed) == 10
    });
    disk.room.store(usize::MAX, Ordering::SeqCst);
    house.stop(&journal);
    let lines = stored(&disk);
    assert_eq!(types(&lines), ["token.denied_summary", "daemon.stopped"]);
    assert_eq!(data(&lines[0])["total"], 10);
}

#[test]
fn a_failed_fsync_is_never_tried_again_and_ends_the_journal() {
    for truncate in [false, true] {
        let mut house = House::new();
        let disk = Disk::default();
        disk.room.store(usize::MAX, Ordering::SeqCst);
        let journal = on(&house, Box::new(disk.clone()));
        house.issue(&journal, 1).unwrap();
        if truncate {
            disk.room.store(1000, Ordering::SeqCst);
            disk.fails_to_truncate.store(true, Ordering::SeqCst);
        } else {
            disk.fails_to_sync.store(true, Ordering::SeqCst);
        }
        assert_eq!(house.issue(&journal, 2), Err(Unrecorded::Failed));
        let syncs = disk.syncs.load(Ordering::SeqCst);
        disk.fails_to_sync.store(false, Ordering::SeqCst);
        disk.room.store(usize::MAX, Ordering::SeqCst);
        let name = house.runtime.block_on(house.ended.first());
        assert_eq!(name, "journal-writer");
        assert_eq!(house.issue(&journal, 3), Err(Unrecorded::Failed));
        assert_eq!(house.control(&journal), Err(Unrecorded::Failed));
        assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs);
        assert_eq!(journal.status().tip.sequence, 1);
        assert_eq!(journal.status().closed, Some(Unrecorded::Failed));
    }
}

/// A disk that hangs until it is told to go on.
struct Hung(mpsc::Receiver<()>);

impl files::Appendable for Hung {
    fn write_at(&mut self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        // Whoever hung up wants no more waiting.
        let _told = self.0.recv();
        Ok(())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_hung_disk_is_answered_by_the_deadline_and_the_queue_is_bounded() {
    let house = House::new();
    let (go_on, hung) = mpsc::channel();
    let journal = on(&house, Box::new(Hung(hung)));
    let soon = Duration::from_millis(200);
    let outcomes = house.runtime.block_on(async {
        let requests = (0..12_000).map(|number| {
            let journal = journal.clone();
            async move {
                let decision = Decision::Issued(token(number));
                let recorded = journal
                    .record(decision, &trail(number), UnixMillis::new(0), soon)
                    .await;
                recorded.err()
            }
        });
        futures_util::future::join_all(requests).await
    });
    let late = Some(Unrecorded::DeadlinePassed);
    let refused = Some(Unrecorded::QueueFull);
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == late || *outcome == refused)
    );
    assert!(outcomes.contains(&late) && outcomes.contains(&refused));
    drop(go_on);
    eventually("it goes on", || house.issue(&journal, 1).is_ok());
    house.stop(&journal);
}

#[test]
fn a_folder_that_is_removed_or_replaced_ends_the_journal() {
    for replace in [false, true] {
        let mut house = House::new();
        let journal = house.start();
        std::fs::rename(house.journal(), house.dir.path().join("gone")).unwrap();
        if replace {
            std::fs::create_dir(house.journal()).unwrap();
        }
        eventually("it is noticed", || {
            journal.tail().0.ring();
            journal.status().closed.is_some()
        });
        assert_eq!(house.issue(&journal, 1), Err(Unrecorded::Failed));
        assert!(
            house
                .runtime
                .block_on(house.ended.first())
                .starts_with("journal-")
        );
    }
}

/// A file system of a given size, gone when dropped.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(options: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(dir.path())
            .status()
            .expect("mount(8), of the package mount");
        assert!(done.success(), "mounting needs root");
        Self(dir)
    }

    fn remount(&self, options: &str) {
        let done = std::process::Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.0.path())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _done = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
    }
}

#[test]
fn a_full_file_system_answers_503_loses_nothing_and_recovers() {
    let disk = Tmpfs::mount("size=1m");
    let house = House::at(TempDir::new_in(disk.0.path()).unwrap());
    let settings = JournalSettings {
        min_free_bytes: 0,
        ..JournalSettings::default()
    };
    let journal = house.open(settings, None).unwrap();
    let mut issued = 0;
    let refused = loop {
        match house.issue(&journal, issued) {
            Ok(_) => issued += 1,
            Err(reason) => break reason,
        }
    };
    assert_eq!(refused, Unrecorded::DiskFull);
    disk.remount("size=4m");
    house.issue(&journal, issued).unwrap();
    house.stop(&journal);
    let lines = lines(&house.journal());
    let tokens = lines
        .iter()
        .filter(|line| line.event_type() == "token.issued");
    assert_eq!(tokens.count() as u128, issued + 1);
    drop(house);
}

#[test]
fn a_file_system_that_runs_low_leaves_space_for_the_state_beside() {
    let disk = Tmpfs::mount("size=32m");
    let house = House::at(TempDir::new_in(disk.0.path()).unwrap());
    let journal = house.start();
    house.issue(&journal, 1).unwrap();
    // Somebody else fills the disk but for 1 MiB; a sixteenth would be 2.
    std::fs::write(disk.0.path().join("ballast"), vec![1; 31 << 20]).unwrap();
    eventually("it is noticed before the disk is full", || {
        journal.tail().0.ring();
        house.issue(&journal, 1) == Err(Unrecorded::DiskFull)
    });
    house.control(&journal).unwrap();
    house.stop(&journal);
    assert_eq!(
        journal.counters().disk_full.load(Ordering::Relaxed),
        0,
        "no commit found the disk full"
    );
    drop(house);
}
