//! A disk that can hang: a file system in a file, which `fsfreeze` stops. Mounting needs root.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A disk. Dropped, it is thawed and unmounted; keep it longer than the daemon that works on it.
pub struct Disk {
    at: TempDir,
}

impl Disk {
    /// A disk of 256 MiB, most of which is a hole.
    pub fn new() -> Self {
        let at = TempDir::new().unwrap();
        let disk = Self { at };
        let (image, mounted) = (disk.image(), disk.folder());
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(256 << 20).unwrap();
        std::fs::create_dir(&mounted).unwrap();
        let (image, mounted) = (image.to_str().unwrap(), mounted.to_str().unwrap());
        run("mkfs.ext4", "e2fsprogs", &["-q", image]);
        run("mount", "mount", &["-o", "loop", image, mounted]);
        disk
    }

    fn image(&self) -> PathBuf {
        self.at.path().join("image")
    }

    /// The folder that it is mounted at.
    pub fn folder(&self) -> PathBuf {
        self.at.path().join("mounted")
    }

    /// Whoever writes waits from now on.
    pub fn freeze(&self) {
        run(
            "fsfreeze",
            "util-linux",
            &["-f", self.folder().to_str().unwrap()],
        );
    }

    /// They go on.
    pub fn thaw(&self) {
        run(
            "fsfreeze",
            "util-linux",
            &["-u", self.folder().to_str().unwrap()],
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let at = self.folder();
        // It may be thawed already.
        let _thawed = Command::new("fsfreeze").arg("-u").arg(&at).output();
        let _gone = Command::new("umount").arg("-l").arg(at).output();
    }
}

fn run(program: &str, package: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}, of the package {package}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?} (it needs root): {words}"
    );
}
