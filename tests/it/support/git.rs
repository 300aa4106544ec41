//! A git work tree, by the real git.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A work tree.
pub struct WorkTree {
    folder: PathBuf,
}

impl WorkTree {
    /// A new one, of this folder.
    pub fn new(folder: &Path) -> Self {
        let tree = Self {
            folder: folder.to_owned(),
        };
        tree.git(&["init", "--quiet", "--initial-branch", "main"]);
        tree
    }

    /// The one that is in this folder.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// A bare repository with the commits of this stream of `git fast-import`.
    pub fn import(folder: &Path, stream: &str) -> Self {
        let tree = Self {
            folder: folder.to_owned(),
        };
        tree.git(&["init", "--quiet", "--bare", "--initial-branch", "main"]);
        let mut import = Command::new("git")
            .current_dir(folder)
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = import.stdin.take().unwrap();
        pipe.write_all(stream.as_bytes()).unwrap();
        drop(pipe);
        assert!(import.wait().unwrap().success());
        tree
    }

    /// Clones it into this folder, which is empty.
    pub fn clone_to(&self, folder: &Path) -> Self {
        let target = folder.display().to_string();
        self.git(&["clone", "--quiet", ".", &target]);
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The commits of its main branch, the oldest first.
    pub fn commits(&self) -> Vec<String> {
        let listed = self.git(&["rev-list", "--reverse", "main"]);
        listed.lines().map(str::to_owned).collect()
    }

    /// Commits all that is there; the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes the folder what this commit says.
    pub fn checkout(&self, commit: &str) {
        self.git(&["checkout", "--quiet", "--force", "--detach", commit]);
    }

    /// Makes the folder and its branch what this commit says.
    pub fn reset(&self, commit: &str) {
        self.git(&["reset", "--quiet", "--hard", commit]);
    }

    /// Fetches this branch and goes forward to it.
    pub fn pull(&self, branch: &str) {
        self.git(&["pull", "--quiet", "--ff-only", "origin", branch]);
    }

    /// A clone with the last commit alone.
    pub fn clone_shallow(&self, folder: &Path) -> Self {
        let from = format!("file://{}", self.folder.display());
        let to = folder.display().to_string();
        self.git(&["clone", "--quiet", "--depth", "1", &from, &to]);
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Runs git here; what it says.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args([
                "-c",
                "user.name=Jo Operator",
                "-c",
                "user.email=jo@example.com",
            ])
            .args(arguments)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
