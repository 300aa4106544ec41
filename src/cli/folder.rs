//! Which registry a command reads, and against what it is checked: the arguments of several. Touches: fs, clock.

use std::path::PathBuf;
use std::sync::Arc;

use super::check::tell_refusal;
use super::tell::failed;
use super::{Exit, Io};
use crate::clock::Clock;
use crate::domain::{Algorithm, Lifetime, UnixSeconds};
use crate::registry::check::{POLICY_FOLDER, Rules};
use crate::registry::publish::{Publisher, RegistrySettings, Update};
use crate::registry::snapshot::Snapshot;
use crate::settings::{self, SettingsError};
use crate::telemetry::status::EXPIRY_WINDOW;

/// The registry folder, and the settings of its daemon.
#[derive(Debug, clap::Args)]
pub(super) struct FolderArgs {
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
}

/// A registry that was read and accepted.
pub(super) struct Accepted {
    /// What it says.
    pub(super) snapshot: Arc<Snapshot>,
    /// What signs where a resource does not say.
    pub(super) default_algorithm: Algorithm,
    /// The time now.
    pub(super) now: UnixSeconds,
}

impl FolderArgs {
    /// What the arguments and the settings say together.
    pub(super) fn settings(&self) -> Result<RegistrySettings, SettingsError> {
        self.settings_and_window().map(|(settings, _)| settings)
    }

    /// The same, with how far ahead expiry dates are told.
    pub(super) fn settings_and_window(
        &self,
    ) -> Result<(RegistrySettings, Lifetime), SettingsError> {
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
        Ok((settings, window))
    }

    /// The registry. Where there is none, people were told why.
    pub(super) fn read(&self, io: &mut Io<'_>) -> Result<Accepted, Exit> {
        let settings = self.settings().map_err(|error| failed(io, &error))?;
        let clock = Clock::of_this_machine();
        match Publisher::new(&settings, clock).first() {
            Update::Applied(applied) => Ok(Accepted {
                snapshot: applied.snapshot,
                default_algorithm: settings
                    .rules
                    .algorithms
                    .first()
                    .copied()
                    .unwrap_or(Algorithm::Es256),
                now: clock.now_seconds(),
            }),
            Update::Rejected(rejected) => Err(tell_refusal(&settings.folder, &rejected, io)),
            Update::Moved(_) | Update::Held(_) => Err(Exit::Failed),
        }
    }
}

/// `--at`: a date, which means its first second in UTC, or a moment with its zone.
pub(super) fn parse_at(text: &str) -> Result<UnixSeconds, String> {
    let day = format!("{text}T00:00:00Z");
    UnixSeconds::parse_rfc3339(text)
        .or_else(|_| UnixSeconds::parse_rfc3339(&day))
        .map_err(|_| "write a date, 2027-06-30, or a moment, 2027-06-30T12:00:00Z".to_owned())
}
