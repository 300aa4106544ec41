//! `grantd keys`: what keys there are, and when they change. Touches: fs, clock, process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args as ClapArgs, Subcommand};

use super::tell::{failed, warn};
use super::{Exit, Format, Io, help};
use crate::admin::{AdminClient, ClientFault, KeysOutcome};
use crate::clock::Clock;
use crate::domain::{Algorithm, KeyId};
use crate::keys::custody::{Custody, CustodyError};
use crate::keys::ports::{RingStore, Vault};
use crate::keys::ring::{KeyRecord, Ring};
use crate::keys::rotate::{Command, CommandError, Keeper, KeysError, OnMissing, Outcome, Parts};
use crate::keys::schedule::ScheduleSettings;
use crate::keys::seal::{SealError, Sealer};
use crate::keys::time::Reading;
use crate::mint::jws;
use crate::settings::SettingsError;
use crate::store::{OnCorruption, StateDir, StateDirError, Store, StoreError};

mod print;

use print::{print_outcome, print_rings};

/// Lists and rotates the signing keys.
///
/// Keys rotate by themselves; these commands show what comes next, and help when something went wrong.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = help::KEYS)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the keys, their states and their next steps.
    #[command(after_long_help = help::KEYS_LIST)]
    List {
        #[command(flatten)]
        at: At,
    },
    /// Lets the next key sign now.
    ///
    /// It must have been published for long enough, or verifiers that cache would not know it: the
    /// refusal says from when on it may sign.
    #[command(after_long_help = help::KEYS_ROTATE)]
    Rotate {
        /// Rotate this algorithm's ring; without it, every ring whose next key may sign.
        #[arg(long, value_name = "ALG", conflicts_with = "compromised")]
        algorithm: Option<Algorithm>,
        /// Take this key away at once: it is in wrong hands.
        ///
        /// It leaves the JWKS and the next key signs at once, known to verifiers or not: the answer
        /// says which. Verifiers that cache keep accepting the old key until their cache ends.
        #[arg(long, value_name = "KID", value_parser = key_id, allow_hyphen_values = true)]
        compromised: Option<KeyId>,
        #[command(flatten)]
        at: At,
    },
    /// Accepts wall time though it lies behind what was seen before.
    ///
    /// While it does, the daemon is not ready and answers 503. If the clock had been wrong before and is right
    /// now, say so with this; key states stay as they are until time has caught up.
    #[command(after_long_help = help::KEYS_ACCEPT_CLOCK)]
    AcceptClock {
        #[command(flatten)]
        at: At,
    },
}

/// Which deployment.
#[derive(Debug, ClapArgs)]
struct At {
    /// The settings of the deployment.
    #[arg(long, value_name = "FILE", required_unless_present = "state")]
    config: Option<PathBuf>,
    /// The state directory, where there is no settings file at hand.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state: Option<PathBuf>,
    /// The key folder, when it is not "keys" in the state directory.
    #[arg(long, value_name = "DIR", requires = "state")]
    keys: Option<PathBuf>,
    /// The file of the sealing key, when the key files are sealed.
    #[arg(long, value_name = "FILE", requires = "state")]
    sealing_key_file: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Where a deployment's keys and state are, and what their schedule goes by.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The state directory.
    pub state: PathBuf,
    /// The key folder.
    pub keys: PathBuf,
    /// The sealing key's file.
    pub sealing_key_file: Option<PathBuf>,
    /// The schedule.
    pub settings: ScheduleSettings,
    /// The socket of a live daemon.
    pub socket: PathBuf,
}

/// Why a command on keys failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysCommandError {
    /// The sealing key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key files.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The rotation refused.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// There are keys already.
    #[error(
        "there are signing keys in {} already: nothing was changed; see them with `grantd keys list`",
        .0.display()
    )]
    KeysThere(PathBuf),
    /// The state remembers keys, or has served.
    #[error(
        "{} belongs to a deployment that has served, but its keys are not in {}: restore them from a backup; when they are lost for good, say --keys-lost",
        state.display(),
        keys.display()
    )]
    KeysGone {
        /// The state directory.
        state: PathBuf,
        /// The key folder.
        keys: PathBuf,
    },
    /// No state directory: one that is mistyped is not made.
    #[error(
        "{} is not the state directory of a deployment: it has no journal; is it mistyped? `grantd init` makes one",
        .0.display()
    )]
    NoState(PathBuf),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The live daemon.
    #[error(transparent)]
    Daemon(#[from] ClientFault),
    /// Printing failed.
    #[error("cannot print the result")]
    Print(#[from] std::io::Error),
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::parse(text).map_err(|_| "a key id has 43 characters of base64url".to_owned())
}

/// Runs `grantd keys …` on the files of a deployment.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let done = match &args.action {
        Action::List { at } => at.place().and_then(|place| list(&place, at.format, io)),
        Action::AcceptClock { at } => obey(at, &Command::AcceptClock, io),
        Action::Rotate {
            algorithm,
            compromised,
            at,
        } => {
            let command = match compromised {
                Some(kid) => Command::Compromised { kid: kid.clone() },
                None => Command::Rotate {
                    algorithm: *algorithm,
                },
            };
            obey(at, &command, io)
        }
    };
    match done {
        Ok(()) => Exit::Done,
        Err(error) => failed(io, &error),
    }
}

fn obey(at: &At, command: &Command, io: &mut Io<'_>) -> Result<(), KeysCommandError> {
    let (outcome, warnings) = rotate(&at.place()?, command)?;
    print_outcome(&outcome, at.format, io)?;
    for warning in warnings {
        warn(io, &warning);
    }
    Ok(())
}

impl At {
    fn place(&self) -> Result<Place, KeysCommandError> {
        if let Some(config) = &self.config {
            let settings = crate::settings::load(config)?;
            return Ok(Place {
                state: settings.state,
                keys: settings.keys_dir,
                sealing_key_file: settings.sealing_key,
                settings: settings.keys,
                socket: settings.admin.admin.path,
            });
        }
        let state = self.state.clone().unwrap_or_default();
        let keys = self.keys.clone();
        let keys = keys.unwrap_or_else(|| StateDir::keys_of(&state));
        let settings = ScheduleSettings {
            algorithms: listed(&keys),
            ..ScheduleSettings::default()
        };
        Ok(Place {
            socket: StateDir::admin_socket_of(&state),
            state,
            keys,
            sealing_key_file: self.sealing_key_file.clone(),
            settings,
        })
    }
}

/// Without settings, the algorithms are those that have key files, by the files' names.
fn listed(keys: &Path) -> Vec<Algorithm> {
    let names: Vec<String> = std::fs::read_dir(keys)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let has = |algorithm: &Algorithm| {
        let prefix = format!("{}-", algorithm.name().to_ascii_lowercase());
        names.iter().any(|name| name.starts_with(&prefix))
    };
    let mut found: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(has).collect();
    if found.is_empty() {
        found = ScheduleSettings::default().algorithms;
    }
    found
}

impl Place {
    /// The key files.
    ///
    /// # Errors
    /// [`KeysCommandError`] when folder or sealing key can't be used.
    fn custody(&self) -> Result<Custody, KeysCommandError> {
        Ok(Custody::open(&self.keys, self.sealer()?)?)
    }

    pub(super) fn sealer(&self) -> Result<Option<Sealer>, SealError> {
        let file = self.sealing_key_file.as_deref();
        file.map(Sealer::read).transpose()
    }

    /// The keys of a daemon that is stopped: its state is locked as long as this is held.
    pub(super) fn keeper(
        &self,
        missing: OnMissing,
    ) -> Result<(Keeper, StateDir), KeysCommandError> {
        let state = StateDir::open(&self.state)?;
        let custody = self.custody()?;
        custody.tidy()?;
        let store: Arc<dyn RingStore> = Arc::new(Store::open(&state.db(), OnCorruption::Refuse)?);
        let parts = Parts {
            vault: Box::new(custody),
            store,
            settings: self.settings.clone(),
            self_test: jws::self_test,
            missing,
        };
        Ok((Keeper::open(parts, reading())?, state))
    }
}

fn reading() -> Reading {
    let clock = Clock::of_this_machine();
    Reading {
        wall: clock.now_seconds(),
        boot: clock.boot(),
    }
}

/// Obeys a command: by the live daemon, through its admin socket, or on the files of a stopped one. What was
/// done, and what is not as it should be.
fn rotate(
    place: &Place,
    command: &Command,
) -> Result<(KeysOutcome, Vec<String>), KeysCommandError> {
    match AdminClient::connect(&place.socket) {
        Ok(mut daemon) => Ok(daemon.rotate_keys(command)?),
        // Nobody answers: the lock tells whether nobody is there.
        Err(_) => {
            let outcome = rotate_stopped(place, command)?;
            Ok((KeysOutcome::from(&outcome), Vec::new()))
        }
    }
}

/// Obeys a command on the state of a stopped daemon. Its events are recorded at the next start,
/// before a key signs.
///
/// # Errors
/// [`KeysCommandError`]; [`StateDirError::InUse`] when a daemon runs: ask it instead.
pub(super) fn rotate_stopped(
    place: &Place,
    command: &Command,
) -> Result<Outcome, KeysCommandError> {
    // `StateDir::open` makes what is missing, which is for init, serve and dev alone.
    if !StateDir::is_there(&place.state) {
        return Err(KeysCommandError::NoState(place.state.clone()));
    }
    let (mut keeper, _locked) = place.keeper(OnMissing::Refuse)?;
    let longest = place.settings.longest_token;
    match keeper.advance(reading(), longest, Some(command))? {
        Some(outcome) => Ok(outcome?),
        None => Ok(Outcome::default()),
    }
}

/// Lists the keys of a deployment from its files, running or stopped.
///
/// # Errors
/// [`KeysCommandError`] when the files can't be read.
pub(super) fn list(place: &Place, format: Format, io: &mut Io<'_>) -> Result<(), KeysCommandError> {
    let records: Vec<KeyRecord> = place
        .custody()?
        .load()?
        .into_iter()
        .map(|stored| stored.record)
        .collect();
    let rings: Vec<Ring> = Algorithm::ALL
        .into_iter()
        .map(|algorithm| Ring::new(algorithm, records.iter().cloned()))
        .collect();
    print_rings(&rings, &place.settings, format, io)?;
    if records.is_empty() && format == Format::Text {
        writeln!(io.err, "no keys in {}", place.keys.display())?;
    }
    Ok(())
}
