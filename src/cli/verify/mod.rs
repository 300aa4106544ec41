//! `grantd verify`: whether an access token is good, and which rule says no. Touches: fs, net, clock, process.
//!
//! `token → form → keys → rules → report`: the rules of RFC 9068 section 4 and RFC 8725.
//!
//! **Invariant:** claims are shown as verified only when the signature holds by a key of the issuer's.

mod compact;
mod keys;
mod moment;
mod print;
mod revoked;
mod rules;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use self::compact::{Compact, MAX_TOKEN};
use self::keys::{KeysFault, KeysPlace};
use self::revoked::RevocationsFault;
use self::rules::{Expected, Report};
use super::https::Deadline;
use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::clock::Clock;
use crate::domain::{Issuer, Lifetime, ScopeName, UnixSeconds};

/// How long to try to get the issuer's keys.
const TIMEOUT: Lifetime = Lifetime::from_seconds(30);

/// Checks an access token as an API must, and says of each rule whether it holds.
///
/// The rules are those of RFC 9068 section 4 and RFC 8725: form, type, algorithm, key, signature,
/// issuer, audience, times, required claims, scopes. The issuer's keys are found by its metadata, or
/// taken from --jwks. Claims of a token whose signature does not hold are marked as unverified.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::VERIFY)]
pub(super) struct Args {
    /// The file with the token; "-" for standard input. A token is never an argument.
    #[arg(value_name = "FILE", default_value = "-")]
    token_file: PathBuf,
    /// The issuer that the token must be of: compared with iss letter by letter.
    #[arg(long, value_name = "URL", value_parser = Issuer::parse)]
    issuer: Issuer,
    /// The API that the token must be for: its identifier, compared with aud.
    #[arg(long, value_name = "URI")]
    audience: String,
    /// A scope that the token must have. May be given several times.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = ScopeName::parse)]
    scopes: Vec<ScopeName>,
    /// The issuer's keys: a file or an https URL, instead of what the issuer's metadata names.
    #[arg(long, value_name = "FILE|URL")]
    jwks: Option<KeysPlace>,
    /// Trust the CA whose certificate is in this PEM file, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Refuse tokens that operators made void: the document that grantd overlay list --format json prints.
    #[arg(long, value_name = "FILE")]
    revocations: Option<PathBuf>,
    /// Judge as of this moment (2026-11-23T08:30:00Z), not of now.
    #[arg(long, value_name = "TIME", value_parser = UnixSeconds::parse_rfc3339)]
    at: Option<UnixSeconds>,
    /// How far the clocks of issuer and verifier may differ.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = Lifetime::parse)]
    leeway: Lifetime,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Why a token could not be judged.
#[derive(Debug, thiserror::Error)]
enum VerifyFault {
    #[error(
        "a token is never an argument, where everybody on this machine sees it: put it into a file, or pipe it in"
    )]
    Argument,
    #[error("cannot read the token from {place}")]
    Unreadable { place: String, source: io::Error },
    #[error("there is no token in {0}")]
    Empty(String),
    #[error("cannot get the keys of the issuer")]
    Keys(#[from] KeysFault),
    #[error("cannot tell which tokens are void")]
    Revocations(#[from] RevocationsFault),
    #[error("cannot print the result")]
    Print(#[source] io::Error),
}

/// Runs `grantd verify`.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let done = judge(args).and_then(|report| {
        print::print(&report, args.format, io).map_err(VerifyFault::Print)?;
        Ok(report)
    });
    match done {
        Ok(report) if report.accepted() => Exit::Done,
        Ok(_) => Exit::Refused,
        Err(VerifyFault::Argument) => {
            failed(io, &VerifyFault::Argument);
            Exit::Usage
        }
        Err(fault) => failed(io, &fault),
    }
}

fn judge(args: &Args) -> Result<Report, VerifyFault> {
    let clock = Clock::of_this_machine();
    let text = read(&args.token_file)?;
    // Without a form there is nothing to look for a key for.
    let token = match Compact::parse(&text) {
        Ok(token) => token,
        Err(why) => return Ok(Report::malformed(&why)),
    };
    let revocations = args.revocations.as_deref().map(revoked::read).transpose()?;
    let deadline = Deadline::after(clock, TIMEOUT.to_duration());
    let keys = match &args.jwks {
        Some(place) => keys::from_place(place, args.ca_file.as_deref(), deadline)?,
        None => keys::of_issuer(&args.issuer, args.ca_file.as_deref(), deadline)?,
    };
    let expected = Expected {
        issuer: args.issuer.as_str(),
        audience: &args.audience,
        scopes: &args.scopes,
        at: args.at.unwrap_or_else(|| clock.now_seconds()),
        leeway: args.leeway,
        revocations: revocations.as_ref(),
    };
    Ok(rules::judge(token, &keys, &expected))
}

/// The token, without the white space round it.
fn read(path: &Path) -> Result<String, VerifyFault> {
    let place = match path.to_str() {
        Some("-") => "standard input".to_owned(),
        Some(text) if text.starts_with("eyJ") && text.matches('.').count() >= 2 => {
            return Err(VerifyFault::Argument);
        }
        _ => path.display().to_string(),
    };
    let mut bytes = Vec::new();
    // One more than a token may have, so that too long a one is seen as what it is.
    let most = MAX_TOKEN as u64 + 2;
    let took = if place == "standard input" {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    if let Err(source) = took {
        return Err(VerifyFault::Unreadable { place, source });
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    if text.is_empty() {
        return Err(VerifyFault::Empty(place));
    }
    Ok(text.to_owned())
}
