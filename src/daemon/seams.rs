//! Where one part's port meets another part. Touches: fs.

use std::sync::Arc;

use tracing::error;

use crate::audit::Journal;
use crate::audit::ship::{ShipMark, ShipMarks, UnsavedMark};
use crate::keys::event::KeysEvent;
use crate::keys::ports::{KeyJournal, NotRecorded};
use crate::store::Store;

/// The shipper's mark, in the store.
pub(super) struct StoredMark(pub(super) Arc<Store>);

impl ShipMarks for StoredMark {
    fn load(&self) -> Option<ShipMark> {
        let bytes = match self.0.ship_mark() {
            Ok(bytes) => bytes?,
            Err(fault) => {
                error!(error = %crate::telemetry::chain(&fault), "cannot read how far the stream has confirmed");
                return None;
            }
        };
        ShipMark::from_bytes(&bytes)
    }

    fn save(&self, mark: ShipMark) -> Result<(), UnsavedMark> {
        self.0.set_ship_mark(&mark.to_bytes()).map_err(UnsavedMark::new)
    }
}

/// The journal, for what happens to keys.
pub(super) struct KeyEvents(pub(super) Journal);

impl KeyJournal for KeyEvents {
    async fn record(&self, event: KeysEvent) -> Result<(), NotRecorded> {
        match self.0.control(event.into()).await {
            Ok(_) => Ok(()),
            Err(reason) => {
                error!(%reason, "an event of the keys is not recorded");
                Err(NotRecorded)
            }
        }
    }
}
