//! kill -9 at random instants under load: what left the daemon stands in its journal, once, and every
//! start after it needs no help (faults F1 and F21; the seed is printed, `GRANTD_SEED` sets it).

use std::time::Duration;

use tempfile::TempDir;

use crate::support::ship::ship_settings;
use crate::support::{
    Grantd, Load, NatsServer, Seed, Token, assert_recorded, assert_whole_journal, eventually_async,
    jwks, long_or, verify_all,
};

/// Tokens that each cycle must have received before it may be killed, so that a daemon that always
/// refuses does not pass.
const FLOOR: usize = 20;

/// Longest time under load between the floor and the kill, in milliseconds.
const LIFE: u64 = 200;

/// Longest until a ring that was half made is whole.
const RINGS: Duration = Duration::from_secs(10);

/// Longest until the stream has what the journal has.
const SHIPPED: Duration = Duration::from_secs(30);

/// Loads the daemon, kills it at a random instant, and returns what was received of it.
async fn load_and_kill(grantd: &mut Grantd, seed: &mut Seed) -> Vec<String> {
    let load = Load::start(grantd, 16);
    load.until_tokens(FLOOR).await;
    tokio::time::sleep(Duration::from_millis(seed.below(LIFE))).await;
    grantd.kill();
    let received = load.over_by_itself().await;
    assert!(received.refused.is_empty(), "{:?}", received.refused);
    received.tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_1_kills_under_load_lose_and_double_nothing() {
    let state = TempDir::new().unwrap();
    let mut seed = Seed::new();
    let mut tokens: Vec<String> = Vec::new();
    let mut kept = 0;
    for _ in 0..long_or(200, 12) {
        let mut grantd = Grantd::dev().state(state.path()).start();
        let verified = verify_all(&jwks(&grantd).await, &tokens);
        let recorded = assert_whole_journal(state.path());
        assert_recorded(&verified, &recorded);
        assert!(recorded.len() > kept, "the chain goes on");
        kept = recorded.len();
        tokens.extend(load_and_kill(&mut grantd, &mut seed).await);
    }
    let mut grantd = Grantd::dev().state(state.path()).start();
    let verified = verify_all(&jwks(&grantd).await, &tokens);
    assert!(grantd.stop().success());
    assert_recorded(&verified, &assert_whole_journal(state.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_1_kills_while_it_starts_or_makes_its_first_keys_need_no_hand() {
    let mut seed = Seed::new();
    for _ in 0..long_or(20, 3) {
        let state = TempDir::new().unwrap();
        // The first starts make certificate and keys, the later ones recover what these left.
        for longest in [150, 400, 400, 400] {
            let time = Duration::from_millis(seed.below(longest));
            Grantd::dev().state(state.path()).kill_after(time);
        }
        let mut grantd = Grantd::dev().state(state.path()).start();
        let mut tokens = Vec::new();
        for identifier in [crate::support::BILLING, crate::support::FLEET] {
            let ask = grantd.ask().of("roamer").resource(identifier);
            tokens.push(ask.send().await.granted().text("access_token"));
        }
        let keys = eventually_async("each of five algorithms has two keys", RINGS, async || {
            let keys = jwks(&grantd).await;
            (keys["keys"].as_array()?.len() == 10).then_some(keys)
        })
        .await;
        let signing = grantd.metric("grantd_keys{state=\"active\"}");
        assert!((signing - 5.0).abs() < 0.1, "one of each signs: {signing}");
        let verified = verify_all(&keys, &tokens);
        assert_recorded(&verified, &assert_whole_journal(state.path()));
        assert!(grantd.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_1_kills_leave_a_stream_with_each_line_once_and_in_order() {
    let server = NatsServer::start();
    let state = TempDir::new().unwrap();
    let mut seed = Seed::new();
    let mut tokens: Vec<String> = Vec::new();
    for _ in 0..long_or(50, 5) {
        let mut grantd = Grantd::dev()
            .nats(&server.url())
            .state(state.path())
            .start();
        tokens.extend(load_and_kill(&mut grantd, &mut seed).await);
    }
    let mut grantd = Grantd::dev()
        .nats(&server.url())
        .state(state.path())
        .start();
    let verified: Vec<Token> = verify_all(&jwks(&grantd).await, &tokens);
    assert!(grantd.stop().success());
    let recorded = assert_whole_journal(state.path());
    assert_recorded(&verified, &recorded);
    let lines = journal_lines(state.path());
    assert_eq!(lines.len(), recorded.len());
    eventually_async("the stream has everything", SHIPPED, async || {
        (stored(&server).await.len() >= lines.len()).then_some(())
    })
    .await;
    let stored = stored(&server).await;
    assert_eq!(stored.len(), lines.len(), "none twice");
    for (message, line) in stored.iter().zip(&lines) {
        assert_eq!(message, line, "the same bytes, in order");
    }
}

/// The payloads of the daemon's stream.
async fn stored(server: &NatsServer) -> Vec<Vec<u8>> {
    use grantd::audit::ship::{StreamName, StreamReader, StreamStart};
    let nats = ship_settings(&server.url()).nats;
    let stream = StreamName::parse("GRANTD_AUDIT").unwrap();
    let name = grantd::domain::InstanceName::parse("dev").unwrap();
    let opened = StreamReader::open(&nats, &stream, &name, StreamStart::Beginning).await;
    let mut reader = opened.unwrap();
    let mut messages = Vec::new();
    while let Some(message) = reader.next().await.unwrap() {
        messages.push(message.to_vec());
    }
    messages
}

/// The journal's lines, as they stand.
fn journal_lines(state: &std::path::Path) -> Vec<Vec<u8>> {
    let mut segments: Vec<_> = std::fs::read_dir(state.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "jsonl"))
        .collect();
    segments.sort();
    let texts = segments.iter().map(|path| std::fs::read(path).unwrap());
    texts
        .flat_map(|text| {
            let lines = text.split_inclusive(|byte| *byte == b'\n');
            lines
                .map(|line| line.strip_suffix(b"\n").expect("a whole line").to_vec())
                .collect::<Vec<_>>()
        })
        .collect()
}
