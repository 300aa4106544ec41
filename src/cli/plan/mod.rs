//! `grantd plan`: what a change of the registry means, and who must agree. Touches: fs, net, clock, process.
//!
//! `sources → load → check → diff → meaning, approval, guard → report → print`
//!
//! **Invariant:** nothing is changed, neither here nor at a daemon; what is printed of either registry is
//! made harmless for its format, for a pull request may come from anybody.

mod github;
mod json;
mod last_use;
mod live;
mod markdown;
mod overlay;
mod report;
mod side;
mod source;
mod text;

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use self::last_use::{LastUse, LastUseFault};
use self::live::LiveFault;
use self::overlay::OverlayFault;
use self::report::{Refused, Report};
use self::side::{Asked, Sides};
use self::source::{ApprovedBy, Source};
use super::https::HttpsFault;
use super::tell::{failed, warn};
use super::{Exit, Io, check, help};
use crate::clock::Clock;
use crate::domain::{Algorithm, Lifetime};
use crate::registry::check::{POLICY_FOLDER, Rules};
use crate::registry::diagnostic::Problem;
use crate::registry::load::LoadError;
use crate::registry::load::revision::RevisionError;
use crate::registry::publish::RegistrySettings;
use crate::settings::{self, SettingsError};

/// From which age on figures of last use get a warning: a day's jobs have run since.
const OLD_FIGURES: Lifetime = Lifetime::from_days(1);

/// Says what a change of the registry means, and who must agree to it.
///
/// It compares two registries by what they say, not by their text: what widens access comes first, then
/// what breaks something that runs, then the rest. Without options it compares the folder as it is with
/// the last commit.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::PLAN)]
pub(super) struct Args {
    /// The registry folder; "registry.d", or that of --config, where left out. Of a revision, the same
    /// path within its repository.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The registry before the change: a git revision, a folder (with a "/": ./old), or live=URL for
    /// what the daemon serves that shows /readyz there.
    #[arg(long, value_name = "SOURCE", default_value = "HEAD")]
    from: Source,
    /// The registry after the change, in the same forms; DIR as it is now, where left out.
    #[arg(long, value_name = "SOURCE")]
    to: Option<Source>,
    /// Compare from where the history of --from and that of --to parted.
    #[arg(long)]
    merge_base: bool,
    /// List who must approve, with the reason for each.
    #[arg(long)]
    approvals: bool,
    /// These owners have approved: exit with 3 where an approval is missing. Not with --merge-base, whose
    /// owners may be former ones.
    #[arg(long, value_name = "OWNERS")]
    approved_by: Option<ApprovedBy>,
    /// Figures of last use, as `grantd status --export FILE` writes them.
    #[arg(long, value_name = "FILE")]
    last_use: Option<PathBuf>,
    /// What operators took away above the registry, as `grantd overlay list --format json` prints it: shown
    /// while the registry of --to does not say the same.
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// Trust the CA whose certificate is in this PEM file for live=https://…, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The daemon's settings, which say what the registries are checked against.
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
    /// How to print: for people, as one JSON object, as a comment of a pull request, or as
    /// annotations of a workflow.
    #[arg(long, value_enum, default_value_t)]
    format: PlanFormat,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum PlanFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// A comment of a pull request.
    Markdown,
    /// Annotations of a GitHub workflow.
    Github,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
enum PlanFault {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Revision(#[from] RevisionError),
    #[error(transparent)]
    Load(LoadError),
    #[error(transparent)]
    Live(#[from] LiveFault),
    #[error(transparent)]
    Https(#[from] HttpsFault),
    #[error(transparent)]
    LastUse(#[from] LastUseFault),
    #[error(transparent)]
    Overlay(#[from] OverlayFault),
    #[error("--merge-base compares two git revisions: --from {from} is none")]
    NoHistory { from: String },
    #[error(
        "--approved-by does not go with --merge-base: where the branch parted, an owner may be named who \
         is none any more; compare the tip of the base (--from) with the merge result (--to)"
    )]
    FormerOwners,
    #[error(
        "the registry of --from {from} is refused by check, so nothing can be compared with it: name an \
         earlier commit, or what the daemon serves (live=URL)"
    )]
    Base {
        from: String,
        /// What stands before its files' paths.
        prefix: String,
        problems: Vec<Problem>,
    },
    #[error("cannot print the plan")]
    Print(#[source] io::Error),
}

impl Args {
    fn settings(&self) -> Result<RegistrySettings, SettingsError> {
        let mut settings = match &self.config {
            Some(config) => settings::load(config)?.registry,
            None => RegistrySettings {
                rules: Rules {
                    algorithms: self.algorithms.clone(),
                    policy_folder: self.policy_folder.clone(),
                },
                ..RegistrySettings::default()
            },
        };
        if let Some(folder) = &self.folder {
            settings.folder.clone_from(folder);
        }
        Ok(settings)
    }
}

/// Runs `grantd plan`.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let done = plan(args, io).and_then(|outcome| {
        print(args.format, &outcome, io).map_err(PlanFault::Print)?;
        Ok(outcome)
    });
    match done {
        Ok(Ok(report)) => exit(&report),
        Ok(Err(_)) => Exit::Refused,
        Err(fault) => {
            if let PlanFault::Base {
                prefix, problems, ..
            } = &fault
            {
                let shown = check::show(std::path::Path::new(prefix), problems, io);
                if shown.is_err() {
                    return Exit::Failed;
                }
            }
            failed(io, &fault)
        }
    }
}

/// The plan, or why the registry of `--to` is refused.
fn plan(args: &Args, io: &mut Io<'_>) -> Result<Result<Report, Refused>, PlanFault> {
    if args.merge_base && args.approved_by.is_some() {
        return Err(PlanFault::FormerOwners);
    }
    let clock = Clock::of_this_machine();
    let settings = args.settings()?;
    let mut last_use = match &args.last_use {
        Some(path) => LastUse::read(path)?,
        None => LastUse::default(),
    };
    if let Some(exported) = last_use.exported {
        let age = clock.now_seconds().since(exported);
        if age > OLD_FIGURES {
            let text =
                format!("the figures of last use were written {age} ago: newer uses are not told");
            warn(io, &text);
        }
    }
    if let Some(path) = &args.overlay {
        // The figures have the overlay too, as it was then.
        for taken in overlay::read(path)? {
            if !last_use.overlay.contains(&taken) {
                last_use.overlay.push(taken);
            }
        }
    }
    let asked = Asked {
        from: &args.from,
        to: args.to.as_ref(),
        merge_base: args.merge_base,
        ca_file: args.ca_file.as_deref(),
    };
    let sides = match Sides::load(&asked, &settings, clock)? {
        Ok(sides) => sides,
        Err(refused) => return Ok(Err(refused)),
    };
    let approved = args.approved_by.as_ref().map(ApprovedBy::owners);
    let asks = args.approvals || approved.is_some();
    Ok(Ok(Report::of(
        sides,
        last_use,
        (asks, approved),
        clock.now_seconds(),
    )))
}

/// 0 without a change, 3 for one that may not go on, 2 for any other.
fn exit(report: &Report) -> Exit {
    match () {
        () if report.is_refused() => Exit::Refused,
        () if report.changes() => Exit::Changes,
        () => Exit::Done,
    }
}

fn print(format: PlanFormat, outcome: &Result<Report, Refused>, io: &mut Io<'_>) -> io::Result<()> {
    match (format, outcome) {
        (PlanFormat::Text, Ok(report)) => {
            let colour = io::stdout().is_terminal();
            io.out.write_all(text::report(report, colour).as_bytes())
        }
        (PlanFormat::Text, Err(refused)) => text::refused(refused, io),
        (PlanFormat::Json, Ok(report)) => writeln!(io.out, "{}", json::report(report)),
        (PlanFormat::Json, Err(refused)) => writeln!(io.out, "{}", json::refused(refused)),
        (PlanFormat::Markdown, Ok(report)) => io.out.write_all(markdown::report(report).as_bytes()),
        (PlanFormat::Markdown, Err(refused)) => {
            io.out.write_all(markdown::refused(refused).as_bytes())
        }
        (PlanFormat::Github, Ok(report)) => io.out.write_all(github::report(report).as_bytes()),
        (PlanFormat::Github, Err(refused)) => io.out.write_all(github::refused(refused).as_bytes()),
    }
}
