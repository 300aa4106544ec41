//! The registry: what the files of `registry.d` say. Pure.

pub mod snapshot;
