//! The set-up of the tests, so that a test reads as a story: a daemon, a client, a registry, a NATS
//! server, a bad network. Nothing here waits by sleeping or uses a fixed port.

mod audit;
mod client;
mod deployment;
mod fake;
mod fault;
mod forge;
pub mod frames;
mod frozen;
mod git;
mod grantd;
mod healthy;
mod jwks_server;
mod load;
mod mount;
mod nats;
mod operator;
mod oracle;
mod pki;
pub mod prometheus;
mod registry;
mod serve;
mod service;
pub mod ship;
mod steady;
mod tmpfs;
mod token;
mod verifier;
mod wait;

pub use audit::{events, events_of, python};
pub use client::{Answer, Ask, Https, Protocol, exchange};
pub use deployment::{Deployment, failed, grantd, said};
pub use fake::{FakeServer, answer};
pub use fault::Proxy;
pub use forge::{Forger, hs256, unsigned};
pub use frozen::Disk;
pub use git::WorkTree;
pub use grantd::{Grantd, shared};
pub use healthy::{Healthy, attacker, good_form};
pub use jwks_server::JwksServer;
pub use load::{Load, Received};
pub use mount::Mount;
pub use nats::NatsServer;
pub use operator::{Commons, Conversation, Operator};
pub use oracle::{Seed, assert_recorded, assert_whole_journal, issued, jwks, verify_all};
pub use pki::{Pair, Pki};
pub use registry::{BILLING, FLEET, PLAIN, Registry, secret};
pub use service::{ServiceManager, passing};
pub use steady::Steady;
pub use tmpfs::Tmpfs;
pub use token::{Token, verify, verify_with};
pub use verifier::{Language, Trust, Verdict, Verifier, go, go_offline};
pub use wait::{eventually, eventually_async};

use std::path::PathBuf;

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that `tests/all` has set up.
pub fn tool(path: &str) -> PathBuf {
    let tool = repository(".tools").join(path);
    assert!(
        tool.exists(),
        "{} is missing: run `tests/all --tools` once, which sets it up",
        tool.display()
    );
    tool
}

/// Writes a private key, which only its owner may read.
pub fn write_key(path: &std::path::Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The first under `tests/all --long`, else the second: how much a test does that can do more.
pub fn long_or<T>(long: T, short: T) -> T {
    if std::env::var_os("GRANTD_LONG").is_some() {
        long
    } else {
        short
    }
}
