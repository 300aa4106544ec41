//! Between bytes and the words of the spine. Touches: net, by hyper.
//!
//! Stage of the request flow, at both ends: `listener → http → issue → http → listener`.
//!
//! **Invariant:** nobody else knows hyper, but for `listener`, which drives connections. What a request
//! says is read once, here, and strictly; an answer never repeats anything that a request sent.

mod admission;
mod basic;
mod body;
mod cors;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod metadata;
mod monitor;
mod response;
mod service;
mod token_request;

pub use admission::{Admission, AdmissionCounters};
pub use form::MAX_PARAMETERS;
pub use metadata::Paths;
pub use monitor::{Monitor, Readiness};
pub use service::{HttpLimits, Service};
pub use token_request::{AskedResource, Presented, TokenRequest};
