//! `grantd check`: whether a folder is a registry, by the code that serves it. Touches: fs, clock.

mod github;
mod places;
mod sarif;

use std::io::IsTerminal;
use std::path::Path;

use clap::ValueEnum;
use serde_json::json;

use super::folder::FolderArgs;
use super::tell::failed;
use super::{Exit, Io, help};
use crate::clock::Clock;
use crate::domain::{CommitId, Lifetime};
use crate::registry::check::{Expiry, expiries};
use crate::registry::diagnostic::{Problem, Renderer};
use crate::registry::publish::{Applied, Publisher, Refusal, Rejected, Update};
use places::Places;

/// Checks a registry: every problem of every file, with its line and what to write instead.
///
/// It is the code that the daemon loads a registry with, so what is accepted here is served there. Run
/// it in CI on every pull request.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::CHECK)]
pub(super) struct Args {
    #[command(flatten)]
    registry: FolderArgs,
    /// Tell what expires within this time; within registry.expiry_window of the settings, or 30 days,
    /// where left out.
    #[arg(long, value_name = "TIME", value_parser = Lifetime::parse)]
    expiring: Option<Lifetime>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: CheckFormat,
}

/// How the result of a check is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, which code scanners and editors read.
    Sarif,
    /// Workflow commands of GitHub Actions: annotations at the lines of a pull request.
    Github,
}

/// Runs the check.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let clock = Clock::of_this_machine();
    let (settings, window) = match args.registry.settings_and_window() {
        Ok(settings) => settings,
        Err(error) => return failed(io, &error),
    };
    let window = args.expiring.unwrap_or(window);
    let update = Publisher::new(&settings, clock).first();
    let told = match args.format {
        CheckFormat::Text => tell_text(window, &settings.folder, (&update, clock), io),
        CheckFormat::Json => tell_json(window, &settings.folder, (&update, clock), io),
        CheckFormat::Sarif => sarif::tell(&Places::of(&settings.folder), &update, io),
        CheckFormat::Github => {
            let ending = match &update {
                Update::Applied(applied) => ending(window, applied, clock),
                Update::Rejected(_) | Update::Moved(_) | Update::Held(_) => Vec::new(),
            };
            github::tell(&Places::of(&settings.folder), &update, &ending, io)
        }
    };
    match (told, &update) {
        (Err(_), _) => Exit::Failed,
        (Ok(()), Update::Rejected(rejected)) => refusal_exit(&rejected.why),
        // Only a registry before could hold one back, and there is none.
        (Ok(()), Update::Applied(_) | Update::Moved(_) | Update::Held(_)) => Exit::Done,
    }
}

/// A folder that can't be reached is a failure of the command; one that can is refused.
pub(super) const fn refusal_exit(why: &Refusal) -> Exit {
    match why {
        Refusal::Load(error) if error.is_unreachable() => Exit::Failed,
        Refusal::Load(_) | Refusal::Check(_) => Exit::Refused,
    }
}

/// Shows problems as rustc shows its own, in colour on a terminal only.
pub(super) fn show(folder: &Path, problems: &[Problem], io: &mut Io<'_>) -> std::io::Result<()> {
    let colour = std::io::stderr().is_terminal();
    let renderer = Renderer::new(&folder.display().to_string(), colour);
    io.err.write_all(renderer.render_all(problems).as_bytes())
}

/// Tells people of a refused folder; the exit code.
pub(super) fn tell_refusal(folder: &Path, rejected: &Rejected, io: &mut Io<'_>) -> Exit {
    let told = match &rejected.why {
        Refusal::Load(error) => writeln!(io.err, "error: {error}"),
        Refusal::Check(problems) => show(folder, problems, io),
    };
    told.map_or(Exit::Failed, |()| refusal_exit(&rejected.why))
}

fn tell_text(
    window: Lifetime,
    folder: &Path,
    (update, clock): (&Update, Clock),
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    match update {
        Update::Applied(applied) => {
            show(folder, &applied.warnings, io)?;
            for expiry in ending(window, applied, clock) {
                writeln!(io.err, "warning: {expiry}")?;
            }
            writeln!(io.out, "{}", summary(folder, applied))
        }
        Update::Rejected(rejected) => match &rejected.why {
            Refusal::Load(error) => writeln!(io.err, "error: {error}"),
            Refusal::Check(problems) => {
                show(folder, problems, io)?;
                let folder = folder.display();
                writeln!(
                    io.out,
                    "{folder}: refused, {}",
                    count(problems.len(), "problem")
                )
            }
        },
        Update::Moved(_) | Update::Held(_) => Ok(()),
    }
}

fn tell_json(
    window: Lifetime,
    folder: &Path,
    (update, clock): (&Update, Clock),
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    let folder = folder.display().to_string();
    let value = match update {
        Update::Applied(applied) => json!({
            "accepted": true,
            "folder": folder,
            "digest": applied.snapshot.digest.to_string(),
            "commit": applied.commit.as_ref().map(CommitId::as_str),
            "dirty": applied.dirty,
            "resources": applied.snapshot.resources.len(),
            "clients": applied.snapshot.clients.len(),
            "problems": [],
            "warnings": applied.warnings,
            "expiring": ending(window, applied, clock)
                .iter()
                .map(|expiry| json!({
                    "client": expiry.client.as_str(),
                    "at": expiry.at.to_rfc3339(),
                    "passed": expiry.passed,
                    "message": expiry.to_string(),
                }))
                .collect::<Vec<_>>(),
        }),
        Update::Rejected(rejected) => match &rejected.why {
            Refusal::Load(error) => json!({
                "accepted": false,
                "folder": folder,
                "error": error.to_string(),
                "problems": [],
            }),
            Refusal::Check(problems) => json!({
                "accepted": false,
                "folder": folder,
                "commit": rejected.commit.as_ref().map(CommitId::as_str),
                "dirty": rejected.dirty,
                "problems": problems,
            }),
        },
        Update::Moved(_) | Update::Held(_) => return Ok(()),
    };
    writeln!(io.out, "{value}")
}

fn ending(window: Lifetime, applied: &Applied, clock: Clock) -> Vec<Expiry> {
    expiries(&applied.snapshot, clock.now_seconds(), window)
}

/// One line: what was read, and the digest by which a daemon says that it serves the same.
fn summary(folder: &Path, applied: &Applied) -> String {
    let snapshot = &applied.snapshot;
    format!(
        "{}: {}, {}, digest {}",
        folder.display(),
        count(snapshot.resources.len(), "resource"),
        count(snapshot.clients.len(), "client"),
        snapshot.digest
    )
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
