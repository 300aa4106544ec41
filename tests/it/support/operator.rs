//! An operator at the admin sockets of a daemon.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::{Grantd, events, grantd, said};

/// An operator of one daemon.
pub struct Operator {
    state: PathBuf,
}

impl Operator {
    /// Of this daemon.
    pub fn of(daemon: &Grantd) -> Self {
        Self {
            state: daemon.ready.state.clone(),
        }
    }

    /// Gives a command.
    pub fn says(&self, words: &[&str]) -> Output {
        let state = self.state.display().to_string();
        grantd(&[words, &["--state", &state]].concat())
    }

    /// Gives a command that must be obeyed; its answer as an object.
    #[track_caller]
    pub fn done(&self, words: &[&str]) -> Value {
        let answer = said(&self.says(&[words, &["--format", "json"]].concat()));
        assert_eq!(answer.lines().count(), 1, "one line: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// What is taken away.
    #[track_caller]
    pub fn entries(&self) -> Vec<Value> {
        let list = self.done(&["overlay", "list"]);
        let entries = list["entries"].as_array().unwrap();
        assert_eq!(list["total"], entries.len());
        entries.clone()
    }

    /// The events of this type.
    pub fn recorded(&self, kind: &str) -> Vec<Value> {
        let kind = format!("dev.grantd.{kind}.v1");
        let mut found = events(&self.state);
        found.retain(|event| event["type"] == kind.as_str());
        found
    }
}

/// A conversation on a socket, line by line.
pub struct Conversation(BufReader<UnixStream>);

impl Conversation {
    /// Connects.
    pub fn on(socket: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).unwrap()))
    }

    /// Sends a line, and returns the line that answers it.
    pub fn says(&mut self, line: &str) -> Value {
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
        self.0.get_mut().write_all(b"\n").unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

/// The program at a place that everybody can reach, and a folder for sockets beside it.
pub struct Commons {
    folder: TempDir,
}

impl Commons {
    /// A folder that everybody may enter.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let program = folder.path().join("grantd");
        std::fs::copy(env!("CARGO_BIN_EXE_grantd"), program).unwrap();
        Self { folder }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs `grantd` as a user without a name, in these groups besides its own.
    pub fn grantd_as(&self, uid: u32, groups: &str, arguments: &[&str]) -> Output {
        let user = uid.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user]);
        if groups.is_empty() {
            command.arg("--clear-groups");
        } else {
            command.args(["--groups", groups]);
        }
        command
            .arg(self.path("grantd"))
            .args(arguments)
            .current_dir("/")
            .output()
            .unwrap_or_else(|error| panic!("setpriv, of the package util-linux: {error}"))
    }
}
