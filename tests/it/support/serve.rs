//! `grantd serve` with settings of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::grantd::{Ready, START, refusal, show_log};
use super::{Grantd, Https, Registry, eventually};

/// How a daemon is to be served.
pub struct Serve {
    registry: Registry,
    issuer: String,
    settings: String,
    change: Vec<fn(&Path)>,
    state: Option<PathBuf>,
    listen: [String; 2],
    descriptors: Option<u32>,
}

impl Grantd {
    /// `grantd serve` with the company's registry, keys of every algorithm, and JSON logs.
    pub fn serve() -> Serve {
        Serve {
            registry: Registry::company(),
            issuer: "https://auth.test".to_owned(),
            settings: String::new(),
            change: Vec::new(),
            state: None,
            listen: ["127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()],
            descriptors: None,
        }
    }
}

impl Serve {
    /// One more line of `grantd.toml`, with the whole name of the setting: `limits.body_size = "1KiB"`.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push_str(line);
        self.settings.push('\n');
        self
    }

    /// Another issuer.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = issuer.to_owned();
        self
    }

    /// A state folder that outlives the daemon; keys and certificate are made where it has none.
    pub fn state(mut self, folder: &Path) -> Self {
        self.state = Some(folder.to_owned());
        self
    }

    /// Other addresses for tokens and for metrics.
    pub fn listen(mut self, address: &str, metrics: &str) -> Self {
        self.listen = [address.to_owned(), metrics.to_owned()];
        self
    }

    /// No more open files than this, whatever the system would allow.
    pub fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// Changes the state folder, or what is in it, before the daemon starts.
    pub fn prepare(mut self, change: fn(&Path)) -> Self {
        self.change.push(change);
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Grantd {
        let folder = TempDir::new().unwrap();
        let mut command = self.command(folder.path());
        let state = self.state_in(folder.path());
        let place = Place {
            issuer: self.issuer,
            registry: folder.path().join("registry.d"),
            ca_file: state.join("ca.pem"),
            state,
        };
        command.stdout(Stdio::null());
        run(&mut command, folder, place)
    }

    /// Starts what must refuse to start, and returns what it said.
    pub fn refuse(self) -> Output {
        let folder = TempDir::new().unwrap();
        refusal(&mut self.command(folder.path()))
    }

    fn state_in(&self, folder: &Path) -> PathBuf {
        self.state.clone().unwrap_or_else(|| folder.join("state"))
    }

    fn command(&self, folder: &Path) -> Command {
        let state = self.state_in(folder);
        if !state.join("keys").exists() {
            make_state(&state);
        }
        for change in &self.change {
            change(&state);
        }
        let registry = folder.join("registry.d");
        std::fs::create_dir(&registry).unwrap();
        self.registry.write(&registry);
        let config = folder.join("grantd.toml");
        let text = format!(
            "issuer = {:?}\ninstance = \"dev\"\n\
             listen.address = {:?}\nlisten.metrics_address = {:?}\n\
             tls.certificate = {:?}\ntls.key = {:?}\nregistry.dir = {registry:?}\nstate.dir = {state:?}\n\
             keys.algorithms = [\"ES256\", \"ES384\", \"EdDSA\", \"RS256\", \"PS256\"]\n\
             log.format = \"json\"\n{}",
            self.issuer,
            self.listen[0],
            self.listen[1],
            state.join("certificate.pem"),
            state.join("key.pem"),
            self.settings
        );
        std::fs::write(&config, text).unwrap();
        let program = env!("CARGO_BIN_EXE_grantd");
        let mut command = match self.descriptors {
            // Of the package util-linux. It becomes the daemon, so their process is one.
            Some(most) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={most}:{most}")).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .arg("serve")
            .arg("--config")
            .arg(config)
            .current_dir(folder)
            .stdin(Stdio::null());
        command
    }
}

/// Where a daemon's files are, and who it is.
pub(super) struct Place {
    pub(super) issuer: String,
    pub(super) registry: PathBuf,
    pub(super) state: PathBuf,
    pub(super) ca_file: PathBuf,
}

/// Runs `grantd serve` with JSON logs, and waits until it is ready. `folder` lives as long as it does.
pub(super) fn run(command: &mut Command, folder: TempDir, place: Place) -> Grantd {
    run_until("ready", command, folder, place)
}

/// The same until its log has a message that begins so.
pub(super) fn run_until(
    word: &str,
    command: &mut Command,
    folder: TempDir,
    place: Place,
) -> Grantd {
    let log = folder.path().join("log");
    let mut child = command
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    // What it was given, such as a socket, is its own alone.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let listening = eventually("the daemon is there", START, || {
        if let Some(status) = child.try_wait().unwrap() {
            show_log(&log);
            panic!("it ended with {status}");
        }
        listening(&log, word)
    });
    let https = Https::new(
        &place.ca_file,
        &format!("https://localhost:{}", port(&listening, "address")),
    );
    let ready = Ready {
        token_endpoint: format!("{}/oauth2/token", place.issuer),
        jwks_uri: format!("{}/oauth2/jwks", place.issuer),
        issuer: place.issuer,
        ca_file: place.ca_file,
        client_id: String::new(),
        client_secret: String::new(),
        resource: String::new(),
        scopes: Vec::new(),
        metrics: format!("127.0.0.1:{}", port(&listening, "metrics")),
        registry: place.registry,
        state: place.state,
        pid: child.id(),
    };
    Grantd {
        child,
        ready,
        line: String::new(),
        https,
        log,
        _folder: folder,
        _deployment: None,
    }
}

/// A state with keys and a certificate, as `dev` makes it.
fn make_state(state: &Path) {
    let mut dev = Grantd::dev().state(state).start();
    assert!(dev.stop().success());
}

/// The log's line with the addresses, once the daemon has said `word`.
fn listening(log: &Path, word: &str) -> Option<Value> {
    let text = std::fs::read_to_string(log).ok()?;
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok().or_else(|| plain(line)))
        .collect();
    let says = |line: &&Value, word: &str| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.starts_with(word))
    };
    lines.iter().find(|line| says(line, word))?;
    lines.iter().find(|line| says(line, "listening")).cloned()
}

/// A line of a log in text: what it says, and its fields that have no space.
fn plain(line: &str) -> Option<Value> {
    let (_, message) = line.split_once(" INFO ")?;
    let fields = message.split(' ').filter_map(|word| word.split_once('='));
    let mut read: serde_json::Map<String, Value> = fields
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    read.insert("message".to_owned(), message.trim_start().into());
    Some(read.into())
}

fn port(listening: &Value, what: &str) -> u16 {
    let address = listening[what].as_str().expect("the log names the address");
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}
