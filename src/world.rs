//! What a request sees of the daemon's state: one registry, what operators took away above it, and one set
//! of key rings. Pure.
//!
//! **Invariant:** all stand under one pointer. A request loads it once, so that it never meets half of
//! a change (promise 5).

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::keys::rings::Rings;
use crate::registry::overlay::Overlay;
use crate::registry::snapshot::Served;

/// Registry, overlay and rings of one moment.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// What is served; `None` until a registry was accepted.
    pub registry: Option<Arc<Served>>,
    /// What operators took away above it.
    pub overlay: Arc<Overlay>,
    /// The key rings; `None` until the first were recorded.
    pub rings: Option<Arc<Rings>>,
}

/// The world as it is now, replaced whole at each change.
#[derive(Debug, Default)]
pub struct Current(ArcSwap<World>);

impl Current {
    /// A world in which nothing is served yet, and this is taken away.
    #[must_use]
    pub fn taking(overlay: Overlay) -> Self {
        Self(ArcSwap::from_pointee(World {
            overlay: Arc::new(overlay),
            ..World::default()
        }))
    }

    /// The world of this moment.
    #[must_use]
    pub fn load(&self) -> Arc<World> {
        self.0.load_full()
    }

    /// Whether this world still stands. Cheaper than to load it.
    #[must_use]
    pub fn is(&self, world: &World) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.0.load()), world)
    }

    /// Publishes a registry. The old world is dropped by the caller, never by a request.
    pub fn publish_registry(&self, served: &Arc<Served>) {
        self.0.rcu(|world| World {
            registry: Some(Arc::clone(served)),
            ..World::clone(world)
        });
    }

    /// Publishes rings.
    pub fn publish_rings(&self, rings: &Arc<Rings>) {
        self.0.rcu(|world| World {
            rings: Some(Arc::clone(rings)),
            ..World::clone(world)
        });
    }

    /// Publishes what this makes of the overlay. It may be called more than once.
    pub fn change_overlay(&self, change: impl Fn(&Overlay) -> Overlay) {
        self.0.rcu(|world| World {
            overlay: Arc::new(change(&world.overlay)),
            ..World::clone(world)
        });
    }
}
