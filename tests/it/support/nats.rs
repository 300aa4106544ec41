//! A NATS server with JetStream: a real one, on a port that the system picks.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{eventually, tool};

/// Longest start and longest stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server. Dropped, it is killed and its store removed.
pub struct NatsServer {
    child: Option<Child>,
    port: Option<u16>,
    config: String,
    folder: TempDir,
}

impl NatsServer {
    /// A server that anyone may use.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server with these lines in its configuration besides the store's.
    pub fn with(config: &str) -> Self {
        let mut server = Self {
            child: None,
            port: None,
            config: config.to_owned(),
            folder: TempDir::new().unwrap(),
        };
        server.run();
        server
    }

    /// `nats://127.0.0.1:port`; the same after a restart.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port.expect("it has run"))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.expect("it has run")
    }

    /// A connection.
    pub async fn connect(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.unwrap()
    }

    /// Stops it as an operator would; what it has acknowledged stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            eventually("the NATS server stops", PATIENCE, || {
                child.try_wait().unwrap()
            });
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again on the same port and store, after [`Self::stop`] or [`Self::kill`].
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let ports = self.folder.path().join("ports");
        let _old = std::fs::remove_dir_all(&ports);
        std::fs::create_dir(&ports).unwrap();
        let config = self.folder.path().join("nats.conf");
        std::fs::write(&config, self.config(&ports)).unwrap();
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(tool("venv/bin/nats-server"))
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let port = eventually("the NATS server listens", PATIENCE, || port_in(&ports));
        self.port = Some(port);
    }

    /// What the server has logged since it was last started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn config(&self, ports: &Path) -> String {
        let store = self.folder.path().join("store");
        let port = self.port.map_or("-1".to_owned(), |port| port.to_string());
        format!(
            "host: 127.0.0.1\nport: {port}\nports_file_dir: {ports:?}\njetstream {{ store_dir: {store:?} }}\n{}\n",
            self.config
        )
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The port that the server has written into its file, once that is whole.
fn port_in(folder: &Path) -> Option<u16> {
    let file: PathBuf = std::fs::read_dir(folder).ok()?.flatten().next()?.path();
    let ports: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    ports["nats"][0]
        .as_str()?
        .rsplit_once(':')?
        .1
        .trim_end_matches('/')
        .parse()
        .ok()
}
