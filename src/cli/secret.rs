//! `grantd secret new`: a client secret, and the table that holds its hash. Touches: fs, clock.
//!
//! The secret is shown once or written to a file of its own. It is never an argument.

mod edit;

use std::path::{Path, PathBuf};

use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use serde_json::json;
use toml_edit::{ArrayOfTables, Datetime, DocumentMut, InlineTable, Item, Table, Value, value};

use super::{Exit, Format, Io, help};
use crate::clock::Clock;
use crate::domain::{ClientId, CredentialId, GeneratedSecret, Lifetime, UnixSeconds};
use crate::random;
pub(super) use edit::{EditError, Folder, alone_is_fine, create, finish};
use edit::{io_error, replace};

/// How long a secret lives where neither the command nor the policy says: the policy that the
/// example registry sets.
const DEFAULT_SECRET_LIFETIME: Lifetime = Lifetime::from_days(180);

/// Makes secrets.
#[derive(Debug, clap::Subcommand)]
#[command(after_long_help = help::SECRET)]
pub(super) enum Command {
    /// Makes a secret for a client and writes its hash into the client's file.
    New(NewArgs),
}

/// Makes a secret for a client.
///
/// With --dir or --file the table is appended to the client's file in place, and stdout has the
/// secret alone. Without, stdout has the table to paste, and stderr the secret.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::SECRET_NEW)]
pub(super) struct NewArgs {
    /// The client.
    #[arg(long, value_name = "ID", value_parser = ClientId::parse)]
    client: ClientId,
    /// The registry folder: the client's file is found there, and the result is checked.
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    dir: Option<PathBuf>,
    /// The client's file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What people call the secret.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What the commands that make secrets have in common.
#[derive(Debug, clap::Args)]
pub(super) struct SecretArgs {
    /// Until when the secret may be used: a date (`2027-06-30`) or a time from now (`90d`). The
    /// policy's longest life, or 180d, where left out.
    #[arg(long, value_name = "WHEN")]
    secret_expires: Option<String>,
    /// Write the secret to this new file, readable by its owner alone, instead of showing it.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// A secret that was just made, with the dates of its table.
pub(super) struct NewSecret {
    pub(super) secret: GeneratedSecret,
    client: ClientId,
    created: Datetime,
    expires: Datetime,
    label: Option<String>,
}

/// Runs a subcommand.
pub(super) fn run(command: &Command, io: &mut Io<'_>) -> Exit {
    let Command::New(args) = command;
    let result = make(args, io);
    finish(result, io)
}

fn make(args: &NewArgs, io: &mut Io<'_>) -> Result<(), EditError> {
    let folder = args.dir.as_deref().map(Folder::read).transpose()?;
    let most = folder.as_ref().and_then(Folder::longest_secret);
    let secret = NewSecret::make(&args.client, &args.secret, most, args.label.clone())?;
    let path = match (&folder, &args.file) {
        (Some(folder), _) => Some(folder.file_of(&args.client)?),
        (None, file) => file.clone(),
    };
    let Some(path) = path else {
        let mut document = DocumentMut::new();
        secret.append(&mut document);
        return secret.show(
            &args.secret,
            args.format,
            &Written::Printed(document.to_string()),
            io,
        );
    };
    let text = std::fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let mut document: DocumentMut = text.parse().map_err(|source| EditError::Toml {
        path: path.clone(),
        source,
    })?;
    let known = document
        .get("client")
        .and_then(|clients| clients.get(args.client.as_str()))
        .is_some_and(Item::is_table_like);
    if !known {
        let client = args.client.clone();
        return Err(EditError::NotInFile { path, client });
    }
    secret.append(&mut document);
    let edited = document.to_string();
    match &folder {
        Some(folder) => folder.accepts(&path, &edited)?,
        None => alone_is_fine(&path, &edited)?,
    }
    secret.keep(&args.secret)?;
    replace(&path, &edited)?;
    secret.show(&args.secret, args.format, &Written::To(path), io)
}

/// Where the table went.
pub(super) enum Written {
    /// Into this file.
    To(PathBuf),
    /// Nowhere yet: this is its text.
    Printed(String),
}

impl NewSecret {
    /// A secret for this client, with an end within the policy's limit.
    pub(super) fn make(
        client: &ClientId,
        args: &SecretArgs,
        most: Option<Lifetime>,
        label: Option<String>,
    ) -> Result<Self, EditError> {
        let now = Clock::of_this_machine().now_seconds();
        let life = most.map_or(DEFAULT_SECRET_LIFETIME, |most| {
            most.min(DEFAULT_SECRET_LIFETIME)
        });
        let expires = match &args.secret_expires {
            None => date_after(now, life),
            Some(text) => match (text.parse::<Datetime>(), Lifetime::parse(text)) {
                (Ok(date), _) => Some(date),
                (Err(_), Ok(life)) => date_after(now, life),
                (Err(_), Err(_)) => None,
            },
        };
        let wrong = || EditError::Expiry(args.secret_expires.clone().unwrap_or_default());
        Ok(Self {
            secret: GeneratedSecret::from_entropy(&random::bytes()),
            client: client.clone(),
            created: date_after(now, Lifetime::ZERO).ok_or_else(wrong)?,
            expires: expires.ok_or_else(wrong)?,
            label,
        })
    }

    /// Appends the table `[[client.ID.secret]]`; what stands there keeps its place and comments.
    pub(super) fn append(&self, document: &mut DocumentMut) {
        let clients = document
            .entry("client")
            .or_insert_with(implicit_table)
            .as_table_like_mut();
        let client = clients.and_then(|clients| {
            clients
                .entry(self.client.as_str())
                .or_insert_with(implicit_table)
                .as_table_like_mut()
        });
        let Some(client) = client else { return };
        let secrets = client
            .entry("secret")
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        match secrets {
            Item::ArrayOfTables(tables) => tables.push(self.table()),
            Item::Value(Value::Array(items)) => {
                items.push(InlineTable::from_iter(self.table().iter().filter_map(
                    |(key, item)| Some((key.to_owned(), item.as_value()?.clone())),
                )));
            }
            _ => {}
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        if let Some(label) = &self.label {
            table.insert("label", value(label));
        }
        table.insert(
            "hash",
            value(self.secret.verifier(&self.client).to_string()),
        );
        table.insert("created", value(self.created));
        table.insert("expires", value(self.expires));
        table
    }

    /// Writes the secret to its own file, where one was named. Before the registry is written: a
    /// hash without its secret is of no use to anybody.
    pub(super) fn keep(&self, args: &SecretArgs) -> Result<(), EditError> {
        match &args.secret_file {
            Some(path) => create(path, self.secret.expose(), 0o600),
            None => Ok(()),
        }
    }

    /// Shows what was made: the one time that the secret is seen.
    pub(super) fn show(
        &self,
        args: &SecretArgs,
        format: Format,
        written: &Written,
        io: &mut Io<'_>,
    ) -> Result<(), EditError> {
        if let Written::Printed(_) = written {
            self.keep(args)?;
        }
        let result = match format {
            Format::Json => self.show_json(args, written, io),
            Format::Text => self.show_text(args, written, io),
        };
        result.map_err(io_error("write to", Path::new("stdout")))
    }

    fn show_json(
        &self,
        args: &SecretArgs,
        written: &Written,
        io: &mut Io<'_>,
    ) -> std::io::Result<()> {
        let (file, toml) = match written {
            Written::To(path) => (Some(path.display().to_string()), None),
            Written::Printed(text) => (None, Some(text)),
        };
        let shown = args.secret_file.is_none().then(|| self.secret.expose());
        let value = json!({
            "client_id": self.client.as_str(),
            "client_secret": shown,
            "secret_file": args.secret_file.as_ref().map(|path| path.display().to_string()),
            "credential": CredentialId::of_secret(&self.secret.verifier(&self.client)).as_str(),
            "expires": self.expires.to_string(),
            "file": file,
            "toml": toml,
        });
        writeln!(io.out, "{value}")
    }

    fn show_text(
        &self,
        args: &SecretArgs,
        written: &Written,
        io: &mut Io<'_>,
    ) -> std::io::Result<()> {
        let client = &self.client;
        if let Some(path) = &args.secret_file {
            let path = path.display();
            writeln!(
                io.err,
                "the secret of client {client} is in {path}, until {}",
                self.expires
            )?;
        } else {
            let until = self.expires;
            writeln!(
                io.err,
                "the secret of client {client}, until {until}; it is shown this once:"
            )?;
        }
        match written {
            Written::To(path) => {
                if args.secret_file.is_none() {
                    writeln!(io.out, "{}", self.secret.expose())?;
                }
                writeln!(io.err, "its hash is in {}", path.display())
            }
            Written::Printed(text) => {
                if args.secret_file.is_none() {
                    writeln!(io.err, "{}", self.secret.expose())?;
                }
                write!(io.out, "{text}")
            }
        }
    }
}

fn implicit_table() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// The moment this long after `now`: a date where the span is whole days, else to the second.
fn date_after(now: UnixSeconds, span: Lifetime) -> Option<Datetime> {
    let whole_days = span
        .seconds()
        .is_multiple_of(Lifetime::from_days(1).seconds());
    let text = if whole_days {
        let now = Timestamp::from_second(i64::try_from(now.get()).ok()?).ok()?;
        let days = i32::try_from(span.seconds() / Lifetime::from_days(1).seconds()).ok()?;
        let today = Offset::UTC.to_datetime(now).date();
        today.checked_add(days.days()).ok()?.to_string()
    } else {
        now.plus(span).to_rfc3339()
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests;
