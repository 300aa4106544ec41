//! An HTTP client over TLS, as strict as a client can be: it trusts the daemon's CA alone, and every
//! answer of the token endpoint is held to the rules that hold for all of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::secret;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// The version of HTTP to speak, by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// A client of one server.
#[derive(Clone)]
pub struct Https {
    roots: Arc<rustls::RootCertStore>,
    name: ServerName<'static>,
    address: SocketAddr,
    authority: String,
    from: Option<IpAddr>,
}

/// An address of this machine in a network of its own: 127.x.y.1. Each connection has another, so that
/// what is counted by network (refusals, which are recorded one by one within a budget) never makes
/// one test depend on others.
fn new_neighbour() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0x0100);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, high, low, 1).into()
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Https {
    /// A client of the server of this URL, which trusts this CA alone.
    pub fn new(ca_file: &Path, url: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca_file).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let url = url::Url::parse(url).unwrap();
        let host = url.host_str().unwrap().trim_matches(['[', ']']).to_owned();
        let addresses = url.socket_addrs(|| None).unwrap();
        // A name such as `localhost` may have others, on which nobody listens.
        let address = *addresses.iter().find(|address| address.is_ipv4()).unwrap();
        Self {
            roots: Arc::new(roots),
            name: ServerName::try_from(host).unwrap(),
            address,
            authority: url.authority().to_owned(),
            from: None,
        }
    }

    /// Where it connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host and port, as in the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// A TLS connection with this ALPN protocol.
    pub async fn connect(&self, protocol: Protocol) -> TlsStream<TcpStream> {
        self.try_connect(protocol).await.unwrap()
    }

    /// The same, of a server that may be gone.
    pub async fn try_connect(&self, protocol: Protocol) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.from.unwrap_or_else(new_neighbour), 0))?;
        let stream = socket.connect(self.address).await?;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(self.name.clone(), stream).await
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, protocol: Protocol, request: Request<Full<Bytes>>) -> Answer {
        let exchange = async {
            let io = TokioIo::new(self.connect(protocol).await);
            let response = match protocol {
                Protocol::Http1 => {
                    let (mut sender, connection) =
                        hyper::client::conn::http1::handshake(io).await.unwrap();
                    tokio::spawn(connection);
                    sender.send_request(request).await.unwrap()
                }
                Protocol::Http2 => {
                    let (mut sender, connection) =
                        hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                            .await
                            .unwrap();
                    tokio::spawn(connection);
                    sender.send_request(request).await.unwrap()
                }
            };
            let (head, body) = response.into_parts();
            Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        tokio::time::timeout(ANSWER, exchange)
            .await
            .expect("an answer in time")
    }

    /// Sends a request without a body over HTTP/1.1.
    pub async fn bare(
        &self,
        method: Method,
        url_or_path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = method;
        *request.uri_mut() = path_of(url_or_path);
        set(request.headers_mut(), "host", &self.authority);
        for (name, value) in headers {
            set(request.headers_mut(), name, value);
        }
        self.send(Protocol::Http1, request).await
    }

    /// Gets a document over HTTP/1.1.
    pub async fn get(&self, url_or_path: &str) -> Answer {
        self.bare(Method::GET, url_or_path, &[]).await
    }

    /// Writes these bytes on an HTTP/1.1 connection as they are, and returns all that comes back
    /// until the server closes, or, when it keeps the connection, until the first answer is whole.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect(Protocol::Http1).await;
        let mut received = Vec::new();
        let exchange = async {
            // A server that has refused early may have closed: what it said still counts.
            let _may_be_closed = stream.write_all(bytes).await;
            let mut chunk = vec![0; 16 * 1024];
            while !is_whole(&received) {
                match stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => received.extend_from_slice(&chunk[..count]),
                }
            }
        };
        tokio::time::timeout(ANSWER, exchange)
            .await
            .expect("an answer or an end in time");
        String::from_utf8_lossy(&received).into_owned()
    }
}

/// Writes these bytes and returns all that comes back until the server closes.
pub async fn exchange(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> String {
    let mut received = Vec::new();
    let exchange = async {
        let _may_be_closed = stream.write_all(bytes).await;
        let _may_be_cut = stream.read_to_end(&mut received).await;
    };
    tokio::time::timeout(ANSWER, exchange)
        .await
        .expect("an end in time");
    String::from_utf8_lossy(&received).into_owned()
}

/// Whether an HTTP/1.1 answer with a Content-Length is there whole.
fn is_whole(received: &[u8]) -> bool {
    let text = String::from_utf8_lossy(received);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

impl Answer {
    /// A header's value, if it is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "the header {name} is there twice");
        Some(value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "no JSON: {error}: {:?}",
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    /// A member of the body that is a string.
    pub fn text(&self, member: &str) -> String {
        let value = self.json();
        value[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}: {value}"))
            .to_owned()
    }

    /// The request id that the answer carries.
    pub fn request_id(&self) -> &str {
        self.header("x-request-id")
            .expect("every answer carries a request id")
    }

    /// Fails unless this is a token.
    #[track_caller]
    pub fn granted(self) -> Self {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Fails unless this is a refusal with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, error: &str) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(
            (self.status, self.text("error").as_str()),
            (status, error),
            "{body}"
        );
        self
    }
}

/// A token request, by default one of client credentials over HTTP/1.1 with nothing else in it.
pub struct Ask {
    https: Https,
    path: Uri,
    method: Method,
    protocol: Protocol,
    headers: HeaderMap,
    form: Vec<(String, String)>,
    body: Option<Bytes>,
}

impl Ask {
    pub(super) fn new(https: Https, endpoint: &str) -> Self {
        let mut ask = Self {
            https,
            path: path_of(endpoint),
            method: Method::POST,
            protocol: Protocol::Http1,
            headers: HeaderMap::new(),
            form: Vec::new(),
            body: None,
        };
        set(
            &mut ask.headers,
            "content-type",
            "application/x-www-form-urlencoded",
        );
        ask.with("grant_type", "client_credentials")
    }

    /// From this address, instead of one that no other request has.
    pub fn from(mut self, address: IpAddr) -> Self {
        self.https.from = Some(address);
        self
    }

    /// The client's first secret, in the body.
    pub fn of(self, client: &str) -> Self {
        self.with_secret(client, &secret(client, 1))
    }

    /// A client and a secret in the body.
    pub fn with_secret(self, client: &str, secret: &str) -> Self {
        self.with("client_id", client).with("client_secret", secret)
    }

    /// The client's first secret, in the Authorization header.
    pub fn basic(self, client: &str) -> Self {
        self.with_basic(client, &secret(client, 1))
    }

    /// A client and a secret in the Authorization header, as RFC 6749 section 2.3.1 says.
    pub fn with_basic(self, client: &str, secret: &str) -> Self {
        let pair = format!("{}:{}", escape(client), escape(secret));
        self.header(
            "authorization",
            &format!("Basic {}", BASE64.encode(pair.as_bytes())),
        )
    }

    /// The resource.
    pub fn resource(self, identifier: &str) -> Self {
        self.with("resource", identifier)
    }

    /// The scope.
    pub fn scope(self, scope: &str) -> Self {
        self.with("scope", scope)
    }

    /// One more parameter; a name may come twice.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.form.push((name.to_owned(), value.to_owned()));
        self
    }

    /// No parameter of this name.
    pub fn without(mut self, name: &str) -> Self {
        self.form.retain(|(other, _)| other != name);
        self
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers
            .append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// Another content type, or none.
    pub fn content_type(mut self, value: Option<&str>) -> Self {
        self.headers.remove("content-type");
        match value {
            Some(value) => self.header("content-type", value),
            None => self,
        }
    }

    /// Another method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Another path and query.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path_of(path);
        self
    }

    /// The path of the token endpoint with this query.
    pub fn query(self, query: &str) -> Self {
        let path = format!("{}?{query}", self.path.path());
        self.path(&path)
    }

    /// A body as it is, instead of the form.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// More of a body, after the form's own.
    pub fn and_raw(self, more: &[u8]) -> Self {
        let mut body = encode(&self.form).into_bytes();
        body.push(b'&');
        body.extend_from_slice(more);
        self.body(body)
    }

    /// Over HTTP/2.
    pub fn http2(mut self) -> Self {
        self.protocol = Protocol::Http2;
        self
    }

    /// Sends it. Whatever the answer, it must keep the rules that hold for all of them.
    pub async fn send(self) -> Answer {
        let body = self.body.unwrap_or_else(|| encode(&self.form).into());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers;
        match self.protocol {
            Protocol::Http1 => {
                set(request.headers_mut(), "host", &self.https.authority);
                *request.uri_mut() = self.path;
            }
            Protocol::Http2 => {
                let url = format!("https://{}{}", self.https.authority, self.path);
                *request.uri_mut() = url.parse().unwrap();
            }
        }
        let answer = self.https.send(self.protocol, request).await;
        keeps_the_rules(&answer, self.method == Method::HEAD);
        answer
    }
}

/// What holds for every answer of the token endpoint (checklist 62, 63, 65).
#[track_caller]
fn keeps_the_rules(answer: &Answer, is_head: bool) {
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("server"), None);
    let id = answer.request_id();
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    if is_head {
        return;
    }
    let kind = answer.header("content-type").expect("a content type");
    assert!(kind.starts_with("application/json"), "{kind}");
    if answer.status != 200 {
        let allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        assert!(answer.text("error").bytes().all(allowed));
        assert!(answer.text("error_description").bytes().all(allowed));
    }
}

pub(super) fn encode(form: &[(String, String)]) -> String {
    form.iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn path_of(url_or_path: &str) -> Uri {
    match url::Url::parse(url_or_path) {
        Ok(url) => url[url::Position::BeforePath..url::Position::AfterQuery]
            .parse()
            .unwrap(),
        Err(_) => url_or_path.parse().unwrap(),
    }
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
}
