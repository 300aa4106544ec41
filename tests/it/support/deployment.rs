//! A deployment as an operator makes it: `grantd init`, a certificate, a registry, `grantd serve`. It
//! stays where it is while the daemon is stopped, changed and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::grantd::refusal;
use super::serve::{Place, run, run_until};
use super::{Grantd, Registry};

/// What the settings of `init` have to say otherwise in a test: ports that the system picks, logs
/// that a test can read.
const ADAPTED: [(&str, &str); 3] = [
    ("address = \"0.0.0.0:8443\"", "address = \"127.0.0.1:0\""),
    (
        "# metrics_address = \"127.0.0.1:9464\"",
        "metrics_address = \"127.0.0.1:0\"",
    ),
    ("# format = \"text\"   # or \"json\"", "format = \"json\""),
];

/// The issuer of every deployment.
const ISSUER: &str = "https://auth.test";

/// A folder with settings, keys, certificate and registry.
pub struct Deployment {
    folder: TempDir,
}

/// Runs `grantd` with these arguments.
pub fn grantd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grantd"))
        .args(arguments)
        .output()
        .unwrap()
}

/// What a command wrote to stdout, once it has succeeded.
#[track_caller]
pub fn said(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command wrote to stderr, once it has failed with this code.
#[track_caller]
pub fn failed(output: &Output, code: i32) -> String {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words}");
    words
}

impl Deployment {
    /// `grantd init` with the company's registry and a ring of ES256.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The same with more arguments of `init`; `@` in them stands for the deployment's folder.
    pub fn with(arguments: &[&str]) -> Self {
        Self::by(Path::new(env!("CARGO_BIN_EXE_grantd")), arguments)
    }

    /// The same made by this program.
    pub fn by(program: &Path, arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let made = Self { folder };
        let dir = made.path("").display().to_string();
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| argument.replace('@', &dir))
            .collect();
        let mut line = vec!["init", "--dir", &dir, "--issuer", ISSUER];
        line.extend(arguments.iter().map(String::as_str));
        said(&Command::new(program).args(line).output().unwrap());
        for (from, to) in ADAPTED {
            made.set(from, to);
        }
        certify(&made.path("tls"));
        Registry::company().write(&made.path("registry.d"));
        made
    }

    /// A file or folder of it.
    pub fn path(&self, below: &str) -> PathBuf {
        if below.is_empty() {
            return self.folder.path().to_owned();
        }
        self.folder.path().join(below)
    }

    /// The path of `grantd.toml`, as an argument.
    pub fn config(&self) -> String {
        self.path("grantd.toml").display().to_string()
    }

    /// The files of the keys.
    pub fn key_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("state/keys")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
        files.sort();
        files
    }

    /// Changes `grantd.toml`; what is to be replaced must be there.
    pub fn set(&self, from: &str, to: &str) {
        let config = self.path("grantd.toml");
        let text = fs::read_to_string(&config).unwrap();
        assert!(text.contains(from), "no {from:?} in {text}");
        fs::write(config, text.replace(from, to)).unwrap();
    }

    /// Adds to the end of `grantd.toml`.
    pub fn append(&self, more: &str) {
        let config = self.path("grantd.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, format!("{text}\n{more}\n")).unwrap();
    }

    /// `grantd keys …` of this deployment.
    pub fn keys(&self, arguments: &[&str]) -> Output {
        grantd(&[&["keys"], arguments, &["--config", &self.config()]].concat())
    }

    /// `grantd audit …` on its state directory.
    pub fn audit(&self, arguments: &[&str]) -> Output {
        let state = self.path("state").display().to_string();
        grantd(&[&["audit"], arguments, &["--state", &state]].concat())
    }

    /// Starts the daemon and waits until it is ready.
    pub fn serve(&self) -> Grantd {
        self.serve_by(&mut self.command())
    }

    /// The same by a command of the test's own, which ends in [`Deployment::command`].
    pub fn serve_by(&self, command: &mut Command) -> Grantd {
        run(command, TempDir::new().unwrap(), self.place())
    }

    /// Starts the daemon and waits until it has judged the folder, whether it is ready or not.
    pub fn serve_judged(&self, command: &mut Command) -> Grantd {
        run_until("registry", command, TempDir::new().unwrap(), self.place())
    }

    fn place(&self) -> Place {
        Place {
            issuer: ISSUER.to_owned(),
            registry: self.path("registry.d"),
            state: self.path("state"),
            ca_file: self.path("tls/ca.pem"),
        }
    }

    /// Starts the daemon, with which the folder goes.
    pub fn serve_alone(self) -> Grantd {
        let mut grantd = self.serve();
        grantd._deployment = Some(self);
        grantd
    }

    /// Starts the daemon, which must refuse with code 1, and returns what it said.
    #[track_caller]
    pub fn refuse(&self) -> String {
        failed(&refusal(&mut self.command()), 1)
    }

    /// `grantd serve` with its settings.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
        command.args(["serve", "--config", &self.config()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// A CA, and a certificate for `localhost` by it.
pub(super) fn certify(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().unwrap();
    let mut server = CertificateParams::new(names).unwrap();
    // Unlike its issuer's, or curl takes it for one that signed itself.
    let subject = &mut server.distinguished_name;
    subject.push(rcgen::DnType::CommonName, "a test's server");
    let server = server.signed_by(&key, &ca).unwrap();
    fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    fs::write(folder.join("certificate.pem"), server.pem()).unwrap();
    super::write_key(&folder.join("key.pem"), &key.serialize_pem());
}
