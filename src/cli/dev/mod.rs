//! `grantd dev`: a complete daemon in one command, to try things with. Touches: fs, net, process.
//!
//! It is `serve` with everything made for it: a state directory, a CA and a certificate, keys, settings and
//! a client with a fresh secret. Nothing in it is weaker than in `serve`.

mod certificate;
mod demo;
mod keys;
mod show;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use self::demo::{Demo, DemoError};
use super::serve::exit;
use super::tell::failed;
use super::{Exit, Format, Io, check, help};
use crate::clock::Clock;
use crate::daemon::{self, Plan, StartError};
use crate::domain::Algorithm;
use crate::listener::{self, Bound};
use crate::registry::check::Rules;
use crate::registry::publish::{Publisher, Update};
use crate::settings::{self, Settings, SettingsError};
use crate::store::StateDir;
use crate::telemetry;
use certificate::CertificateError;

/// The rings of `dev`: all, so that every registry can be tried; the first is the default.
const ALGORITHMS: [Algorithm; 5] = Algorithm::ALL;

/// Starts a complete daemon with the registry of a folder, a throw-away state, a self-signed certificate
/// and a fresh demo client, and prints a curl line that gets a token.
///
/// For trying things and for tests. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::DEV)]
pub(super) struct Args {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The registry folder. Edit its files: a change is live at once.
    #[arg(long, value_name = "DIR", default_value = "registry.d")]
    registry: PathBuf,
    /// Keep the state here, across restarts. Left out, it is removed at the end.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Ship audit events to this NATS server; the stream is made where it is missing.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Which logs to show: a level, or a filter such as "grantd=debug,info".
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
    /// How to print what there is: for people, or as one line with one JSON object once it is ready.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Why `dev` can't start.
#[derive(Debug, thiserror::Error)]
enum DevError {
    #[error("cannot make a state directory")]
    TempDir(#[source] std::io::Error),
    #[error("cannot use the state directory {path}")]
    State {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Bind(#[from] listener::BindError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot write the settings")]
    Config(#[from] toml::ser::Error),
    #[error(transparent)]
    Keys(#[from] keys::KeysFault),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Log(#[from] telemetry::LogError),
}

/// Everything that was made, and what is shown of it.
struct Prepared {
    settings: Settings,
    bound: Bound,
    ca: PathBuf,
    demo: Demo,
    kept: bool,
    _state: Option<TempDir>,
}

/// Runs the daemon.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let demo = match demo_client(args, io) {
        Ok(Ok(demo)) => demo,
        Ok(Err(refused)) => return refused,
        Err(error) => return failed(io, &error),
    };
    let prepared = match prepare(args, demo) {
        Ok(prepared) => prepared,
        Err(error) => return failed(io, &error),
    };
    let Prepared {
        settings,
        bound,
        ca,
        demo,
        kept,
        _state,
    } = prepared;
    let shown = show::Shown {
        issuer: settings.issuer.clone(),
        registry: settings.registry.folder.clone(),
        state: settings.state.clone(),
        ca,
        demo,
        kept,
    };
    let format = args.format;
    let plan = Plan {
        settings,
        sockets: daemon::Sockets {
            public: Some(bound),
            monitor: None,
        },
        accept_lost_journal: false,
        strict: false,
    };
    let ended = daemon::run(plan, |running| {
        // A daemon whose stdout is gone still serves.
        let _gone = show::ready(&shown, running.metrics, format, io.out);
    });
    match ended {
        Ok(end) => exit(end),
        Err(error) => failed(io, &error),
    }
}

/// Checks the registry as `grantd check` does, and makes a client for its first resource.
fn demo_client(args: &Args, io: &mut Io<'_>) -> Result<Result<Demo, Exit>, DevError> {
    let settings = crate::registry::publish::RegistrySettings {
        folder: args.registry.clone(),
        rules: Rules {
            algorithms: ALGORITHMS.to_vec(),
            ..Rules::default()
        },
        ..Default::default()
    };
    let clock = Clock::of_this_machine();
    match Publisher::new(&settings, clock).first() {
        Update::Applied(applied) => Ok(Ok(Demo::make(&applied.snapshot, clock.now_seconds())?)),
        Update::Rejected(rejected) => Ok(Err(check::tell_refusal(&args.registry, &rejected, io))),
        Update::Moved(_) | Update::Held(_) => Ok(Err(Exit::Failed)),
    }
}

fn prepare(args: &Args, demo: Demo) -> Result<Prepared, DevError> {
    let temporary = match &args.state {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("grantd-dev-")
                .tempdir()
                .map_err(DevError::TempDir)?,
        ),
    };
    let state = match (&args.state, &temporary) {
        (Some(kept), _) => absolute(kept)?,
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => PathBuf::from("."),
    };
    make_private(&state)?;
    // Nothing in it is written while another daemon works on it; `daemon::run` locks it again.
    let locked = StateDir::open(&state).map_err(StartError::from)?;
    let bound = listener::bind(args.listen)?;
    let tls = certificate::in_directory(&state)?;
    let text = config(args, &state, bound.address.port(), &tls)?;
    let path = state.join("grantd.toml");
    std::fs::write(&path, &text).map_err(|source| DevError::State {
        path: path.clone(),
        source,
    })?;
    let mut settings = settings::load(&path)?;
    settings.registry.extra = Some(demo.source());
    telemetry::start_logs(&settings.log)?;
    keys::first(&settings, locked.has_served())?;
    Ok(Prepared {
        settings,
        bound,
        ca: tls.ca,
        demo,
        kept: args.state.is_some(),
        _state: temporary,
    })
}

/// The settings of `dev`, in the form of every other daemon's.
fn config(
    args: &Args,
    state: &Path,
    port: u16,
    tls: &certificate::Files,
) -> Result<String, DevError> {
    let algorithms: Vec<&str> = ALGORITHMS
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    let mut config = json!({
        "issuer": format!("https://localhost:{port}"),
        "instance": "dev",
        "listen": { "address": args.listen.to_string(), "metrics_address": "127.0.0.1:0" },
        "tls": { "certificate": tls.certificate, "key": tls.key },
        "registry": { "dir": absolute(&args.registry)? },
        "state": { "dir": state },
        "keys": { "algorithms": algorithms },
        "log": { "filter": args.log },
    });
    if let (Some(url), Some(config)) = (&args.nats, config.as_object_mut()) {
        let nats = json!({ "nats": { "url": url, "create_stream": true } });
        config.insert("audit".to_owned(), nats);
    }
    Ok(toml::to_string(&config)?)
}

fn absolute(path: &Path) -> Result<PathBuf, DevError> {
    std::path::absolute(path).map_err(|source| DevError::State {
        path: path.to_owned(),
        source,
    })
}

fn make_private(state: &Path) -> Result<(), DevError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(|source| DevError::State {
            path: state.to_owned(),
            source,
        })
}
