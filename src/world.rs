//! What a request sees of the daemon's state: one registry and one set of key rings. Pure.
//!
//! **Invariant:** both stand under one pointer. A request loads it once, so that it never meets half of
//! a change (promise 5).

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::keys::rings::Rings;
use crate::registry::snapshot::Served;

/// Registry and rings of one moment.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// What is served; `None` until a registry was accepted.
    pub registry: Option<Arc<Served>>,
    /// The key rings; `None` until the first were recorded.
    pub rings: Option<Arc<Rings>>,
}

/// The world as it is now, replaced whole at each change.
#[derive(Debug, Default)]
pub struct Current(ArcSwap<World>);

impl Current {
    /// The world of this moment.
    #[must_use]
    pub fn load(&self) -> Arc<World> {
        self.0.load_full()
    }

    /// Publishes a registry. The old world is dropped by the caller, never by a request.
    pub fn publish_registry(&self, served: &Arc<Served>) {
        self.0.rcu(|world| World {
            registry: Some(Arc::clone(served)),
            rings: world.rings.clone(),
        });
    }

    /// Publishes rings.
    pub fn publish_rings(&self, rings: &Arc<Rings>) {
        self.0.rcu(|world| World {
            registry: world.registry.clone(),
            rings: Some(Arc::clone(rings)),
        });
    }
}
