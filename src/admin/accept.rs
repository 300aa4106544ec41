//! The release of a change of the registry that is held back. Touches: memory.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::protocol::{AcceptedRegistry, Answer};
use crate::domain::{Caller, Digest};

/// What comes of a release.
type Released = Pin<Box<dyn Future<Output = Result<AcceptedRegistry, String>> + Send>>;

/// Releases a change for an caller.
#[derive(Clone)]
pub struct Accept(Arc<dyn Fn(Digest, Caller) -> Released + Send + Sync>);

impl Accept {
    /// By calling this.
    pub fn new<F>(release: impl Fn(Digest, Caller) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<AcceptedRegistry, String>> + Send + 'static,
    {
        Self(Arc::new(move |change, caller| {
            Box::pin(release(change, caller))
        }))
    }

    /// Answers the request.
    pub(super) async fn answer(&self, change: &str, caller: Caller) -> Answer {
        let Ok(change) = Digest::parse(change.as_bytes()) else {
            let form = "HASH is 64 lower-case hexadecimal digits, as `grantd status` shows it";
            return Answer::refuse(form);
        };
        match (self.0)(change, caller).await {
            Ok(accepted) => Answer {
                ok: true,
                accepted: Some(accepted),
                ..Answer::default()
            },
            Err(why) => Answer::refuse(why),
        }
    }
}

impl fmt::Debug for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accept")
    }
}
