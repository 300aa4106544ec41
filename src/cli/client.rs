//! `grantd client new`: a client's file, with its first secret; the others in files of their own.
//! Touches: fs, clock.

mod snippet;

use std::path::PathBuf;

use toml_edit::{Array, Datetime, DocumentMut, Item, Table, value};

use super::secret::{
    EditError, Folder, NewSecret, SecretArgs, Written, alone_is_fine, create, finish,
};
use super::{Exit, Format, Io, help, overlay};
use crate::domain::{ClientId, Owner, ResourceName, ScopeName};

/// Makes clients and programs for them, and disables one in an emergency.
#[derive(Debug, clap::Subcommand)]
#[command(after_long_help = help::CLIENT)]
pub(super) enum Command {
    /// Makes a client with a secret, and writes its file.
    New(NewArgs),
    /// Prints a program that gets tokens for a client.
    Snippet(snippet::Args),
    /// Disables a client on a live daemon, at once and whatever the registry says.
    ///
    /// Its next request gets no token. Tokens that it has are accepted until they expire, unless they are
    /// revoked too. It stays so, also across a restart, until an operator clears it.
    #[command(after_long_help = help::CLIENT_DISABLE)]
    Disable(overlay::DisableArgs),
    /// Takes back that an operator disabled a client: grantd overlay clear --client ID.
    ///
    /// What the registry says of it counts again.
    #[command(after_long_help = help::CLIENT_ENABLE)]
    Enable(overlay::EnableArgs),
}

/// Makes a client with a secret.
///
/// With --dir or --output the file is written, checked first, and stdout has the secret alone.
/// Without, stdout has the file to save, and stderr the secret. A file that exists is never
/// overwritten.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::CLIENT_NEW)]
pub(super) struct NewArgs {
    /// The client's id: lower-case letters, digits, `-`, `_` and `.`.
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,
    /// What it may ask for: `billing=invoice:read,invoice:write`. Once for each resource.
    #[arg(long = "grant", value_name = "RESOURCE=SCOPE,…", required = true, value_parser = parse_grant)]
    grants: Vec<Grant>,
    /// Who answers for it, such as `team-billing`.
    #[arg(long, value_parser = Owner::parse)]
    owner: Option<Owner>,
    /// The name for people.
    #[arg(long)]
    name: Option<String>,
    /// The last day of the client, such as `2027-06-30`.
    #[arg(long, value_name = "DATE")]
    expires: Option<Datetime>,
    /// The registry folder: the file becomes DIR/ID.toml, and the registry is checked with it.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The file to write; with --dir, one below it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretArgs,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// One resource with its scopes, as an argument spells it.
#[derive(Clone, Debug)]
struct Grant {
    resource: ResourceName,
    scopes: Vec<ScopeName>,
}

/// Runs a subcommand.
pub(super) fn run(command: &Command, io: &mut Io<'_>) -> Exit {
    match command {
        Command::New(args) => finish(make(args, io), io),
        Command::Snippet(args) => snippet::run(args, io),
        Command::Disable(args) => overlay::disable(args, io),
        Command::Enable(args) => overlay::enable(args, io),
    }
}

fn make(args: &NewArgs, io: &mut Io<'_>) -> Result<(), EditError> {
    let folder = args.dir.as_deref().map(Folder::read).transpose()?;
    let most = folder.as_ref().and_then(Folder::longest_secret);
    let secret = NewSecret::make(&args.id, &args.secret, most, None)?;
    let mut document = document(args);
    secret.append(&mut document);
    let text = document.to_string();
    let path = match (&args.output, &args.dir) {
        (Some(output), _) => Some(output.clone()),
        (None, Some(dir)) => Some(dir.join(format!("{}.toml", args.id))),
        (None, None) => None,
    };
    let Some(path) = path else {
        alone_is_fine(std::path::Path::new("stdout"), &text)?;
        return secret.show(&args.secret, args.format, &Written::Printed(text), io);
    };
    if path.exists() {
        return Err(EditError::Exists(path));
    }
    match &folder {
        Some(folder) => folder.accepts(&path, &text)?,
        None => alone_is_fine(&path, &text)?,
    }
    secret.keep(&args.secret)?;
    create(&path, &text, 0o644)?;
    secret.show(&args.secret, args.format, &Written::To(path), io)
}

/// The file, but for the secret.
fn document(args: &NewArgs) -> DocumentMut {
    let mut client = Table::new();
    if let Some(name) = &args.name {
        client.insert("name", value(name));
    }
    if let Some(owner) = &args.owner {
        client.insert("owner", value(owner.as_str()));
    }
    if let Some(expires) = args.expires {
        client.insert("expires", value(expires));
    }
    let mut grants = Table::new();
    for grant in &args.grants {
        let scopes: Array = grant.scopes.iter().map(ScopeName::as_str).collect();
        grants.insert(grant.resource.as_str(), value(scopes));
    }
    client.insert("grants", Item::Table(grants));
    let mut clients = Table::new();
    clients.set_implicit(true);
    clients.insert(args.id.as_str(), Item::Table(client));
    let mut document = DocumentMut::new();
    document.insert("client", Item::Table(clients));
    document
}

fn parse_grant(text: &str) -> Result<Grant, String> {
    let (resource, scopes) = text
        .split_once('=')
        .ok_or("write RESOURCE=SCOPE[,SCOPE…], such as billing=invoice:read")?;
    let resource =
        ResourceName::parse(resource).map_err(|error| format!("{resource:?}: {error}"))?;
    let scopes = scopes
        .split(',')
        .filter(|scope| !scope.is_empty())
        .map(|scope| ScopeName::parse(scope).map_err(|error| format!("{scope:?}: {error}")))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Grant { resource, scopes })
}
