//! Line 21 of the security checklist: an unknown client takes as long as a wrong secret.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;

use crate::support::{BILLING, Grantd, Protocol, long_or, secret};

/// Samples of each kind in the short form: enough to see a hash that is left out for an unknown
/// client, on a busy machine.
const SAMPLES: usize = 2_000;

/// Samples of each kind in the long form, as the checklist says.
const LONG_SAMPLES: usize = 100_000;

/// The bound of the checklist: beyond it two means differ with near certainty.
const BOUND: f64 = 4.5;

#[tokio::test]
async fn checklist_21_an_unknown_client_takes_as_long_as_a_wrong_secret() {
    assert_same_time(long_or(LONG_SAMPLES, SAMPLES)).await;
}

/// Asks in turns, the order of each pair changing, on one connection of a daemon of its own.
async fn assert_same_time(samples: usize) {
    // Nobody is slowed down for failing so often.
    let grantd = Grantd::serve()
        .setting("limits.failures_per_minute = 1000000")
        .start();
    let mut sender = open(&grantd).await;
    let wrong = secret("nobody", 1);
    // Names of one length, so that the requests have the same size.
    let bodies = ["nobody", "reader"].map(|client| {
        form_urlencoded(&[
            ("grant_type", "client_credentials"),
            ("resource", BILLING),
            ("client_id", client),
            ("client_secret", &wrong),
        ])
    });
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for round in 0..samples + 100 {
        for kind in [round % 2, 1 - round % 2] {
            let micros = ask(&grantd, &mut sender, &bodies[kind]).await;
            // The first rounds warm the caches.
            if round >= 100 {
                times[kind].push(micros);
            }
        }
    }
    let [unknown, wrong] = times.map(middle);
    let t = welch(&unknown, &wrong);
    assert!(
        t.abs() < BOUND,
        "t = {t:.2}: {:.1} µs unknown, {:.1} µs wrong",
        mean(&unknown),
        mean(&wrong)
    );
}

async fn open(grantd: &Grantd) -> SendRequest<Full<Bytes>> {
    let io = TokioIo::new(grantd.https().connect(Protocol::Http1).await);
    let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(grantd: &Grantd, sender: &mut SendRequest<Full<Bytes>>, body: &str) -> f64 {
    let request = Request::post("/oauth2/token")
        .header("host", grantd.https().authority())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(body.to_owned()))
        .unwrap();
    sender.ready().await.unwrap();
    let start = Instant::now();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 401);
    answer.into_body().collect().await.unwrap();
    start.elapsed().as_secs_f64() * 1e6
}

fn form_urlencoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}

/// The fastest nine tenths: what is left out is the machine's doing, not the daemon's.
fn middle(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len() * 9 / 10);
    times
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples are small")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples are small")]
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let spread = |values: &[f64]| {
        let mean = mean(values);
        let sum: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        sum / (values.len() as f64 - 1.0) / values.len() as f64
    };
    (mean(a) - mean(b)) / (spread(a) + spread(b)).sqrt()
}
