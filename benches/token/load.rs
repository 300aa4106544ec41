//! A closed loop over kept-alive connections, and the signatures that nothing can do without.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;

use crate::daemon::Daemon;
use crate::stats::Round;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The metadata: the floor, a plain HTTPS request of the same server.
    Get,
    /// A token.
    Token,
}

/// Loads a daemon over this many connections for this long.
pub fn run(daemon: &Daemon, kind: Kind, connections: usize, length: Duration) -> Round {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let mut senders = Vec::new();
        for _ in 0..connections {
            senders.push(connect(daemon).await);
        }
        let (cpu, syncs, started) = (daemon.cpu(), syncs(daemon), Instant::now());
        let workers: Vec<_> = senders
            .into_iter()
            .map(|sender| tokio::spawn(ask(sender, kind, daemon.form.clone(), Arc::clone(&stop))))
            .collect();
        tokio::time::sleep(length).await;
        stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for worker in workers {
            times.extend(worker.await.expect("a worker ends"));
        }
        let took = started.elapsed();
        Round::new(
            times,
            took,
            daemon.cpu().saturating_sub(cpu),
            syncs_since(daemon, syncs),
        )
    })
}

fn syncs(daemon: &Daemon) -> f64 {
    daemon.counter("grantd_journal_commits_total")
}

fn syncs_since(daemon: &Daemon, before: f64) -> f64 {
    syncs(daemon) - before
}

async fn connect(daemon: &Daemon) -> http1::SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(&daemon.address)
        .await
        .expect("connected");
    stream.set_nodelay(true).expect("no delay");
    let name = "localhost".try_into().expect("a name");
    let connector = TlsConnector::from(Arc::clone(&daemon.tls));
    let stream = connector.connect(name, stream).await.expect("TLS");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    sender
}

async fn ask(
    mut sender: http1::SendRequest<Full<Bytes>>,
    kind: Kind,
    form: String,
    stop: Arc<AtomicBool>,
) -> Vec<Duration> {
    let mut times = Vec::new();
    let form = Bytes::from(form);
    while !stop.load(Ordering::Relaxed) {
        let request = match kind {
            Kind::Get => Request::get("/.well-known/oauth-authorization-server")
                .header("host", "localhost")
                .body(Full::default()),
            Kind::Token => Request::post("/oauth2/token")
                .header("host", "localhost")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Full::new(form.clone())),
        };
        let started = Instant::now();
        let response = sender
            .send_request(request.expect("a request"))
            .await
            .expect("an answer");
        assert!(
            response.status().is_success(),
            "answered {}",
            response.status()
        );
        response.into_body().collect().await.expect("a body");
        times.push(started.elapsed());
    }
    times
}

/// ES256 signatures on one core, in this process.
pub fn signatures(length: Duration) -> Round {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let random = SystemRandom::new();
    let message = [b'a'; 512];
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < length {
        let one = Instant::now();
        std::hint::black_box(key.sign(&random, &message).expect("a signature"));
        times.push(one.elapsed());
    }
    let took = started.elapsed();
    Round::new(times, took, took, 0.0)
}
