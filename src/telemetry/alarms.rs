//! What changes of how the daemon stands, as lines of the log. Touches: process, by the log.
//!
//! An operator without Prometheus sees each alarm too: once when it is raised, once when it ends.

use tracing::{error, info, warn};

use super::status::Standing;

/// Remembers what was told.
#[derive(Debug, Default)]
pub struct Alarms {
    told: Standing,
}

/// What one look has to tell.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    not_ready: Vec<String>,
    degraded: Vec<String>,
    over: Vec<String>,
}

impl Alarms {
    /// Tells what is new.
    pub fn tell(&mut self, standing: Standing) {
        let news = news(&self.told, &standing);
        for reason in &news.not_ready {
            error!(reason, "not ready");
        }
        for reason in &news.degraded {
            warn!(reason, "degraded");
        }
        for reason in &news.over {
            info!(reason, "no longer");
        }
        self.told = standing;
    }
}

fn news(before: &Standing, now: &Standing) -> News {
    let without = |all: &[String], known: &[String]| {
        let new = all.iter().filter(|line| !known.contains(line));
        new.cloned().collect::<Vec<_>>()
    };
    let lines = |standing: &Standing| [&standing.reasons[..], &standing.degraded].concat();
    News {
        not_ready: without(&now.reasons, &before.reasons),
        degraded: without(&now.degraded, &before.degraded),
        over: without(&lines(before), &lines(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(reasons: &[&str], degraded: &[&str]) -> Standing {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Standing {
            ready: reasons.is_empty(),
            reasons: owned(reasons),
            degraded: owned(degraded),
        }
    }

    #[test]
    fn each_alarm_is_told_once_and_its_end_once() {
        let good = standing(&[], &[]);
        let half = standing(&[], &["half"]);
        let full = standing(&["full"], &["nats"]);
        assert_eq!(news(&good, &half).degraded, ["half"]);
        assert_eq!(news(&half, &half), News::default());
        let worse = news(&half, &full);
        assert_eq!(worse.not_ready, ["full"]);
        assert_eq!(worse.degraded, ["nats"]);
        assert_eq!(worse.over, ["half"]);
        assert_eq!(news(&full, &good).over, ["full", "nats"]);
    }
}
