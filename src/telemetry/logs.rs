//! Logs on stderr, as text or JSON. Touches: process, by stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::TryInitError;

use crate::settings::LogSettings;

/// Why logs can't be written as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is none.
    #[error(
        "the log filter {filter:?} is none: write a level such as \"info\", or \"grantd=debug,info\""
    )]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logs were started before.
    #[error("logs were started before")]
    Twice(#[source] TryInitError),
}

/// Starts writing logs, for the life of the process.
///
/// # Errors
/// [`LogError`]
pub fn start(settings: &LogSettings) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter = EnvFilter::try_new(&settings.filter).map_err(|source| LogError::Filter {
        filter: settings.filter.clone(),
        source,
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = if settings.json {
        logs.json().flatten_event(true).finish().try_init()
    } else {
        logs.with_target(false).finish().try_init()
    };
    started.map_err(LogError::Twice)
}
