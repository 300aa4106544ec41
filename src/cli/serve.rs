//! `grantd serve`: the daemon. Touches: fs, net, process.

use std::path::{Path, PathBuf};

use super::check::tell_refusal;
use super::tell::failed;
use super::{Exit, Io, help};
use crate::daemon::{self, End, Plan, StartError};
use crate::registry::publish::Update;
use crate::{settings, telemetry};

/// Serves tokens until it is told to stop.
///
/// Everything is in the settings, whose every line is explained in the file that `grantd init` writes. The
/// registry is watched: a change of it needs neither a restart nor a signal.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::SERVE)]
pub(super) struct Args {
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "/etc/grantd/grantd.toml")]
    config: PathBuf,
    /// Go on though the journal ends before what the stream has confirmed: its disk was lost.
    ///
    /// The stream keeps what it has; the journal begins a new lineage there.
    #[arg(long)]
    accept_lost_journal: bool,
    /// Do not start unless the registry folder holds a registry that can be served.
    ///
    /// Without it, the last good registry is served until the folder is mended.
    #[arg(long)]
    strict: bool,
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
        strict: args.strict,
    };
    let folder = plan.settings.registry.folder.clone();
    match daemon::run(plan, |_| {
        tracing::info!("ready: tokens are issued");
    }) {
        Ok(end) => exit(end),
        Err(error) => {
            if let StartError::Registry(update) = &error {
                tell(&folder, update, io);
            }
            failed(io, &error)
        }
    }
}

/// What keeps a strict start from serving what the folder holds.
fn tell(folder: &Path, update: &Update, io: &mut Io<'_>) {
    match update {
        Update::Rejected(rejected) => {
            tell_refusal(folder, rejected, io);
        }
        Update::Held(back) => {
            let (hash, held) = (back.held.hash, &back.held);
            // A program whose stderr is gone still fails.
            let _gone = writeln!(io.err, "error: the change {hash} is held back: {held}");
        }
        Update::Applied(_) | Update::Moved(_) => {}
    }
}

/// The exit code of an end.
pub(super) const fn exit(end: End) -> Exit {
    match end {
        End::Stopped | End::Hurried => Exit::Done,
        End::Failed(_) => Exit::Failed,
    }
}
