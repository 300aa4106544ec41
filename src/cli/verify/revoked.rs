//! Which tokens operators made void: the document of `grantd overlay list --format json`. Touches: fs.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::admin::{InvalidReport, OverlayReport};
use crate::registry::overlay::Overlay;

/// Longest document in bytes: a daemon's longest list takes less than one answer of its socket, 1 MiB.
const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;

/// Why it is not known which tokens are void. Then none is judged.
#[derive(Debug, thiserror::Error)]
pub(super) enum RevocationsFault {
    /// The file can't be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else.
    #[error("{} is not what `grantd overlay list --format json` prints", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
    /// An entry that can't be understood.
    #[error("{} can't be used", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: InvalidReport,
    },
}

/// Reads the document.
pub(super) fn read(path: &Path) -> Result<Overlay, RevocationsFault> {
    let unreadable = |source| RevocationsFault::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut limited = file.take(MAX_DOCUMENT);
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    let report: OverlayReport =
        serde_json::from_slice(&bytes).map_err(|source| RevocationsFault::Form {
            path: path.to_owned(),
            source,
        })?;
    report
        .to_overlay()
        .map_err(|source| RevocationsFault::Invalid {
            path: path.to_owned(),
            source,
        })
}
