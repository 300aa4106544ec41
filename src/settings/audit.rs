//! The settings of `[audit]`. Pure.

use super::check::Problems;
use super::file;
use crate::audit::budget::BudgetSettings;
use crate::audit::journal::{Bound, JournalSettings, WaitFor};
use crate::audit::ship::{
    InboxPrefix, NatsLogin, NatsSettings, NatsTls, NatsUrl, ShipSettings, StreamName,
};
use crate::domain::InstanceName;

/// The stream that events go to where `audit.nats.stream` names no other.
const STREAM: &str = "GRANTD_AUDIT";

/// The smallest bound of the journal: a segment of a few hundred lines must fit an eighth of it.
const LEAST_JOURNAL: u64 = 1 << 20;

/// The largest segment: a start reads and copies the last one whole.
const MOST_SEGMENT: u64 = 512 << 20;

/// Turns `[audit]` into the settings of journal and shipper.
pub(super) fn convert(
    audit: file::Audit,
    instance: Option<&InstanceName>,
    problems: &mut Problems<'_>,
) -> (JournalSettings, Option<ShipSettings>) {
    let file::Audit {
        wait_for,
        segment,
        min_free,
        unshipped_max,
        keep,
        drop_oldest,
        refusals,
        nats,
    } = audit;
    let default = JournalSettings::default();
    let journal = JournalSettings {
        stream: nats.is_some(),
        unshipped_max: bound(
            "audit.unshipped_max",
            unshipped_max,
            default.unshipped_max,
            problems,
        ),
        keep: bound("audit.keep", keep, default.keep, problems),
        drop_oldest: drop_oldest.unwrap_or(default.drop_oldest),
        segment_bytes: segment_bytes(&segment, default.segment_bytes, problems),
        min_free_bytes: problems.bytes("audit.min_free", &min_free, default.min_free_bytes),
        wait_for: convert_wait(wait_for.as_deref(), nats.is_some(), problems),
        budget: convert_refusals(&refusals, default.budget),
    };
    if journal.drop_oldest && journal.stream {
        problems.add(
            "audit.drop_oldest = true: with [audit.nats] nothing is dropped that the stream does not have"
                .to_owned(),
        );
    }
    let ship = nats.and_then(|nats| convert_nats(nats, instance?, problems));
    (journal, ship)
}

/// The size of a segment, within what a start can read and copy in a moment.
fn segment_bytes(text: &Option<String>, default: u64, problems: &mut Problems<'_>) -> u64 {
    let bytes = problems.bytes("audit.segment", text, default);
    if bytes > MOST_SEGMENT {
        problems.add(format!(
            "audit.segment = {bytes} bytes: it must be at most 512MiB"
        ));
    }
    bytes
}

fn bound(name: &str, bound: file::Bound, default: Bound, problems: &mut Problems<'_>) -> Bound {
    let file::Bound { bytes, age } = bound;
    let bytes = problems.bytes(&format!("{name}.bytes"), &bytes, default.bytes);
    if bytes < LEAST_JOURNAL {
        problems.add(format!("{name}.bytes = {bytes}: it must be at least 1MiB"));
    }
    Bound {
        bytes,
        age: problems.span(&format!("{name}.age"), &age, default.age),
    }
}

fn convert_wait(wait_for: Option<&str>, stream: bool, problems: &mut Problems<'_>) -> WaitFor {
    match wait_for {
        None | Some("disk") => WaitFor::Disk,
        Some("stream") if stream => WaitFor::Stream,
        Some("stream") => {
            problems.add(
                "audit.wait_for = \"stream\": there is no stream without [audit.nats]".to_owned(),
            );
            WaitFor::Stream
        }
        Some(other) => {
            problems.add(format!(
                "audit.wait_for = {other:?}: write \"disk\" or \"stream\""
            ));
            WaitFor::Disk
        }
    }
}

/// The burst grows and shrinks with its rate, so that a rate that is set to its default changes nothing.
fn convert_refusals(refusals: &file::Refusals, default: BudgetSettings) -> BudgetSettings {
    let file::Refusals {
        per_minute,
        per_prefix_per_minute,
    } = refusals;
    let in_all = per_minute.unwrap_or(default.total_per_minute);
    let of_prefix = per_prefix_per_minute.unwrap_or(default.prefix_per_minute);
    BudgetSettings {
        prefix_burst: scaled(default.prefix_burst, of_prefix, default.prefix_per_minute),
        prefix_per_minute: of_prefix,
        total_burst: scaled(default.total_burst, in_all, default.total_per_minute),
        total_per_minute: in_all,
        max_prefixes: default.max_prefixes,
    }
}

/// `burst` as it is at `usual`, for another rate.
fn scaled(burst: u32, rate: u32, usual: u32) -> u32 {
    let scaled = u64::from(burst) * u64::from(rate) / u64::from(usual.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

fn convert_nats(
    nats: file::Nats,
    instance: &InstanceName,
    problems: &mut Problems<'_>,
) -> Option<ShipSettings> {
    let file::Nats {
        url,
        stream,
        create_stream,
        ca_file,
        certificate,
        key,
        user,
        password_file,
        token_file,
        nkey_file,
        creds_file,
        inbox_prefix,
        timeout,
    } = nats;
    let texts = match url {
        file::OneOrMany::One(url) => vec![url],
        file::OneOrMany::Many(urls) => urls,
    };
    if texts.is_empty() || texts.len() > crate::audit::ship::MAX_URLS {
        problems.add("audit.nats.url: write 1 to 16 URLs of NATS servers".to_owned());
    }
    let urls: Vec<NatsUrl> = texts
        .iter()
        // The text is not repeated: it may hold a login.
        .filter_map(|text| match NatsUrl::parse(text) {
            Ok(url) => Some(url),
            Err(error) => {
                problems.add(format!("audit.nats.url: {error}"));
                None
            }
        })
        .collect();
    let stream = stream.unwrap_or_else(|| STREAM.to_owned());
    let stream = problems.keep("audit.nats.stream", &stream, StreamName::parse(&stream));
    let inbox = match inbox_prefix {
        None => Some(InboxPrefix::of_instance(instance)),
        Some(text) => problems.keep("audit.nats.inbox_prefix", &text, InboxPrefix::parse(&text)),
    };
    let mut settings = NatsSettings::new(urls, inbox?);
    settings.login = login(
        (user, password_file),
        [
            ("token_file", token_file),
            ("nkey_file", nkey_file),
            ("creds_file", creds_file),
        ],
        problems,
    );
    settings.tls = NatsTls {
        // Whoever names an authority or a certificate means TLS: no server may talk it away.
        required: ca_file.is_some() || certificate.is_some(),
        ca_file: ca_file.map(|file| problems.file("audit.nats.ca_file", &file)),
        certificate: pair(certificate, key, problems),
        ..NatsTls::default()
    };
    settings.request_timeout =
        problems.timeout("audit.nats.timeout", &timeout, settings.request_timeout);
    let mut ship = ShipSettings::new(settings, stream?, instance.clone());
    ship.create_stream = create_stream.unwrap_or(false);
    ship.ack_timeout = problems.timeout("audit.nats.timeout", &timeout, ship.ack_timeout);
    Some(ship)
}

fn pair(
    certificate: Option<String>,
    key: Option<String>,
    problems: &mut Problems<'_>,
) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((
            problems.file("audit.nats.certificate", &certificate),
            problems.file("audit.nats.key", &key),
        )),
        _ => {
            problems
                .add("audit.nats: certificate and key go together: write both or none".to_owned());
            None
        }
    }
}

fn login(
    (user, password_file): (Option<String>, Option<String>),
    files: [(&str, Option<String>); 3],
    problems: &mut Problems<'_>,
) -> NatsLogin {
    let mut ways = Vec::new();
    match (user, password_file) {
        (None, None) => {}
        (Some(user), Some(file)) => ways.push(NatsLogin::Password {
            user,
            file: problems.file("audit.nats.password_file", &file),
        }),
        _ => problems
            .add("audit.nats: user and password_file go together: write both or none".to_owned()),
    }
    for (name, file) in files {
        if let Some(file) = file.map(|file| problems.file(&format!("audit.nats.{name}"), &file)) {
            ways.push(match name {
                "token_file" => NatsLogin::Token(file),
                "nkey_file" => NatsLogin::Nkey(file),
                _ => NatsLogin::Credentials(file),
            });
        }
    }
    if ways.len() > 1 {
        problems.add(
            "audit.nats: one login only: user with password_file, token_file, nkey_file or creds_file"
                .to_owned(),
        );
    }
    ways.into_iter().next().unwrap_or_default()
}
