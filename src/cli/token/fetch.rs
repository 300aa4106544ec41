//! Asks the server for a token, and again where that may help. Touches: net, clock, process.

use std::path::Path;
use std::time::Duration;

use super::answer::{self, AnswerFault, id};
use super::kept::Kept;
use super::request::Request;
use crate::cli::discovery::{DiscoveryFault, discover, is_busy};
use crate::cli::https::{Client, Deadline, HttpsFault, Reply};
use crate::clock::Clock;
use crate::random;

/// The first wait between two attempts; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait, unless the server asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchFault {
    /// No answer.
    #[error(transparent)]
    Https(#[from] HttpsFault),
    /// The token endpoint is not known.
    #[error(transparent)]
    Discovery(#[from] DiscoveryFault),
    /// The server can't answer now.
    #[error("{url} answers {status}: {}{}{}", why(*.status), asks(.retry_after.as_deref()), id(.request_id.as_deref()))]
    Busy {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// When it asks to come back.
        retry_after: Option<String>,
        /// The request's id.
        request_id: Option<String>,
    },
    /// The answer is no token.
    #[error(transparent)]
    Answer(#[from] AnswerFault),
}

fn asks(retry_after: Option<&str>) -> String {
    retry_after.map_or_else(String::new, |when| format!("; {}", again(when)))
}

/// Seconds, or the date as it stands (RFC 9110 section 10.2.3).
fn again(when: &str) -> String {
    match when.trim().parse::<u64>() {
        Ok(seconds) => format!("try again after {seconds} s"),
        Err(_) => format!("try again after {when}"),
    }
}

/// What the status says. RFC 6585 section 4: 429 is about who asks, not about the server.
const fn why(status: u16) -> &'static str {
    match status {
        429 => {
            "too many attempts of this client or from this address failed: check the client id and the secret"
        }
        _ => "it is starting, stopping, not ready or has too much to do",
    }
}

/// How often is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until the deadline: there is nothing else to serve.
    UntilDeadline,
    /// Once: there is a token that is still valid.
    Once,
}

/// From whom, and how.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    /// What is wanted.
    pub request: &'a Request,
    /// Where its secret is, in words.
    pub place: &'a str,
    /// Whom to trust.
    pub ca_file: Option<&'a Path>,
    /// The end of it all.
    pub deadline: Deadline,
    /// This machine's clock.
    pub clock: Clock,
}

impl FetchFault {
    /// Whether the same may work a little later.
    pub(super) const fn passes(&self) -> bool {
        match self {
            Self::Https(fault) => fault.passes(),
            Self::Discovery(fault) => fault.passes(),
            Self::Busy { .. } => true,
            Self::Answer(_) => false,
        }
    }

    fn retry_after(&self) -> Option<&str> {
        match self {
            Self::Busy { retry_after, .. } => retry_after.as_deref(),
            Self::Discovery(DiscoveryFault::Busy { reply }) => reply.retry_after.as_deref(),
            _ => None,
        }
    }
}

/// Fetches a token.
pub(super) fn fetch(asking: &Asking<'_>, patience: Patience) -> Result<Kept, FetchFault> {
    let client = Client::new(asking.ca_file)?;
    let mut wait = FIRST_WAIT;
    loop {
        let fault = match attempt(&client, asking) {
            Ok(token) => return Ok(token),
            Err(fault) => fault,
        };
        if patience == Patience::Once || !fault.passes() {
            return Err(fault);
        }
        let asked = fault.retry_after();
        let asked = asked.and_then(|text| retry_span(text, asking.clock));
        let pause = jittered(wait).max(asked.unwrap_or_default());
        // Not worth it when the next attempt would have no time left.
        if pause >= asking.deadline.left() {
            return Err(fault);
        }
        std::thread::sleep(pause);
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}

fn attempt(client: &Client, asking: &Asking<'_>) -> Result<Kept, FetchFault> {
    let request = asking.request;
    let metadata = discover(client, &request.issuer, asking.deadline)?;
    let endpoint = metadata.token_endpoint()?;
    // Before it is sent, so that the token is never taken for younger than it is.
    let sent = asking.clock.now_seconds();
    let header = request.authorization();
    let reply = client.send_form(endpoint, &header, &request.form(), asking.deadline)?;
    if is_busy(reply.status) {
        return Err(busy(reply));
    }
    Ok(answer::read(&reply, request, asking.place, sent)?)
}

fn busy(reply: Reply) -> FetchFault {
    FetchFault::Busy {
        url: reply.url,
        status: reply.status,
        retry_after: reply.retry_after,
        request_id: reply.request_id,
    }
}

/// `Retry-After` is a number of seconds or a date (RFC 9110 section 10.2.3).
fn retry_span(text: &str, clock: Clock) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    let at = u64::try_from(date.timestamp().as_second()).ok()?;
    Some(Duration::from_secs(
        at.saturating_sub(clock.now_seconds().get()),
    ))
}

/// Three quarters to five quarters of it, so that machines that failed together don't return together.
fn jittered(wait: Duration) -> Duration {
    let [byte] = *random::bytes::<1>();
    wait.mul_f64(0.75 + f64::from(byte) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_span_or_a_date() {
        let clock = Clock::of_this_machine();
        assert_eq!(retry_span("7", clock), Some(Duration::from_secs(7)));
        let past = retry_span("Sun, 06 Nov 1994 08:49:37 GMT", clock);
        assert_eq!(past, Some(Duration::ZERO));
        let far = retry_span("Tue, 31 Dec 2999 23:59:59 GMT", clock);
        assert!(far.is_some_and(|span| span.as_secs() > 1_000_000));
        assert_eq!(retry_span("soon", clock), None);
    }

    #[test]
    fn waits_are_spread_and_bounded() {
        for _ in 0..100 {
            let wait = jittered(Duration::from_secs(4));
            assert!((3.0..=5.0).contains(&wait.as_secs_f64()), "{wait:?}");
        }
    }
}
