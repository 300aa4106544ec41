//! Clients that ask all the time, each on a connection that it keeps, and what they received. That is
//! noted here, outside of the daemon and its disk.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::encode;
use super::{BILLING, Grantd, Https, Protocol, eventually_async, secret};

/// Longest wait for an answer: longer than the daemon's own limit for a request.
const ANSWER: Duration = Duration::from_secs(25);

/// Longest until so many tokens are there.
const TOKENS: Duration = Duration::from_secs(30);

/// Pause of a client that was told that the daemon is busy or not ready.
const AGAIN: Duration = Duration::from_millis(5);

/// What each client asks for, in turn: the client, and the scopes it names.
const ASKED: [(&str, &str); 3] = [
    ("reader", "invoice:read"),
    ("writer", "invoice:read invoice:write"),
    ("writer", "invoice:write"),
];

/// A load. Dropped without [`Load::end`], its clients go on until their daemon is gone.
pub struct Load {
    received: Arc<Mutex<Received>>,
    stop: CancellationToken,
    clients: Vec<JoinHandle<()>>,
}

/// What clients received.
#[derive(Debug, Default)]
pub struct Received {
    /// Tokens.
    pub tokens: Vec<String>,
    /// Other answers: status and body.
    pub refused: Vec<(u16, String)>,
    /// Requests that were sent and got no answer, and why.
    pub broken: Vec<String>,
    /// Connections that could not be made.
    pub unconnected: u64,
}

/// What one client needs.
#[derive(Clone)]
struct Caller {
    https: Https,
    path: String,
    protocol: Protocol,
    asked: (&'static str, &'static str),
    received: Arc<Mutex<Received>>,
    stop: CancellationToken,
}

impl Load {
    /// So many clients, every other one of them over HTTP/2.
    pub fn start(grantd: &Grantd, clients: usize) -> Self {
        Self::over(grantd, clients, &[Protocol::Http1, Protocol::Http2])
    }

    /// So many clients over these protocols in turn.
    pub fn over(grantd: &Grantd, clients: usize, protocols: &[Protocol]) -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        let stop = CancellationToken::new();
        let callers = (0..clients).map(|number| Caller {
            https: grantd.https().clone(),
            path: url::Url::parse(&grantd.ready.token_endpoint)
                .unwrap()
                .path()
                .to_owned(),
            protocol: protocols[number % protocols.len()],
            asked: ASKED[number % ASKED.len()],
            received: Arc::clone(&received),
            stop: stop.clone(),
        });
        let clients = callers.map(|caller| tokio::spawn(caller.run())).collect();
        Self {
            received,
            stop,
            clients,
        }
    }

    /// How many tokens were received so far.
    pub fn tokens(&self) -> usize {
        self.received.lock().unwrap().tokens.len()
    }

    /// How many other answers came so far.
    pub fn refused(&self) -> usize {
        self.received.lock().unwrap().refused.len()
    }

    /// Waits until so many tokens were received.
    pub async fn until_tokens(&self, count: usize) {
        let enough = async || (self.tokens() >= count).then_some(());
        eventually_async("enough tokens were received", TOKENS, enough).await;
    }

    /// Waits until so many other answers have come.
    pub async fn until_refused(&self, count: usize) {
        let enough = async || (self.refused() >= count).then_some(());
        eventually_async("enough requests were refused", TOKENS, enough).await;
    }

    /// Lets every client get its last answer; what they received.
    pub async fn end(self) -> Received {
        self.stop.cancel();
        self.over_by_itself().await
    }

    /// Waits until every client has found that nobody listens any more; what they received.
    pub async fn over_by_itself(self) -> Received {
        for client in self.clients {
            tokio::time::timeout(ANSWER, client)
                .await
                .expect("a client ends in time")
                .unwrap();
        }
        std::mem::take(&mut self.received.lock().unwrap())
    }
}

impl Caller {
    /// Asks until it is told to stop, or until nobody listens any more.
    async fn run(self) {
        while !self.stop.is_cancelled() {
            let Ok(stream) = self.https.try_connect(self.protocol).await else {
                self.received.lock().unwrap().unconnected += 1;
                return;
            };
            let io = TokioIo::new(stream);
            match self.protocol {
                Protocol::Http1 => {
                    let Ok((mut sender, connection)) = http1::handshake(io).await else {
                        continue;
                    };
                    tokio::spawn(connection);
                    while sender.ready().await.is_ok()
                        && self.ask(sender.send_request(self.request())).await
                    {}
                }
                Protocol::Http2 => {
                    let made = http2::handshake(TokioExecutor::new(), io).await;
                    let Ok((mut sender, connection)) = made else {
                        continue;
                    };
                    tokio::spawn(connection);
                    while sender.ready().await.is_ok()
                        && self.ask(sender.send_request(self.request())).await
                    {}
                }
            }
        }
    }

    /// Notes the answer; whether to ask again on this connection.
    async fn ask(&self, sent: impl Future<Output = hyper::Result<Response<Incoming>>>) -> bool {
        let answer = async {
            let (head, body) = sent.await?.into_parts();
            let body = body.collect().await?.to_bytes();
            hyper::Result::Ok((head.status.as_u16(), body))
        };
        let answer = tokio::time::timeout(ANSWER, answer).await;
        let busy = {
            let mut received = self.received.lock().unwrap();
            match answer {
                Ok(Ok((200, body))) => {
                    received.tokens.push(token_in(&body));
                    false
                }
                Ok(Ok((status, body))) => {
                    let body = String::from_utf8_lossy(&body).into_owned();
                    received.refused.push((status, body));
                    true
                }
                // The connection was closed before the request was sent.
                Ok(Err(error)) if error.is_canceled() => return false,
                Ok(Err(error)) => {
                    received
                        .broken
                        .push(format!("{:?}: {error:?}", self.protocol));
                    return false;
                }
                Err(_) => {
                    received.broken.push("no answer in time".to_owned());
                    return false;
                }
            }
        };
        if busy {
            tokio::time::sleep(AGAIN).await;
        }
        !self.stop.is_cancelled()
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let (client, scope) = self.asked;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", &secret(client, 1)),
            ("resource", BILLING),
            ("scope", scope),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let authority = self.https.authority();
        let request = Request::post(match self.protocol {
            Protocol::Http1 => self.path.clone(),
            Protocol::Http2 => format!("https://{authority}{}", self.path),
        });
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = match self.protocol {
            Protocol::Http1 => request.header("host", authority),
            Protocol::Http2 => request,
        };
        request.body(Full::new(encode(&form).into())).unwrap()
    }
}

fn token_in(body: &Bytes) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).expect("a token's answer is JSON");
    let token = body["access_token"].as_str();
    token.expect("a token's answer has a token").to_owned()
}
