//! grantd, an OAuth 2.0 token daemon for machines.

pub mod audit;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod keys;
pub mod mint;
pub mod random;
pub mod registry;
pub mod store;
pub mod tasks;
