//! One HTTPS connection, of either version of HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_rustls::TlsConnector;

use super::target::{Ask, Server, tls};

/// How connections are made.
#[derive(Clone)]
pub struct Connector {
    address: String,
    http2: bool,
    tls: Arc<rustls::ClientConfig>,
}

/// A connection that is ready for a request.
pub enum Sender {
    /// One request at a time.
    One(http1::SendRequest<Full<Bytes>>),
    /// Many at a time.
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Connector {
    /// HTTP/1.1.
    pub fn http1(server: &dyn Server) -> Self {
        Self::new(server, false, true)
    }

    /// HTTP/2.
    pub fn http2(server: &dyn Server) -> Self {
        Self::new(server, true, true)
    }

    /// HTTP/1.1, and each connection makes a whole TLS handshake.
    pub fn without_resumption(server: &dyn Server) -> Self {
        Self::new(server, false, false)
    }

    fn new(server: &dyn Server, http2: bool, resume: bool) -> Self {
        let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        Self {
            address: server.address().to_owned(),
            http2,
            tls: tls(server.ca(), protocol, resume),
        }
    }

    /// A new connection.
    pub async fn connect(&self) -> Sender {
        let stream = tokio::net::TcpStream::connect(&self.address).await;
        let stream = stream.expect("connected");
        stream.set_nodelay(true).expect("no delay");
        let name = "localhost".try_into().expect("a name");
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await.expect("TLS");
        let io = TokioIo::new(stream);
        if self.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .expect("HTTP/2");
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
            tokio::spawn(connection);
            Sender::One(sender)
        }
    }
}

impl Sender {
    /// A second sender on the same connection: HTTP/2 alone has one.
    pub fn share(&self) -> Option<Self> {
        match self {
            Self::One(_) => None,
            Self::Two(sender) => Some(Self::Two(sender.clone())),
        }
    }

    /// Asks, and waits for the whole answer, which must be a good one.
    pub async fn ask(&mut self, ask: &Ask) {
        let response = match self {
            Self::One(sender) => {
                let request = request(ask, ask.path);
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                let request = request(ask, &format!("https://localhost{}", ask.path));
                sender.send_request(request).await
            }
        };
        let response = response.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body");
        let body = body.to_bytes();
        assert!(
            status.is_success(),
            "{} answered {status}: {}",
            ask.path,
            String::from_utf8_lossy(&body)
        );
    }
}

fn request(ask: &Ask, uri: &str) -> Request<Full<Bytes>> {
    let builder = Request::builder().uri(uri);
    let builder = if uri.starts_with('/') {
        builder.header("host", "localhost")
    } else {
        builder
    };
    let request = match &ask.form {
        None => builder.body(Full::default()),
        Some(form) => builder
            .method("POST")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(form.clone())),
    };
    request.expect("a request")
}
