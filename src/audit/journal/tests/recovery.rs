//! Starts after stops of every kind.

use super::*;

/// A copy of a journal's folder as `kill -9` would leave it at this moment, in a house of its own.
fn copy(house: &House) -> House {
    let copy = House::new();
    copy_dir(&house.journal(), &copy.journal());
    copy
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        if entry.file_type().unwrap().is_file() {
            // One that was renamed meanwhile is taken under its new name by the caller's retry.
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// The segment with the last lines.
fn last_segment(house: &House) -> PathBuf {
    let tip = lines(&house.journal());
    let mut names: Vec<PathBuf> = std::fs::read_dir(house.journal())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".jsonl"))
        .filter(|path| std::fs::metadata(path).unwrap().len() > 0)
        .collect();
    names.sort();
    assert!(!tip.is_empty());
    names.pop().unwrap()
}

/// A stopped journal whose last commit has several lines, without the stop's line: as a kill leaves it.
fn killed() -> (House, Vec<Line>) {
    let house = House::new();
    let journal = house.start();
    for round in 0..3 {
        house.runtime.block_on(async {
            let requests = (0..5).map(|number| issue(&journal, round * 5 + number));
            futures_util::future::join_all(requests).await
        });
    }
    let copied = copy(&house);
    house.stop(&journal);
    let stood = lines(&copied.journal());
    (copied, stood)
}

#[test]
fn everything_acknowledged_before_a_kill_stands_after_it() {
    let house = House::new();
    let journal = house.start();
    for round in 0..20 {
        house.runtime.block_on(async {
            let requests = (0..50).map(|number| issue(&journal, round * 50 + number));
            futures_util::future::join_all(requests).await
        });
        let acknowledged = journal.status().tip;
        let copied = copy(&house);
        let again = copied.start();
        let stood = lines(&copied.journal());
        let line = &stood[usize::try_from(acknowledged.sequence).unwrap() - 1];
        assert_eq!(line.hash, acknowledged.hash);
        let started = stood.last().unwrap();
        assert_eq!(data(started)["previous_stop"], "unclean");
        assert_eq!(data(started).get("moved_aside"), None);
        copied.stop(&again);
    }
    house.stop(&journal);
}

#[test]
fn a_half_written_commit_is_moved_aside_and_told() {
    let (template, stood) = killed();
    let last = last_segment(&template);
    let bytes = std::fs::read(&last).unwrap();
    let batch = stood.last().unwrap().batch;
    let tail: usize = stood
        .iter()
        .filter(|line| line.batch == batch)
        .map(|line| line.bytes().len() + 1)
        .sum();
    for cut in (bytes.len() - tail..bytes.len()).step_by(211) {
        let house = copy(&template);
        let segment = house.journal().join(last.file_name().unwrap());
        std::fs::write(&segment, &bytes[..cut]).unwrap();
        let journal = house.start();
        house.issue(&journal, 99).unwrap();
        house.stop(&journal);
        let after = lines(&house.journal());
        let kept = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(after[..kept], stood[..kept]);
        let whole = bytes[..cut].ends_with(b"\n");
        let told = after[kept].event_type() == "daemon.journal_recovered";
        assert_eq!(told, !whole, "{cut}");
        if told {
            let event = data(&after[kept]);
            let aside = house.journal().join(event["moved_to"].as_str().unwrap());
            let offset = usize::try_from(event["offset"].as_u64().unwrap()).unwrap();
            assert_eq!(std::fs::read(aside).unwrap(), bytes[offset..cut]);
            assert_eq!(data(&after[kept + 1])["moved_aside"], event);
        }
    }
}

#[test]
fn a_break_in_what_was_acknowledged_is_refused_and_nothing_is_changed() {
    let (template, stood) = killed();
    let last = last_segment(&template);
    let bytes = std::fs::read(&last).unwrap();
    let mut garbled = bytes.clone();
    garbled[700] ^= 1;
    let cut = bytes[..bytes.len() - 10].to_vec();
    let sequence = stood.last().unwrap().sequence;
    for (bytes, confirmed) in [(garbled, None), (cut, Some(sequence))] {
        let house = copy(&template);
        let segment = house.journal().join(last.file_name().unwrap());
        std::fs::write(&segment, &bytes).unwrap();
        let error = house
            .open(JournalSettings::default(), confirmed)
            .unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(segment.to_str().unwrap()), "{text}");
        assert!(
            text.contains("at byte") && text.contains("Nothing was changed"),
            "{text}"
        );
        assert_eq!(std::fs::read(&segment).unwrap(), bytes);
        assert!(!house.journal().join("torn").exists());
    }
}

#[test]
fn a_journal_that_lost_what_the_stream_holds_is_refused() {
    let house = House::new();
    let error = house.open(JournalSettings::default(), Some(5)).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Lost {
                confirmed: 5,
                found: 0,
                ..
            }
        ),
        "{error}"
    );
    let (template, stood) = killed();
    let beyond = stood.last().unwrap().sequence + 1;
    let error = template
        .open(JournalSettings::default(), Some(beyond))
        .unwrap_err();
    assert!(matches!(error, OpenError::Lost { .. }), "{error}");
    let journal = template
        .open(JournalSettings::default(), Some(beyond - 1))
        .unwrap();
    template.stop(&journal);
}

#[test]
fn a_break_before_an_empty_last_segment_is_corruption() {
    let (template, stood) = killed();
    let last = last_segment(&template);
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 10]).unwrap();
    let next = stood.last().unwrap().sequence + 1;
    std::fs::write(template.journal().join(segment_name(next)), b"").unwrap();
    let error = template.open(JournalSettings::default(), None).unwrap_err();
    assert!(
        error.to_string().contains("a later segment exists"),
        "{error}"
    );
}

/// A journal of several segments, stopped.
fn segmented() -> House {
    let house = House::new();
    let settings = JournalSettings {
        segment_bytes: 0,
        ..JournalSettings::default()
    };
    let journal = house.open(settings, None).unwrap();
    while journal.status().segments < 4 {
        house.issue(&journal, 1).unwrap();
    }
    house.stop(&journal);
    House::at(house.dir)
}

#[test]
fn a_segment_whose_new_name_was_lost_is_found_again() {
    let house = segmented();
    let before = lines(&house.journal());
    let last = last_segment(&house);
    std::fs::rename(&last, house.journal().join(files::NEXT)).unwrap();
    let journal = house.start();
    house.stop(&journal);
    assert_eq!(lines(&house.journal())[..before.len()], before);
}

#[test]
fn what_an_interrupted_start_left_is_tidied_up() {
    let house = segmented();
    let before = lines(&house.journal());
    let next = before.last().unwrap().sequence + 1;
    std::fs::write(house.journal().join(files::RECOVERING), b"half").unwrap();
    std::fs::write(house.journal().join(segment_name(next)), b"").unwrap();
    let journal = house.start();
    assert!(!house.journal().join(files::RECOVERING).exists());
    house.stop(&journal);
    let after = lines(&house.journal());
    assert_eq!(after[before.len()].sequence, next);
}

#[test]
fn damaged_edges_of_earlier_segments_are_found_at_a_start() {
    let template = segmented();
    let mut names: Vec<PathBuf> = std::fs::read_dir(template.journal())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| std::fs::metadata(path).unwrap().len() > 0)
        .collect();
    names.sort();
    let second = names[1].file_name().unwrap().to_owned();
    type Harm = fn(&Path);
    let harms: [Harm; 4] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        },
        |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[300] ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
        |path| std::fs::rename(path, path.with_file_name(segment_name(3))).unwrap(),
    ];
    for harm in harms {
        let house = copy(&template);
        harm(&house.journal().join(&second));
        let error = house.open(JournalSettings::default(), None).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}

#[test]
fn odd_files_are_refused_and_files_are_private() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let template = segmented();
    let last = last_segment(&template);
    let house = copy(&template);
    let segment = house.journal().join(last.file_name().unwrap());
    std::fs::remove_file(&segment).unwrap();
    symlink(&last, &segment).unwrap();
    let error = house.open(JournalSettings::default(), None).unwrap_err();
    assert!(matches!(error, OpenError::File(_)), "{error}");

    let house = copy(&template);
    std::fs::write(house.journal().join("12.jsonl"), b"").unwrap();
    let error = house.open(JournalSettings::default(), None).unwrap_err();
    assert!(error.to_string().contains("12.jsonl"), "{error}");

    let house = House::new();
    symlink(template.journal(), house.journal()).unwrap();
    let error = house.open(JournalSettings::default(), None).unwrap_err();
    assert!(error.to_string().contains("as a folder"), "{error}");

    let journal = template.start();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&template.journal()), 0o700);
    for entry in std::fs::read_dir(template.journal()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    template.stop(&journal);
}

#[test]
fn an_archive_shows_the_files_as_they_are() {
    let house = segmented();
    let all = lines(&house.journal());
    let archive = Archive::open(&house.journal()).unwrap();
    let read: Vec<ArchiveLine> = archive.lines(0).map(Result::unwrap).collect();
    assert_eq!(read.len(), all.len());
    for (read, line) in read.iter().zip(&all) {
        assert_eq!(read.bytes, line.bytes());
        assert!(read.whole);
    }
    let middle = all[all.len() / 2].sequence;
    let first = archive.lines(middle).next().unwrap().unwrap();
    let first = Line::parse(first.bytes).unwrap().sequence;
    assert!(first > 1 && first <= middle);
    let last = last_segment(&house);
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 3]).unwrap();
    let torn = archive.lines(u64::MAX).last().unwrap().unwrap();
    assert!(!torn.whole);
    assert_eq!(torn.path, last);
    assert!(Archive::open(&house.dir.path().join("nothing")).is_err());
}
