//! The daemon under test: the real binary, in a folder of its own, on ports that the system picks.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::{Ask, Deployment, Https, Registry, eventually};

/// Longest start: keys of every algorithm, RSA's among them, on a busy machine.
pub(super) const START: Duration = Duration::from_secs(30);

/// Longest orderly stop.
const STOP: Duration = Duration::from_secs(30);

/// Bytes of the daemon's log that a failing test shows.
const SHOWN_LOG: usize = 8 * 1024;

/// What `grantd dev --format json` prints once it is ready.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    pub issuer: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    pub ca_file: PathBuf,
    pub client_id: String,
    pub client_secret: String,
    pub resource: String,
    pub scopes: Vec<String>,
    pub metrics: String,
    pub registry: PathBuf,
    pub state: PathBuf,
    pub pid: u32,
}

/// How a daemon is to be started.
pub struct Dev {
    registry: Option<Registry>,
    state: Option<PathBuf>,
    listen: String,
    arguments: Vec<OsString>,
}

/// A running daemon. Dropped, it is killed and its folder removed.
pub struct Grantd {
    pub child: Child,
    /// What it printed when it was ready.
    pub ready: Ready,
    /// The same, as it was printed.
    pub line: String,
    pub(super) https: Https,
    pub(super) log: PathBuf,
    pub(super) _folder: TempDir,
    /// The deployment that goes with it.
    pub(super) _deployment: Option<Deployment>,
}

/// The daemon that tests share which only ask it for things. It is started by the first test that
/// needs it and stopped by the last.
pub fn shared() -> Arc<Grantd> {
    static SHARED: Mutex<Weak<Grantd>> = Mutex::new(Weak::new());
    let mut shared = SHARED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(Grantd::dev().start());
    *shared = Arc::downgrade(&started);
    started
}

impl Grantd {
    /// `grantd dev` with the company's registry.
    pub fn dev() -> Dev {
        Dev {
            registry: Some(Registry::company()),
            state: None,
            listen: "127.0.0.1:0".to_owned(),
            arguments: Vec::new(),
        }
    }

    /// A token request of client credentials, to be filled in.
    pub fn ask(&self) -> Ask {
        Ask::new(self.https.clone(), &self.ready.token_endpoint)
    }

    /// The client that trusts the daemon's CA.
    pub fn https(&self) -> &Https {
        &self.https
    }

    /// The registry folder, to be changed.
    pub fn registry(&self) -> PathBuf {
        self.ready.registry.clone()
    }

    /// What the second listener answers: status and body.
    pub fn monitor(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.metrics()).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).expect("a status line");
        (status.parse().unwrap(), body.to_owned())
    }

    /// The body of `/readyz`.
    pub fn readyz(&self) -> Value {
        serde_json::from_str(&self.monitor("/readyz").1).unwrap()
    }

    /// The value of a metric, named with its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.monitor("/metrics").1;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no metric {name}: {page}"));
        value.trim().parse().expect("a metric is a number")
    }

    /// The lines of a JSON log.
    pub fn log_lines(&self) -> Vec<Value> {
        let log = self.log();
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What the daemon has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The address of the second listener.
    pub fn metrics(&self) -> SocketAddr {
        let address = self.ready.metrics.trim_start_matches("http://");
        let address = address.split('/').next().unwrap_or_default();
        address.parse().expect("the second listener's address")
    }

    /// Asks it to stop, and waits until it has. It must do so in time.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let child = &mut self.child;
        eventually("the daemon stops", STOP, || child.try_wait().unwrap())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The same to the daemon where another program runs it: by the process id in the lock file.
    pub fn signal_process(&self, signal: Signal) {
        let lock = std::fs::read_to_string(self.ready.state.join("lock")).unwrap();
        let pid = Pid::from_raw(lock.trim().parse().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended by itself, or by a signal that was sent.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually("the daemon ends", within, || child.try_wait().unwrap())
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Grantd {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            show_log(&self.log);
        }
    }
}

impl Dev {
    /// Another registry.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// A registry folder that does not exist.
    pub fn no_registry(mut self) -> Self {
        self.registry = None;
        self
    }

    /// A state folder that outlives the daemon.
    pub fn state(mut self, folder: &Path) -> Self {
        self.state = Some(folder.to_owned());
        self
    }

    /// Another address to listen on.
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = address.to_owned();
        self
    }

    /// A NATS server.
    pub fn nats(self, url: &str) -> Self {
        self.argument("--nats").argument(url)
    }

    /// One more argument.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Grantd {
        let folder = TempDir::new().unwrap();
        let log = folder.path().join("log");
        let mut child = self
            .command(folder.path())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let line = first_line(&mut child, &log);
        let ready: Ready = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("the line of `dev` is no object of its form: {error}: {line}")
        });
        let https = Https::new(&ready.ca_file, &ready.token_endpoint);
        Grantd {
            child,
            ready,
            line,
            https,
            log,
            _folder: folder,
            _deployment: None,
        }
    }

    /// Starts what must refuse to start, and returns what it said.
    pub fn refuse(self) -> Output {
        let folder = TempDir::new().unwrap();
        refusal(&mut self.command(folder.path()))
    }

    /// Starts it and kills it after this time, ready or not.
    pub fn kill_after(self, time: Duration) {
        let folder = TempDir::new().unwrap();
        let mut command = self.command(folder.path());
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(time);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn command(&self, folder: &Path) -> Command {
        let registry = folder.join("registry.d");
        if let Some(files) = &self.registry {
            std::fs::create_dir(&registry).unwrap();
            files.write(&registry);
        }
        let state = self.state.clone().unwrap_or_else(|| folder.join("state"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
        command
            .args(["dev", "--format", "json", "--listen", &self.listen])
            .arg("--registry")
            .arg(registry)
            .arg("--state")
            .arg(state)
            .args(&self.arguments)
            .current_dir(folder)
            .stdin(Stdio::null());
        command
    }
}

/// Runs a daemon that must refuse to start, and returns what it said.
pub(super) fn refusal(command: &mut Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the daemon refuses", START, || child.try_wait().unwrap())
    }));
    if ended.is_err() {
        let _gone = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(ended.is_ok(), "it did not refuse: {words}");
    output
}

/// The first line that the child prints, within [`START`]. The rest of its output is read and dropped,
/// so that a full pipe never stops it.
fn first_line(child: &mut Child, log: &Path) -> String {
    let output = child.stdout.take().expect("stdout is a pipe");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            let _only_the_first_is_read = sender.send(line);
        }
    });
    receiver.recv_timeout(START).unwrap_or_else(|why| {
        let _gone = child.kill();
        let status = child.wait();
        show_log(log);
        panic!("the daemon did not become ready: {why}; it ended with {status:?}")
    })
}

#[expect(clippy::print_stderr, reason = "what a failing test shows")]
pub(super) fn show_log(log: &Path) {
    let text = std::fs::read(log).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(SHOWN_LOG)..];
    eprintln!(
        "--- the daemon's log\n{}\n---",
        String::from_utf8_lossy(tail)
    );
}
