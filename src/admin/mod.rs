//! The admin socket: how commands talk to a live daemon. Touches: fs, net.
//!
//! Two Unix sockets: one that takes every request, and one that only looks. A request is one line of JSON,
//! `{"request":NAME,…}`; an answer is one line of JSON, `{"ok":true,…}` or `{"ok":false,"error":"…"}`, after
//! which some requests send lines of their own. A connection takes one request after the other.
//!
//! | request | fields | answer | lines after it | looks |
//! |---|---|---|---|---|
//! | `audit_lines` | `from` (0: the oldest), `max`, optional `wait_ms` | `oldest`, `durable`, `lines` | that many lines of the journal, byte for byte | yes |
//! | `status` | optional `expiring_seconds` | `status` | none | yes |
//! | `client` | `id` | `client` | none | yes |
//! | `last_use` | optional `after` (a client's id) | `lines`, `now`, `next` where there are more | that many objects, one for each credential | yes |
//! | `overlay_list` | none | `overlay` | none | yes |
//! | `keys_rotate` | optional `algorithm`, or `compromised` (a key id) | `keys` | none | no |
//! | `clock_accept` | none | `keys` | none | no |
//! | `client_disable` | `client`, optional `reason` | `change` | none | no |
//! | `revoke` | `client`, `jti` or `before`, optional `reason` | `change` | none | no |
//! | `overlay_clear` | `entry` or `client`, optional `force`, `reason` | `change` | none | no |
//! | `registry_accept` | `change` (a hash) | `accepted` | none | no |
//!
//! **Invariant:** who may connect is decided by the socket's mode and group, and where these say "the owner",
//! by `SO_PEERCRED` besides. Each change is an event with the caller's user and process. What gives something
//! is on record before it is done; what takes something away is done at once, and its answer says what is not
//! on record yet. A line beyond what is durable is never sent.

mod accept;
mod access;
mod change;
mod client;
mod credentials;
mod protocol;
mod server;

pub use accept::Accept;
pub use access::{BindFault, Door, GroupName, Kind, Listening, bind, link};
pub use change::{Change, Done, MAX_CHANGES};
pub use client::{AdminClient, ClientFault, Lines, Uses};
pub use protocol::{
    AcceptedRegistry, ChangeReport, ClientReport, ClockReport, CredentialReport, CredentialUse,
    ExpiringReport, ExpiryReport, HeldReport, InvalidReport, JournalReport, KeyReport, KeysOutcome,
    LastGoodReport, MAX_EXPIRIES, MAX_LINES, MAX_REQUEST, MAX_STATUS_ENTRIES, OverlayEntryReport,
    OverlayReport, RegistryReport, Request, RotatedRing, RotatingReport, StatusReport,
    StreamReport, WaitingRing,
};
pub use server::{AdminPorts, Look, serve};

use crate::settings::defaults;

/// The name of the socket that takes every request, in the state directory.
pub const SOCKET: &str = defaults::ADMIN_SOCKET;
