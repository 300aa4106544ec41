//! A bad network: a TCP proxy that delays, swallows what the server says, and breaks connections.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A proxy before one server. Dropped, it breaks its connections and listens no more.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: SocketAddr,
    stopped: AtomicBool,
    refusing: AtomicBool,
    mute: AtomicBool,
    delay_ms: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A proxy that passes everything on, until it is told otherwise.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server,
            stopped: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            open: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || accepting.accept(&listener));
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds every chunk, of both directions, this long.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.state.delay_ms.store(millis, Ordering::SeqCst);
    }

    /// Whether what the server says is swallowed, so that its acknowledgements are lost.
    pub fn mute(&self, mute: bool) {
        self.state.mute.store(mute, Ordering::SeqCst);
    }

    /// Whether new connections are broken at once.
    pub fn refuse(&self, refuse: bool) {
        self.state.refusing.store(refuse, Ordering::SeqCst);
    }

    /// Breaks every open connection with a reset.
    pub fn reset(&self) {
        self.state.reset();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.state.reset();
        // Wakes the thread that accepts.
        let _woken = TcpStream::connect(self.address);
    }
}

impl State {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let Ok(client) = client else { continue };
            if self.refusing.load(Ordering::SeqCst) {
                reset(&client);
                continue;
            }
            let Ok(server) = TcpStream::connect(self.server) else {
                continue;
            };
            self.open
                .lock()
                .unwrap()
                .extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
            self.pump(
                client.try_clone().unwrap(),
                server.try_clone().unwrap(),
                false,
            );
            self.pump(server, client, true);
        }
    }

    fn pump(self: &Arc<Self>, mut from: TcpStream, mut to: TcpStream, from_server: bool) {
        let state = Arc::clone(self);
        std::thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while let Ok(count @ 1..) = from.read(&mut chunk) {
                let delay = Duration::from_millis(state.delay_ms.load(Ordering::SeqCst));
                if !delay.is_zero() {
                    std::thread::sleep(delay);
                }
                if from_server && state.mute.load(Ordering::SeqCst) {
                    continue;
                }
                if to.write_all(&chunk[..count]).is_err() {
                    break;
                }
            }
            let _ended = to.shutdown(Shutdown::Write);
        });
    }

    fn reset(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            reset(&stream);
        }
    }
}

/// Ends a connection in both directions at once. With no time to linger the peer gets an RST when
/// the last handle is closed, which is at once: the threads that pump end on the shutdown.
fn reset(stream: &TcpStream) {
    let _refused = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    let _ended = stream.shutdown(Shutdown::Both);
}
