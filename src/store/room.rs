//! Whether the disk has room for a commit. Touches: fs.
//!
//! sled is not used any more after a write that failed (`db.rs`), so the daemon ends with it. A disk that
//! others fill up must not come to that: what can't be written surely is not begun, and is tried again.

use std::fs::File;

/// Free bytes below which nothing is written: the two segments of 512 KiB, sled's own size, that one commit
/// may begin. Tokens end long before, at `audit.min_free`.
const LEAST: u64 = 1024 * 1024;

/// Whether a commit surely finds room beside this file. Where the system does not say, the write will.
pub(super) fn is_there(file: &File) -> bool {
    let Ok(stat) = rustix::fs::fstatvfs(file) else {
        return true;
    };
    stat.f_bavail.saturating_mul(stat.f_frsize) >= LEAST
}
