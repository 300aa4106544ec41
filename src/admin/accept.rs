//! The release of a change of the registry that is held back. Touches: memory.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::unix::UCred;

use super::protocol::{AcceptedRegistry, Answer};
use crate::domain::Digest;

/// What comes of a release.
type Released = Pin<Box<dyn Future<Output = Result<AcceptedRegistry, String>> + Send>>;

/// Releases a change for an operator.
#[derive(Clone)]
pub struct Accept(Arc<dyn Fn(Digest, Operator) -> Released + Send + Sync>);

/// Who asks, as the kernel says (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process; 0 where it can't be seen from here.
    pub pid: u32,
}

impl Operator {
    pub(super) fn of(caller: &UCred) -> Self {
        Self {
            uid: caller.uid(),
            gid: caller.gid(),
            pid: caller
                .pid()
                .and_then(|pid| u32::try_from(pid).ok())
                .unwrap_or(0),
        }
    }
}

impl Accept {
    /// By calling this.
    pub fn new<F>(release: impl Fn(Digest, Operator) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<AcceptedRegistry, String>> + Send + 'static,
    {
        Self(Arc::new(move |change, operator| {
            Box::pin(release(change, operator))
        }))
    }

    /// Answers the request.
    pub(super) async fn answer(&self, change: &str, operator: Operator) -> Answer {
        let Ok(change) = Digest::parse(change.as_bytes()) else {
            let form = "HASH is 64 lower-case hexadecimal digits, as `grantd status` shows it";
            return Answer::refuse(form);
        };
        match (self.0)(change, operator).await {
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
