//! A NATS server with JetStream: the real one that the tests use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::{Process, wait_for};

/// A server; ended when dropped.
pub struct NatsServer {
    process: Process,
    /// `nats://127.0.0.1:port`.
    pub url: String,
}

impl NatsServer {
    /// A server on these cores, with its store in this folder.
    pub fn start(cores: &str, folder: &Path) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/nats-server");
        assert!(
            program.exists(),
            "{} is missing: run `tests/all --tools` once, which sets it up",
            program.display()
        );
        let (ports, store) = (folder.join("ports"), folder.join("store"));
        std::fs::create_dir_all(&ports).expect("a folder");
        let config = folder.join("nats.conf");
        let log = folder.join("nats.log");
        let text = format!(
            "host: 127.0.0.1\nport: -1\nports_file_dir: {ports:?}\nlog_file: {log:?}\n\
             jetstream {{ store_dir: {store:?} }}\n"
        );
        std::fs::write(&config, text).expect("written");
        let mut command = Command::new(program);
        command.arg("-c").arg(&config);
        let process = Process::start(cores, &command);
        let port = wait_for("the NATS server", || port_in(&ports));
        Self {
            process,
            url: format!("nats://127.0.0.1:{port}"),
        }
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }
}

/// The port that the server has written into its file, once that is whole.
fn port_in(folder: &Path) -> Option<u16> {
    let file: PathBuf = std::fs::read_dir(folder).ok()?.flatten().next()?.path();
    let ports: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let url = ports.get("nats")?.get(0)?.as_str()?;
    url.rsplit_once(':')?.1.trim_end_matches('/').parse().ok()
}
