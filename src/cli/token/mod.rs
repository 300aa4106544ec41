//! `grantd token`: a token for a script or a cron job. Touches: fs, net, clock, process.
//!
//! `secret → cache → (lock → discovery → token endpoint → cache) → stdout`
//!
//! **Invariant:** the secret comes from a file, a credential or standard input and goes to the token
//! endpoint alone; a token that is served from the cache was got with the same secret.

mod answer;
mod cache;
mod fetch;
mod kept;
mod request;
mod secret;

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;

use self::answer::AnswerFault;
use self::cache::{Cache, CacheFault, Entry};
use self::fetch::{Asking, FetchFault, Patience, fetch};
use self::kept::{Age, Kept};
use self::request::Request;
use self::secret::{Place, SecretFault};
use super::https::{Client, Deadline};
use super::tell::{failed, warn};
use super::{Exit, Io, help};
use crate::clock::Clock;
use crate::domain::{ClientId, Issuer, Lifetime, ResourceIdentifier, UnixSeconds, split_scope};
use crate::settings::environment::Environment;

/// How long a command waits for a token in all: a cron job has a minute.
const DEFAULT_TIMEOUT: &str = "30s";

/// Gets an access token for a script or a cron job, and keeps it until it has to be renewed.
///
/// The secret is read from a file, a systemd credential or standard input: never from an argument or
/// the environment, which others can read. The token endpoint is found by the issuer's metadata. The
/// token is kept on disk, readable by this user alone, and served from there until shortly before it
/// expires; when many jobs ask at once, one asks the server and the others wait for its answer.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::TOKEN)]
pub(super) struct Args {
    /// The issuer: the https URL of the token server, as its operator wrote it.
    #[arg(long, value_name = "URL", value_parser = Issuer::parse)]
    issuer: Issuer,
    /// The client's id.
    #[arg(long, value_name = "ID", value_parser = ClientId::parse)]
    client_id: ClientId,
    #[command(flatten)]
    secret: SecretArgs,
    /// The API that the token is for: its identifier, an absolute URI.
    ///
    /// Left out, the token is for the client's default API, or its only one.
    #[arg(long, value_name = "URI", value_parser = ResourceIdentifier::parse)]
    resource: Option<ResourceIdentifier>,
    /// The scopes, separated by single spaces. Left out, the client gets all that it has there.
    #[arg(long, value_name = "SCOPES", value_parser = scope)]
    scope: Option<String>,
    /// Trust the CA whose certificate is in this PEM file, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How to print the token.
    #[arg(long, value_enum, default_value_t)]
    format: TokenFormat,
    /// Where tokens are kept. The folder must belong to this user, and to nobody else.
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Ask the server each time, and keep nothing.
    #[arg(long)]
    no_cache: bool,
    /// Renew a kept token when less than this is left of it.
    ///
    /// Left out: a tenth of its lifetime, but at least 60s, and at most half of it.
    #[arg(long, value_name = "TIME", value_parser = Lifetime::parse)]
    renew_before: Option<Lifetime>,
    /// How long to try, all attempts and waits together.
    #[arg(long, value_name = "TIME", default_value = DEFAULT_TIMEOUT, value_parser = Lifetime::parse)]
    timeout: Lifetime,
}

/// Where the secret is: in one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SecretArgs {
    /// The file with the client's secret, one line; "-" for standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The systemd credential with the client's secret (LoadCredential=NAME:FILE).
    #[arg(long, value_name = "NAME")]
    secret_credential: Option<String>,
}

/// How a token is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TokenFormat {
    /// The token alone.
    #[default]
    Token,
    /// A header for curl -H @-, Authorization: Bearer and the token.
    Header,
    /// One JSON object: access_token, token_type, expires_in, expires_at, scope.
    Json,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum TokenFault {
    #[error(transparent)]
    Secret(#[from] SecretFault),
    #[error(transparent)]
    Cache(#[from] CacheFault),
    #[error("cannot get a token")]
    Fetch(#[from] FetchFault),
    #[error("cannot print the token")]
    Print(#[from] std::io::Error),
}

fn scope(text: &str) -> Result<String, String> {
    split_scope(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// Runs `grantd token`.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let clock = Clock::of_this_machine();
    let done = obtain(args, clock, io).and_then(|token| {
        print(&token, args.format, clock.now_seconds(), io)?;
        Ok(())
    });
    match done {
        Ok(()) => Exit::Done,
        Err(fault) => {
            let exit = failed(io, &fault);
            match fault {
                TokenFault::Fetch(FetchFault::Answer(AnswerFault::Refused(_))) => Exit::Refused,
                _ => exit,
            }
        }
    }
}

fn obtain(args: &Args, clock: Clock, io: &mut Io<'_>) -> Result<Kept, TokenFault> {
    let environment = Environment::of_this_process();
    let from = &args.secret;
    let place = Place::of(
        from.secret_file.as_deref(),
        from.secret_credential.as_deref(),
        &environment,
    )?;
    let found = place.read(&args.client_id)?;
    if let Some(warning) = &found.warning {
        warn(io, warning);
    }
    // Also while a token is kept: a wrong file must not show when that token ends, at night.
    Client::check(args.ca_file.as_deref()).map_err(FetchFault::from)?;
    let request = Request {
        issuer: args.issuer.clone(),
        client: args.client_id.clone(),
        resource: args.resource.clone(),
        scope: args.scope.clone(),
        secret: found.secret,
    };
    let asking = Asking {
        request: &request,
        place: &place.describe(),
        ca_file: args.ca_file.as_deref(),
        deadline: Deadline::after(clock, args.timeout.to_duration()),
        clock,
    };
    match open_cache(args, &environment, clock) {
        Ok(Some(cache)) => match from_cache(&cache, &asking, args.renew_before, io) {
            Err(TokenFault::Cache(fault @ CacheFault::Io { .. })) => uncached(&asking, &fault, io),
            done => done,
        },
        Ok(None) => Ok(fetch(&asking, Patience::UntilDeadline)?),
        Err(fault) => uncached(&asking, &fault, io),
    }
}

/// A job goes on without its cache, and says so each time.
fn uncached(asking: &Asking<'_>, fault: &CacheFault, io: &mut Io<'_>) -> Result<Kept, TokenFault> {
    warn(io, &crate::domain::chain(fault));
    Ok(fetch(asking, Patience::UntilDeadline)?)
}

fn open_cache(
    args: &Args,
    environment: &Environment,
    clock: Clock,
) -> Result<Option<Cache>, CacheFault> {
    if args.no_cache {
        return Ok(None);
    }
    let place = cache::place(args.cache_dir.as_deref(), environment).ok_or(CacheFault::Nowhere)?;
    Cache::open(&place, clock).map(Some)
}

/// Serves a token that is kept, or asks for one and keeps it.
fn from_cache(
    cache: &Cache,
    asking: &Asking<'_>,
    renew: Option<Lifetime>,
    io: &mut Io<'_>,
) -> Result<Kept, TokenFault> {
    let key = asking.request.key();
    let look = || match cache.read(&key) {
        Entry::Token(token) => {
            let age = token.age(asking.clock.now_seconds(), renew);
            (age != Age::Over).then_some((token, age))
        }
        Entry::Nothing | Entry::Unusable(_) => None,
    };
    // Without a valid token there is nothing to do but wait; with one, whoever asks already will do.
    let _turn = match look() {
        Some((token, Age::Fresh)) => return Ok(token),
        Some((token, _)) => match cache.try_turn(&key)? {
            Some(turn) => turn,
            None => return Ok(token),
        },
        None => cache.turn(&key, asking.deadline)?,
    };
    // The one before may have got it.
    let kept = match look() {
        Some((token, Age::Fresh)) => return Ok(token),
        Some((token, _)) => Some(token),
        None => None,
    };
    if let Entry::Unusable(why) = cache.read(&key) {
        warn(io, &why);
    }
    let patience = match kept {
        Some(_) => Patience::Once,
        None => Patience::UntilDeadline,
    };
    match (fetch(asking, patience), kept) {
        (Ok(token), _) => {
            if let Err(fault) = keep(cache, &key, &token) {
                warn(io, &crate::domain::chain(&fault));
            }
            Ok(token)
        }
        (Err(fault), Some(token)) if fault.passes() => {
            let fault = crate::domain::chain(&fault);
            warn(
                io,
                &format!("the kept token is served, for it is still valid: {fault}"),
            );
            Ok(token)
        }
        (Err(fault), _) => Err(fault.into()),
    }
}

/// A token whose end nobody knows is not kept.
fn keep(cache: &Cache, key: &crate::domain::Digest, token: &Kept) -> Result<(), CacheFault> {
    match token.lifetime {
        Some(_) => cache.write(key, token),
        None => Ok(()),
    }
}

fn print(
    token: &Kept,
    format: TokenFormat,
    now: UnixSeconds,
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    let text = token.access_token.expose();
    match format {
        TokenFormat::Token => writeln!(io.out, "{text}")?,
        TokenFormat::Header => writeln!(io.out, "Authorization: Bearer {text}")?,
        TokenFormat::Json => {
            let expires = token.expires();
            let object = json!({
                "access_token": text,
                "token_type": "Bearer",
                "expires_in": expires.map(|at| at.since(now).seconds()),
                "expires_at": expires.map(UnixSeconds::to_rfc3339),
                "scope": token.scope,
            });
            writeln!(io.out, "{object}")?;
        }
    }
    io.out.flush()
}
