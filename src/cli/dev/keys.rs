//! The first keys of a fresh state. Touches: fs, clock.

use crate::clock::Clock;
use crate::keys::custody::{Custody, CustodyError};
use crate::keys::ports::Vault;
use crate::keys::rotate::{KeysError, make_first_ring};
use crate::mint::jws;
use crate::settings::Settings;

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysFault {
    #[error(transparent)]
    Custody(#[from] CustodyError),
    #[error(transparent)]
    Make(#[from] KeysError),
}

/// Makes a ring of each algorithm where the state has none: as `grantd init` does. A start that was
/// killed over it is taken up again, as long as the state has not served.
pub(super) fn first(settings: &Settings, served: bool) -> Result<(), KeysFault> {
    let custody = Custody::make(&settings.keys_dir, None)?;
    let there = custody.load()?;
    if served && !there.is_empty() {
        return Ok(());
    }
    let now = Clock::of_this_machine().now_seconds();
    for algorithm in settings.algorithms() {
        if there.iter().any(|key| key.record.algorithm == *algorithm) {
            continue;
        }
        make_first_ring(&custody, *algorithm, &settings.keys, now, jws::self_test)?;
    }
    Ok(())
}
