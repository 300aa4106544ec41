//! The harness itself: a bad network that is bad, a NATS server that keeps what it should, a daemon
//! that is gone when its test ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Grantd, NatsServer, Proxy, eventually};

/// A server that says back what it hears, for as long as the test process lives.
fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                let _ended = std::io::copy(&mut reader, &mut stream);
            });
        }
    });
    address
}

fn say(stream: &mut TcpStream) -> std::io::Result<[u8; 4]> {
    stream.write_all(b"ping")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_proxy_passes_on_delays_swallows_and_resets() {
    let proxy = Proxy::before(echo());
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(say(&mut stream).unwrap(), *b"ping");

    proxy.delay(Duration::from_millis(50));
    let start = Instant::now();
    assert_eq!(say(&mut stream).unwrap(), *b"ping");
    assert!(
        start.elapsed() >= Duration::from_millis(100),
        "once a direction"
    );
    proxy.delay(Duration::ZERO);

    proxy.mute(true);
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert!(say(&mut stream).is_err(), "the answer is swallowed");
    proxy.mute(false);

    proxy.reset();
    let ended = eventually("the connection breaks", Duration::from_secs(5), || {
        stream
            .write_all(b"x")
            .err()
            .or_else(|| stream.read(&mut [0; 16]).err())
    });
    assert!(
        matches!(
            ended.kind(),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
        ),
        "{ended}"
    );

    proxy.refuse(true);
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    assert!(say(&mut stream).is_err(), "a new connection is broken");
}

#[tokio::test]
async fn the_nats_server_keeps_its_stream_over_a_stop_and_a_kill() {
    let mut server = NatsServer::start();
    let proxy = Proxy::before(([127, 0, 0, 1], server.port()).into());
    let client = async_nats::connect(format!("nats://{}", proxy.address()))
        .await
        .unwrap();
    let context = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "harness".to_owned(),
        subjects: vec!["harness.>".to_owned()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    context
        .publish("harness.one", "1".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let url = server.url();

    server.stop();
    server.run();
    assert_eq!(server.url(), url, "the same port");
    assert_eq!(stored(&server).await, 1);

    server.kill();
    server.run();
    assert_eq!(stored(&server).await, 1, "{}", server.log());
}

async fn stored(server: &NatsServer) -> u64 {
    let context = async_nats::jetstream::new(server.connect().await);
    let stream = context.get_stream("harness").await.unwrap();
    stream.cached_info().state.messages
}

#[test]
fn a_daemon_ends_when_asked_to_and_when_its_test_does() {
    let mut grantd = Grantd::dev().start();
    let pid = grantd.ready.pid;
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    let status = grantd.stop();
    assert!(
        status.success(),
        "an orderly stop: {status}\n{}",
        grantd.log()
    );

    let grantd = Grantd::dev().start();
    let pid = grantd.ready.pid;
    drop(grantd);
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "killed and reaped"
    );
}
