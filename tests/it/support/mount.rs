//! File systems mounted over a folder that is there already. Mounting needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tmpfs::run;

/// Something mounted. Dropped, it is unmounted.
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// An empty disk in memory.
    pub fn tmpfs(at: &Path) -> Self {
        run("mount", &["-t", "tmpfs", "-o", "size=16m", "tmpfs"], at);
        Self { at: at.to_owned() }
    }

    /// What `served` holds, read only. As with a network's file system, what is written there is seen
    /// here, and no event tells of it.
    pub fn far_away(served: &Path, empty: &Path, at: &Path) -> Self {
        let folders = format!("lowerdir={}:{}", served.display(), empty.display());
        run("mount", &["-t", "overlay", "-o", &folders, "overlay"], at);
        Self { at: at.to_owned() }
    }

    /// Takes it away: the folder below is seen again.
    pub fn unmount(self) {
        drop(self);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a daemon may have it open at this moment.
        let _gone = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
