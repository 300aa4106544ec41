//! What custody accepts and refuses. Touches: fs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::domain::UnixSeconds;
use crate::keys::generate::{Generated, generate};
use crate::keys::ring::KeyState;
use crate::keys::schedule::first_active;

const AT: UnixSeconds = UnixSeconds::new(1_800_000_000);

fn custody() -> (tempfile::TempDir, Custody) {
    let folder = tempfile::tempdir().unwrap();
    let custody = Custody::make(&folder.path().join("keys"), None).unwrap();
    (folder, custody)
}

fn stored(custody: &Custody, algorithm: Algorithm) -> (KeyRecord, Generated) {
    let made = generate(algorithm).unwrap();
    let record = first_active(made.key.id().clone(), algorithm, AT);
    custody.create(&record, &made.pkcs8).unwrap();
    (record, made)
}

fn problem(custody: &Custody) -> FileProblem {
    match custody.load() {
        Err(CustodyError::Files(mut faults)) => faults.remove(0).what,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn keys_are_written_read_changed_and_removed() {
    let (_guard, custody) = custody();
    let mut records = Vec::new();
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        records.push(stored(&custody, algorithm).0);
    }
    fs::write(custody.folder().join("README.md"), "words").unwrap();
    let path = custody.path_of(records[0].algorithm, &records[0].id);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let mut loaded = custody.load().unwrap();
    loaded.sort_by_key(|stored| stored.record.algorithm);
    assert_eq!(loaded[0].record, records[0]);
    assert_eq!(loaded[1].record, records[1]);
    records[0].state = KeyState::Retiring;
    records[0].retired = Some(AT);
    custody.update(&records[0]).unwrap();
    custody.remove(&records[1]).unwrap();
    custody.remove(&records[1]).unwrap();
    let loaded = custody.load().unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].record, records[0]);
    assert_eq!(loaded[0].key.id(), &records[0].id);
}

#[test]
fn a_file_that_others_can_read_or_that_is_a_link_is_refused() {
    let (_guard, custody) = custody();
    let (record, _) = stored(&custody, Algorithm::Es256);
    let path = custody.path_of(record.algorithm, &record.id);
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(matches!(problem(&custody), FileProblem::Open(found) if found == mode));
    }
    let elsewhere = custody.folder().join("elsewhere");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(matches!(problem(&custody), FileProblem::NotAFile));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(problem(&custody), FileProblem::NotAFile));
}

#[test]
fn a_file_with_another_key_or_another_name_is_refused() {
    let (_guard, custody) = custody();
    let (one, _) = stored(&custody, Algorithm::Es256);
    let (two, _) = stored(&custody, Algorithm::Es256);
    let (from, to) = (
        custody.path_of(one.algorithm, &one.id),
        custody.path_of(two.algorithm, &two.id),
    );
    fs::rename(&from, &to).unwrap();
    assert!(matches!(problem(&custody), FileProblem::Name(_)));
    let text = fs::read_to_string(&to).unwrap();
    fs::write(&to, text.replace(one.id.as_str(), two.id.as_str())).unwrap();
    let found = problem(&custody);
    assert!(matches!(found, FileProblem::OtherKey { named, .. } if named == two.id));
    fs::write(&to, "x".repeat(20_000)).unwrap();
    assert!(matches!(problem(&custody), FileProblem::TooLarge));
    fs::write(&to, [0xff, 0xfe]).unwrap();
    assert!(matches!(problem(&custody), FileProblem::Read(_)));
}

#[test]
fn the_folder_must_be_there_and_nobody_else_may_write_into_it() {
    let (guard, custody) = custody();
    let missing = Custody::open(&guard.path().join("none"), None);
    assert!(matches!(missing, Err(CustodyError::NoFolder(_))));
    let folder = custody.folder().to_owned();
    fs::set_permissions(&folder, Permissions::from_mode(0o770)).unwrap();
    let open = Custody::open(&folder, None);
    assert!(matches!(open, Err(CustodyError::FolderOpen(_))));
}

#[test]
fn keys_are_sealed_at_their_next_write_and_open_with_their_sealing_key_alone() {
    let (_guard, custody) = custody();
    let (record, _) = stored(&custody, Algorithm::Es256);
    let folder = custody.folder().to_owned();
    let sealing = Custody::open(&folder, Sealer::from_key(&[1; 32])).unwrap();
    assert_eq!(sealing.load().unwrap().len(), 1);
    sealing.update(&record).unwrap();
    let path = sealing.path_of(record.algorithm, &record.id);
    assert!(!fs::read_to_string(path).unwrap().contains("PRIVATE"));
    assert_eq!(sealing.load().unwrap().len(), 1);
    assert!(matches!(problem(&custody), FileProblem::NoSealingKey));
    let other = Custody::open(&folder, Sealer::from_key(&[2; 32])).unwrap();
    assert!(matches!(problem(&other), FileProblem::WrongSeal));
}

#[test]
fn what_a_crash_left_half_written_is_ignored_and_taken_away() {
    let (_guard, custody) = custody();
    let (record, _) = stored(&custody, Algorithm::Es256);
    let name = format!("{UNFINISHED}{}", name_of(record.algorithm, &record.id));
    let left = custody.folder().join(name);
    fs::write(&left, "format = ").unwrap();
    assert_eq!(custody.load().unwrap().len(), 1);
    custody.update(&record).unwrap();
    fs::write(&left, "format = ").unwrap();
    custody.tidy().unwrap();
    assert!(!left.exists());
    assert_eq!(custody.load().unwrap().len(), 1);
}
