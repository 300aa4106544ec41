//! grantd, an OAuth 2.0 token daemon for machines: the map of the house.
//!
//! Two flows, each in one direction; every stage is a folder, and a stage never calls back.
//!
//! ```text
//! request:   listener → http → issue( client_auth ⇄ evidence → grant → mint → audit ) → http → listener
//! registry:  watch → load → check → diff → audit → publish
//! ```
//!
//! **A request**: [`listener`] drives connections and their limits; [`http`] turns bytes into a
//! [`http::TokenRequest`]; [`issue`] is the spine, one request from top to bottom: [`client_auth`] asks who
//! it is, with what [`evidence`] fetches, [`grant`] what it gets, [`mint`] signs, [`audit`] records. Each
//! arrow is a type that only its stage can make.
//!
//! **A change of the registry**: [`registry`] watches the folder, loads and checks it whole, says what
//! changed; the change is recorded, then published as part of a new [`world`].
//!
//! Beside the flows: [`explain`] (what a request would come to, by the same rules), [`keys`] (rings, schedule, custody, rotation), [`store`] (what sled holds), [`admin`]
//! (the socket of a live daemon). Below all: [`domain`], the words that everyone shares, and [`clock`],
//! [`random`], [`tasks`], [`secret_file`], the one place each for what the rest must not do. Around all:
//! [`settings`], [`telemetry`], [`daemon`] (start and stop), [`cli`].

pub mod admin;
pub mod audit;
pub mod cli;
pub mod client_auth;
pub mod clock;
pub mod daemon;
pub mod domain;
pub mod evidence;
pub mod explain;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod grant;
pub mod http;
pub mod issue;
pub mod keys;
pub mod listener;
pub mod mint;
pub mod random;
pub mod registry;
pub mod secret_file;
pub mod settings;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod world;
