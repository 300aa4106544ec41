//! The admin socket: how commands talk to a live daemon. Touches: fs, net.
//!
//! A Unix socket in the state directory. A request is one line of JSON, `{"request":NAME,…}`; an
//! answer is one line of JSON, `{"ok":true,…}` or `{"ok":false,"error":"…"}`, after which some
//! requests send lines of their own. A connection takes one request after the other.
//!
//! | request | fields | answer | lines after it |
//! |---|---|---|---|
//! | `audit_lines` | `from` (0: the oldest), `max`, optional `wait_ms` | `oldest`, `durable`, `lines` | that many lines of the journal, byte for byte |
//! | `keys_rotate` | optional `algorithm`, or `compromised` (a key id) | `keys` | none |
//! | `clock_accept` | none | `keys` | none |
//! | `status` | `expiring_seconds` | `status` | none |
//! | `registry_accept` | `change` (a hash) | `accepted` | none |
//!
//! **Invariant:** only the daemon's own user and root are served, known by `SO_PEERCRED`; a
//! change is on record before its answer; a line beyond what is durable is never sent.

mod accept;
mod client;
mod protocol;
mod server;

pub use accept::{Accept, Operator};
pub use client::{AdminClient, ClientFault, Lines};
pub use protocol::{
    AcceptedRegistry, ClockReport, ExpiringReport, ExpiryReport, HeldReport, JournalReport,
    KeyReport, KeysOutcome, LastGoodReport, MAX_EXPIRIES, MAX_LINES, MAX_REQUEST, RegistryReport,
    Request, RotatedRing, StatusReport, StreamReport, WaitingRing,
};
pub use server::{AdminPorts, BindFault, Look, bind, serve};

/// The socket's name in the state directory.
pub const SOCKET: &str = "admin.sock";
