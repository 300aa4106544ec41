//! What both benchmarks need: a daemon on a core of its own, load from the other core, figures.
//!
//! Nothing here judges. A benchmark chooses what is measured in turn; a round is short, rounds of all
//! kinds take turns in one run, and the tables show the median of the rounds and how far they lie apart.

pub mod arguments;
pub mod client;
pub mod closed;
pub mod daemon;
pub mod disk;
pub mod machine;
pub mod nats;
pub mod open;
pub mod process;
pub mod registry;
pub mod signature;
pub mod stats;
pub mod table;
pub mod target;

/// The core of the daemon that is measured.
pub const DAEMON_CORE: &str = "0";

/// The core of everything else.
pub const LOAD_CORE: &str = "1";

/// Connections of a usual load: enough to keep one core busy.
pub const USUAL: usize = 32;
