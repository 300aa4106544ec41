//! `grantd audit find`: the events of a request, a token, a client. Touches: fs, net, clock.

use serde_json::Value;

use super::source::{Source, SourceArgs, Start};
use super::span::Since;
use super::tail::print;
use super::{Exit, Fault, Format, Io, help};
use crate::clock::Clock;
use crate::domain::UnixSeconds;

/// Finds events; each that fits all of what is given.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::AUDIT_FIND)]
pub(super) struct Args {
    /// Of this request: the id in its answer
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Of this token: its jti
    #[arg(long, value_name = "JTI")]
    jti: Option<String>,
    /// Of this client, or of an unknown one that called itself so
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// Not older than this: a moment (2026-11-23T08:30:00Z) or a span (2h)
    #[arg(long, value_name = "MOMENT|SPAN", value_parser = Since::parse)]
    since: Option<Since>,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args, format: Format, io: &mut Io<'_>) -> Result<Exit, Fault> {
    let wanted = Wanted {
        request_id: args.request_id.as_deref(),
        jti: args.jti.as_deref(),
        client: args.client.as_deref(),
        since: args
            .since
            .map(|since| since.moment(Clock::of_this_machine().now_seconds())),
    };
    if wanted.is_empty() {
        return Err(Fault::Usage(
            "say what to find: --request-id, --jti, --client or --since".to_owned(),
        ));
    }
    let start = wanted.since.map_or(Start::Beginning, Start::Since);
    let mut source = Source::open(&args.source, start)?;
    let mut found = 0_u64;
    while let Some(line) = source.next()? {
        if wanted.fits(&line) {
            found += 1;
            print(&line, format, io)?;
        }
    }
    if found == 0 {
        writeln!(io.err, "no event fits")?;
    }
    Ok(Exit::Done)
}

/// What is looked for.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted<'a> {
    request_id: Option<&'a str>,
    jti: Option<&'a str>,
    client: Option<&'a str>,
    since: Option<UnixSeconds>,
}

impl Wanted<'_> {
    const fn is_empty(&self) -> bool {
        self.request_id.is_none()
            && self.jti.is_none()
            && self.client.is_none()
            && self.since.is_none()
    }

    fn fits(&self, line: &[u8]) -> bool {
        // What is looked for is plain text in the line: most lines need no parsing.
        let words = [self.request_id, self.jti, self.client];
        if words
            .into_iter()
            .flatten()
            .any(|word| !contains(line, word))
        {
            return false;
        }
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            return false;
        };
        let member = |name: &str| event.get("data").and_then(|data| data.get(name));
        let is = |name: &str, wanted: &str| member(name).and_then(Value::as_str) == Some(wanted);
        self.request_id.is_none_or(|id| is("request_id", id))
            && self.jti.is_none_or(|jti| is("jti", jti))
            && self
                .client
                .is_none_or(|client| is("client_id", client) || is("unknown_client_id", client))
            && self.since.is_none_or(|since| not_before(&event, since))
    }
}

fn contains(line: &[u8], word: &str) -> bool {
    let word = word.as_bytes();
    !word.is_empty() && line.windows(word.len()).any(|window| window == word)
}

/// Whether the event's time is this moment or later. One without a time is shown.
fn not_before(event: &Value, since: UnixSeconds) -> bool {
    let time = event.get("time").and_then(Value::as_str);
    time.and_then(|time| UnixSeconds::parse_rfc3339(time).ok())
        .is_none_or(|time| time >= since)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &[u8] = br#"{"time":"1970-01-01T00:01:40.000Z","data":{"request_id":"ab","jti":"cd","client_id":"nightly"}}"#;

    #[test]
    fn all_that_is_given_must_fit() {
        let nothing = Wanted::default();
        assert!(nothing.is_empty());
        let by = |request_id, jti, client| Wanted {
            request_id,
            jti,
            client,
            since: None,
        };
        assert!(by(Some("ab"), Some("cd"), Some("nightly")).fits(EVENT));
        assert!(!by(Some("ab"), Some("ce"), None).fits(EVENT));
        assert!(!by(Some("cd"), None, None).fits(EVENT));
        assert!(!by(None, None, Some("night")).fits(EVENT));
        assert!(!by(None, Some(""), None).fits(EVENT));
    }

    #[test]
    fn time_is_the_events_own() {
        let since = |seconds| Wanted {
            since: Some(UnixSeconds::new(seconds)),
            ..Wanted::default()
        };
        assert!(since(100).fits(EVENT));
        assert!(!since(101).fits(EVENT));
    }
}
