//! Whether a good client would get its token now, and what is wrong otherwise. Touches: memory.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::health::Health;
use crate::domain::{Lifetime, UnixSeconds};
use crate::http::Readiness;
use crate::keys::time::STEP_HOLD;
use crate::telemetry::status::{FILL_ALARMS, FolderStanding, LastGood, Seen, Standing, Status};
use crate::telemetry::{Alarms, Gauges};

/// How often it is looked at for the log. Five times in the quarter of a minute in which Prometheus
/// usually scrapes.
const ALARMS: Duration = Duration::from_secs(3);

/// Sees how the daemon stands. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) gauges: Gauges,
    pub(super) health: Arc<Health>,
    pub(super) draining: CancellationToken,
}

impl Watch {
    /// How it stands now.
    pub(super) fn status(&self) -> Status {
        let folder = (self.health.registry_problems(), self.health.folder());
        let certificate = self.health.certificate_problems();
        let stopping = self.draining.is_cancelled();
        let seen = self.gauges.look(folder, certificate, stopping);
        let standing = judge(&seen);
        Status { seen, standing }
    }

    /// What `/readyz` says.
    pub(super) fn readiness(&self) -> Readiness {
        let Status { seen, standing } = self.status();
        let served = seen.registry.as_deref();
        Readiness {
            ready: standing.ready,
            reasons: standing.reasons,
            degraded: standing.degraded,
            generation: served.map(|served| served.generation),
            digest: served.map(|served| served.snapshot.digest.to_string()),
            commit: served.and_then(|served| Some(served.commit.as_ref()?.as_str().to_owned())),
            dirty: served.and_then(|served| served.dirty),
        }
    }
}

/// Tells the log what changes of how the daemon stands, until it stops.
pub(super) async fn tell_alarms(watch: Watch, stopping: CancellationToken) {
    let mut alarms = Alarms::default();
    loop {
        // First wait: what is missing while it starts is no alarm.
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(ALARMS) => {}
        }
        let status = watch.status();
        // A stop is told by itself.
        if !status.seen.stopping {
            alarms.tell(status.standing);
        }
    }
}

/// Judges what the parts say of themselves.
pub(super) fn judge(seen: &Seen) -> Standing {
    let mut standing = Standing::default();
    if seen.stopping {
        standing.reasons.push("the daemon is stopping".to_owned());
    }
    judge_registry(seen, &mut standing);
    judge_keys(seen, &mut standing);
    judge_journal(seen, &mut standing);
    if let Some(ship) = &seen.ship {
        if !ship.connected {
            let alone = "no NATS server is connected: events wait in the journal";
            standing.degraded.push(alone.to_owned());
        }
        let findings = ship.findings.iter().map(ToString::to_string);
        standing.degraded.extend(findings);
    }
    // Tokens are issued all the same, for clients that accept it.
    let certificate = seen.certificate_problems.iter().cloned();
    standing.degraded.extend(certificate);
    standing.ready = standing.reasons.is_empty();
    standing
}

fn judge_registry(seen: &Seen, standing: &mut Standing) {
    let problems = seen.problems.iter().cloned();
    let FolderStanding {
        last_good,
        held,
        keep_waits,
        kept_broken,
    } = &seen.folder;
    let broken = kept_broken.iter();
    let broken =
        broken.map(|why| format!("the last good registry that was kept can't be used: {why}"));
    if seen.registry.is_none() {
        let none = "no registry was accepted yet";
        standing.reasons.push(none.to_owned());
        standing.reasons.extend(problems);
        standing.reasons.extend(broken);
        return;
    }
    if !seen.problems.is_empty() {
        let old = "the registry folder is refused: the last good registry is served";
        standing.degraded.push(old.to_owned());
        standing.degraded.extend(problems);
    }
    if let Some(last_good) = last_good {
        judge_last_good(last_good, seen.now, standing);
    }
    if let Some(held) = held {
        standing.degraded.push(format!(
            "a change of the registry is held back: if it is meant, run `grantd registry accept {}`",
            held.hash
        ));
        standing.degraded.extend(held.reasons.iter().cloned());
    }
    if let Some(why) = keep_waits {
        standing.degraded.push(format!(
            "a change of the registry waits until it can be kept: {why}"
        ));
    }
    standing.degraded.extend(broken);
}

fn judge_last_good(last_good: &LastGood, now: UnixSeconds, standing: &mut Standing) {
    let LastGood {
        seen,
        restored,
        max_age,
        refuse,
    } = last_good;
    if *restored {
        let kept = "what is served was kept from a run before: the folder has held no good registry since the start";
        standing.degraded.push(kept.to_owned());
    }
    if last_good.is_too_old(now) {
        let old = format!(
            "the folder was last good at {seen}: longer ago than registry.last_good_max_age ({max_age})"
        );
        if *refuse {
            standing.reasons.push(old);
        } else {
            standing.degraded.push(old);
        }
    }
}

fn judge_keys(seen: &Seen, standing: &mut Standing) {
    if seen.keys_unwritable {
        let failed = "key files cannot be written: keys do not rotate until they can";
        standing.degraded.push(failed.to_owned());
    }
    if seen.clock_ahead > Lifetime::ZERO {
        standing.degraded.push(format!(
            "the clock leapt ahead by {}: it is believed once it has held for {STEP_HOLD}",
            seen.clock_ahead
        ));
    }
    let Some(rings) = &seen.rings else {
        let none = "the key rings are not on record yet";
        return standing.reasons.push(none.to_owned());
    };
    let signer = rings.default_algorithm().map(|it| rings.signer(it));
    if let Some(Err(reason)) = signer {
        standing.reasons.push(reason.to_string());
    }
}

fn judge_journal(seen: &Seen, standing: &mut Standing) {
    let journal = &seen.journal;
    if let Some(reason) = journal.closed {
        standing.reasons.push(reason.to_string());
    } else if journal.disk_full {
        let full = "the disk is full: nothing can be recorded";
        standing.reasons.push(full.to_owned());
    }
    if journal.full {
        standing.reasons.push("the journal is full".to_owned());
    } else if let Some(fill) = journal.fill
        && let Some(passed) = FILL_ALARMS.iter().rev().find(|alarm| fill >= **alarm)
    {
        standing.degraded.push(format!(
            "the journal is more than {:.0} % full: at 100 % tokens are refused",
            passed * 100.0
        ));
    }
}
