//! A TLS server that answers what a test says: for servers that lie, are busy or are none at all.
//! Everything else is asked of the daemon.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// Longest wait for a client's bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server on a port of its own. Dropped, it stops.
pub struct FakeServer {
    /// Its base URL.
    pub url: String,
    /// Its certificate.
    pub ca_file: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    address: std::net::SocketAddr,
    _folder: TempDir,
}

/// An answer in HTTP/1.1; `head` begins with the status: `"200 OK\r\nX-A: b"`.
pub fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

impl FakeServer {
    /// Starts it. `say` gets its base URL, the whole request and how many came before.
    pub fn start(say: impl Fn(&str, &str, usize) -> String + Send + 'static) -> Self {
        let folder = TempDir::new().unwrap();
        let names = vec!["localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, cert.pem()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("https://localhost:{}", address.port());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let stopping = Arc::<AtomicBool>::default();
        let (seen, stop, base, config) = (
            Arc::clone(&requests),
            Arc::clone(&stopping),
            url.clone(),
            Arc::new(config),
        );
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let answered = |request: &str| {
                    let mut seen = seen.lock().unwrap();
                    let before = seen.len();
                    seen.push(request.to_owned());
                    say(&base, request, before)
                };
                serve(stream, &config, answered);
            }
        });
        Self {
            url,
            ca_file,
            requests,
            stopping,
            thread: Some(thread),
            address,
            _folder: folder,
        }
    }

    /// The requests that have come, whole.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// One request of one connection. A client that goes away is no failure of the server's.
fn serve(stream: TcpStream, config: &Arc<ServerConfig>, answer: impl FnOnce(&str) -> String) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let tls = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = StreamOwned::new(tls, stream);
    let Some(request) = request(&mut stream) else {
        return;
    };
    let _gone = stream.write_all(answer(&request).as_bytes());
    stream.conn.send_close_notify();
    let _flushed = stream.flush();
    let _closed = stream.sock.shutdown(Shutdown::Write);
}

fn request(stream: &mut impl Read) -> Option<String> {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return None,
            Ok(count) => text.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
        }
    }
}
