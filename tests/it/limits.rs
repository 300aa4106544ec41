//! Limits of a request, and requests that are malformed below HTTP: lines 7, 8, 11 and 69 of the
//! security checklist.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    BILLING, Grantd, Protocol, events, eventually_async, exchange, secret, shared,
};

/// Over every limit of a body.
const HUGE: usize = 1024 * 1024;

/// The form of a request that would be granted.
fn form() -> String {
    format!(
        "grant_type=client_credentials&client_id=reader&client_secret={}&resource={}",
        secret("reader", 1),
        BILLING.replace(':', "%3A").replace('/', "%2F"),
    )
}

/// A head for the token endpoint with these lines in it, and a body.
fn request(grantd: &Grantd, lines: &str, body: &str) -> Vec<u8> {
    let host = grantd.https().authority();
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n{lines}\r\n{body}"
    )
    .into_bytes()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[tokio::test]
async fn checklist_07_a_body_over_the_limit_is_refused_over_either_version() {
    let grantd = shared();
    let body = || format!("{}&padding={}", form(), "a".repeat(HUGE));
    grantd
        .ask()
        .body(body())
        .http2()
        .send()
        .await
        .refused(413, "invalid_request");
    let answer = grantd
        .https()
        .raw(&request(
            &grantd,
            &format!("Content-Length: {}\r\n", body().len()),
            &body(),
        ))
        .await;
    assert_eq!(status(&answer), "413", "{answer}");
}

#[tokio::test]
async fn checklist_07_a_told_length_over_the_limit_is_refused_before_it_is_read() {
    let grantd = shared();
    let answer = grantd
        .https()
        .raw(&request(&grantd, "Content-Length: 1000000000\r\n", ""))
        .await;
    assert_eq!(status(&answer), "413", "{answer}");
}

/// RFC 9112 section 9.6: a socket that is closed while bytes are coming resets the connection, and the answer may be
/// lost with it.
#[tokio::test]
async fn checklist_07_a_client_that_sends_on_after_its_refusal_is_not_reset() {
    let grantd = shared();
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    let head = request(&grantd, "Content-Length: 1000000000\r\n", "");
    stream.write_all(&head).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    let piece = [b'a'; 0x4000];
    for _ in 0..64 {
        stream.write_all(&piece).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("invalid_request"));
}

#[tokio::test]
async fn checklist_07_chunks_over_the_limit_are_refused() {
    let grantd = shared();
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let body = chunk.repeat(HUGE / 0x10000);
    let answer = grantd
        .https()
        .raw(&request(&grantd, "Transfer-Encoding: chunked\r\n", &body))
        .await;
    assert_eq!(status(&answer), "413", "{answer}");
}

#[tokio::test]
async fn checklist_07_a_body_in_chunks_is_read_like_any_other() {
    let grantd = shared();
    let (one, two) = (&form()[..20], &form()[20..]);
    let body = format!(
        "{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\nX-Trailer: ignored\r\n\r\n",
        one.len(),
        two.len()
    );
    let answer = grantd
        .https()
        .raw(&request(&grantd, "Transfer-Encoding: chunked\r\n", &body))
        .await;
    assert_eq!(
        status(&answer),
        "200",
        "checklist 11: trailers mean nothing: {answer}"
    );
}

#[tokio::test]
async fn checklist_08_too_many_headers_and_too_long_ones_are_refused() {
    let grantd = shared();
    let length = format!("Content-Length: {}\r\n", form().len());
    let many = "X-Padding: a\r\n".repeat(200);
    let long = format!("X-Padding: {}\r\n", "a".repeat(HUGE));
    for padding in [many, long] {
        let answer = grantd
            .https()
            .raw(&request(&grantd, &format!("{length}{padding}"), &form()))
            .await;
        assert_eq!(
            status(&answer),
            "431",
            "{}",
            &answer[..answer.len().min(300)]
        );
    }
}

#[tokio::test]
async fn checklist_11_expect_100_continue_is_answered() {
    let grantd = shared();
    let lines = format!(
        "Expect: 100-continue\r\nConnection: close\r\nContent-Length: {}\r\n",
        form().len()
    );
    let answer = grantd.https().raw(&request(&grantd, &lines, &form())).await;
    let last = answer
        .rfind("HTTP/1.1 ")
        .map(|at| &answer[at..])
        .unwrap_or_default();
    assert_eq!(status(last), "200", "{answer}");
}

#[tokio::test]
async fn checklist_11_requests_in_one_write_are_answered_in_their_order() {
    let grantd = shared();
    let length = format!("Content-Length: {}\r\n", form().len());
    let mut bytes = request(&grantd, &length, &form());
    bytes.extend(request(&grantd, "Content-Length: 0\r\n", ""));
    bytes.extend(request(
        &grantd,
        &format!("Connection: close\r\n{length}"),
        &form(),
    ));
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    let answers = exchange(&mut stream, &bytes).await;
    let statuses: Vec<_> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| status(&answers[at..]))
        .collect();
    assert_eq!(statuses, ["200", "400", "200"], "{answers}");
}

#[tokio::test]
async fn checklist_69_what_two_servers_could_read_in_two_ways_is_not_served() {
    let grantd = shared();
    let length = format!("Content-Length: {}\r\n", form().len());
    for (lines, what) in [
        (format!("{length}Content-Length: 5\r\n"), "two lengths"),
        ("Content-Length: +3\r\n".to_owned(), "a signed length"),
        (
            format!("{length}Transfer-Encoding: xchunked\r\n"),
            "an unknown coding",
        ),
        (
            format!("{length}Transfer-Encoding : chunked\r\n"),
            "a space before the colon",
        ),
        (format!("{length}X: a\r\n folded\r\n"), "a folded line"),
    ] {
        let answer = grantd.https().raw(&request(&grantd, &lines, &form())).await;
        assert!(
            matches!(status(&answer), "400" | "closed"),
            "{what}: {answer}"
        );
    }
}

#[tokio::test]
async fn checklist_69_a_request_behind_a_doubtful_length_is_never_served() {
    let grantd = shared();
    let smuggled = String::from_utf8(request(
        &grantd,
        &format!("Content-Length: {}\r\n", form().len()),
        &form(),
    ))
    .unwrap();
    let body = format!("0\r\n\r\n{smuggled}");
    let lines = format!(
        "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
        body.len()
    );
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    let answers = exchange(&mut stream, &request(&grantd, &lines, &body)).await;
    let count = answers.matches("HTTP/1.1 ").count();
    assert!(
        count <= 1,
        "both lengths: at most one answer, then the end: {answers}"
    );
    assert!(!answers.contains("access_token"), "{answers}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let grantd = shared();
    let lines = "Content-Length: 500\r\n";
    let head = request(&grantd, lines, "grant_type=client_credentials");
    let answer = tokio::time::timeout(Duration::from_secs(60), grantd.https().raw(&head))
        .await
        .unwrap();
    assert_eq!(status(&answer), "408", "{answer}");
}

#[tokio::test]
async fn refusals_beyond_the_budget_are_counted_exactly() {
    const REFUSALS: u64 = 150;
    let grantd = Grantd::dev().start();
    for _ in 0..REFUSALS {
        let ask = grantd.ask().from([127, 255, 7, 1].into());
        let answer = ask.with_secret("reader", "wrong").send().await;
        answer.refused(401, "invalid_client");
    }
    let deadline = Duration::from_secs(30);
    eventually_async("each is recorded or counted", deadline, async || {
        let events = events(&grantd.ready.state);
        let of = |kind: &'static str| {
            let kind = format!("dev.grantd.token.{kind}.v1");
            events
                .iter()
                .filter(move |event| event["type"] == kind)
                .map(|event| &event["data"])
        };
        let recorded = of("denied")
            .filter(|data| data["remote"] == "127.255.7.1")
            .count();
        let counted: u64 = of("denied_summary")
            .flat_map(|data| data["rows"].as_array().into_iter().flatten())
            .filter(|row| row["prefix"] == "127.255.7.0/24" && row["reason"] == "wrong_secret")
            .filter_map(|row| row["count"].as_u64())
            .sum();
        assert!(
            u64::try_from(recorded).unwrap() + counted <= REFUSALS,
            "none twice"
        );
        (recorded > 0 && counted > 0 && u64::try_from(recorded).unwrap() + counted == REFUSALS)
            .then_some(())
    })
    .await;
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
}

/// The bytes of a body come before its request has begun, where the machine is busy.
#[tokio::test]
async fn a_large_body_over_http_2_never_ends_its_connection_as_a_flood() {
    let grantd = shared();
    let body = format!("{}&padding={}", form(), "a".repeat(HUGE));
    for _ in 0..30 {
        grantd
            .ask()
            .body(body.clone())
            .http2()
            .send()
            .await
            .refused(413, "invalid_request");
    }
}
