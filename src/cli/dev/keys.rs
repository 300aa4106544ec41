//! The first keys of a fresh state. Touches: fs, clock.

use crate::clock::Clock;
use crate::keys::custody::{Custody, CustodyError};
use crate::keys::generate::{GenerateError, generate};
use crate::keys::ports::Vault;
use crate::keys::schedule::first_active;
use crate::settings::Settings;

#[derive(Debug, thiserror::Error)]
pub(super) enum KeysFault {
    #[error(transparent)]
    Custody(#[from] CustodyError),
    #[error(transparent)]
    Generate(#[from] GenerateError),
}

pub(super) fn first(settings: &Settings) -> Result<(), KeysFault> {
    let custody = Custody::make(&settings.keys_dir, None)?;
    if !custody.load()?.is_empty() {
        return Ok(());
    }
    let now = Clock::of_this_machine().now_seconds();
    for algorithm in settings.algorithms() {
        let made = generate(*algorithm)?;
        let record = first_active(made.key.id().clone(), *algorithm, now);
        custody.create(&record, &made.pkcs8)?;
    }
    Ok(())
}
