//! Each folder below `tests/fixtures/registry` is a registry; `expected.txt` in it is what is said
//! of it. `UPDATE_GOLDEN=1 cargo test` writes these files anew: look at the difference.
//! Touches: fs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::registry::diagnostic::Renderer;
use crate::registry::publish::{Applied, Publisher, Refusal, RegistrySettings, Update};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/registry")
}

pub(super) fn first(folder: &Path) -> Update {
    let settings = RegistrySettings {
        folder: folder.to_owned(),
        ..RegistrySettings::default()
    };
    Publisher::new(&settings, Clock::of_this_machine()).first()
}

pub(super) fn accepted(folder: &Path) -> Applied {
    match first(folder) {
        Update::Applied(applied) => applied,
        other => panic!("{}: {other:?}", folder.display()),
    }
}

fn told(update: &Update) -> String {
    let renderer = Renderer::new("", false);
    match update {
        Update::Applied(applied) => {
            let snapshot = &applied.snapshot;
            format!(
                "{}accepted: {} resources, {} clients\n{}\n",
                renderer.render_all(&applied.warnings),
                snapshot.resources.len(),
                snapshot.clients.len(),
                snapshot.digest
            )
        }
        Update::Rejected(rejected) => match &rejected.why {
            Refusal::Load(error) => format!("{error}\n"),
            Refusal::Check(problems) => renderer.render_all(problems),
        },
        Update::Moved(_) | Update::Held(_) => panic!("a first look has something to tell"),
    }
}

fn cases(kind: &str) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(root().join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    cases
}

/// Compares what is told of each case with its golden file, all cases at once.
fn compare(kind: &str, right: impl Fn(&Update) -> bool) -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "how a person asks for new golden files"
    )]
    let rewrite = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = String::new();
    let cases = cases(kind);
    for case in &cases {
        let update = first(case);
        let found = told(&update);
        let golden = case.join("expected.txt");
        if rewrite {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if !right(&update) || found != expected {
            wrong.push_str(&format!("=== {}\n{found}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{wrong}");
    cases.len()
}

#[test]
fn accepted_registries_are_accepted() {
    let count = compare("accepted", |update| matches!(update, Update::Applied(_)));
    assert!(count >= 5, "{count}");
}

#[test]
fn refused_registries_say_why() {
    let count = compare("refused", |update| matches!(update, Update::Rejected(_)));
    assert!(count >= 25, "{count}");
}

#[test]
fn no_diagnostic_shows_a_secret() {
    for case in cases("refused") {
        let Update::Rejected(rejected) = first(&case) else {
            panic!("{}", case.display());
        };
        let Refusal::Check(problems) = &rejected.why else {
            continue;
        };
        let text = Renderer::new("", false).render_all(problems);
        let json = crate::registry::diagnostic::to_json(problems);
        for secret in ["hunter", "ab2ab2", "MIGHAgEA"] {
            assert!(!text.contains(secret), "{}: {text}", case.display());
            assert!(!json.contains(secret), "{}: {json}", case.display());
        }
    }
}

#[test]
fn layout_does_not_change_the_digest() {
    let one = accepted(&root().join("accepted/every-key"));
    let other = accepted(&root().join("accepted/other-layout"));
    assert_eq!(one.snapshot.digest, other.snapshot.digest);
}

#[test]
fn the_example_registry_is_accepted_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("registry.d");
    let applied = accepted(&folder);
    assert_eq!(applied.warnings, []);
    assert!(applied.snapshot.clients.len() >= 6);
}

/// Every example of docs/registry.md, as the one registry that they make together.
#[test]
fn the_reference_shows_a_registry_that_is_accepted() {
    let docs = include_str!("../../../docs/registry.md");
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (number, block) in docs.split("```toml\n").skip(1).enumerate() {
        let text = block.split("```").next().unwrap();
        let policy = if text.contains("[policy]") {
            "policy"
        } else {
            "."
        };
        let file = folder.path().join(policy).join(format!("{number}.toml"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        count += 1;
    }
    assert!(count >= 4, "{count} examples");
    assert_eq!(accepted(folder.path()).warnings, []);
    for table in crate::registry::file::keys() {
        for key in table.1 {
            assert!(
                docs.contains(&format!("`{key}`")),
                "{} of {} is not documented",
                key,
                table.0
            );
        }
    }
}
