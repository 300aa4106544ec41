//! What `client_auth` needs from outside of a request. Touches: memory.
//!
//! Stage of the request flow: `issue( client_auth ⇄ evidence → … )`. It fetches and decides nothing.
//!
//! **Invariant:** a replay mark is spent once; [`Spent`] is made here alone, after the marks of a
//! request were found unused and were taken.

mod replay;

use std::future::Future;

use crate::domain::{Denial, UnixSeconds};

pub use replay::{MAX_MARKS, ReplayMark, ReplayMarks};

/// What a pure verifier lacks. Generated secrets need nothing; slow hashes and foreign keys will be
/// the other cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The registry alone is enough.
    Nothing,
}

/// What was fetched for a [`Need`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing was needed.
    Nothing,
}

/// The proof that the replay marks of one request are spent.
///
/// ```compile_fail,E0423
/// let forged = grantd::evidence::Spent(());
/// ```
#[derive(Debug)]
pub struct Spent(());

/// Where evidence comes from: the port behind which replay marks may later be shared by several
/// daemons.
pub trait Sources: Send + Sync {
    /// Fetches what a claim needs.
    ///
    /// # Errors
    /// A [`Denial`] when it can't be had in time.
    fn gather(&self, need: &Need) -> impl Future<Output = Result<Evidence, Denial>> + Send;

    /// Takes these marks if none of them was taken before. All or none.
    ///
    /// # Errors
    /// [`Denial::Overloaded`] when no further mark can be kept.
    fn first_use(
        &self,
        marks: &[ReplayMark],
        now: UnixSeconds,
    ) -> impl Future<Output = Result<bool, Denial>> + Send;
}

/// The sources of a single daemon: its own memory.
#[derive(Debug, Default)]
pub struct LocalSources {
    marks: ReplayMarks,
}

impl Sources for LocalSources {
    async fn gather(&self, need: &Need) -> Result<Evidence, Denial> {
        match need {
            Need::Nothing => std::future::ready(Ok(Evidence::Nothing)).await,
        }
    }

    async fn first_use(&self, marks: &[ReplayMark], now: UnixSeconds) -> Result<bool, Denial> {
        std::future::ready(self.marks.first_use(marks, now)).await
    }
}

/// Spends the replay marks of a request.
///
/// # Errors
/// [`Denial::Replayed`] when one was used before.
pub async fn spend(
    sources: &impl Sources,
    marks: &[ReplayMark],
    now: UnixSeconds,
) -> Result<Spent, Denial> {
    if marks.is_empty() || sources.first_use(marks, now).await? {
        Ok(Spent(()))
    } else {
        Err(Denial::Replayed)
    }
}
