//! Whether a good client would get its token now, and what is wrong otherwise. Pure.

use super::health::Health;
use crate::audit::journal::JournalStatus;
use crate::audit::ship::ShipStatus;
use crate::http::Readiness;
use crate::keys::time::ClockState;
use crate::world::World;

/// How full the journal may be before it is shown as degraded.
const FILL_ALARM: f64 = 0.5;

/// Judges what the parts say of themselves. `ship` is `None` where no stream is configured.
pub(super) fn judge(
    world: &World,
    health: &Health,
    journal: &JournalStatus,
    ship: Option<&ShipStatus>,
    stopping: bool,
) -> Readiness {
    let mut reasons = Vec::new();
    let mut degraded = Vec::new();
    if stopping {
        reasons.push("the daemon is stopping".to_owned());
    }
    let problems = health.registry_problems();
    if world.registry.is_none() {
        reasons.push("no registry was accepted yet".to_owned());
        reasons.extend(problems);
    } else if !problems.is_empty() {
        degraded
            .push("the registry folder is refused: the last good registry is served".to_owned());
        degraded.extend(problems);
    }
    judge_rings(world, &mut reasons, &mut degraded);
    if let Some(reason) = journal.closed {
        reasons.push(reason.to_string());
    } else if journal.disk_full {
        reasons.push("the disk is full: nothing can be recorded".to_owned());
    }
    match journal.fill {
        _ if journal.full => reasons.push("the journal is full".to_owned()),
        Some(fill) if fill >= FILL_ALARM => {
            degraded.push(format!("the journal is {:.0} % full", fill * 100.0));
        }
        _ => {}
    }
    if let Some(ship) = ship {
        if !ship.connected {
            degraded.push("no NATS server is connected: events wait in the journal".to_owned());
        }
        degraded.extend(ship.findings.iter().map(ToString::to_string));
    }
    // Tokens are issued all the same, for clients that accept it.
    degraded.extend(health.certificate_problems());
    let served = world.registry.as_deref();
    Readiness {
        ready: reasons.is_empty(),
        reasons,
        degraded,
        generation: served.map(|served| served.generation),
        digest: served.map(|served| served.snapshot.digest.to_string()),
        commit: served.and_then(|served| Some(served.commit.as_ref()?.as_str().to_owned())),
    }
}

/// Whether keys sign, and by a clock that is believed.
fn judge_rings(world: &World, reasons: &mut Vec<String>, degraded: &mut Vec<String>) {
    match &world.rings {
        None => reasons.push("the key rings are not on record yet".to_owned()),
        Some(rings) => {
            if let ClockState::Ahead {
                by,
                since_start: false,
            } = rings.clock()
            {
                degraded.push(format!(
                    "the clock has leapt ahead by {by}: tokens carry its time; it is believed after 10 minutes"
                ));
            }
            if let Some(Err(reason)) = rings
                .default_algorithm()
                .map(|default| rings.signer(default))
            {
                reasons.push(reason.to_string());
            }
        }
    }
}
