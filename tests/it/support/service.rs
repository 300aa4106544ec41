//! A service manager as the daemon sees one: a socket that hears how it is, and sockets that outlive it.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fd::OwnedFd;
use tempfile::TempDir;

use super::eventually;

/// Longest wait for a message.
const TOLD: Duration = Duration::from_secs(30);

/// Hears what `sd_notify(3)` says. Dropped, it hears no more.
pub struct ServiceManager {
    heard: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl ServiceManager {
    /// One that listens.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (hears, timeout) = (Arc::downgrade(&heard), Duration::from_millis(100));
        socket.set_read_timeout(Some(timeout)).unwrap();
        std::thread::spawn(move || {
            let mut message = [0; 4096];
            while let Some(heard) = hears.upgrade() {
                if let Ok(length) = socket.recv(&mut message) {
                    let text = String::from_utf8_lossy(&message[..length]).into_owned();
                    heard.lock().unwrap().push(text);
                }
            }
        });
        Self { heard, folder }
    }

    /// Where it is: `NOTIFY_SOCKET`.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    /// What was heard so far, a message each.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// How many messages of this kind were heard so far.
    pub fn count(&self, words: &str) -> usize {
        self.heard().iter().filter(|it| it.contains(words)).count()
    }

    /// Waits for one that says this after the first `after` messages, and returns it.
    pub fn says(&self, words: &str, after: usize) -> String {
        let what = format!("the service manager hears {words:?}");
        eventually(&what, TOLD, || {
            let heard = self.heard();
            heard.into_iter().skip(after).find(|it| it.contains(words))
        })
    }
}

/// The command with these sockets passed as a service manager passes them (`sd_listen_fds(3)`), under
/// these names: `public:monitor`. At most two. `pid` is what `LISTEN_PID` says; `$$` is the daemon's own.
pub fn passing(command: &Command, sockets: &[&TcpListener], names: &str, pid: &str) -> Command {
    let copy = |at: usize| match sockets.get(at) {
        Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone().unwrap())),
        None => Stdio::null(),
    };
    let script = format!(
        "exec 3<&0 4<&1 0</dev/null 1>/dev/null; \
         LISTEN_PID={pid} LISTEN_FDS={} LISTEN_FDNAMES={names} exec \"$0\" \"$@\"",
        sockets.len()
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(command.get_program());
    shell
        .args(command.get_args())
        .stdin(copy(0))
        .stdout(copy(1));
    shell
}
