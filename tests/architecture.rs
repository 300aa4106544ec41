//! Reads the sources and fails on what is against the house: `docs/ARCHITECTURE.md` says why.
//!
//! The rules work on parsed files (`syn`) and on resolved paths: groups, globs, renames, `self`,
//! `super`, paths in the code and in the arguments of macros, followed through re-exports. Each rule
//! has a test in which it must find something, so that it can fail.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test ends where its sources are not as they must be"
)]

#[path = "architecture/house.rs"]
mod house;
#[path = "architecture/layers.rs"]
mod layers;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/walk.rs"]
mod walk;

use std::path::Path;
use std::sync::LazyLock;

use house::House;

static GRANTD: LazyLock<House> =
    LazyLock::new(|| House::read(Path::new(env!("CARGO_MANIFEST_DIR"))));

/// Fails with all findings, a line each.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// The rule must find exactly this many things, one of which says `word`.
fn found(findings: &[String], count: usize, word: &str) {
    assert_eq!(findings.len(), count, "{findings:#?}");
    assert!(
        findings.iter().any(|finding| finding.contains(word)),
        "{findings:#?}"
    );
}

#[test]
fn every_file_belongs_to_the_tree() {
    let house = &*GRANTD;
    assert!(house.sources.len() > 20, "the walk found the sources");
    none(&house.faults);
    none(&rules::detours(house));
}

/// A file that nobody declares would be no test at all.
#[test]
fn every_file_of_tests_is_compiled() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for (folder, root) in [
        (folder.clone(), "main.rs"),
        (folder.join("support"), "mod.rs"),
    ] {
        let text = std::fs::read_to_string(folder.join(root)).expect("the root of the folder");
        let declared = walk::walk(&syn::parse_file(&text).expect("it parses"), &[]).children;
        for entry in std::fs::read_dir(&folder).expect("the folder") {
            let path = entry.expect("its entries").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let is_root = path.file_name().is_some_and(|file| file == root);
            assert!(
                is_root || declared.contains(&name),
                "{root} has no `mod {name};`"
            );
        }
    }
}

#[test]
fn a_file_that_no_mod_reaches_is_found() {
    let house = House::of(&[("src/lib.rs", "//! Map.\nmod gone;\n")]);
    found(&house.faults, 1, "mod gone has no file");
    let house = House::of(&[
        ("src/lib.rs", "#[path = \"x.rs\"]\nmod a;\n"),
        ("src/a.rs", ""),
    ]);
    found(&rules::detours(&house), 1, "#[path]");
}

#[test]
fn imports_follow_the_flow() {
    none(&rules::order(&GRANTD));
}

#[test]
fn an_import_against_the_flow_is_found_in_every_spelling() {
    let spellings = [
        "use crate::mint::SignedToken;",
        "use crate::{domain, mint::{self}};",
        "use crate::mint::*;",
        "use crate::mint as harmless;\nfn f() { harmless::sign(); }",
        "use super::mint::sign;",
        "fn f() { crate::mint::sign(); }",
        "fn f() -> super::mint::SignedToken { loop {} }",
        "fn f() { assert!(crate::mint::sign()); }",
        "mod inner { use super::super::mint::sign; }",
        "use crate::shelf::sign;",
        "use crate::shelf::*;\nfn f() { sign(); }",
    ];
    for spelling in spellings {
        let house = House::of(&[
            ("src/domain/mod.rs", "pub struct Word;"),
            ("src/grant/mod.rs", spelling),
            (
                "src/mint/mod.rs",
                "pub struct SignedToken; pub fn sign() {}",
            ),
            ("src/random.rs", ""),
            (
                "src/lib.rs",
                "pub mod domain; pub mod grant; pub mod mint; pub mod random; pub mod shelf { pub use crate::mint::sign; }",
            ),
        ]);
        let findings: Vec<_> = rules::order(&house)
            .into_iter()
            .filter(|finding| finding.contains("src/grant/mod.rs") && finding.contains("mint"))
            .collect();
        assert!(!findings.is_empty(), "not found: {spelling}");
    }
}

#[test]
fn imports_along_the_flow_and_in_tests_are_no_finding() {
    let house = House::of(&[
        ("src/domain/mod.rs", "mod ids; pub use ids::Id;"),
        ("src/domain/ids.rs", "pub struct Id;"),
        (
            "src/grant/mod.rs",
            "use crate::domain::Id; pub struct Grant(Id);",
        ),
        (
            "src/mint/mod.rs",
            "use crate::grant::Grant;\n#[cfg(test)] mod tests { use crate::audit::Journal; }",
        ),
        ("src/audit/mod.rs", "use crate::mint; pub struct Journal;"),
    ]);
    none(&rules::order(&house));
}

#[test]
fn fuzz_targets_are_tests_and_no_other_feature_is() {
    let house = |cfg: &str| {
        let text = format!("#[cfg({cfg})] mod inner {{ use crate::mint::sign; }}");
        House::of(&[
            ("src/domain/mod.rs", &text),
            ("src/mint.rs", "pub fn sign() {}"),
        ])
    };
    none(&rules::order(&house("any(test, feature = \"fuzzing\")")));
    for cfg in [
        "feature = \"fuzzing\"",
        "any(test, feature = \"x\")",
        "any(test, unix)",
    ] {
        found(&rules::order(&house(cfg)), 1, "domain");
    }
}

#[test]
fn the_words_import_nothing_of_the_crate() {
    let house = House::of(&[
        ("src/domain/ids.rs", "use crate::random::bits;"),
        ("src/random.rs", "pub fn bits() {}"),
    ]);
    found(&rules::order(&house), 1, "src/domain/ids.rs:1");
}

#[test]
fn two_stages_on_one_floor_do_not_know_each_other() {
    let house = House::of(&[
        ("src/random.rs", "use crate::clock::now;"),
        ("src/clock.rs", "pub fn now() {}"),
    ]);
    found(&rules::order(&house), 1, "clock");
}

#[test]
fn a_folder_without_a_floor_is_found() {
    let house = House::of(&[("src/manager/mod.rs", "")]);
    found(&rules::order(&house), 1, "manager");
}

#[test]
fn every_exception_is_used() {
    none(&rules::idle_exceptions(&GRANTD));
}

#[test]
fn an_exception_that_nothing_needs_is_found() {
    let house = House::of(&[("src/domain/mod.rs", "")]);
    assert!(!rules::idle_exceptions(&house).is_empty());
}

#[test]
fn each_file_says_what_it_touches() {
    none(&rules::openings(&GRANTD));
}

#[test]
fn an_opening_that_does_not_say_is_found() {
    let house = House::of(&[
        ("src/domain/a.rs", "//! Words.\n"),
        ("src/domain/b.rs", "//! Words.\n//!\n//! Pure.\n"),
        ("src/domain/c.rs", "//! Words. Touches:\n"),
        ("src/domain/d.rs", "//! Words.\n//! Pure.\n"),
        ("src/clock.rs", "//! Time. Touches: clock.\n"),
        ("src/random.rs", ""),
    ]);
    found(&rules::openings(&house), 4, "src/domain/b.rs");
}

#[test]
fn pure_stages_say_so() {
    none(&rules::pure_stages(&GRANTD));
}

#[test]
fn a_pure_stage_that_touches_is_found() {
    let house = House::of(&[("src/grant/mod.rs", "//! Grants. Touches: fs.\n")]);
    found(&rules::pure_stages(&house), 1, "src/grant/mod.rs");
}

#[test]
fn pure_files_are_pure() {
    none(&rules::purity(&GRANTD));
}

#[test]
fn a_pure_file_that_touches_is_found_in_every_spelling() {
    let bodies = [
        "use std::fs;",
        "use std::{fmt, fs::{self, File}};",
        "use std::fs as shelf;",
        "use ::std::fs::read;",
        "use std::*;",
        "fn f() { std::fs::read(\"x\"); }",
        "fn f() { println!(\"{:?}\", std::env::args()); }",
        "fn f() { let _ = std::time::Instant::now(); }",
        "use std::time; fn f() { time::SystemTime::now(); }",
        "use tokio::sync::mpsc;",
        "fn f() -> std::thread::JoinHandle<()> { loop {} }",
        "use std::net::TcpStream;",
        "async fn f() {}",
        "fn f() { let _ = async { 1 }; }",
        "use crate::clock::Clock;",
        "use crate::domain::Clock;",
        "use crate::clock;",
        "fn f() { crate::clock::now(); }",
        "fn f() { aws_lc_rs::rand::fill(&mut []); }",
    ];
    for body in bodies {
        let text = format!("//! Grants. Pure.\n{body}\n");
        let house = House::of(&[
            ("src/grant/mod.rs", text.as_str()),
            (
                "src/clock.rs",
                "//! Time. Touches: clock.\npub struct Clock;",
            ),
            (
                "src/domain/mod.rs",
                "//! Words. Pure.\npub use crate::clock::Clock;",
            ),
        ]);
        let findings: Vec<_> = rules::purity(&house)
            .into_iter()
            .filter(|finding| finding.contains("src/grant/mod.rs"))
            .collect();
        assert!(!findings.is_empty(), "not found: {body}");
    }
    // Outside of the stages of `design.md` a type of such a file may be named, and no more.
    for (body, count) in [
        ("use crate::clock::Clock;", 0),
        ("use crate::clock::now;", 1),
    ] {
        let text = format!("//! Settings. Pure.\n{body}\n");
        let clock = "//! Time. Touches: clock.\npub struct Clock; pub fn now() {}";
        let house = House::of(&[("src/settings.rs", text.as_str()), ("src/clock.rs", clock)]);
        assert_eq!(rules::purity(&house).len(), count, "{body}");
    }
    let harmless = "//! Grants. Pure.\nuse std::net::IpAddr; use std::time::Duration;\n";
    none(&rules::purity(&House::of(&[(
        "src/grant/mod.rs",
        harmless,
    )])));
}

#[test]
fn only_one_file_signs() {
    none(&rules::signing(&GRANTD));
}

#[test]
fn a_signature_elsewhere_is_found() {
    let house = House::of(&[
        ("src/http/mod.rs", "fn f(key: Key) { key.sign(b\"x\"); }"),
        ("src/mint/jws.rs", "fn f(key: Key) { key.sign(b\"x\"); }"),
        ("src/audit/mod.rs", "fn f() { let _ = EcdsaKeyPair::sign; }"),
    ]);
    found(&rules::signing(&house), 2, "src/http/mod.rs:1");
}

#[test]
fn only_the_edge_of_http_knows_hyper() {
    none(&rules::hyper(&GRANTD));
}

#[test]
fn hyper_elsewhere_is_found() {
    let house = House::of(&[
        ("src/issue.rs", "fn f() -> hyper::StatusCode { loop {} }"),
        ("src/http/mod.rs", "use hyper::StatusCode;"),
    ]);
    found(&rules::hyper(&house), 1, "src/issue.rs:1");
}

#[test]
fn serde_fills_the_types_of_files_only() {
    none(&rules::deserialize(&GRANTD));
}

#[test]
fn a_type_that_serde_fills_elsewhere_is_found() {
    let house = House::of(&[
        (
            "src/domain/mod.rs",
            "#[derive(Debug, serde::Deserialize)] struct A;",
        ),
        (
            "src/registry/file/mod.rs",
            "#[derive(Deserialize)] struct A;",
        ),
        (
            "src/grant/mod.rs",
            "impl<'de> serde::Deserialize<'de> for B {}",
        ),
    ]);
    found(&rules::deserialize(&house), 2, "src/grant/mod.rs:1");
}

#[test]
fn files_and_functions_are_short() {
    none(&rules::sizes(&GRANTD));
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let file = format!("//! Pure.\n{}", "const A: u8 = 1;\n".repeat(500));
    let body = "    step();\n".repeat(61);
    let function = format!("fn long() {{\n{body}}}\n");
    let excused = format!("#[expect(clippy::too_many_lines, reason = \"table\")]\n{function}");
    let commented = format!("fn short() {{\n{}}}\n", "    // why\n\n".repeat(61));
    let tested = format!(
        "#[cfg(test)]\nmod tests {{\n{}}}\n",
        "    fn a() {}\n".repeat(501)
    );
    let house = House::of(&[
        ("src/domain/a.rs", file.as_str()),
        ("src/domain/b.rs", function.as_str()),
        ("src/domain/c.rs", excused.as_str()),
        ("src/domain/d.rs", commented.as_str()),
        ("src/domain/e.rs", tested.as_str()),
        (
            "src/domain/f.rs",
            "fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}",
        ),
    ]);
    let findings = rules::sizes(&house);
    found(&findings, 3, "src/domain/a.rs");
    found(&findings, 3, "long");
    found(&findings, 3, "many");
}
