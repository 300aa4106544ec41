//! Black-box tests: one binary, one file a behaviour, each against the real daemon.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test ends where something is not as it must be, and starts what it needs itself"
)]

mod support;

mod admin_socket;
mod alerts;
mod audit_cli;
mod audit_live;
mod bad_input;
mod canary;
mod cli;
mod client_credentials;
mod clock;
mod connections;
mod converge;
mod crash;
mod credentials;
mod dev;
mod discovery;
mod disk;
mod editors;
mod expect_commit;
mod expiring;
mod explain;
mod flood_h2;
mod gitops;
mod hardening;
mod harness;
mod held;
mod help;
mod interop;
mod key_rotation;
mod last_good;
mod last_use;
mod lifecycle;
mod limits;
mod metrics;
mod overlay;
mod overload;
mod package;
mod plan;
mod policy;
mod registry_reload;
mod service;
mod settings;
mod ship_login;
mod ship_protocol;
mod ship_strange;
mod shown;
mod snippet;
mod status;
mod timing;
mod tls_reload;
mod token_command;
mod tokens;
mod transport;
mod verify_command;
mod verify_docs;
mod what_is_live;
