//! The release binary on a core of its own, and the CPU time that it has used.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

/// A running daemon; ended when dropped.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// The form of a good request.
    pub form: String,
    /// Trusts its CA.
    pub tls: Arc<rustls::ClientConfig>,
    metrics: String,
}

impl Daemon {
    /// Starts `grantd dev` on one core with its state in this directory.
    pub fn start(core: &str, state: &Path) -> Self {
        let registry = Path::new(env!("CARGO_MANIFEST_DIR")).join("registry.d");
        let mut child = Command::new("taskset")
            .args([
                "-c",
                core,
                env!("CARGO_BIN_EXE_grantd"),
                "dev",
                "--format",
                "json",
            ])
            .args(["--listen", "127.0.0.1:0", "--registry"])
            .arg(registry)
            .arg("--state")
            .arg(state)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("taskset (Debian: util-linux) starts the release binary");
        let stdout = child.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("one line once it is ready");
        let ready: Value = serde_json::from_str(&line).expect("one JSON object");
        let text = |name: &str| {
            ready
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let form = serde_form(&[
            ("grant_type", "client_credentials"),
            ("resource", &text("resource")),
            ("client_id", &text("client_id")),
            ("client_secret", &text("client_secret")),
        ]);
        let issuer = url::Url::parse(&text("issuer")).expect("a URL");
        Self {
            address: format!("127.0.0.1:{}", issuer.port().unwrap_or(443)),
            form,
            tls: trust(Path::new(&text("ca_file"))),
            metrics: text("metrics"),
            child,
        }
    }

    /// CPU time so far, of ended threads too: user and system time of the process, in ticks of 10 ms
    /// (proc(5), `/proc/PID/stat`).
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the daemon lives");
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// One counter of its metrics.
    pub fn counter(&self, name: &str) -> f64 {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.metrics).expect("the second listener");
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("metrics");
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or(f64::NAN)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Keeps this process and its threads on one core.
pub fn pin_self(core: &str) {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-a", "-p", "-c", core, &pid])
        .stdout(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "taskset pins this process"
    );
}

fn trust(ca: &Path) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(ca).expect("the CA of dev");
    roots.add(ca).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn serde_form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
