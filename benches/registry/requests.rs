//! What requests feel of a registry that changes once a second.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::Plan;
use super::layout::{LAYOUTS, Layout};
use super::support::client::Connector;
use super::support::closed::{self, Spread};
use super::support::daemon::{Daemon, USUAL};
use super::support::stats::{Figure, Row, Spread as Over};
use super::support::{self, LOAD_CORE, open, process, table};

/// How often the registry changes.
const EVERY: Duration = Duration::from_secs(1);

/// A daemon with the registry of a layout besides its own.
pub fn deploy(folder: &Path, layout: Layout) -> Daemon {
    Daemon::start(folder, USUAL).stop();
    layout.write(&folder.join("registry.d"));
    Daemon::serve(folder)
}

/// How many registries a daemon has accepted.
pub fn applied(daemon: &Daemon) -> f64 {
    daemon.metric("grantd_registry_generation")
}

struct Kind {
    layout: Layout,
    folder: TempDir,
    daemon: Daemon,
    half: f64,
    still: Row,
    changing: Row,
    changes: f64,
}

/// Measures, and prints the table.
pub fn run(plan: &Plan) {
    process::pin_self(LOAD_CORE);
    let mut kinds: Vec<Kind> = LAYOUTS.map(|layout| kind(plan, layout)).into();
    let mut edition = 0;
    for _ in 0..plan.rounds {
        for kind in &mut kinds {
            round(plan, kind, None);
            round(plan, kind, Some(&mut edition));
        }
    }
    report(plan, kinds);
}

fn kind(plan: &Plan, layout: Layout) -> Kind {
    let folder = Plan::disk();
    let daemon = deploy(folder.path(), layout);
    let (connector, ask) = (Connector::http1(&daemon), Daemon::token("ES256"));
    let mut peak = Row::new("peak");
    for _ in 0..3 {
        let spread = Spread::Kept(support::USUAL);
        peak.push(closed::run(&daemon, &connector, &ask, spread, plan.length));
    }
    Kind {
        still: Row::new(format!("{}, no change", layout.name)),
        changing: Row::new(format!("{}, a change each second", layout.name)),
        half: peak.spread(Figure::PerSecond).median / 2.0,
        changes: 0.0,
        layout,
        folder,
        daemon,
    }
}

/// One round at half of the peak; with an edition, one file changes each second meanwhile.
fn round(plan: &Plan, kind: &mut Kind, edition: Option<&mut usize>) {
    let connector = Connector::http1(&kind.daemon);
    let ask = Daemon::token("ES256");
    let load = || open::run(&kind.daemon, &connector, &ask, kind.half, plan.length).round;
    let Some(edition) = edition else {
        let opened = load();
        kind.still.push(opened);
        return;
    };
    let before = applied(&kind.daemon);
    let stop = AtomicBool::new(false);
    let registry = kind.folder.path().join("registry.d");
    let layout = kind.layout;
    let opened = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                *edition += 1;
                layout.change(&registry, *edition * 7 % layout.files, *edition);
                std::thread::sleep(EVERY);
            }
        });
        let opened = load();
        stop.store(true, Ordering::Relaxed);
        opened
    });
    kind.changes += applied(&kind.daemon) - before;
    kind.changing.push(opened);
}

fn report(plan: &Plan, kinds: Vec<Kind>) {
    let mut rows = Vec::new();
    let (mut ratios, mut seconds) = (Vec::new(), 0.0);
    for kind in kinds {
        let pairs = kind
            .changing
            .figures(Figure::P99)
            .into_iter()
            .zip(kind.still.figures(Figure::P99));
        let ratio = Over::of(pairs.map(|(changing, still)| changing / still));
        seconds = plan.length.as_secs_f64() * plan.rounds as f64;
        ratios.push(vec![
            kind.layout.name.to_owned(),
            ratio.text(2),
            format!("{:.2}", kind.changes / seconds),
        ]);
        rows.extend([kind.still, kind.changing]);
    }
    table::heading(
        "Requests while the registry changes",
        "Open loop at half of the peak, ES256, journal on disk; the daemon has one core for requests and registry \
         alike. One file of 100,000 clients' registry changes each second. Aim: p99 within 1.5 times.",
    );
    table::loads(&rows);
    table::print(
        &[
            "",
            "p99, ratio, round by round",
            "registries applied a second",
        ],
        &ratios,
    );
    assert!(seconds > 0.0);
}
