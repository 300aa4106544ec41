//! `grantd init`: folders, settings and the first keys of a new deployment. Touches: fs, clock, process.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::json;

use super::keys::{KeysCommandError, Place};
use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::clock::Clock;
use crate::domain::{Algorithm, InstanceName, Issuer};
use crate::keys::custody::Custody;
use crate::keys::ports::{RingStore, Vault};
use crate::keys::ring::{KeyRecord, KeyState};
use crate::keys::rotate::{KeysError, OnMissing, make_first_ring};
use crate::keys::schedule::ScheduleSettings;
use crate::mint::jws;
use crate::store::{OnCorruption, StateDir, Store};

/// The settings file that is written, with `@PLACES@` to fill in.
const TEMPLATE: &str = include_str!("init/grantd.toml");

/// Makes a new deployment: its folders, its grantd.toml, its first signing keys.
///
/// Nothing that is there is overwritten. What was cut short is finished by saying the same again.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = help::INIT)]
pub(super) struct Args {
    /// The folder of the deployment; it is made where it is not there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The settings file to write, when it is not grantd.toml in that folder. One that is there is
    /// left as it is.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state directory, when it is not "state" in that folder.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The key folder, when it is not "keys" in the state directory.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The issuer: the https URL under which clients and verifiers find the daemon.
    #[arg(long, value_name = "URL", default_value = "https://localhost:8443", value_parser = issuer)]
    issuer: Issuer,
    /// The name of this daemon among those of the issuer.
    #[arg(long, value_name = "NAME", default_value = "auth-1", value_parser = instance)]
    instance: InstanceName,
    /// An algorithm to sign with; may be given several times, the first is the default.
    #[arg(long = "algorithm", value_name = "ALG", default_value = "ES256")]
    algorithms: Vec<Algorithm>,
    /// A file with 32 bytes that seal the key files.
    #[arg(long, value_name = "FILE")]
    sealing_key_file: Option<PathBuf>,
    /// The keys of this deployment are lost for good: replace what is missing.
    ///
    /// Verifiers that cache do not know the new keys until they fetch the JWKS again.
    #[arg(long)]
    keys_lost: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Why a deployment could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    /// The keys or the state.
    #[error(transparent)]
    Command(#[from] KeysCommandError),
    /// A file or a folder could not be made.
    #[error("cannot make {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What was made.
#[derive(Debug)]
pub(super) struct Made {
    /// The settings file.
    pub config: PathBuf,
    /// Whether it was written, and not there before.
    pub config_written: bool,
    /// The keys that sign.
    pub signing: Vec<KeyRecord>,
}

fn issuer(text: &str) -> Result<Issuer, String> {
    Issuer::parse(text).map_err(|error| error.to_string())
}

fn instance(text: &str) -> Result<InstanceName, String> {
    InstanceName::parse(text).map_err(|error| error.to_string())
}

/// Runs `grantd init`.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let place = args.place();
    let printed = match make(args, &place) {
        Ok(made) => print(&made, &place, args.format, io),
        Err(error) => return failed(io, &error),
    };
    printed.map_or(Exit::Failed, |()| Exit::Done)
}

impl Args {
    fn place(&self) -> Place {
        let state = self.state.clone();
        let state = state.unwrap_or_else(|| self.dir.join("state"));
        let keys = self.keys.clone();
        Place {
            socket: StateDir::admin_socket_of(&state),
            keys: keys.unwrap_or_else(|| StateDir::keys_of(&state)),
            state,
            sealing_key_file: self.sealing_key_file.clone(),
            settings: ScheduleSettings {
                algorithms: self.algorithms.clone(),
                ..ScheduleSettings::default()
            },
        }
    }

    fn config(&self) -> PathBuf {
        let config = self.config.clone();
        config.unwrap_or_else(|| self.dir.join("grantd.toml"))
    }

    /// A path as the settings file spells it: relative to its folder where it is below it, else
    /// absolute, for `serve` reads it from elsewhere.
    fn spelled(&self, path: &Path) -> String {
        let config = self.config();
        let folder = config.parent().unwrap_or(Path::new(""));
        let spelled = match path.strip_prefix(folder) {
            Ok(short) if !folder.as_os_str().is_empty() || short.is_relative() => short.to_owned(),
            _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        };
        spelled.display().to_string()
    }

    fn settings_text(&self, place: &Place) -> String {
        let algorithms: Vec<String> = self
            .algorithms
            .iter()
            .map(|algorithm| format!("\"{algorithm}\""))
            .collect();
        let mut text = TEMPLATE
            .replace("@ISSUER@", self.issuer.as_str())
            .replace("@INSTANCE@", self.instance.as_str())
            .replace("@LISTEN@", "0.0.0.0:8443")
            .replace("@CERTIFICATE@", "tls/certificate.pem")
            .replace("@KEY@", "tls/key.pem")
            .replace(
                "@REGISTRY@",
                &escaped(&self.spelled(&self.dir.join("registry.d"))),
            )
            .replace("@STATE@", &escaped(&self.spelled(&place.state)))
            .replace("@ALGORITHMS@", &algorithms.join(", "));
        if place.keys != StateDir::keys_of(&place.state) {
            let keys = escaped(&self.spelled(&place.keys));
            text = set(&text, "# dir = ", &format!("dir = \"{keys}\""));
        }
        if let Some(file) = &place.sealing_key_file {
            let file = escaped(&self.spelled(file));
            let line = format!("sealing_key_file = \"{file}\"");
            text = set(&text, "# sealing_key_file = ", &line);
        }
        text
    }
}

/// A path inside of a TOML string.
fn escaped(path: &str) -> String {
    path.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Replaces the line that begins so.
fn set(text: &str, begin: &str, line: &str) -> String {
    text.lines()
        .map(|old| if old.starts_with(begin) { line } else { old })
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Makes the deployment.
fn make(args: &Args, place: &Place) -> Result<Made, InitError> {
    let faults = place.settings.faults();
    if !faults.is_empty() {
        return Err(KeysCommandError::from(KeysError::Settings(faults)).into());
    }
    let config = args.config();
    for folder in [&args.dir, &args.dir.join("registry.d/policy")] {
        let io = |source| InitError::Io {
            path: folder.clone(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        builder.create(folder).map_err(io)?;
    }
    let signing = if args.keys_lost {
        replace_lost(place)?
    } else {
        first_keys(place, config.exists())?
    };
    let text = args.settings_text(place);
    let config_written = write_new(&config, &text).map_err(|source| InitError::Io {
        path: config.clone(),
        source,
    })?;
    Ok(Made {
        config,
        config_written,
        signing,
    })
}

/// The first ring of each algorithm, where no key has ever been. One that was cut short, before it had
/// made every ring or written the settings, is finished: nothing has been served yet.
fn first_keys(place: &Place, configured: bool) -> Result<Vec<KeyRecord>, KeysCommandError> {
    let sealer = place.sealer()?;
    let state = StateDir::open(&place.state)?;
    let custody = Custody::make(&place.keys, sealer)?;
    custody.tidy()?;
    let mut signing: Vec<KeyRecord> = custody.load()?.into_iter().map(|key| key.record).collect();
    let there = !signing.is_empty();
    signing.retain(|key| key.state == KeyState::Active);
    let made = |algorithm: &Algorithm| signing.iter().any(|key| key.algorithm == *algorithm);
    let missing: Vec<Algorithm> = place
        .settings
        .algorithms
        .iter()
        .copied()
        .filter(|algorithm| !made(algorithm))
        .collect();
    let store = Store::open(&state.db(), OnCorruption::Refuse)?;
    let served = state.has_served() || remembers_keys(&store)?;
    if there && (served || (missing.is_empty() && configured)) {
        return Err(KeysCommandError::KeysThere(place.keys.clone()));
    }
    if served {
        return Err(KeysCommandError::KeysGone {
            state: place.state.clone(),
            keys: place.keys.clone(),
        });
    }
    let at = Clock::of_this_machine().now_seconds();
    for algorithm in missing {
        let settings = &place.settings;
        let [first, _] = make_first_ring(&custody, algorithm, settings, at, jws::self_test)?;
        signing.push(first);
    }
    Ok(signing)
}

fn remembers_keys(store: &Store) -> Result<bool, KeysError> {
    for algorithm in Algorithm::ALL {
        if !store.recorded(algorithm)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// New keys for the lost ones.
fn replace_lost(place: &Place) -> Result<Vec<KeyRecord>, KeysCommandError> {
    Custody::make(&place.keys, place.sealer()?)?;
    let (mut keeper, _locked) = place.keeper(OnMissing::Accept)?;
    Ok(keeper.replace_lost()?)
}

/// Writes a file that was not there; whether it was not.
fn write_new(path: &Path, text: &str) -> std::io::Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        opened => opened?,
    };
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
    File::open(folder)?.sync_all()?;
    Ok(true)
}

fn print(made: &Made, place: &Place, format: Format, io: &mut Io<'_>) -> std::io::Result<()> {
    if format == Format::Json {
        let signing: Vec<_> = made
            .signing
            .iter()
            .map(|key| json!({"kid": key.id.as_str(), "algorithm": key.algorithm.name()}))
            .collect();
        let result = json!({
            "config": made.config,
            "config_written": made.config_written,
            "state": place.state,
            "keys": place.keys,
            "signing": signing,
        });
        return writeln!(io.out, "{result}");
    }
    let wrote = if made.config_written {
        "written"
    } else {
        "was there, and is as it was"
    };
    writeln!(io.out, "settings  {} ({wrote})", made.config.display())?;
    writeln!(io.out, "state     {}", place.state.display())?;
    writeln!(io.out, "keys      {}", place.keys.display())?;
    for key in &made.signing {
        writeln!(io.out, "signing   {} {}", key.algorithm, key.id)?;
    }
    if made.config_written {
        let config = made.config.display();
        writeln!(
            io.err,
            "next: put a certificate and its key where {config} says, and run `grantd serve --config {config}`"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
