//! Good clients that ask for tokens without a pause, while something else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use super::{Answer, Ask, Grantd};

/// Clients that ask one after the other, until told to stop.
pub struct Steady {
    stop: Arc<AtomicBool>,
    asking: Vec<JoinHandle<Vec<Answer>>>,
}

impl Steady {
    /// One task for each of these requests, which is repeated.
    pub fn of<A>(grantd: &Arc<Grantd>, requests: impl IntoIterator<Item = A>) -> Self
    where
        A: Fn(Ask) -> Ask + Send + Sync + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = |request: A| {
            let (grantd, stop) = (Arc::clone(grantd), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    answers.push(request(grantd.ask()).send().await);
                }
                answers
            })
        };
        Self {
            asking: requests.into_iter().map(ask).collect(),
            stop,
        }
    }

    /// Stops, and returns all answers; each must be a token.
    pub async fn all_granted(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        let mut answers = Vec::new();
        for asking in self.asking {
            for answer in asking.await.unwrap() {
                answers.push(answer.granted());
            }
        }
        assert!(!answers.is_empty(), "nobody asked");
        answers
    }
}
