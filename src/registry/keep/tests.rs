//! What is kept comes back whole, or is refused. Touches: fs.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::{CommitId, UnixSeconds};

type Files = BTreeMap<String, String>;

fn sources(files: &Files) -> Vec<Arc<Source>> {
    let files = files.iter();
    files
        .map(|(path, text)| Arc::new(Source::new(path, text.clone().into_bytes())))
        .collect()
}

fn seal(generation: u64) -> Seal {
    Seal {
        number: 0,
        generation,
        accepted: UnixSeconds::new(1_800_000_000 + generation),
        digest: Digest::of(&generation.to_be_bytes()),
        form: Arc::from("a form"),
        commit: CommitId::parse(&"c".repeat(40))
            .ok()
            .filter(|_| generation % 2 == 1),
        dirty: [None, Some(false), Some(true)][usize::try_from(generation % 3).unwrap()],
    }
}

/// Keeps these registries one after the other, the first with generation 1.
fn kept(folder: &Path, states: &[Files]) -> Keep {
    let (keep, found) = Keep::open(folder, None);
    assert!(matches!(found, Found::Nothing), "{found:?}");
    for (at, files) in states.iter().enumerate() {
        let number = keep.keep(&sources(files), seal(u64_of(at) + 1)).unwrap();
        assert_eq!(number, u64_of(at) + 1);
    }
    keep
}

/// Which of the registries was found, from 1, once its seal was compared.
fn which(found: Found, states: &[Files]) -> Result<usize, String> {
    match found {
        Found::Nothing => Ok(0),
        Found::Broken(why) => Err(why),
        Found::Whole(Kept {
            files, seal: got, ..
        }) => {
            let number = usize::try_from(got.number).unwrap();
            let texts = files.iter();
            let texts: Files = texts
                .map(|file| (file.path().to_string(), file.text().to_owned()))
                .collect();
            assert_eq!(
                texts,
                states[number - 1],
                "the files of one registry, whole"
            );
            let expected = Seal {
                number: got.number,
                ..seal(got.number)
            };
            assert_eq!(got, expected);
            Ok(number)
        }
    }
}

fn open(folder: &Path, served: Option<u64>, states: &[Files]) -> Result<usize, String> {
    which(Keep::open(folder, served).1, states)
}

fn company(clients: usize, size: usize) -> Files {
    let file = |number: usize| {
        let path = format!("team/{number:05}.toml");
        (path, format!("# {number} {}", "x".repeat(size)))
    };
    (0..clients).map(file).collect()
}

fn with(files: &Files, path: &str, text: &str) -> Files {
    let mut files = files.clone();
    files.insert(path.to_owned(), text.to_owned());
    files
}

#[test]
fn a_change_of_one_file_writes_that_file_alone() {
    let folder = TempDir::new().unwrap();
    let all = company(1000, 300);
    let one = with(&all, "team/00007.toml", "# another");
    let mut gone = one.clone();
    gone.remove("team/00009.toml");
    let states = [all, one, gone];
    let keep = kept(folder.path(), &states[..1]);
    let length = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
    let base = length("base");
    for (generation, state) in [(2, &states[1]), (3, &states[2])] {
        let before = length("log");
        keep.keep(&sources(state), seal(generation)).unwrap();
        let grown = length("log") - before;
        assert!(grown < 400, "{grown} bytes for one file");
        assert_eq!(length("base"), base);
    }
    drop(keep);
    assert_eq!(open(folder.path(), Some(3), &states), Ok(3));
    assert_eq!(open(folder.path(), None, &states), Ok(3));
}

#[test]
fn what_was_never_served_is_cut_off_and_written_over() {
    let folder = TempDir::new().unwrap();
    let first = company(3, 10);
    let states = [first.clone(), with(&first, "b.toml", "# b")];
    drop(kept(folder.path(), &states));
    let (keep, found) = Keep::open(folder.path(), Some(1));
    assert_eq!(which(found, &states), Ok(1));
    let other = with(&first, "c.toml", "# c");
    assert_eq!(keep.keep(&sources(&other), seal(2)).unwrap(), 2);
    drop(keep);
    assert_eq!(open(folder.path(), Some(2), &[first, other]), Ok(2));
}

#[test]
fn an_acknowledged_change_that_is_missing_is_damage_and_set_aside() {
    let first = company(3, 10);
    let states = [first.clone(), with(&first, "b.toml", "# b")];
    for lose in ["base", "log", "the end of the log", "all"] {
        let folder = TempDir::new().unwrap();
        drop(kept(folder.path(), &states));
        match lose {
            "all" => {
                fs::remove_file(folder.path().join("base")).unwrap();
                fs::remove_file(folder.path().join("log")).unwrap();
            }
            "the end of the log" => {
                let log = fs::File::options()
                    .write(true)
                    .open(folder.path().join("log"));
                log.unwrap().set_len(200).unwrap();
            }
            file => fs::remove_file(folder.path().join(file)).unwrap(),
        }
        let (keep, found) = Keep::open(folder.path(), Some(2));
        let why = which(found, &states).unwrap_err();
        assert!(why.contains(&folder.path().display().to_string()), "{why}");
        assert_eq!(keep.is_damaged(), lose != "all", "{lose}: {why}");
        // What is kept next counts on, so that the mark stays true.
        assert_eq!(keep.keep(&sources(&states[0]), seal(3)).unwrap(), 3);
        drop(keep);
        let again = Keep::open(folder.path(), Some(3)).1;
        assert!(matches!(again, Found::Whole(kept) if kept.seal.number == 3));
    }
}

#[test]
fn a_base_that_was_not_finished_is_none() {
    let folder = TempDir::new().unwrap();
    let states = [company(3, 10)];
    drop(kept(folder.path(), &states));
    fs::write(folder.path().join("base.new"), "half").unwrap();
    assert_eq!(open(folder.path(), Some(1), &states), Ok(1));
    assert!(!folder.path().join("base.new").exists());
}

/// A base of 10 files of 100 kB, and a log in which each changed twice.
fn outgrown(folder: &Path) -> (Keep, Vec<Files>) {
    let mut states = vec![company(10, 100_000)];
    for round in 0..20 {
        let last = states.last().unwrap();
        let path = format!("team/{:05}.toml", round % 10);
        let text = format!("# round {round} {}", "y".repeat(100_000));
        states.push(with(last, &path, &text));
    }
    (kept(folder, &states), states)
}

#[test]
fn the_log_is_folded_while_changes_go_on() {
    let folder = TempDir::new().unwrap();
    let (keep, mut states) = outgrown(folder.path());
    let length = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
    let (base, log) = (length("base"), length("log"));
    assert!(log > base);
    let last = Seal {
        number: 21,
        ..seal(21)
    };
    let compaction = keep.outgrown(&last).unwrap();
    let next = with(states.last().unwrap(), "team/00003.toml", "# meanwhile");
    keep.keep(&sources(&next), seal(22)).unwrap();
    states.push(next);
    keep.compact(&compaction, || false).unwrap();
    assert!(length("log") < 1000, "only what came meanwhile is left");
    assert!(keep.outgrown(&last).is_none());
    // The places are right: a second folding reads them all.
    let after = with(states.last().unwrap(), "team/00004.toml", "# behind");
    keep.keep(&sources(&after), seal(23)).unwrap();
    states.push(after);
    drop(keep);
    assert_eq!(open(folder.path(), Some(23), &states), Ok(23));
    assert_eq!(open(folder.path(), Some(22), &states), Ok(22));
}

#[test]
fn an_end_between_the_two_steps_of_a_folding_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let (keep, states) = outgrown(folder.path());
    let log = fs::read(folder.path().join("log")).unwrap();
    let last = Seal {
        number: 21,
        ..seal(21)
    };
    let compaction = keep.outgrown(&last).unwrap();
    keep.compact(&compaction, || false).unwrap();
    drop(keep);
    // The base is the new one, the log still the old one.
    fs::write(folder.path().join("log"), log).unwrap();
    let (keep, found) = Keep::open(folder.path(), Some(21));
    assert_eq!(which(found, &states), Ok(21));
    let mut states = states;
    let next = with(states.last().unwrap(), "team/00003.toml", "# next");
    keep.keep(&sources(&next), seal(22)).unwrap();
    states.push(next);
    drop(keep);
    assert_eq!(open(folder.path(), Some(22), &states), Ok(22));
}

#[test]
fn a_folding_that_is_stopped_leaves_no_trace() {
    let folder = TempDir::new().unwrap();
    let (keep, states) = outgrown(folder.path());
    let last = Seal {
        number: 21,
        ..seal(21)
    };
    let compaction = keep.outgrown(&last).unwrap();
    keep.compact(&compaction, || true).unwrap();
    drop(keep);
    assert!(!folder.path().join("folded.new").exists());
    assert_eq!(open(folder.path(), Some(21), &states), Ok(21));
}

#[test]
fn two_foldings_and_a_base_at_once_spoil_nothing() {
    let folder = TempDir::new().unwrap();
    let (keep, mut states) = outgrown(folder.path());
    let sealed = |number| Seal {
        number,
        ..seal(number)
    };
    let compaction = keep.outgrown(&sealed(21)).unwrap();
    assert!(keep.outgrown(&sealed(21)).is_none(), "one at a time");
    let next = with(states.last().unwrap(), "team/00003.toml", "# meanwhile");
    states.push(next.clone());
    let steps = std::cell::Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        // What the folding has written by now is on disk under its own name.
        if steps.get() == 8 {
            keep.state().renew = true;
            assert_eq!(keep.keep(&sources(&next), seal(22)).unwrap(), 22);
        }
        false
    };
    keep.compact(&compaction, stop).unwrap();
    assert_eq!(steps.get(), 10, "it went on to its end");
    assert!(!folder.path().join("folded.new").exists());
    let after = with(&next, "team/00004.toml", "# behind");
    assert_eq!(keep.keep(&sources(&after), seal(23)).unwrap(), 23);
    states.push(after);
    assert!(!keep.state().folding, "the next may begin");
    drop(keep);
    assert_eq!(open(folder.path(), Some(23), &states), Ok(23));
}

#[test]
fn damage_that_a_folding_meets_is_told_and_written_over() {
    let folder = TempDir::new().unwrap();
    let (keep, states) = outgrown(folder.path());
    let log = fs::File::options()
        .write(true)
        .open(folder.path().join("log"));
    // In the last record but one: the file is as it was in the last round.
    let end = fs::metadata(folder.path().join("log")).unwrap().len();
    log.unwrap().write_all_at(b"?", end - 1000).unwrap();
    let last = Seal {
        number: 21,
        ..seal(21)
    };
    let compaction = keep.outgrown(&last).unwrap();
    let told = keep.compact(&compaction, || false);
    assert!(matches!(told, Err(KeepError::Rot { .. })), "{told:?}");
    assert!(keep.is_damaged());
    assert!(!keep.state().folding, "the next may begin");
    keep.keep(&sources(&states[20]), seal(22)).unwrap();
    assert!(!keep.is_damaged());
    drop(keep);
    let mut states = states;
    states.push(states[20].clone());
    assert_eq!(open(folder.path(), Some(22), &states), Ok(22));
}

#[test]
fn a_base_that_was_never_served_is_told_from_one_that_was() {
    let folder = TempDir::new().unwrap();
    let first = company(3, 10);
    let states = [first.clone(), with(&first, "b.toml", "# b")];
    let keep = kept(folder.path(), &states[..1]);
    keep.state().renew = true;
    assert_eq!(keep.keep(&sources(&states[1]), seal(2)).unwrap(), 2);
    drop(keep);
    for (mark, expected) in [(Some(1), false), (Some(2), true), (None, true)] {
        let found = Keep::open(folder.path(), mark).1;
        let served = matches!(&found, Found::Whole(kept) if kept.served);
        assert_eq!(served, expected, "{mark:?}");
        assert_eq!(which(found, &states), Ok(2));
    }
}

#[test]
fn a_file_that_no_folder_holds_is_an_error() {
    let folder = TempDir::new().unwrap();
    let (keep, _) = Keep::open(folder.path(), None);
    let long = Files::from([("a.toml".to_owned(), "x".repeat(MAX_BODY))]);
    let refused = keep.keep(&sources(&long), seal(1));
    assert!(matches!(refused, Err(KeepError::TooLong { .. })));
}

fn files() -> impl Strategy<Value = Files> {
    proptest::collection::btree_map("[a-d]{1,2}", ".{0,20}", 1..5)
}

/// What is done to one of the two files.
#[derive(Clone, Debug)]
enum Harm {
    Flip(usize, u8),
    Cut(usize),
    Add(Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<usize>(), 0..8_u8).prop_map(|(at, bit)| Harm::Flip(at, 1 << bit)),
        any::<usize>().prop_map(Harm::Cut),
        proptest::collection::vec(any::<u8>(), 1..100).prop_map(Harm::Add),
    ]
}

fn hurt(path: &Path, harm: &Harm) {
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len();
    match harm {
        Harm::Flip(at, bits) => bytes[at % length] ^= bits,
        Harm::Cut(at) => bytes.truncate(at % length),
        Harm::Add(more) => bytes.extend_from_slice(more),
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_kept_comes_back(states in proptest::collection::vec(files(), 1..8)) {
        let folder = TempDir::new().unwrap();
        drop(kept(folder.path(), &states));
        let last = states.len();
        for served in [None, Some(u64_of(last))] {
            prop_assert_eq!(open(folder.path(), served, &states), Ok(last));
        }
    }

    #[test]
    fn harm_ends_in_the_last_that_was_served_or_in_a_refusal(
        states in proptest::collection::vec(files(), 1..6),
        in_base in any::<bool>(),
        harm in harm(),
        unserved in 0..2_usize,
    ) {
        let folder = TempDir::new().unwrap();
        drop(kept(folder.path(), &states));
        let name = if in_base { "base" } else { "log" };
        hurt(&folder.path().join(name), &harm);
        let served = states.len().saturating_sub(unserved).max(1);
        let found = open(folder.path(), Some(u64_of(served)), &states);
        prop_assert!(found.is_err() || found == Ok(served), "{:?}", found);
        // A second start says no other thing than the first.
        let again = open(folder.path(), Some(u64_of(served)), &states);
        prop_assert_eq!(found.is_ok(), again.is_ok());
    }

    #[test]
    fn without_the_mark_harm_ends_in_one_whole_registry_or_in_a_refusal(
        states in proptest::collection::vec(files(), 1..6),
        in_base in any::<bool>(),
        harm in harm(),
    ) {
        let folder = TempDir::new().unwrap();
        drop(kept(folder.path(), &states));
        let name = if in_base { "base" } else { "log" };
        hurt(&folder.path().join(name), &harm);
        let found = open(folder.path(), None, &states);
        prop_assert!(found.is_err() || found.as_ref().is_ok_and(|found| *found >= 1), "{:?}", found);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let with_line = [&FIRST_LINE[..], &bytes].concat();
        for bytes in [bytes, with_line] {
            prop_assert!(replay::base(&bytes[..]).is_err());
        }
    }
}
