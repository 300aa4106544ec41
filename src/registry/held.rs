//! The gate before a change that is held back: what waits, and what an operator released. Touches: memory.
//!
//! Shared by the publisher, which stops a change here, and by whoever answers operators.
//!
//! **Invariant:** a release lets one change through, by the hash of what it does, and is over once any
//! registry is accepted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::Digest;

/// The gate.
#[derive(Debug, Default)]
pub struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Option<Digest>,
    released: Option<Digest>,
}

impl Gate {
    /// The change that waits.
    #[must_use]
    pub fn waiting(&self) -> Option<Digest> {
        self.state().waiting
    }

    /// Lets this change through when it comes: it was released in a run before.
    pub fn release(&self, change: Digest) {
        self.state().released = Some(change);
    }

    /// Lets this change through if it is what waits; whether it is.
    #[must_use]
    pub fn release_waiting(&self, change: Digest) -> bool {
        let mut state = self.state();
        let waits = state.waiting == Some(change);
        if waits {
            state.released = Some(change);
        }
        waits
    }

    /// Whether this change may go through.
    pub(super) fn lets(&self, change: Digest) -> bool {
        self.state().released == Some(change)
    }

    /// This change waits.
    pub(super) fn hold(&self, change: Digest) {
        self.state().waiting = Some(change);
    }

    /// Nothing waits: the folder holds another thing.
    pub(super) fn clear(&self) {
        self.state().waiting = None;
    }

    /// A registry was accepted: what was released is done with.
    pub(super) fn accepted(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Two values that are set at once: whoever panicked left them whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_for_what_waits_alone() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let gate = Gate::default();
        assert!(!gate.release_waiting(one), "nothing waits");
        gate.hold(one);
        assert!(!gate.release_waiting(other) && !gate.lets(other));
        gate.accepted();
        assert!(
            !gate.release_waiting(one) && !gate.lets(one),
            "it was taken back"
        );
        gate.hold(one);
        assert!(gate.release_waiting(one) && gate.lets(one));
    }
}
