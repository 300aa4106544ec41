//! Waits until it is clear how a starting daemon stands. Touches: clock.

use std::time::Duration;

use super::readiness::Watch;

/// How long a start may take until it is clear whether tokens are issued. A registry of 100,000 clients takes a
/// few seconds; below the 90 seconds after which systemd gives a start up.
const SETTLE_WAIT: Duration = Duration::from_secs(20);

/// How often a starting daemon is looked at.
const SETTLE_LOOK: Duration = Duration::from_millis(5);

impl Watch {
    /// Waits until it is clear whether tokens are issued: the registry is judged, the rings are on record. What
    /// keeps tokens back then (a broken registry, a wrong clock) heals by a change from outside.
    pub(super) async fn settled(&self) {
        let wait = async {
            while !self.is_settled() {
                tokio::time::sleep(SETTLE_LOOK).await;
            }
        };
        tokio::select! {
            () = self.draining.cancelled() => {}
            _ = tokio::time::timeout(SETTLE_WAIT, wait) => {}
        }
    }

    fn is_settled(&self) -> bool {
        let world = self.gauges.current.load();
        let judged = world.registry.is_some() || !self.health.registry_problems().is_empty();
        judged && world.rings.is_some()
    }

    /// Events that the stream is not known to have; `None` where none are shipped.
    pub(super) fn lag(&self) -> Option<u64> {
        self.gauges.ships.then(|| self.gauges.board.read().lag())
    }
}
