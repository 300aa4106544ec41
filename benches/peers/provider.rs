//! node-oidc-provider on the daemon's core.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::certificate::certificate;
use crate::support::DAEMON_CORE;
use crate::support::process::Process;
use crate::support::registry::{CLIENT, resource, secret};
use crate::support::target::{Ask, Server};

/// Its scopes, as many as the same client has at grantd.
const SCOPES: &str = "invoice:read invoice:write";

/// A running peer; ended when dropped.
pub struct Provider {
    process: Process,
    address: String,
    ca: String,
    /// The version of node.
    pub node: String,
    /// The version of the package.
    pub version: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

/// Installs what `package-lock.json` names, where it is not there yet.
fn install() -> String {
    let package = folder().join("node_modules/oidc-provider/package.json");
    if !package.exists() {
        let status = Command::new("npm")
            .args(["ci", "--silent", "--no-audit", "--no-fund"])
            .current_dir(folder())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "npm (Debian: npm) installs benches/peers/package-lock.json"
        );
    }
    let text = std::fs::read_to_string(package).expect("the package");
    let package: Value = serde_json::from_str(&text).expect("JSON");
    let version = package.get("version").and_then(Value::as_str);
    version.expect("a version").to_owned()
}

impl Provider {
    /// Starts it with a certificate of its own and waits until it listens.
    pub fn start() -> Self {
        let version = install();
        let node = Command::new("node").arg("--version").output();
        let node = node.expect("node (Debian: nodejs)").stdout;
        let [ca, certificate, key] = certificate();
        let settings = json!({
            "certificate": certificate,
            "key": key,
            "client": CLIENT,
            "secret": secret(CLIENT).expose(),
            "resource": resource("ES256"),
            "scope": SCOPES,
        });
        let mut command = Command::new("node");
        command.arg("provider.mjs").current_dir(folder());
        command.env("NODE_ENV", "production");
        let mut process = Process::with_input(DAEMON_CORE, &command, Stdio::piped());
        let mut input = process.child().stdin.take().expect("a pipe");
        writeln!(input, "{settings}").expect("written");
        drop(input);
        let mut said = BufReader::new(process.child().stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        let ready: Option<Value> = serde_json::from_str(&line).ok();
        let address = ready.and_then(|it| Some(it.get("address")?.as_str()?.to_owned()));
        let mut errors = process.child().stderr.take().expect("a pipe");
        let address = address.unwrap_or_else(|| {
            let mut words = String::new();
            let _read = errors.read_to_string(&mut words);
            panic!("the peer did not start: {words}")
        });
        // What it says later is passed on: it says nothing, unless a request fails.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()));
        Self {
            address,
            ca,
            node: String::from_utf8_lossy(&node).trim().to_owned(),
            version,
            process,
        }
    }

    /// A token with the same scopes on the same resource.
    pub fn token() -> Ask {
        Ask::token(
            "/token",
            &[
                ("grant_type", "client_credentials"),
                ("resource", &resource("ES256")),
                ("scope", SCOPES),
                ("client_id", CLIENT),
                ("client_secret", secret(CLIENT).expose()),
            ],
        )
    }

    /// Its own metadata.
    pub const fn floor() -> Ask {
        Ask::get("/.well-known/openid-configuration")
    }
}

impl Server for Provider {
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
        0.0
    }
}
