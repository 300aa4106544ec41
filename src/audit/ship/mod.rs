//! Ships the journal to JetStream, in order, each line once. Touches: fs, net, clock.
//!
//! The end of the request flow's record: the journal is the truth, the stream gets a copy. Only
//! lines that are on disk are shipped. One unit is in flight: an atomic batch, or one message. After
//! every doubt the stream's last message is read and compared byte for byte: see [`decide`].
//!
//! **Invariant:** each publish names the sequence of the last message on our subjects, so that no
//! line can be stored twice or out of order, whatever is lost on the way. An outage stops nothing:
//! the shipper goes on trying, with bounded waits. It never skips a line without an alarm, and never
//! decides in an edge: the pure stages are `decide`, `reply`, `findings`.
//!
//! ```text
//! run → connect → StreamLink::open → locate( look → decide ) ⇄ publish → reply
//! ```

mod alarm;
mod backoff;
mod connect;
pub mod decide;
mod findings;
mod look;
mod marks;
mod place;
mod publish;
mod read;
mod reply;
mod run;
mod session;
mod settings;
mod status;
mod stream;

pub use connect::ConnectFault;
pub use findings::{Finding, findings, safe_config};
pub use marks::{ShipMark, ShipMarks, UnsavedMark};
pub use publish::REFILL_HEADER;
pub use read::{ReadFault, StreamReader, StreamStart};
pub use run::{ShipPorts, run};
pub use settings::{
    InboxPrefix, InvalidShipSetting, MAX_URLS, NatsLogin, NatsSettings, NatsTls, NatsUrl,
    SUBJECT_PREFIX, ShipSettings, StreamName, subjects_of,
};
pub use status::{LastError, ShipCounters, ShipState, ShipStatus, StatusBoard};
pub use stream::StreamFault;
