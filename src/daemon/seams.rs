//! Where one part's port meets another part. Touches: fs.

use std::sync::Arc;

use tracing::error;

use crate::audit::Journal;
use crate::audit::event::{ClockChange, ControlEvent, KeyEvent, KeyStep};
use crate::audit::ship::{ShipMark, ShipMarks, UnsavedMark};
use crate::domain::chain;
use crate::keys::event::{KeyEventKind, KeysEvent};
use crate::keys::ports::{KeyJournal, NotRecorded};
use crate::store::{Store, StoreError};

use super::health::Health;

/// The shipper's mark, in the store. A store that fails ends the daemon.
pub(super) struct StoredMark {
    pub(super) store: Arc<Store>,
    pub(super) health: Arc<Health>,
}

/// The mark that the store keeps, if it keeps one.
///
/// # Errors
/// [`StoreError`] when it can't be read or is no mark: without it the journal's loss would go unseen.
pub(super) fn read_mark(store: &Store) -> Result<Option<ShipMark>, StoreError> {
    match store.ship_mark()?.filter(|bytes| !bytes.is_empty()) {
        None => Ok(None),
        Some(bytes) => ShipMark::from_bytes(&bytes)
            .map(Some)
            .ok_or(StoreError::Record { what: "ship mark" }),
    }
}

impl ShipMarks for StoredMark {
    fn load(&self) -> Option<ShipMark> {
        read_mark(&self.store).unwrap_or_else(|fault| {
            error!(error = %chain(&fault), "cannot read how far the stream has confirmed");
            self.health.failed("the store failed");
            None
        })
    }

    fn save(&self, mark: ShipMark) -> Result<(), UnsavedMark> {
        self.store.set_ship_mark(&mark.to_bytes()).map_err(|fault| {
            // The shipper tries again; an older mark only has it read more of the stream at a start.
            if !matches!(fault, StoreError::NoRoom { .. }) {
                self.health.failed("the store failed");
            }
            UnsavedMark::new(fault)
        })
    }
}

/// The journal, for what happens to keys.
pub(super) struct KeyEvents(pub(super) Journal);

impl KeyJournal for KeyEvents {
    async fn record(&self, event: KeysEvent) -> Result<(), NotRecorded> {
        match self.0.control(control(&event)).await {
            Ok(_) => Ok(()),
            Err(reason) => {
                error!(%reason, "an event of the keys is not recorded");
                Err(NotRecorded)
            }
        }
    }
}

fn control(event: &KeysEvent) -> ControlEvent {
    match event {
        KeysEvent::Key(event) => ControlEvent::Key(KeyEvent {
            step: match event.kind {
                KeyEventKind::Created => KeyStep::Created,
                KeyEventKind::Activated => KeyStep::Activated,
                KeyEventKind::Retired => KeyStep::Retired,
                KeyEventKind::Withdrawn => KeyStep::Withdrawn,
                KeyEventKind::Removed => KeyStep::Removed,
            },
            key: event.key.id.clone(),
            algorithm: event.key.algorithm,
            created: event.key.created,
            published: event.key.published,
            signs_from: event.key.not_before,
            activated: event.key.activated,
            retired: event.key.retired,
            tokens_until: event.key.tokens_until,
        }),
        KeysEvent::Clock(event) => ControlEvent::Clock(ClockChange {
            before: event.before.name(),
            now: event.now.name(),
            wall: event.wall,
            key_time: event.key_time,
            accepted: event.accepted,
        }),
    }
}
