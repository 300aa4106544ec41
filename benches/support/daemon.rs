//! grantd as it is served, on a core of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{Process, wait_for};
use super::registry::{self, CLIENT};
use super::target::{Ask, Server};
use super::{DAEMON_CORE, LOAD_CORE};

/// The counter of the journal's fdatasyncs.
const SYNCS: &str = "grantd_journal_commits_total";

/// A running daemon; ended when dropped.
pub struct Daemon {
    process: Process,
    address: String,
    metrics: String,
    ca: String,
    /// From its start to its readiness.
    pub started_in: Duration,
}

/// How a daemon is to be served.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Clients of its registry.
    pub clients: usize,
    /// The NATS server that its events go to.
    pub nats: Option<&'a str>,
}

/// As most measurements have it.
pub const USUAL: Options<'_> = Options {
    clients: 10,
    nats: None,
};

impl Daemon {
    /// Makes a deployment in this folder, and serves it.
    pub fn start(folder: &Path, options: Options<'_>) -> Self {
        make(folder, options);
        Self::serve(folder)
    }

    /// Serves the deployment in this folder.
    pub fn serve(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
        command
            .arg("serve")
            .arg("--config")
            .arg(folder.join("grantd.toml"));
        let started = Instant::now();
        let mut process = Process::start(DAEMON_CORE, &command);
        let stderr = process.child().stderr.take().expect("a pipe");
        let mut log = BufReader::new(stderr);
        let (listening, said) = until_ready(&mut log);
        let started_in = started.elapsed();
        let listening = listening.unwrap_or_else(|| panic!("the daemon did not start:\n{said}"));
        let text = |name: &str| {
            let text = listening.get(name).and_then(Value::as_str);
            text.expect("the log names its addresses").to_owned()
        };
        // What it says later is read away, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            process,
            address: text("address"),
            metrics: text("metrics"),
            ca: std::fs::read_to_string(folder.join("state/ca.pem")).expect("the CA"),
            started_in,
        }
    }

    /// A token signed with this algorithm.
    pub fn token(algorithm: &str) -> Ask {
        let secret = registry::secret(CLIENT);
        Ask::token(
            "/oauth2/token",
            &[
                ("grant_type", "client_credentials"),
                ("resource", &registry::resource(algorithm)),
                ("client_id", CLIENT),
                ("client_secret", secret.expose()),
            ],
        )
    }

    /// The floor: a small document by the same server.
    pub const fn floor() -> Ask {
        Ask::get("/.well-known/oauth-authorization-server")
    }

    /// The process.
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it as an operator would.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// One figure of its metrics, which must be there.
    pub fn metric(&self, name: &str) -> f64 {
        let mut stream = std::net::TcpStream::connect(&self.metrics).expect("the second listener");
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("metrics");
        let named = text.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.strip_prefix(' ')?.trim().parse().ok()
        });
        named.unwrap_or_else(|| panic!("no {name} in the metrics"))
    }
}

impl Server for Daemon {
    fn address(&self) -> &str {
        &self.address
    }

    fn ca(&self) -> &str {
        &self.ca
    }

    fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    fn syncs(&self) -> f64 {
        self.metric(SYNCS)
    }
}

/// Reads the log until the daemon is ready: the line with its addresses, or none; and all that it said.
fn until_ready(log: &mut impl BufRead) -> (Option<Value>, String) {
    let (mut listening, mut said) = (None, String::new());
    let mut line = String::new();
    while log.read_line(&mut line).is_ok_and(|read| read > 0) {
        said.push_str(&line);
        if let Ok(entry) = serde_json::from_str::<Value>(&line) {
            let message = entry.get("message").and_then(Value::as_str);
            let message = message.unwrap_or_default().to_owned();
            if message.starts_with("listening") {
                listening = Some(entry);
            } else if message.starts_with("ready") {
                return (listening, said);
            }
        }
        line.clear();
    }
    (None, said)
}

/// A registry, settings, and a state with keys of every algorithm and a certificate, as `dev` makes them.
fn make(folder: &Path, options: Options<'_>) {
    let (registry, state) = (folder.join("registry.d"), folder.join("state"));
    registry::write(&registry, options.clients);
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
    command.args(["dev", "--format", "json", "--listen", "127.0.0.1:0"]);
    command.arg("--registry").arg(&registry);
    command.arg("--state").arg(&state);
    let mut dev = Process::start(LOAD_CORE, &command);
    let stdout = dev.child().stdout.take().expect("a pipe");
    let mut line = String::new();
    let read = BufReader::new(stdout).read_line(&mut line);
    assert!(read.is_ok_and(|read| read > 0), "grantd dev made no state");
    dev.stop();
    let mut settings = format!(
        "issuer = \"https://localhost\"\ninstance = \"bench\"\n\
         listen.address = \"127.0.0.1:0\"\nlisten.metrics_address = \"127.0.0.1:0\"\n\
         tls.certificate = {:?}\ntls.key = {:?}\nregistry.dir = {registry:?}\nstate.dir = {state:?}\n\
         keys.algorithms = {:?}\nlog.format = \"json\"\n",
        state.join("certificate.pem"),
        state.join("key.pem"),
        registry::ALGORITHMS,
    );
    if let Some(url) = options.nats {
        settings.push_str(&format!(
            "audit.nats.url = {url:?}\naudit.nats.create_stream = true\n"
        ));
    }
    std::fs::write(folder.join("grantd.toml"), settings).expect("written");
    wait_for("the state", || state.join("ca.pem").exists().then_some(()));
}
