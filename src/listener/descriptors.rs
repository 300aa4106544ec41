//! How many descriptors this process may open, and how many of them connections may take.
//! Touches: process, fs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that connections never get: a segment of the journal and its folder, files of the registry
/// that are read, a certificate that is reloaded, commands on the admin socket (8), NATS, a name that is
/// looked up. At most about 20 at once.
pub const RESERVED: u64 = 24;

/// Assumed to be open where the system does not tell: a daemon without connections has about 25.
const ASSUMED: u64 = 64;

/// Raises the limit of open descriptors to what the system lets this process have, and returns it.
///
/// The soft limit of 1024 is there for programs that call `select`, which grantd does not.
#[must_use]
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // A system that refuses leaves what there was.
    let _refused = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections fit below a limit of open descriptors, beside what is open now and what is
/// reserved; at least one. Called once everything else is open.
#[must_use]
pub fn connections_below(limit: u64) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").map_or(ASSUMED, |entries| {
        u64::try_from(entries.count()).unwrap_or(ASSUMED)
    });
    let left = limit.saturating_sub(open).saturating_sub(RESERVED);
    usize::try_from(left).unwrap_or(usize::MAX).max(1)
}
