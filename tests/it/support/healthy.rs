//! Good clients that ask now and then while a flood runs, and what it did to them and to the daemon.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::client::encode;
use super::{BILLING, Grantd, Https, Protocol, secret};

/// Pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(10);

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Clients that keep their connections, each at an address of its own.
pub struct Healthy {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Seen>>,
    pid: u32,
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    wrong: Vec<String>,
    connections: usize,
}

/// What came of it.
pub struct Report {
    pub answered: usize,
    pub p50: Duration,
    pub p99: Duration,
    pub resident_mib: u64,
}

impl Healthy {
    /// So many clients; each has its first token before this returns.
    pub async fn start(grantd: &Grantd, clients: u8) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut started = Vec::new();
        for number in 0..clients {
            let address = IpAddr::from(Ipv4Addr::new(127, 254, number, 1));
            let https = grantd.https().at(address);
            let sender = connect(&https).await.expect("a good client connects");
            let mut client = Client {
                https,
                sender: Some(sender),
                path: url::Url::parse(&grantd.ready.token_endpoint)
                    .unwrap()
                    .path()
                    .to_owned(),
                seen: Seen::default(),
            };
            client.ask().await;
            assert_eq!(client.seen.wrong, Vec::<String>::new());
            let stop = Arc::clone(&stop);
            started.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.ask().await;
                    tokio::time::sleep(PAUSE).await;
                }
                client.seen
            }));
        }
        Self {
            stop,
            clients: started,
            pid: grantd.ready.pid,
        }
    }

    /// Stops. Every request must have got its token; how long that took is shown.
    pub async fn all_served(self, flood: &str) -> Report {
        let resident_mib = resident_mib(self.pid);
        self.stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        let mut connections = 0;
        for client in self.clients {
            let seen = client.await.unwrap();
            assert_eq!(seen.wrong, Vec::<String>::new(), "{flood}");
            connections += seen.connections;
            times.extend(seen.times);
        }
        times.sort_unstable();
        assert!(!times.is_empty(), "{flood}: nobody asked");
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let report = Report {
            answered: times.len(),
            p50: at(50),
            p99: at(99),
            resident_mib,
        };
        // Past the capture of tests: it is for whoever runs them.
        let _gone = writeln!(
            std::io::stderr(),
            "flood: {flood}: {} good requests, all answered 200, p50 {:.1?}, p99 {:.1?}, {connections} \
             reconnects, {resident_mib} MiB resident",
            report.answered,
            report.p50,
            report.p99,
        );
        report
    }
}

struct Client {
    https: Https,
    sender: Option<SendRequest<Full<Bytes>>>,
    path: String,
    seen: Seen,
}

impl Client {
    async fn ask(&mut self) {
        let start = Instant::now();
        let answer = tokio::time::timeout(ANSWER, self.exchange()).await;
        self.seen.times.push(start.elapsed());
        match answer {
            Ok(Ok(200)) => {}
            Ok(Ok(status)) => self.seen.wrong.push(format!("answered {status}")),
            Ok(Err(error)) => {
                self.sender = None;
                self.seen.wrong.push(error);
            }
            Err(_) => self.seen.wrong.push("no answer in time".to_owned()),
        }
    }

    async fn exchange(&mut self) -> Result<u16, String> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.seen.connections += 1;
            self.sender = Some(
                connect(&self.https)
                    .await
                    .map_err(|error| error.to_string())?,
            );
        }
        let request = Request::post(&self.path)
            .header("host", self.https.authority())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(good_form()))
            .unwrap();
        let sender = self.sender.as_mut().unwrap();
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await;
        body.map_err(|error| format!("{error:?}"))?;
        Ok(status)
    }
}

/// Where a flood comes from: an address of its own for each hundred connections, unlike those of other clients.
pub fn attacker(number: usize) -> IpAddr {
    let host = u16::try_from(number / 100).unwrap();
    let [high, low] = host.to_be_bytes();
    Ipv4Addr::new(127, 128 + high % 64, low, 9).into()
}

/// The form of a request that is granted.
pub fn good_form() -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "reader"),
        ("client_secret", &secret("reader", 1)),
        ("resource", BILLING),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    encode(&form)
}

async fn connect(https: &Https) -> std::io::Result<SendRequest<Full<Bytes>>> {
    let stream = https.try_connect(Protocol::Http1).await?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Memory of a process that is resident, in MiB.
pub fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().split(' ').next())
        .expect("the system says how much memory is resident");
    kib.parse::<u64>().unwrap() / 1024
}
