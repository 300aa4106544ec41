//! `grantd access`: who can do what. Touches: fs, clock, process by its terminal.

use std::io;

use serde_json::{Value, json};

use super::folder::{FolderArgs, parse_at};
use super::tell::failed;
use super::{Exit, Format, Io, help, table};
use crate::domain::{Owner, UnixSeconds};
use crate::explain::access::{self, Access, Unknown};
use crate::registry::snapshot::{Client, Resource, Snapshot};

/// Lists who can do what.
///
/// The clients that have something on a resource, or the resources that a client has something on: with
/// their scopes, their owners, and whether they may use it now.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::ACCESS)]
#[command(group = clap::ArgGroup::new("of").required(true))]
pub(super) struct Args {
    /// The clients of this resource, by its name in the registry or by its identifier.
    #[arg(long, value_name = "NAME|URI", group = "of")]
    resource: Option<String>,
    /// The resources of this client.
    #[arg(long, value_name = "ID", group = "of")]
    client: Option<String>,
    /// Only clients that have this scope.
    #[arg(long, value_name = "SCOPE", conflicts_with = "client")]
    scope: Option<String>,
    /// As of this moment or day; now where left out.
    #[arg(long, value_name = "TIME", value_parser = parse_at)]
    at: Option<UnixSeconds>,
    #[command(flatten)]
    registry: FolderArgs,
    /// How to print: a table for people, or one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
enum AccessError {
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("cannot write to stdout")]
    Write(#[from] io::Error),
}

/// Runs the command.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let accepted = match args.registry.read(io) {
        Ok(accepted) => accepted,
        Err(exit) => return exit,
    };
    let now = args.at.unwrap_or(accepted.now);
    match tell(args, &accepted.snapshot, now, io) {
        Ok(()) => Exit::Done,
        Err(error) => failed(io, &error),
    }
}

fn tell(
    args: &Args,
    registry: &Snapshot,
    now: UnixSeconds,
    io: &mut Io<'_>,
) -> Result<(), AccessError> {
    let head = json!({ "at": now.to_rfc3339(), "digest": registry.digest.to_string() });
    if let Some(id) = &args.client {
        let client = access::client(id, registry)?;
        let rows = access::of_client(client, now);
        match args.format {
            Format::Text => text_of_client(client, &rows, io)?,
            Format::Json => print(head, "client", client_object(client, &rows), io)?,
        }
        return Ok(());
    }
    let name = args.resource.as_deref().unwrap_or_default();
    let resource = access::resource(name, registry)?;
    let rows = access::of_resource(resource, args.scope.as_deref(), registry, now)?;
    match args.format {
        Format::Text => text_of_resource(resource, &rows, io)?,
        Format::Json => print(head, "resource", resource_object(resource, &rows), io)?,
    }
    Ok(())
}

fn print(mut head: Value, name: &str, value: Value, io: &mut Io<'_>) -> io::Result<()> {
    if let Some(head) = head.as_object_mut() {
        head.insert(name.to_owned(), value);
    }
    writeln!(io.out, "{head}")
}

fn text_of_resource(resource: &Resource, rows: &[Access<'_>], io: &mut Io<'_>) -> io::Result<()> {
    let (name, identifier) = (&resource.name, &resource.identifier);
    let owner = of(resource.owner.as_ref());
    writeln!(
        io.err,
        "{name}, {identifier}{owner}: {}",
        count(rows.len(), "client")
    )?;
    let rows: Vec<[String; 5]> = rows
        .iter()
        .map(|row| {
            [
                row.client.id.as_str().to_owned(),
                row.state.name().to_owned(),
                secrets(row),
                dash(row.client.owner.as_ref()),
                scopes(row),
            ]
        })
        .collect();
    table::print(["CLIENT", "STATE", "SECRETS", "OWNER", "SCOPES"], &rows, io)
}

fn text_of_client(client: &Client, rows: &[Access<'_>], io: &mut Io<'_>) -> io::Result<()> {
    let state = rows.first().map_or("active", |row| row.state.name());
    let owner = of(client.owner.as_ref());
    writeln!(
        io.err,
        "{}, {:?}{owner}: {state}, {}",
        client.id,
        client.title,
        count(rows.len(), "resource")
    )?;
    let default = client.default_grant;
    let rows: Vec<[String; 5]> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let mark = if Some(at) == default && rows.len() > 1 {
                " (default)"
            } else {
                ""
            };
            [
                format!("{}{mark}", row.grant.resource.name),
                row.state.name().to_owned(),
                secrets(row),
                dash(row.grant.resource.owner.as_ref()),
                scopes(row),
            ]
        })
        .collect();
    table::print(
        ["RESOURCE", "STATE", "SECRETS", "OWNER", "SCOPES"],
        &rows,
        io,
    )
}

/// How many of its secrets may be used, and until when.
fn secrets(row: &Access<'_>) -> String {
    let of = row.client.secrets.len();
    match (row.usable, row.until) {
        (0, _) => format!("0 of {of}"),
        (usable, None) => format!("{usable} of {of}, without an end"),
        (usable, Some(until)) => {
            let until = until.to_rfc3339();
            let day = until.split('T').next().unwrap_or_default();
            format!("{usable} of {of}, until {day}")
        }
    }
}

fn scopes(row: &Access<'_>) -> String {
    let names: Vec<&str> = row.scopes().collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(" ")
    }
}

fn dash(owner: Option<&Owner>) -> String {
    owner.map_or("-", Owner::as_str).to_owned()
}

fn of(owner: Option<&Owner>) -> String {
    owner.map_or(String::new(), |owner| format!(", of {}", owner.as_str()))
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn resource_object(resource: &Resource, rows: &[Access<'_>]) -> Value {
    json!({
        "name": resource.name.as_str(),
        "identifier": resource.identifier.as_str(),
        "owner": resource.owner.as_ref().map(Owner::as_str),
        "clients": rows
            .iter()
            .map(|row| json!({
                "client": row.client.id.as_str(),
                "name": row.client.title,
                "owner": row.client.owner.as_ref().map(Owner::as_str),
                "state": row.state.name(),
                "scopes": row.scopes().collect::<Vec<_>>(),
                "secrets": secrets_object(row),
            }))
            .collect::<Vec<_>>(),
    })
}

fn client_object(client: &Client, rows: &[Access<'_>]) -> Value {
    json!({
        "id": client.id.as_str(),
        "name": client.title,
        "owner": client.owner.as_ref().map(Owner::as_str),
        "expires": client.expires.map(UnixSeconds::to_rfc3339),
        "state": rows.first().map(|row| row.state.name()),
        "secrets": rows.first().map(secrets_object),
        "resources": rows
            .iter()
            .enumerate()
            .map(|(at, row)| json!({
                "resource": row.grant.resource.name.as_str(),
                "identifier": row.grant.resource.identifier.as_str(),
                "owner": row.grant.resource.owner.as_ref().map(Owner::as_str),
                "default": client.default_grant == Some(at),
                "scopes": row.scopes().collect::<Vec<_>>(),
            }))
            .collect::<Vec<_>>(),
    })
}

fn secrets_object(row: &Access<'_>) -> Value {
    json!({
        "count": row.client.secrets.len(),
        "usable": row.usable,
        "usable_until": row.until.map(UnixSeconds::to_rfc3339),
    })
}
