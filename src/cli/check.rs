//! `grantd check`: whether a folder is a registry, by the code that serves it. Touches: fs, clock.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::clock::Clock;
use crate::domain::{Algorithm, CommitId, Lifetime};
use crate::registry::check::{Expiry, POLICY_FOLDER, Rules, expiries};
use crate::registry::diagnostic::{Problem, Renderer};
use crate::registry::publish::{Applied, Publisher, Refusal, RegistrySettings, Rejected, Update};
use crate::settings::{self, SettingsError};
use crate::telemetry::status::EXPIRY_WINDOW;

/// Checks a registry: every problem of every file, with its line and what to write instead.
///
/// It is the code that the daemon loads a registry with, so what is accepted here is served there. Run
/// it in CI on every pull request.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::CHECK)]
pub(super) struct Args {
    /// The registry folder; "registry.d", or that of --config, where left out.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The daemon's settings, which say what the registry is checked against.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["algorithms", "policy_folder"])]
    config: Option<PathBuf>,
    /// The algorithms that the daemon's `grantd.toml` lists, the default first.
    #[arg(
        long,
        value_name = "ALG",
        value_delimiter = ',',
        default_value = "ES256"
    )]
    algorithms: Vec<Algorithm>,
    /// The folder below DIR in which alone `[policy]` may stand.
    #[arg(long, value_name = "NAME", default_value = POLICY_FOLDER)]
    policy_folder: String,
    /// Tell what expires within this time; within registry.expiry_window of the settings, or 30 days,
    /// where left out.
    #[arg(long, value_name = "TIME", value_parser = Lifetime::parse)]
    expiring: Option<Lifetime>,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Args {
    /// What is checked, and how far ahead expiry dates are told.
    fn settings(&self) -> Result<(RegistrySettings, Lifetime), SettingsError> {
        let (mut settings, window) = match &self.config {
            Some(config) => {
                let settings = settings::load(config)?;
                (settings.registry, settings.expiry_window)
            }
            None => {
                let rules = Rules {
                    algorithms: self.algorithms.clone(),
                    policy_folder: self.policy_folder.clone(),
                };
                let settings = RegistrySettings {
                    rules,
                    ..RegistrySettings::default()
                };
                (settings, EXPIRY_WINDOW)
            }
        };
        if let Some(folder) = &self.folder {
            settings.folder.clone_from(folder);
        }
        Ok((settings, self.expiring.unwrap_or(window)))
    }
}

/// Runs the check.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let clock = Clock::of_this_machine();
    let (settings, window) = match args.settings() {
        Ok(settings) => settings,
        Err(error) => return failed(io, &error),
    };
    let update = Publisher::new(&settings, clock).first();
    let told = match args.format {
        Format::Text => tell_text(window, &settings.folder, (&update, clock), io),
        Format::Json => tell_json(window, &settings.folder, (&update, clock), io),
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
