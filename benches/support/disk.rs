//! What a disk's own fdatasync takes, for a file that grows as a journal does.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::stats::{Round, Times};

/// Bytes of one append: about a line of the journal.
const LINE: usize = 1024;

/// Appends and syncs, one after the other, for this long, with nothing else to do.
pub fn syncs(folder: &Path, length: Duration) -> Round {
    let mut file = tempfile::tempfile_in(folder).expect("a file");
    let line = [b'x'; LINE];
    let mut times = Times::new();
    let started = Instant::now();
    while started.elapsed() < length {
        let one = Instant::now();
        file.write_all(&line).expect("written");
        file.sync_data().expect("synced");
        times.note(one.elapsed());
    }
    Round::new(&times, started.elapsed(), Duration::ZERO, 0.0)
}
