//! The verifiers of docs/verify.md as processes: lines with a scope and a token in, verdicts out.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{repository, tool};

/// Longest time for a verdict: a JVM that starts on a busy machine, and a fetch of keys.
const VERDICT: Duration = Duration::from_secs(30);

/// A language that docs/verify.md has code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    Go,
    Node,
    Java,
    Rust,
}

/// What a verifier said of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted, of this client.
    Accepted(String),
    /// Refused, for this reason.
    Refused(String),
}

/// What a verifier is told at its start.
#[derive(Clone, Debug)]
pub struct Trust {
    pub issuer: String,
    pub audience: String,
    pub ca_file: PathBuf,
    /// Between two fetches for unknown kids.
    pub cool_down: Duration,
}

/// A running verifier. Dropped, it is killed.
pub struct Verifier {
    pub language: Language,
    child: Child,
    input: ChildStdin,
    verdicts: Receiver<String>,
    words: Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Language {
    pub const ALL: [Self; 5] = [Self::Python, Self::Go, Self::Node, Self::Java, Self::Rust];

    /// Starts its verifier.
    pub fn verifier(self, trust: &Trust) -> Verifier {
        let folder = tempfile::tempdir().unwrap();
        let mut command = self.command(&trust.ca_file, folder.path());
        command
            .arg(&trust.issuer)
            .arg(&trust.audience)
            .arg(trust.cool_down.as_millis().to_string());
        if self == Self::Rust {
            command.arg(&trust.ca_file);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{self:?} does not start: {error}"));
        Verifier {
            language: self,
            input: child.stdin.take().unwrap(),
            verdicts: lines(child.stdout.take().unwrap()),
            words: lines(child.stderr.take().unwrap()),
            child,
            _folder: folder,
        }
    }

    fn command(self, ca_file: &Path, folder: &Path) -> Command {
        match self {
            Self::Python => {
                let mut python = Command::new(tool("venv/bin/python"));
                python
                    .arg(repository("tests/interop/python/verifier.py"))
                    .env("SSL_CERT_FILE", ca_file);
                python
            }
            Self::Go => {
                let mut go = Command::new(go("verifier"));
                go.env("SSL_CERT_FILE", ca_file);
                go
            }
            Self::Node => {
                let mut node = Command::new(tool("path/node"));
                node.arg(repository("tests/interop/node/verifier.mjs"))
                    .env("NODE_EXTRA_CA_CERTS", ca_file);
                node
            }
            Self::Java => java(ca_file, folder),
            Self::Rust => Command::new(rust()),
        }
    }
}

impl Verifier {
    /// Its verdict on a token.
    pub fn ask(&mut self, scope: &str, token: &str) -> Verdict {
        let written = writeln!(self.input, "{scope} {token}").and_then(|()| self.input.flush());
        let line = written
            .ok()
            .and_then(|()| self.verdicts.recv_timeout(VERDICT).ok())
            .unwrap_or_else(|| self.died(token));
        match line.split_once(' ') {
            Some(("accepted", client)) => Verdict::Accepted(client.to_owned()),
            Some(("refused", why)) => Verdict::Refused(why.to_owned()),
            _ => panic!("{:?}: no verdict: {line}", self.language),
        }
    }

    fn died(&mut self, token: &str) -> String {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        let words: Vec<String> = self.words.iter().collect();
        let language = self.language;
        panic!(
            "{language:?}: no verdict on {token:?}: {}",
            words.join("\n")
        )
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A program of `tests/interop/go`, built from what `tests/all` has downloaded and nothing else.
pub fn go(program: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = scratch("interop-go");
        let mut build = Command::new(tool("path/go"));
        build
            .args(["build", "-o"])
            .arg(&folder)
            .arg("./...")
            .current_dir(repository("tests/interop/go"));
        succeed(go_offline(&mut build), "go build");
        folder
    });
    folder.join(program)
}

/// Makes `go` use what `tests/all` has downloaded, and nothing else.
pub fn go_offline(go: &mut Command) -> &mut Command {
    go.env("GOMODCACHE", tool("go/mod"))
        .env("GOCACHE", repository(".tools/go/build"))
        .env("GOFLAGS", "-mod=readonly")
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
}

/// The verifier in Java, compiled once, with a trust store for this CA.
fn java(ca_file: &Path, folder: &Path) -> Command {
    static COMPILED: OnceLock<OsString> = OnceLock::new();
    let classpath = COMPILED.get_or_init(|| {
        let pin = std::fs::read_to_string(repository("tests/interop/java/jar.sha256")).unwrap();
        let jar = tool("java").join(pin.split_whitespace().nth(1).unwrap());
        let classes = scratch("interop-java");
        let mut compile = Command::new("javac");
        compile
            .args(["-Xlint:all", "-Werror", "-d"])
            .arg(&classes)
            .arg("-cp")
            .arg(&jar)
            .args(["Verifier.java", "VerifierMain.java"])
            .current_dir(repository("tests/interop/java"));
        succeed(&mut compile, "javac");
        std::env::join_paths([classes, jar]).unwrap()
    });
    let store = folder.join("trust.p12");
    let mut import = Command::new("keytool");
    import
        .args([
            "-importcert",
            "-noprompt",
            "-alias",
            "ca",
            "-storetype",
            "PKCS12",
        ])
        .args(["-storepass", "changeit", "-file"])
        .arg(ca_file)
        .arg("-keystore")
        .arg(&store);
    succeed(&mut import, "keytool");
    let mut java = Command::new("java");
    java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(classpath)
        .arg(format!("-Djavax.net.ssl.trustStore={}", store.display()))
        .args([
            "-Djavax.net.ssl.trustStorePassword=changeit",
            "VerifierMain",
        ]);
    java
}

/// The verifier in Rust: an example of this package, which cargo builds with the tests.
fn rust() -> PathBuf {
    let example = Path::new(env!("CARGO_BIN_EXE_grantd")).with_file_name("examples/verify");
    assert!(
        example.exists(),
        "{} is missing: `cargo test` builds it, `cargo build --example verify` does too",
        example.display()
    );
    example
}

/// A folder for what tests build, below the target folder.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn succeed(command: &mut Command, what: &str) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{what} does not start: {error}; run tests/all --tools"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {words}");
}

/// The lines of a pipe, as they come.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
