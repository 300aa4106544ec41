//! What the system says of this process. Touches: fs, process, clock.
//!
//! The names are those of Prometheus' client libraries, so that common dashboards work.

use rustix::process::{Resource, getrlimit};

use crate::clock::Clock;

/// How the process stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    /// Seconds that processors spent on it.
    pub(super) cpu_seconds: f64,
    /// Bytes in memory.
    pub(super) resident_bytes: u64,
    /// Bytes of address space.
    pub(super) virtual_bytes: u64,
    /// Open file descriptors.
    pub(super) open_fds: u64,
    /// Most file descriptors that it may open; `None` without a limit.
    pub(super) max_fds: Option<u64>,
}

impl Process {
    /// Looks now. What can't be read is 0: metrics never fail for it.
    pub(super) fn now(clock: Clock) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Self {
            cpu_seconds: clock.processor().as_secs_f64(),
            resident_bytes: bytes_of(&status, "VmRSS:"),
            virtual_bytes: bytes_of(&status, "VmSize:"),
            open_fds: u64::try_from(descriptors).unwrap_or(u64::MAX),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

/// A line of `/proc/self/status`, which counts in KiB (proc(5)).
fn bytes_of(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    let kib: Option<u64> = number.and_then(|number| number.parse().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_descriptors_and_a_past() {
        let process = Process::now(Clock::of_this_machine());
        assert!(process.cpu_seconds > 0.0);
        assert!(process.resident_bytes > 1 << 20 && process.virtual_bytes > process.resident_bytes);
        assert!(process.open_fds >= 3);
        assert_eq!(
            bytes_of("VmSize:\t  10 kB\nVmRSS:\t 3 kB\n", "VmRSS:"),
            3072
        );
        assert_eq!(bytes_of("", "VmRSS:"), 0);
    }
}
