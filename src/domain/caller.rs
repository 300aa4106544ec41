//! Who asks on a Unix socket. Pure.

use std::fmt;

/// The process at the other end of a Unix socket, as the kernel says (`SO_PEERCRED`, unix(7)): what it was
/// when it connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group. Its other groups the kernel does not tell.
    pub gid: u32,
    /// The process; 0 where it can't be seen from here.
    pub pid: u32,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}, pid {}", self.uid, self.pid)
    }
}
