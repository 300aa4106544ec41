//! `grantd overlay`, `grantd revoke`, `grantd client disable` and `enable`: what operators take away in an
//! emergency, on a live daemon. Touches: fs, net.

pub(super) mod print;

use std::io;

use print::{sentence, text};

use super::reach::{Need, Reach, ReachError};
use super::tell::{failed, warn};
use super::{Exit, Format, Io, help};
use crate::admin::Request;
use crate::domain::{ClientId, TokenId, UnixSeconds, visible};
use crate::registry::overlay::{EntryId, Reason};

/// Lists and clears what operators took away above the registry.
#[derive(Debug, clap::Subcommand)]
#[command(after_long_help = help::OVERLAY)]
pub(super) enum Command {
    /// Lists what is taken away.
    ///
    /// With --format json it is the document that resource servers are fed from and that
    /// grantd verify --revocations reads.
    #[command(after_long_help = help::OVERLAY_LIST)]
    List(ListArgs),
    /// Drops an entry: what it took away is given back.
    ///
    /// Refused where that brings a client or tokens back to life, unless --force says that this is meant.
    #[command(after_long_help = help::OVERLAY_CLEAR)]
    Clear(ClearArgs),
}

/// What `list` is told.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    reach: Reach,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What every change is told.
#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// Why, in one line of at most 128 bytes: it is shown by status and stands in the event.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    #[command(flatten)]
    reach: Reach,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What `clear` is told.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("which entry").args(["entry", "client"]).required(true))]
pub(super) struct ClearArgs {
    /// The number of the entry, as list shows it.
    #[arg(value_name = "ENTRY", value_parser = EntryId::parse)]
    entry: Option<EntryId>,
    /// The entry that disables this client.
    #[arg(long, value_name = "ID", value_parser = ClientId::parse)]
    client: Option<ClientId>,
    /// Also where the registry has the client enabled, or where the tokens have not expired.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What `client disable` is told.
#[derive(Debug, clap::Args)]
pub(super) struct DisableArgs {
    /// The client's id. One that the registry does not know is taken too, with a warning.
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What `client enable` is told.
#[derive(Debug, clap::Args)]
pub(super) struct EnableArgs {
    /// The client's id.
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,
    /// Also where the registry has the client enabled, so that it gets tokens again at once.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Makes tokens void that were issued already.
///
/// It is recorded, published as an event and listed until the last such token has expired. Verifiers that
/// look at neither accept the tokens until then: see docs/operations.md.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("which tokens").args(["client", "jti", "before"]).required(true).multiple(true))]
#[command(after_long_help = help::REVOKE)]
pub(super) struct RevokeArgs {
    /// Those of this client.
    #[arg(long, value_name = "ID", value_parser = ClientId::parse, conflicts_with = "jti")]
    client: Option<ClientId>,
    /// The one with this jti, never the token itself.
    #[arg(long, value_name = "JTI", value_parser = token_id)]
    jti: Option<TokenId>,
    /// Those that were issued before this moment (2026-11-23T08:30:00Z): all, or those of --client.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = UnixSeconds::parse_rfc3339,
        conflicts_with = "jti"
    )]
    before: Option<UnixSeconds>,
    #[command(flatten)]
    change: ChangeArgs,
}

fn token_id(text: &str) -> Result<TokenId, &'static str> {
    TokenId::parse(text).map_err(
        |_| "a jti has 32 lower-case hexadecimal digits: the claim of the token, never the token itself",
    )
}

fn reason(text: &str) -> Result<String, String> {
    let reason = Reason::parse(text).map_err(|error| error.to_string())?;
    Ok(reason.as_str().to_owned())
}

/// Runs `grantd overlay …`.
pub(super) fn run(command: &Command, io: &mut Io<'_>) -> Exit {
    match command {
        Command::List(args) => exit(list(args, io), io),
        Command::Clear(args) => {
            let request = Request::OverlayClear {
                entry: args.entry.map(EntryId::get),
                client: args.client.as_ref().map(|it| it.as_str().to_owned()),
                force: args.force,
                reason: args.change.reason.clone(),
            };
            exit(change(&request, &args.change, io), io)
        }
    }
}

/// Runs `grantd revoke`.
pub(super) fn revoke(args: &RevokeArgs, io: &mut Io<'_>) -> Exit {
    let request = Request::Revoke {
        client: args.client.as_ref().map(|it| it.as_str().to_owned()),
        jti: args.jti.map(|it| it.to_string()),
        before: args.before.map(UnixSeconds::to_rfc3339),
        reason: args.change.reason.clone(),
    };
    exit(change(&request, &args.change, io), io)
}

/// Runs `grantd client disable`.
pub(super) fn disable(args: &DisableArgs, io: &mut Io<'_>) -> Exit {
    let request = Request::ClientDisable {
        client: args.id.as_str().to_owned(),
        reason: args.change.reason.clone(),
    };
    exit(change(&request, &args.change, io), io)
}

/// Runs `grantd client enable`.
pub(super) fn enable(args: &EnableArgs, io: &mut Io<'_>) -> Exit {
    let request = Request::OverlayClear {
        entry: None,
        client: Some(args.id.as_str().to_owned()),
        force: args.force,
        reason: args.change.reason.clone(),
    };
    exit(change(&request, &args.change, io), io)
}

fn exit(done: Result<(), ReachError>, io: &mut Io<'_>) -> Exit {
    match done {
        Ok(()) => Exit::Done,
        Err(error) => failed(io, &error),
    }
}

fn change(request: &Request, args: &ChangeArgs, io: &mut Io<'_>) -> Result<(), ReachError> {
    let mut daemon = args.reach.connect(Need::Change)?;
    let (report, warnings) = daemon.change(request)?;
    match args.format {
        Format::Json => writeln!(io.out, "{}", json(&report)?)?,
        Format::Text => writeln!(io.out, "{}", sentence(&report))?,
    }
    for warning in warnings {
        warn(io, &visible(&warning));
    }
    Ok(())
}

fn list(args: &ListArgs, io: &mut Io<'_>) -> Result<(), ReachError> {
    let report = args.reach.connect(Need::Look)?.overlay()?;
    match args.format {
        Format::Json => writeln!(io.out, "{}", json(&report)?)?,
        Format::Text => text(&report, io)?,
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}
