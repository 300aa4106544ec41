//! A small disk: a tmpfs that can fill up, grow and become read-only. Mounting needs root.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The name of the file that takes up space.
const BALLAST: &str = "ballast";

/// A tmpfs. Dropped, it is unmounted; keep it longer than the daemon that works on it.
pub struct Tmpfs {
    at: TempDir,
}

impl Tmpfs {
    /// A disk of this size, as `mount` spells it: `8m`.
    pub fn new(size: &str) -> Self {
        let at = TempDir::new().unwrap();
        let options = format!("size={size},mode=0700");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs"],
            at.path(),
        );
        Self { at }
    }

    /// A folder on it, which need not be there yet.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.at.path().join(name)
    }

    /// Another size.
    pub fn resize(&self, size: &str) {
        run(
            "mount",
            &["-o", &format!("remount,size={size}")],
            self.at.path(),
        );
    }

    /// No writing any more.
    pub fn read_only(&self) {
        run("mount", &["-o", "remount,ro"], self.at.path());
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.at.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Takes up space until only so many bytes are free. With 0, until nothing more can be written.
    pub fn fill(&self, leave: u64) {
        let mut ballast = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.folder(BALLAST))
            .unwrap();
        let page = [0; 4096];
        while self.free() > leave && ballast.write_all(&page).is_ok() {}
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a test that fails may leave a daemon that is being killed.
        let _gone = Command::new("umount")
            .arg("-l")
            .arg(self.at.path())
            .status();
    }
}

pub(super) fn run(program: &str, arguments: &[&str], at: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .arg(at)
        .output()
        .unwrap_or_else(|error| panic!("{program}, of the package mount: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?} (it needs root): {words}"
    );
}
