//! The rules: each takes the house and returns its findings, `file:line: what is wrong`.

use std::collections::BTreeSet;

use crate::house::{House, Source, Target, Used};
use crate::layers::{
    DESERIALIZE, Exception, FOREIGN, HYPER, IMPURE, IMPURE_PATHS, KNOW_HYPER, LAYERS,
    MAX_ARGUMENTS, MAX_FILE_LINES, MAX_FUNCTION_LINES, PURE, SIGN, UPWARD,
};

/// `#[path]` attributes.
pub fn detours(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for source in &house.sources {
        for line in &source.facts.detours {
            findings.push(format!(
                "{}:{line}: #[path]: a module stands where its name says",
                source.file
            ));
        }
    }
    findings
}

/// Imports against the order of [`LAYERS`].
pub fn order(house: &House) -> Vec<String> {
    upward(house)
        .into_iter()
        .filter(|(at, _)| at.is_none())
        .map(|(_, text)| text)
        .collect()
}

/// Every import against the order, with the exception that allows it.
fn upward(house: &House) -> Vec<(Option<usize>, String)> {
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    for source in &house.sources {
        let from = source.module.join("::");
        let Some(own) = floor(&from) else {
            let text = format!(
                "{}: no floor in LAYERS names the module {from}",
                source.file
            );
            findings.push((None, text));
            continue;
        };
        for used in &source.used {
            let Target::Inside(to, _) = &used.target else {
                continue;
            };
            let Some(other) = floor(to) else { continue };
            let allowed = is_within(to, &from)
                || is_within(&from, to)
                || other < own
                || (other == own && stage(&from) == stage(to))
                || (other == own && LAYERS[own].name.contains('⇄'));
            // `lib.rs` declares modules only; what is defined there would be everyone's.
            if allowed && (!to.is_empty() || is_root(&from)) {
                continue;
            }
            // Once for two modules, at the first of the places.
            if !told.insert((from.clone(), to.clone())) {
                continue;
            }
            let text = format!(
                "{}:{}: {from} ({}) imports {to} ({})",
                source.file, used.line, LAYERS[own].name, LAYERS[other].name
            );
            findings.push((excuse(UPWARD, &from, to), text));
        }
    }
    findings
}

/// Exceptions that no import needs.
pub fn idle_exceptions(house: &House) -> Vec<String> {
    let upward: Vec<_> = upward(house).into_iter().filter_map(|(at, _)| at).collect();
    let impure: Vec<_> = impure_imports(house)
        .into_iter()
        .filter_map(|(at, _)| at)
        .collect();
    let mut findings = Vec::new();
    let foreign = foreign(house)
        .into_iter()
        .filter_map(|(at, _)| at)
        .collect();
    let tables = [
        ("UPWARD", UPWARD, upward),
        ("IMPURE", IMPURE, impure),
        ("FOREIGN", FOREIGN, foreign),
    ];
    for (name, table, used) in tables {
        for (at, exception) in table.iter().enumerate() {
            assert!(!exception.reason.is_empty(), "an exception has a reason");
            if !used.contains(&at) {
                findings.push(format!(
                    "{name}: {} → {}: nothing needs it",
                    exception.from, exception.to
                ));
            }
        }
    }
    for (name, table) in [("SIGN", SIGN), ("DESERIALIZE", DESERIALIZE)] {
        for exception in table {
            assert!(!exception.reason.is_empty(), "an exception has a reason");
            if !house
                .sources
                .iter()
                .any(|source| is_within(&source.module.join("::"), exception.from))
            {
                findings.push(format!(
                    "{name}: {}: there is no such module",
                    exception.from
                ));
            }
        }
    }
    findings
}

/// Files whose first paragraph ends neither in `Pure.` nor in `Touches: …`.
pub fn openings(house: &House) -> Vec<String> {
    house
        .sources
        .iter()
        .filter(|source| !is_root(&source.module.join("::")))
        .filter(|source| !is_pure(source) && !touches(source))
        .map(|source| {
            let opening = &source.facts.opening;
            format!(
                "{}: the first paragraph ends in neither `Pure.` nor `Touches: …`: {opening:?}",
                source.file
            )
        })
        .collect()
}

/// Files of stages that `design.md` calls pure and that don't say so.
pub fn pure_stages(house: &House) -> Vec<String> {
    house
        .sources
        .iter()
        .filter(|source| {
            let module = source.module.join("::");
            PURE.iter().any(|pure| is_within(&module, pure)) && !is_pure(source)
        })
        .map(|source| {
            format!(
                "{}: a pure stage, but its opening does not say `Pure.`",
                source.file
            )
        })
        .collect()
}

/// What files that say `Pure.` use all the same.
pub fn purity(house: &House) -> Vec<String> {
    let mut findings: Vec<_> = impure_imports(house)
        .into_iter()
        .filter(|(at, _)| at.is_none())
        .map(|(_, text)| text)
        .collect();
    findings.extend(
        foreign(house)
            .into_iter()
            .filter(|(at, _)| at.is_none())
            .map(|(_, text)| text),
    );
    for source in house.sources.iter().filter(|source| is_pure(source)) {
        for line in &source.facts.awaits {
            findings.push(format!("{}:{line}: pure, but async", source.file));
        }
    }
    findings
}

/// Uses of [`IMPURE_PATHS`] by files that say `Pure.`, once a file, with their exceptions.
fn foreign(house: &House) -> Vec<(Option<usize>, String)> {
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    for source in house.sources.iter().filter(|source| is_pure(source)) {
        let from = source.module.join("::");
        for Used { target, line } in &source.used {
            let Target::Outside(path) = target else {
                continue;
            };
            let Some(forbidden) = IMPURE_PATHS
                .iter()
                .find(|forbidden| reaches(path, forbidden))
            else {
                continue;
            };
            let forbidden = forbidden.join("::");
            if told.insert((from.clone(), forbidden.clone())) {
                let text = format!("{}:{line}: pure, but uses {forbidden}", source.file);
                findings.push((excuse(FOREIGN, &from, &forbidden), text));
            }
        }
    }
    findings
}

/// Imports of files that touch something by files that say `Pure.`, with their exceptions. A stage of
/// [`PURE`] imports nothing of such a file; others may name it, its types and its constants, but
/// none of its functions.
fn impure_imports(house: &House) -> Vec<(Option<usize>, String)> {
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    for source in house.sources.iter().filter(|source| is_pure(source)) {
        let from = source.module.join("::");
        let is_stage = PURE.iter().any(|pure| is_within(&from, pure));
        for Used { target, line } in &source.used {
            let Target::Inside(to, item) = target else {
                continue;
            };
            let owner = house
                .sources
                .iter()
                .find(|other| other.module.join("::") == *to);
            if !owner.is_some_and(touches) || is_within(to, &from) {
                continue;
            }
            let named = item.clone().unwrap_or_default();
            let is_type = named.is_empty() || named.starts_with(char::is_uppercase);
            if (is_type && !is_stage) || !told.insert((from.clone(), to.clone(), named.clone())) {
                continue;
            }
            let text = format!(
                "{}:{line}: pure, but imports {to}::{named}, which touches something",
                source.file
            );
            findings.push((excuse(IMPURE, &from, to), text));
        }
    }
    findings
}

/// Signatures made outside of [`SIGN`].
pub fn signing(house: &House) -> Vec<String> {
    let signs = |name: &str| matches!(name, "sign" | "try_sign");
    let is_key = |name: &str| name.ends_with("KeyPair") || name == "SigningKey";
    let mut findings = Vec::new();
    for source in outside_of(house, SIGN) {
        let calls = source
            .facts
            .calls
            .iter()
            .filter(|(name, _)| signs(name))
            .map(|(_, line)| *line);
        let paths = source
            .facts
            .paths
            .iter()
            .filter_map(|path| match path.path.as_slice() {
                [.., key, name] if signs(name) && is_key(key) => Some(path.line),
                _ => None,
            });
        for line in calls.chain(paths) {
            findings.push(format!(
                "{}:{line}: signs; only the modules of SIGN may",
                source.file
            ));
        }
    }
    findings
}

/// Uses of hyper and its kin outside of [`KNOW_HYPER`].
pub fn hyper(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for source in &house.sources {
        let module = source.module.join("::");
        if KNOW_HYPER.iter().any(|known| is_within(&module, known)) {
            continue;
        }
        for Used { target, line } in &source.used {
            let Target::Outside(path) = target else {
                continue;
            };
            if HYPER.contains(&path[0].as_str()) {
                findings.push(format!("{}:{line}: knows {}", source.file, path.join("::")));
            }
        }
    }
    findings
}

/// Types that serde fills outside of [`DESERIALIZE`].
pub fn deserialize(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for source in outside_of(house, DESERIALIZE) {
        let derived = source
            .facts
            .derives
            .iter()
            .filter(|(name, _)| name == "Deserialize")
            .map(|(_, line)| *line);
        let written = source.facts.paths.iter().filter(|path| {
            path.path.len() > 1 && path.path.last().is_some_and(|name| name == "Deserialize")
        });
        let mut lines: Vec<_> = derived.chain(written.map(|path| path.line)).collect();
        lines.sort_unstable();
        lines.dedup();
        for line in lines {
            findings.push(format!("{}:{line}: serde fills a type here", source.file));
        }
    }
    findings
}

/// Files, functions and argument lists that are too long.
pub fn sizes(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for source in &house.sources {
        let tests: usize = source
            .facts
            .tests
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum();
        let lines = source.text.lines().count().saturating_sub(tests);
        if lines > MAX_FILE_LINES {
            findings.push(format!("{}: {lines} lines without tests", source.file));
        }
        for function in &source.facts.functions {
            let at = format!("{}:{}: {}", source.file, function.line, function.name);
            let lines = code_lines(&source.text, function.body);
            if lines > MAX_FUNCTION_LINES && !function.may_be_long {
                findings.push(format!("{at}: {lines} lines of code"));
            }
            if function.arguments > MAX_ARGUMENTS && !function.may_take_many {
                findings.push(format!("{at}: {} arguments", function.arguments));
            }
        }
    }
    findings
}

/// Lines between the braces that are neither empty nor a comment.
fn code_lines(text: &str, (first, last): (usize, usize)) -> usize {
    text.lines()
        .skip(first)
        .take(last.saturating_sub(first + 1))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

fn outside_of<'a>(house: &'a House, allowed: &'a [Exception]) -> impl Iterator<Item = &'a Source> {
    house.sources.iter().filter(|source| {
        let module = source.module.join("::");
        !allowed
            .iter()
            .any(|exception| is_within(&module, exception.from))
    })
}

fn is_pure(source: &Source) -> bool {
    source.facts.opening.ends_with("Pure.")
}

fn touches(source: &Source) -> bool {
    source
        .facts
        .opening
        .rsplit_once("Touches: ")
        .is_some_and(|(_, what)| {
            what.len() > 1 && what.ends_with('.') && !what.trim_end_matches('.').contains(". ")
        })
}

/// The floor of a module: that of its longest name in the table.
fn floor(module: &str) -> Option<usize> {
    LAYERS
        .iter()
        .enumerate()
        .flat_map(|(at, layer)| layer.modules.iter().map(move |name| (at, *name)))
        .filter(|(_, name)| {
            if name.is_empty() {
                module.is_empty()
            } else {
                is_within(module, name)
            }
        })
        .max_by_key(|(_, name)| name.len())
        .map(|(at, _)| at)
}

fn excuse(table: &[Exception], from: &str, to: &str) -> Option<usize> {
    table
        .iter()
        .position(|exception| is_within(from, exception.from) && is_within(to, exception.to))
}

/// Whether `module` is `outer` or lies below it.
fn is_within(module: &str, outer: &str) -> bool {
    module
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_root(module: &str) -> bool {
    matches!(module, "" | "main")
}

fn stage(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// Whether a path leads to something at or below `forbidden`; a glob leads to all below it.
fn reaches(path: &[String], forbidden: &[&str]) -> bool {
    let (path, is_glob) = match path.split_last() {
        Some((last, rest)) if last == "*" => (rest, true),
        _ => (path, false),
    };
    let common = path
        .iter()
        .zip(forbidden)
        .take_while(|(a, b)| a == *b)
        .count();
    common == forbidden.len() || (is_glob && common == path.len())
}
