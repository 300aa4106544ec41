//! `grantd serve`: the daemon. Touches: fs, net, process.

use std::path::PathBuf;

use super::{Exit, Io};
use crate::daemon::{self, End, Plan};
use crate::{settings, telemetry};

/// Serves tokens until it is told to stop.
///
/// SIGTERM or SIGINT drains and stops, a second one stops at once; SIGHUP looks at the registry and the
/// TLS certificate again. Exit
/// codes: 0 stopped, 1 failed or could not start, 2 wrong usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "/etc/grantd/grantd.toml")]
    config: PathBuf,
    /// Go on though the journal ends before what the stream has confirmed: its disk was lost.
    ///
    /// The stream keeps what it has; the journal begins a new lineage there.
    #[arg(long)]
    accept_lost_journal: bool,
}

/// Runs the daemon.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let settings = match settings::load(&args.config) {
        Ok(settings) => settings,
        Err(error) => return failed(io, &error),
    };
    if let Err(error) = telemetry::start_logs(&settings.log) {
        return failed(io, &error);
    }
    daemon::harden();
    let sockets = match daemon::Sockets::inherited() {
        Ok(sockets) => sockets,
        Err(error) => return failed(io, &error),
    };
    let plan = Plan {
        settings,
        sockets,
        accept_lost_journal: args.accept_lost_journal,
    };
    match daemon::run(plan, |_| {
        tracing::info!("ready: tokens are issued");
    }) {
        Ok(end) => exit(end),
        Err(error) => failed(io, &error),
    }
}

/// The exit code of an end.
pub(super) const fn exit(end: End) -> Exit {
    match end {
        End::Stopped | End::Hurried => Exit::Done,
        End::Failed(_) => Exit::Failed,
    }
}

/// Says why a command failed, with all causes.
pub(super) fn failed(io: &mut Io<'_>, error: &dyn std::error::Error) -> Exit {
    // Nothing more can be said where stderr is gone.
    let _gone = writeln!(io.err, "grantd: {}", crate::domain::chain(error));
    Exit::Failed
}
