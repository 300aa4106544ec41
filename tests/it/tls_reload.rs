//! A renewed TLS certificate is served without a restart and without a dropped connection; a pair that can't
//! be served is refused, whole, and the one before stays (checklist 82).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::{
    BILLING, Deployment, Grantd, Https, Load, Pair, Pki, Protocol, Received, assert_whole_journal,
    events, eventually, eventually_async, exchange, long_or,
};

/// Longest until a change of the files is noticed: it takes two looks, a second apart.
const NOTICED: Duration = Duration::from_secs(15);

/// How often the pair is swapped.
const SWAP: Duration = Duration::from_millis(200);

/// A daemon with a pair of this authority.
struct Place {
    grantd: Grantd,
    tls: PathBuf,
    pki: Pki,
    first: Pair,
    // It goes last: the daemon works in it.
    _deployment: Deployment,
}

impl Place {
    fn new() -> Self {
        let pki = Pki::new();
        let first = pki.pair();
        Self::with(pki, first)
    }

    fn with(pki: Pki, first: Pair) -> Self {
        let deployment = Deployment::new();
        let tls = deployment.path("tls");
        std::fs::write(tls.join("ca.pem"), pki.pem()).unwrap();
        first.write(&tls);
        Self {
            grantd: deployment.serve(),
            tls,
            pki,
            first,
            _deployment: deployment,
        }
    }

    /// The certificate that a new connection gets.
    async fn served(&self) -> Vec<u8> {
        served(self.grantd.https()).await.unwrap()
    }

    fn degraded(&self) -> String {
        self.grantd.readyz()["degraded"].to_string()
    }

    fn events(&self, name: &str) -> Vec<Value> {
        let kind = format!("dev.grantd.{name}.v1");
        let mut events = events(&self.grantd.ready.state);
        events.retain(|event| event["type"] == kind.as_str());
        events
    }

    /// Waits until `/readyz` names this as degraded.
    fn until_degraded(&self, words: &str) {
        eventually(words, NOTICED, || {
            self.degraded().contains(words).then_some(())
        });
    }

    async fn until_served(&self, pair: &Pair) {
        let wanted = der(pair);
        eventually_async("the other pair is served", NOTICED, async || {
            (self.served().await == wanted).then_some(())
        })
        .await;
    }
}

async fn served(https: &Https) -> std::io::Result<Vec<u8>> {
    let stream = https.try_connect(Protocol::Http1).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    Ok(chain[0].to_vec())
}

fn der(pair: &Pair) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    let text = pair.certificate.as_bytes();
    let der = rustls::pki_types::CertificateDer::from_pem_slice(text);
    der.unwrap().to_vec()
}

/// Connects again and again; which certificates it got, and each handshake that failed.
fn connecting(
    https: &Https,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<(BTreeSet<Vec<u8>>, Vec<String>)> {
    let (https, stop) = (https.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let (mut seen, mut failed) = (BTreeSet::new(), Vec::new());
        while !stop.load(Ordering::Relaxed) {
            match served(&https).await {
                Ok(certificate) => {
                    seen.insert(certificate);
                }
                Err(error) => failed.push(error.to_string()),
            }
        }
        (seen, failed)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_18_pairs_swapped_every_200_ms_under_load_fail_no_handshake() {
    let place = Place::new();
    let (second, third) = (place.pki.pair(), place.pki.pair());
    let swaps = [
        second.clone(),
        second.with_key_of(&third),
        place.first.clone(),
        third.cut(),
        third.clone(),
        place.pki.expired(),
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let connecting: Vec<_> = (0..3)
        .map(|_| connecting(place.grantd.https(), &stop))
        .collect();
    let load = Load::start(&place.grantd, 4);
    let begun = Instant::now();
    let mut swap = tokio::time::interval(SWAP);
    for (number, pair) in swaps.iter().cycle().enumerate() {
        swap.tick().await;
        // Half of them are looked at at once, in whatever state they are by then.
        if number % 4 < 2 {
            pair.write(&place.tls);
        } else {
            pair.rename_into(&place.tls);
        }
        if number % 5 < 3 {
            place.grantd.signal(Signal::HUP);
        }
        if begun.elapsed() > long_or(Duration::from_secs(60), Duration::from_secs(6)) {
            break;
        }
    }
    third.rename_into(&place.tls);
    place.until_served(&third).await;
    stop.store(true, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    for one in connecting {
        let (certificates, failed) = one.await.unwrap();
        assert!(failed.is_empty(), "handshakes failed: {failed:?}");
        seen.extend(certificates);
    }
    let good = [&place.first, &second, &third].map(der);
    assert_eq!(
        seen,
        BTreeSet::from(good),
        "only good pairs, and all of them"
    );
    let Received {
        tokens,
        refused,
        broken,
        unconnected,
    } = load.end().await;
    assert!(!tokens.is_empty() && refused.is_empty() && broken.is_empty() && unconnected == 0);
    assert!(place.grantd.metric("grantd_certificate_reloads_total") >= 3.0);
    assert!(place.grantd.metric("grantd_certificate_refusals_total") >= 1.0);
    assert_whole_journal(&place.grantd.ready.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_cannot_be_served_is_refused_and_said_and_the_one_before_stays() {
    let place = Place::new();
    let other = place.pki.pair();
    let bad = [
        (
            other.with_key_of(&place.first),
            "does not match",
            "mismatch",
        ),
        (other.cut(), "certificate.pem", "unreadable"),
        (place.pki.expired(), "has expired", "expired"),
        (
            place.pki.pair_with(&["localhost"], (2119, 2120)),
            "is not valid before",
            "not_yet_valid",
        ),
    ];
    for (pair, words, reason) in bad {
        pair.rename_into(&place.tls);
        place.until_degraded(words);
        assert_eq!(place.served().await, der(&place.first), "{reason}");
        assert_eq!(place.grantd.readyz()["ready"], true);
        let event = eventually(reason, NOTICED, || {
            place
                .events("daemon.certificate_refused")
                .pop()
                .filter(|it| it["data"]["reason"] == reason)
        });
        assert_eq!(
            event["data"]["serving"]["not_after"],
            "2120-01-01T00:00:00Z"
        );
    }
    // Each is refused once, however often it is looked at.
    assert_eq!(
        place.grantd.metric("grantd_certificate_refusals_total"),
        4.0
    );
    assert!(place.events("daemon.certificate_loaded").is_empty());
    other.rename_into(&place.tls);
    place.until_served(&other).await;
    let healed = || (place.degraded() == "[]").then_some(());
    eventually("nothing is degraded any more", NOTICED, healed);
    eventually("the change is on record", NOTICED, || {
        place.events("daemon.certificate_loaded").pop()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_lives_through_a_reload() {
    let place = Place::new();
    let mut open = place.grantd.https().connect(Protocol::Http1).await;
    let other = place.pki.pair();
    other.rename_into(&place.tls);
    place.grantd.signal(Signal::HUP);
    place.until_served(&other).await;
    let host = place.grantd.https().authority();
    let request = format!("GET /oauth2/jwks HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let answer = exchange(&mut open, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// The files are what is written last: nobody has to send a signal.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_pair_is_served_without_a_signal_also_through_links() {
    let place = Place::new();
    // As certbot and Kubernetes do: names that are links, and what they lead to changes.
    let (one, two) = (place.tls.join("one"), place.tls.join("two"));
    for folder in [&one, &two] {
        std::fs::create_dir(folder).unwrap();
    }
    let (first, second) = (place.pki.pair(), place.pki.pair());
    first.write(&one);
    second.write(&two);
    std::os::unix::fs::symlink("one", place.tls.join("live")).unwrap();
    for file in ["certificate.pem", "key.pem"] {
        std::fs::remove_file(place.tls.join(file)).unwrap();
        std::os::unix::fs::symlink(format!("live/{file}"), place.tls.join(file)).unwrap();
    }
    place.until_served(&first).await;
    std::os::unix::fs::symlink("two", place.tls.join("next")).unwrap();
    std::fs::rename(place.tls.join("next"), place.tls.join("live")).unwrap();
    place.until_served(&second).await;
}

/// A daemon that did not start would ship no events and rotate no keys; clients say clearly what is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_pair_at_the_start_is_served_loudly_until_a_good_one_comes() {
    let pki = Pki::new();
    let expired = pki.expired();
    let place = Place::with(pki, expired);
    assert!(
        place
            .grantd
            .log()
            .contains("clients refuse this certificate")
    );
    place.until_degraded("the certificate has expired at 2021-01-01T00:00:00Z");
    assert_eq!(place.grantd.readyz()["ready"], true);
    let refused = served(place.grantd.https()).await.unwrap_err().to_string();
    assert!(refused.contains("expired"), "{refused}");
    let expiry = place
        .grantd
        .metric("grantd_certificate_not_after_timestamp_seconds");
    assert_eq!(expiry, 1_609_459_200.0);
    let good = place.pki.pair();
    good.rename_into(&place.tls);
    let https = place.grantd.https();
    eventually_async("the renewed pair is served", NOTICED, async || {
        served(https).await.ok().filter(|it| *it == der(&good))
    })
    .await;
    place
        .grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_does_not_replace_one_for_the_issuers() {
    let pki = Pki::new();
    let first = pki.pair_with(&["localhost", "auth.test"], (2020, 2120));
    let place = Place::with(pki, first);
    place
        .pki
        .pair_with(&["localhost", "other.test"], (2020, 2120))
        .rename_into(&place.tls);
    place.until_degraded("is not for auth.test");
    assert_eq!(place.served().await, der(&place.first));
    let next = place
        .pki
        .pair_with(&["localhost", "auth.test", "more.test"], (2020, 2120));
    next.rename_into(&place.tls);
    place.until_served(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_key_that_others_can_read_is_refused_at_start_and_at_reload() {
    use std::os::unix::fs::PermissionsExt;
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let deployment = Deployment::new();
    open(&deployment.path("tls/key.pem"), 0o644);
    let words = deployment.refuse();
    assert!(
        words.contains("tls/key.pem can be read by others (mode 0644): chmod o-rwx"),
        "{words}"
    );
    // A group that the operator gave it to is the operator's matter.
    open(&deployment.path("tls/key.pem"), 0o640);
    drop(deployment.serve_alone());

    let place = Place::new();
    let other = place.pki.pair();
    other.rename_into(&place.tls);
    open(&place.tls.join("key.pem"), 0o604);
    place.until_degraded("can be read by others");
    assert_eq!(place.served().await, der(&place.first));
    let event = eventually("the refusal is on record", NOTICED, || {
        place.events("daemon.certificate_refused").pop()
    });
    assert_eq!(event["data"]["reason"], "key_open");
    open(&place.tls.join("key.pem"), 0o600);
    place.until_served(&other).await;
}
