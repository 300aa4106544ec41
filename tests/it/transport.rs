//! TLS and the forms of HTTP that the daemon takes and refuses: lines 67 and 69 of the security checklist, and
//! what browsers ask before they read a public document.

use std::process::{Command, Output, Stdio};

use hyper::Method;

use crate::support::{Grantd, Protocol, exchange, good_form, shared};

/// `openssl s_client` of the package openssl, with these arguments; nothing is said once it has connected.
fn openssl(grantd: &Grantd, arguments: &[&str]) -> Output {
    let address = grantd.https().address().to_string();
    Command::new("openssl")
        .args(["s_client", "-connect", &address])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl, of the package of that name")
}

#[test]
fn checklist_67_only_tls_1_2_and_1_3_with_forward_secrecy_and_aead() {
    let grantd = shared();
    for good in [
        ["-tls1_3"].as_slice(),
        &["-tls1_2", "-cipher", "ECDHE+AESGCM"],
        &["-tls1_2", "-cipher", "ECDHE+CHACHA20"],
    ] {
        let output = openssl(&grantd, good);
        let words = String::from_utf8_lossy(&output.stdout);
        assert!(
            words.contains("Cipher is TLS_") || words.contains("Cipher is ECDHE-"),
            "{good:?}: {words}"
        );
        if good[0] == "-tls1_2" {
            assert!(words.contains("Secure Renegotiation IS"), "{words}");
        }
        assert!(!words.contains("Early data was accepted"), "{words}");
    }
    for bad in [
        // Level 0 lets openssl itself offer what is too old for its defaults.
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"].as_slice(),
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &[
            "-tls1_2",
            "-cipher",
            "ECDHE+AES+SHA256:ECDHE+SHA1:@SECLEVEL=0",
        ],
        &[
            "-tls1_2",
            "-cipher",
            "AES128-GCM-SHA256:AES256-GCM-SHA384:@SECLEVEL=0",
        ],
        &["-tls1_2", "-cipher", "DHE+AESGCM:@SECLEVEL=0"],
    ] {
        let output = openssl(&grantd, bad);
        let words = String::from_utf8_lossy(&output.stdout);
        assert!(words.contains("Cipher is (NONE)"), "{bad:?}: {words}");
    }
}

#[test]
fn checklist_67_a_protocol_that_is_not_offered_ends_the_handshake() {
    let grantd = shared();
    let output = openssl(&grantd, &["-alpn", "http/9"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("no application protocol"),
        "RFC 7301 section 3.2: {words}"
    );
    let output = openssl(&grantd, &["-alpn", "h2,http/1.1"]);
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(words.contains("ALPN protocol: h2"), "{words}");
}

/// One HTTP/1.1 exchange to its end, with this request line and these lines of its head.
async fn asked(first: &str, lines: &str, end: &str) -> String {
    let grantd = shared();
    let body = good_form();
    let head = format!(
        "{first}{end}{lines}Content-Type: application/x-www-form-urlencoded{end}Connection: close{end}\
         Content-Length: {}{end}{end}{body}",
        body.len()
    );
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    exchange(&mut stream, head.as_bytes()).await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[tokio::test]
async fn checklist_69_a_request_has_one_host() {
    let post = "POST /oauth2/token HTTP/1.1";
    assert_eq!(status(&asked(post, "Host: a\r\n", "\r\n").await), "200");
    for lines in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n"] {
        let answer = asked(post, lines, "\r\n").await;
        assert_eq!(
            status(&answer),
            "400",
            "RFC 9112 section 3.2: {lines:?}: {answer}"
        );
        assert!(!answer.contains("access_token"), "{answer}");
    }
}

#[tokio::test]
async fn checklist_69_the_absolute_form_is_served_by_its_path() {
    let first = "POST https://elsewhere.example/oauth2/token HTTP/1.1";
    let answer = asked(first, "Host: elsewhere.example\r\n", "\r\n").await;
    assert_eq!(status(&answer), "200", "RFC 9112 section 3.2.2: {answer}");
    let answer = asked("POST * HTTP/1.1", "Host: a\r\n", "\r\n").await;
    assert!(matches!(status(&answer), "400" | "404"), "{answer}");
}

#[tokio::test]
async fn checklist_69_a_bare_line_feed_ends_a_line() {
    // RFC 9112 section 2.2 lets a recipient take it. No request can hide behind it: lengths that could be read in
    // two ways are refused, whatever ends their lines.
    let answer = asked("POST /oauth2/token HTTP/1.1", "Host: a\n", "\n").await;
    assert_eq!(status(&answer), "200", "{answer}");
    let twice = "Host: a\nContent-Length: 5\n";
    let answer = asked("POST /oauth2/token HTTP/1.1", twice, "\n").await;
    assert_eq!(status(&answer), "400", "{answer}");
    let bare = asked("POST /oauth2/token HTTP/1.1", "Host: a\rX: b\r\n", "\r\n").await;
    assert_eq!(status(&bare), "400", "a bare CR is no line's end: {bare}");
}

#[tokio::test]
async fn checklist_69_with_both_lengths_the_connection_ends_after_one_answer() {
    let grantd = shared();
    let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", good_form().len(), good_form());
    for lines in [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
            body.len()
        ),
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n".to_owned(),
    ] {
        let one = format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             {lines}\r\n{body}"
        );
        let mut stream = grantd.https().connect(Protocol::Http1).await;
        let answers = exchange(&mut stream, one.repeat(2).as_bytes()).await;
        assert_eq!(
            answers.matches("HTTP/1.1 ").count(),
            1,
            "RFC 9112 section 6.1: {answers}"
        );
        assert!(answers.contains("connection: close"), "{answers}");
    }
}

#[tokio::test]
async fn a_browser_may_ask_first_and_then_read_the_public_documents() {
    let grantd = shared();
    for path in ["/oauth2/jwks", "/.well-known/oauth-authorization-server"] {
        let asks = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "If-None-Match, x-trace"),
        ];
        let answer = grantd.https().bare(Method::OPTIONS, path, &asks).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            answer.header("access-control-allow-methods"),
            Some("GET, HEAD")
        );
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("if-none-match, x-trace")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), None);

        let strange = [
            asks[0],
            asks[1],
            ("access-control-request-headers", "a b, <c>"),
        ];
        let answer = grantd.https().bare(Method::OPTIONS, path, &strange).await;
        assert_eq!(
            answer.header("access-control-allow-headers"),
            None,
            "nothing strange is repeated"
        );

        let answer = grantd.https().bare(Method::OPTIONS, path, &[]).await;
        assert_eq!(
            answer.header("access-control-allow-methods"),
            None,
            "no preflight"
        );
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let answer = grantd.https().bare(
        Method::OPTIONS,
        "/oauth2/token",
        &[("origin", "https://app.example")],
    );
    assert_eq!(answer.await.header("access-control-allow-origin"), None);
}

#[test]
fn the_second_listener_names_its_methods_and_lets_nobody_guess() {
    let grantd = shared();
    let asked = |method: &str| {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(grantd.metrics()).unwrap();
        let request = format!("{method} /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = asked("POST");
    assert_eq!(status(&answer), "405", "{answer}");
    assert!(
        answer.contains("allow: GET, HEAD\r\n"),
        "RFC 9110 section 15.5.6: {answer}"
    );
    let answer = asked("GET");
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(
        answer.contains("x-content-type-options: nosniff\r\n"),
        "{answer}"
    );
}
