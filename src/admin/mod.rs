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
//! | `status` | optional `expiring_seconds` | `status` | none |
//! | `client` | `id` | `client` | none |
//! | `last_use` | optional `after` (a client's id) | `lines`, `now`, `next` where there are more | that many objects, one for each credential |
//!
//! **Invariant:** only the daemon's own user and root are served, known by `SO_PEERCRED`; a
//! change is on record before its answer; a line beyond what is durable is never sent.

mod client;
mod credentials;
mod protocol;
mod server;

pub use client::{AdminClient, ClientFault, Lines, Uses};
pub use protocol::{
    ClientReport, ClockReport, CredentialReport, CredentialUse, ExpiringReport, ExpiryReport,
    JournalReport, KeyReport, KeysOutcome, MAX_EXPIRIES, MAX_LINES, MAX_REQUEST, RegistryReport,
    Request, RotatedRing, RotatingReport, StatusReport, StreamReport, WaitingRing,
};
pub use server::{AdminPorts, BindFault, Look, bind, serve};

/// The socket's name in the state directory.
pub const SOCKET: &str = "admin.sock";
