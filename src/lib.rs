//! grantd, an OAuth 2.0 token daemon for machines.

pub mod admin;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod mint;
pub mod random;
pub mod registry;
pub mod tasks;
