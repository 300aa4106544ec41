//! `grantd status --expect-commit`: whether a commit is live, for deploy pipelines. Touches: net, clock.
//!
//! A commit is live when the daemon serves the registry as that commit has it: a folder that differs from its
//! commit is not it. It need not have changed the
//! registry: a daemon tells the commit of its folder as soon as `HEAD` moves. A daemon that does not run is
//! waited for as well, for a deployment may restart it.

use std::time::Duration;

use serde_json::json;

use super::super::reach::{Need, Reach, ReachError};
use super::super::{Format, Io};
use super::StatusError;
use crate::admin::{ClientFault, HeldReport, LastGoodReport, RegistryReport, StatusReport};
use crate::clock::Clock;
use crate::domain::Lifetime;

/// Between two looks. A change is live within a second or so: there is no use in looking oftener.
const PAUSE: Duration = Duration::from_millis(500);

/// Fewest digits that name a commit: as many as git shows at least.
const FEWEST: usize = 7;

/// Most digits: a SHA-256.
const MOST: usize = 64;

/// What somebody changed by hand is not what was reviewed.
const DIRTY: &str = "the folder differs from its commit: git status says where";

/// A proof that can't be given is none.
const UNKNOWN: &str = "it is not known whether the folder differs from its commit";

/// The commit that should be live, or how it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected(String);

/// What is served, and whether that is what was expected.
#[derive(Debug)]
struct Found {
    live: bool,
    /// Why not, a sentence each.
    why: Vec<String>,
    registry: Option<RegistryReport>,
}

impl Expected {
    /// Parses 7 to 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex && (FEWEST..=MOST).contains(&text.len()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(format!(
                "write a commit's id, or its first {FEWEST} hexadecimal digits or more: git rev-parse HEAD prints it"
            ))
        }
    }

    /// Whether this is it.
    fn is(&self, commit: &str) -> bool {
        commit.starts_with(&self.0)
    }
}

/// Looks until the commit is live or the time is over; whether it is live.
pub(super) fn run(
    expected: &Expected,
    wait: Lifetime,
    (reach, format): (&Reach, Format),
    io: &mut Io<'_>,
) -> Result<bool, StatusError> {
    let clock = Clock::of_this_machine();
    let end = clock.monotonic().saturating_add(wait.to_duration());
    loop {
        let looked = look(expected, reach);
        let left = end.saturating_sub(clock.monotonic());
        let over = left.is_zero();
        match looked {
            Ok(found) if found.live || over => {
                tell(expected, &found, format, io)?;
                return Ok(found.live);
            }
            Err(error) if over || !passes(&error) => return Err(error),
            _ => std::thread::sleep(PAUSE.min(left)),
        }
    }
}

/// Whether this may pass by itself: a daemon that is not there yet, or ends just now.
fn passes(error: &StatusError) -> bool {
    matches!(
        error,
        StatusError::Reach(ReachError::NotRunning(_) | ReachError::Daemon(ClientFault::Io(_)))
    )
}

fn look(expected: &Expected, reach: &Reach) -> Result<Found, StatusError> {
    // Nothing that expires is asked for.
    let report = reach.connect(Need::Look)?.status(Some(Lifetime::ZERO))?;
    Ok(judge(expected, report))
}

fn judge(expected: &Expected, report: StatusReport) -> Found {
    let mut why = Vec::new();
    match &report.registry {
        None => why.push("no registry was accepted yet".to_owned()),
        Some(RegistryReport { commit: None, .. }) => {
            why.push(
                "the registry folder is no git work tree, or its commit could not be read"
                    .to_owned(),
            );
        }
        Some(RegistryReport {
            commit: Some(commit),
            dirty,
            ..
        }) => {
            if !expected.is(commit) {
                why.push(format!("{commit} is served"));
            }
            match dirty {
                Some(false) => {}
                Some(true) => why.push(DIRTY.to_owned()),
                None => why.push(UNKNOWN.to_owned()),
            }
        }
    }
    let live = why.is_empty();
    if !live {
        why.extend(report.held.as_ref().map(waits));
        why.extend(report.last_good.as_ref().map(last_good));
        why.extend(report.problems.iter().cloned());
    }
    Found {
        live,
        why,
        registry: report.registry,
    }
}

/// A change that nobody serves before an operator says so.
fn waits(held: &HeldReport) -> String {
    let HeldReport {
        hash,
        commit,
        reasons,
    } = held;
    let of = commit.as_ref().map(|commit| format!(" of commit {commit}"));
    format!(
        "a change{} is held back ({}): grantd registry accept {hash} releases it",
        of.unwrap_or_default(),
        reasons.join("; ")
    )
}

/// Waiting does not help before the folder is mended.
fn last_good(served: &LastGoodReport) -> String {
    format!(
        "the folder holds no good registry: the last good one is served, which it was last seen to hold at {}",
        served.seen
    )
}

fn tell(
    expected: &Expected,
    found: &Found,
    format: Format,
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    let registry = found.registry.as_ref();
    if format == Format::Json {
        let line = json!({
            "expected": expected.0,
            "live": found.live,
            "registry": registry,
            "why": found.why,
        });
        return writeln!(io.out, "{line}");
    }
    let shown = |text: &str| crate::domain::visible(text).into_owned();
    if let (true, Some(registry)) = (found.live, registry) {
        let commit = registry.commit.as_deref().unwrap_or_default();
        return writeln!(
            io.out,
            "live: {commit}, generation {}, digest {}",
            registry.generation, registry.digest
        );
    }
    writeln!(io.out, "not live: {}", expected.0)?;
    for reason in &found.why {
        writeln!(io.out, "  {}", shown(reason))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn report(commit: Option<&str>, problems: &[&str]) -> StatusReport {
        StatusReport {
            registry: Some(RegistryReport {
                commit: commit.map(str::to_owned),
                dirty: Some(false),
                ..RegistryReport::default()
            }),
            problems: problems.iter().map(|it| (*it).to_owned()).collect(),
            ..StatusReport::default()
        }
    }

    #[test]
    fn a_commit_is_named_by_seven_digits_or_more() {
        for good in ["0123456", "ABCDEF0", COMMIT, &"a".repeat(64)] {
            assert!(Expected::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "012345",
            "HEAD",
            "main",
            "012345g",
            &"a".repeat(65),
            " 0123456",
        ] {
            assert!(Expected::parse(bad).is_err(), "{bad}");
        }
        assert!(Expected::parse("0123456").unwrap().is(COMMIT));
        assert!(Expected::parse(&COMMIT.to_uppercase()).unwrap().is(COMMIT));
        assert!(!Expected::parse("1234567").unwrap().is(COMMIT));
        assert!(!Expected::parse(&format!("{COMMIT}0")).unwrap().is(COMMIT));
    }

    #[test]
    fn what_is_not_live_says_why() {
        let expected = Expected::parse("0123456").unwrap();
        assert!(judge(&expected, report(Some(COMMIT), &["a.toml:1:1: wrong"])).live);
        let other = judge(
            &expected,
            report(Some(&"f".repeat(40)), &["a.toml:1:1: wrong"]),
        );
        assert!(!other.live);
        assert!(other.why.join(" ").contains("is served a.toml:1:1: wrong"));
        assert!(!judge(&expected, report(None, &[])).live);
        for dirty in [Some(true), None] {
            let mut report = report(Some(COMMIT), &[]);
            if let Some(registry) = &mut report.registry {
                registry.dirty = dirty;
            }
            assert!(!judge(&expected, report).live, "{dirty:?}");
        }
        let mut held = report(Some(&"f".repeat(40)), &[]);
        held.held = Some(HeldReport {
            hash: "abc".to_owned(),
            commit: Some(COMMIT.to_owned()),
            reasons: vec!["too many".to_owned()],
        });
        held.last_good = Some(LastGoodReport {
            seen: "2026-11-29T12:00:00Z".to_owned(),
            ..LastGoodReport::default()
        });
        let why = judge(&expected, held).why.join("\n");
        let waits = format!("a change of commit {COMMIT} is held back (too many)");
        assert!(why.contains(&waits), "{why}");
        assert!(why.contains("grantd registry accept abc"), "{why}");
        assert!(why.contains("last good one is served"), "{why}");
        let none = judge(&expected, StatusReport::default());
        assert_eq!(none.why, ["no registry was accepted yet"]);
    }
}
