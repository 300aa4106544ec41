//! The only place that starts a task or a thread. Touches: process.
//!
//! **Invariant:** each has a name, and its end is noticed: one that ends while the daemon is not
//! stopping stops the daemon, drained, with a failing exit code. What a panic of a debug build
//! unwinds is such an end; a release build aborts.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most reports of ended tasks that wait to be read: one is enough to stop the daemon.
const MAX_REPORTS: usize = 16;

/// Most threads that share one piece of work: a registry is read by four as fast as the page cache gives.
const MAX_SHARING: usize = 4;

/// Items that a thread takes at a time: few enough that all end together, enough that taking them costs nothing.
const RUN: usize = 16;

/// How often a stop looks whether the threads have ended.
const THREAD_LOOK: Duration = Duration::from_millis(5);

/// Rings whenever a worker of the runtime has nothing left to do: what waits for company (a group commit)
/// then knows that none is on its way. Cheap to clone.
#[derive(Clone, Default)]
pub struct Idle(Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>);

impl Idle {
    fn ring(&self) {
        if let Some(tell) = self.0.get() {
            tell();
        }
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idle").finish_non_exhaustive()
    }
}

/// Starts tasks and threads and watches over them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    handle: Handle,
    idle: Idle,
    tracker: TaskTracker,
    connections: TaskTracker,
    threads: Arc<Mutex<Vec<thread::JoinHandle<()>>>>,
    draining: CancellationToken,
    stopping: CancellationToken,
    ended: mpsc::Sender<&'static str>,
}

/// The receiving end: names of tasks that ended early.
#[derive(Debug)]
pub struct Ended(mpsc::Receiver<&'static str>);

/// A thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread {name}")]
pub struct ThreadError {
    name: &'static str,
    source: std::io::Error,
}

/// The number of processors that this process may use.
#[must_use]
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does this with runs of the items, on a thread for each processor, and waits. What came of each item, in the
/// order of the items. Few of them stay on the thread that asks, as do all where the system refuses threads.
pub fn shared<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    let threads = processors().min(MAX_SHARING);
    if threads < 2 || items.len() <= RUN {
        return work(items);
    }
    let runs: Vec<&[T]> = items.chunks(RUN).collect();
    let next = AtomicUsize::new(0);
    let help = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            match runs.get(at) {
                Some(run) => done.push((at, work(run))),
                None => return done,
            }
        }
    };
    let mut done = thread::scope(|scope| {
        let name = || thread::Builder::new().name("grantd-share".to_owned());
        let helpers: Vec<_> = (1..threads)
            .filter_map(|_| name().spawn_scoped(scope, help).ok())
            .collect();
        let mut done = help();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

/// The runtime on which everything asynchronous runs. `idle` rings when one of its workers is.
///
/// # Errors
/// The system refuses a thread or an epoll descriptor.
pub fn runtime(workers: usize, idle: &Idle) -> std::io::Result<Runtime> {
    let idle = idle.clone();
    Builder::new_multi_thread()
        .worker_threads(workers.max(1))
        .thread_name("grantd-worker")
        .on_thread_park(move || idle.ring())
        .enable_all()
        .build()
}

impl Tasks {
    /// A watch over the tasks on this runtime, which was made with this `idle`.
    #[must_use]
    pub fn new(handle: Handle, idle: Idle) -> (Self, Ended) {
        let (ended, reports) = mpsc::channel(MAX_REPORTS);
        let stopping = CancellationToken::new();
        let draining = stopping.child_token();
        let tasks = Self {
            handle,
            idle,
            tracker: TaskTracker::new(),
            connections: TaskTracker::new(),
            threads: Arc::default(),
            draining,
            stopping,
            ended,
        };
        (tasks, Ended(reports))
    }

    /// Starts a task that should live as long as the daemon.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let guard = EndGuard::new(self, name);
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        self.tracker.spawn_on(
            async move {
                let _guard = guard;
                task.await;
            },
            &self.handle,
        );
    }

    /// Starts a task for one connection, whose end is no news.
    pub fn spawn_connection(&self, task: impl Future<Output = ()> + Send + 'static) {
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        self.connections.spawn_on(task, &self.handle);
    }

    /// Starts a short task that is no connection of a client's, whose end is no news.
    pub fn spawn_short(&self, task: impl Future<Output = ()> + Send + 'static) {
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        self.tracker.spawn_on(task, &self.handle);
    }

    /// Starts a thread that should live as long as the daemon.
    ///
    /// # Errors
    /// [`ThreadError`] when the system refuses.
    pub fn thread(
        &self,
        name: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), ThreadError> {
        let guard = EndGuard::new(self, name);
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _guard = guard;
                body();
            })
            .map_err(|source| ThreadError { name, source })?;
        if let Ok(mut threads) = self.threads.lock() {
            threads.push(thread);
        }
        Ok(())
    }

    /// Calls this whenever a worker has nothing left to do, from that worker: it must be short. Only the
    /// first who asks is called; on a runtime that was made elsewhere nobody is.
    pub fn when_idle(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _taken = self.idle.0.set(Box::new(tell));
    }

    /// Runs work that blocks (a scan of a folder, an fsync) away from the runtime's workers.
    /// `None` when it panicked or the runtime is going down.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        self.handle.spawn_blocking(work).await.ok()
    }

    /// Begins to stop: nothing new is taken in, what was begun is finished. From now on an end is expected.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Stops the rest: rotation, watching, shipping.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Cancelled once [`Tasks::drain`] was called: what takes in requests selects on it.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Cancelled once [`Tasks::stop`] was called: what long loops select on.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Waits until all connections have ended, at most this long. Whether they have.
    pub async fn connections_ended_within(&self, limit: Duration) -> bool {
        self.connections.close();
        tokio::time::timeout(limit, self.connections.wait())
            .await
            .is_ok()
    }

    /// Waits until all tasks have ended, at most this long. Whether they have.
    pub async fn ended_within(&self, limit: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait())
            .await
            .is_ok()
    }

    /// Waits until the threads, which must have been told to end, have ended, at most this long.
    /// Whether they have. One that hangs on a disk is left to the end of the process.
    pub async fn threads_ended_within(&self, limit: Duration) -> bool {
        let ended = || {
            let threads = self.threads.lock();
            threads.is_ok_and(|threads| threads.iter().all(thread::JoinHandle::is_finished))
        };
        let wait = async {
            while !ended() {
                tokio::time::sleep(THREAD_LOOK).await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }
}

impl Ended {
    /// Waits for the first task or thread that ends early; its name.
    pub async fn first(&mut self) -> &'static str {
        match self.0.recv().await {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }
}

struct EndGuard {
    name: &'static str,
    draining: CancellationToken,
    ended: mpsc::Sender<&'static str>,
}

impl EndGuard {
    fn new(tasks: &Tasks, name: &'static str) -> Self {
        Self {
            name,
            draining: tasks.draining.clone(),
            ended: tasks.ended.clone(),
        }
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.draining.is_cancelled() {
            // A full channel already holds a reason to stop.
            let _full = self.ended.try_send(self.name);
        }
    }
}
