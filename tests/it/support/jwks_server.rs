//! An issuer that only publishes keys: a JWKS over HTTPS that a test changes, and whose fetches it counts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::deployment::certify;

/// Longest wait for a request that was begun.
const REQUEST: Duration = Duration::from_secs(10);

/// The issuer. Dropped, it is gone.
pub struct JwksServer {
    folder: TempDir,
    address: SocketAddr,
    published: Arc<Mutex<Published>>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Published {
    body: String,
    fetches: Vec<Instant>,
}

impl JwksServer {
    /// Publishes these keys.
    pub fn start(keys: &[Value]) -> Self {
        let folder = TempDir::new().unwrap();
        certify(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            published: Arc::default(),
            stop: Arc::default(),
            folder,
        };
        server.publish(keys);
        let config = Arc::new(server.tls());
        let (published, stop) = (Arc::clone(&server.published), Arc::clone(&server.stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (config, published) = (Arc::clone(&config), Arc::clone(&published));
                // A client that goes away is no failure of the server.
                std::thread::spawn(move || stream.and_then(|it| answer(it, config, &published)));
            }
        });
        server
    }

    /// What tokens name as `iss`.
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The CA that its certificate is of.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Publishes these keys instead.
    pub fn publish(&self, keys: &[Value]) {
        self.published.lock().unwrap().body = json!({ "keys": keys }).to_string();
    }

    /// When the keys were fetched.
    pub fn fetches(&self) -> Vec<Instant> {
        self.published.lock().unwrap().fetches.clone()
    }

    fn tls(&self) -> rustls::ServerConfig {
        let file = |name: &str| self.folder.path().join(name);
        let chain = CertificateDer::pem_file_iter(file("certificate.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap()
    }
}

impl Drop for JwksServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One more connection, so that the thread looks.
        let _woken = TcpStream::connect(self.address);
    }
}

/// Answers one request of one connection.
fn answer(
    mut stream: TcpStream,
    config: Arc<rustls::ServerConfig>,
    published: &Mutex<Published>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST))?;
    let mut connection = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = tls.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..count]);
    }
    let (status, body) = if request.starts_with(b"GET /oauth2/jwks ") {
        let mut published = published.lock().unwrap();
        published.fetches.push(Instant::now());
        ("200 OK", published.body.clone())
    } else {
        ("404 Not Found", String::from("{}"))
    };
    let length = body.len();
    write!(
        tls,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )?;
    tls.conn.send_close_notify();
    tls.flush()
}
