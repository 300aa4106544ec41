//! What must hold for any bytes from outside: the targets of `fuzz/`, one function each. Pure.
//!
//! Each stands beside the parser that it tries, so that nothing private is opened for it; here are
//! their names. libFuzzer calls them from `fuzz/fuzz_targets`, and the test below feeds them what
//! `fuzz/corpus` has kept. `docs/fuzzing.md` says how to run them.
//!
//! **Invariant:** no part of a release: compiled under `cfg(test)` and the feature `fuzzing` alone.

pub use crate::audit::chain::fuzzing::journal_line;
pub use crate::http::fuzzing::{basic, form};
pub use crate::keys::fuzzing::key_file;
pub use crate::registry::fuzzing::registry_file;
pub use crate::store::fuzzing::stored_record;

/// A target: it panics where a property does not hold.
pub type Target = fn(&[u8]);

/// Every target by its name: of its corpus, of its file in `fuzz/fuzz_targets`, of its binary.
pub const TARGETS: [(&str, Target); 6] = [
    ("form", form),
    ("basic", basic),
    ("registry_file", registry_file),
    ("journal_line", journal_line),
    ("stored_record", stored_record),
    ("key_file", key_file),
];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::path::{Path, PathBuf};

    /// Fewest inputs of a corpus: less is a corpus that was lost.
    const FEWEST: usize = 8;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
    }

    /// The kept inputs of a target, by name.
    fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
        let folder = folder().join("corpus").join(name);
        let entries = std::fs::read_dir(&folder).unwrap();
        let mut inputs: Vec<(String, Vec<u8>)> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
            .collect();
        inputs.sort();
        assert!(
            inputs.len() >= FEWEST,
            "{} has lost inputs",
            folder.display()
        );
        inputs
    }

    /// Every input that a target panics at, so that all are known at once.
    fn broken(name: &str, target: Target) -> Vec<String> {
        let fails = |bytes: &[u8]| std::panic::catch_unwind(|| target(bytes)).is_err();
        let inputs = corpus(name).into_iter();
        inputs
            .filter(|(_, bytes)| fails(bytes))
            .map(|(path, _)| path)
            .collect()
    }

    #[test]
    fn what_fuzzing_has_found_holds() {
        let found: Vec<String> = TARGETS
            .into_iter()
            .flat_map(|(name, target)| broken(name, target))
            .collect();
        assert!(
            found.is_empty(),
            "a property is broken by\n{}",
            found.join("\n")
        );
    }

    /// A target that libFuzzer does not know would only ever see what it has seen.
    #[test]
    fn every_target_is_fuzzed_and_no_other() {
        let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        let binaries: Vec<&str> = manifest
            .split("[[bin]]\nname = \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert_eq!(binaries, TARGETS.map(|(name, _)| name));
        for (name, _) in TARGETS {
            let file = folder().join(format!("fuzz_targets/{name}.rs"));
            let text = std::fs::read_to_string(file).unwrap();
            assert!(text.contains(&format!("grantd::fuzzing::{name}(data)")));
        }
    }
}
