//! Every default of `grantd.toml`, with where its number comes from. Pure.

use std::time::Duration;

/// All addresses, on the alternative HTTPS port: no privilege is needed.
pub const LISTEN: &str = "[::]:8443";

/// Loopback alone: metrics name clients' numbers and are for the machine's own collector. The port is
/// next to Prometheus' own exporters.
pub const METRICS_LISTEN: &str = "127.0.0.1:9464";

/// Where packages put configuration that is changed by people (Filesystem Hierarchy Standard 3.0).
pub const REGISTRY_DIR: &str = "/etc/grantd/registry.d";

/// systemd's `StateDirectory=grantd`.
pub const STATE_DIR: &str = "/var/lib/grantd";

/// How often the last uses of credentials are written (`design.md`): what a crash may lose of them.
pub const LAST_USE_EVERY: Duration = Duration::from_secs(60);

/// Below the state directory.
pub const KEYS_DIR: &str = "keys";

/// Below the state directory, which is the daemon's alone.
pub const ADMIN_SOCKET: &str = "admin.sock";

/// Below the state directory too.
pub const STATUS_SOCKET: &str = "status.sock";

/// The instance of a daemon that stands alone.
pub const INSTANCE: &str = "grantd-1";

/// Twice what a small host with one API gateway keeps open. One that is idle takes about 35 KiB.
pub const CONNECTIONS: usize = 10_000;

/// Of all connections, one part in so many is the most for one address. Half: one host can never fill all
/// places, and a NAT or a gateway with 5,000 connections still has room.
pub const ADDRESS_PART: usize = 2;

/// A handshake takes two round trips; ten seconds reach any network that works.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A head of one packet, as the body: ten seconds reach any network that works.
pub const HEADER_TIME: Duration = Duration::from_secs(10);

/// Longer than the minute after which most clients' pools close an idle connection.
pub const IDLE_TIME: Duration = Duration::from_secs(65);

/// Often enough that load moves to a new host behind a balancer, seldom enough that handshakes cost nothing.
pub const MAX_AGE: Duration = Duration::from_secs(3600);

/// An answer of one packet: as long as a body may take.
pub const WRITE_TIME: Duration = Duration::from_secs(10);

/// Four times what a browser with cookies sends; a token request needs 500 bytes.
pub const HEADER_BYTES: usize = 16 * 1024;

/// A token request has about ten.
pub const HEADER_FIELDS: usize = 64;

/// RFC 9113 section 6.5.2 recommends at least 100.
pub const STREAMS: u32 = 128;

/// A token request is under 1 KiB; an assertion with a long certificate chain stays under this.
pub const BODY_BYTES: usize = 64 * 1024;

/// A body of one packet: ten seconds reach any network that works.
pub const BODY_TIME: Duration = Duration::from_secs(10);

/// Longer than the body's time and the journal's deadline together.
pub const REQUEST_TIME: Duration = Duration::from_secs(20);

/// Of one address for one client: a client that asks each second with an old secret learns it each time.
pub const FAILURES_PER_MINUTE: usize = 60;

/// Less than the 90 seconds after which systemd kills a stopping service.
pub const DRAIN_TIME: Duration = Duration::from_secs(15);

/// Everything that an operator should see, nothing per request.
pub const LOG_FILTER: &str = "info";
