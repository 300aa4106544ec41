//! `grantd client snippet`: a ready program that gets tokens. Touches: fs, clock.
//!
//! **Invariant:** nothing of a credential is in the program. It reads the secret when it runs.

mod literal;

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use crate::cli::check::tell_refusal;
use crate::cli::tell::failed;
use crate::cli::{Exit, Format, Io, help};
use crate::clock::Clock;
use crate::domain::{Algorithm, ClientId, Issuer, ResourceName, UnixSeconds};
use crate::registry::publish::{Publisher, RegistrySettings, Update};
use crate::registry::snapshot::{Client, ResourceGrant, Snapshot};
use crate::registry::suggest;
use crate::settings::{self, SettingsError};

/// Prints a program that gets tokens for a client, with the values of the registry filled in.
///
/// The program is on stdout, ready to be saved and run: it prints a token. It finds the token endpoint by the
/// issuer's metadata, reads the secret from its file, and keeps a token until shortly before it expires. A
/// secret is never in it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::CLIENT_SNIPPET)]
pub(in crate::cli) struct Args {
    /// The client.
    #[arg(value_name = "ID", value_parser = ClientId::parse)]
    id: ClientId,
    /// The program's language.
    #[arg(long, value_enum)]
    lang: Language,
    /// The daemon's settings, which name the issuer and the registry.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The registry folder; that of --config, or "registry.d", where left out.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// The issuer, such as `https://auth.example.com`; that of --config where left out.
    #[arg(long, value_name = "URL", value_parser = Issuer::parse, required_unless_present = "config")]
    issuer: Option<Issuer>,
    /// The resource's name in the registry; the client's default or only one where left out.
    #[arg(long, value_name = "NAME", value_parser = ResourceName::parse)]
    resource: Option<ResourceName>,
    /// The file from which the program reads the secret; ID.secret where left out.
    ///
    /// A relative name is looked for in $CREDENTIALS_DIRECTORY where systemd sets it (`LoadCredential=`), else
    /// in the folder in which the program runs.
    #[arg(long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new())]
    secret_file: Option<String>,
    /// How to print: the program, or one JSON object with it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What a program can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// A POSIX shell script around curl.
    Curl,
    /// Python with Authlib.
    Python,
    /// Go with golang.org/x/oauth2.
    Go,
    /// Node with openid-client.
    Node,
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
enum SnippetError {
    #[error("the registry has no client `{id}`{advice}")]
    UnknownClient { id: ClientId, advice: String },
    #[error("client `{0}` is granted nothing: give it a resource in [client.{0}.grants] first")]
    NothingGranted(ClientId),
    #[error("client `{id}` may use several resources and has no default: say {choices}")]
    WhichResource { id: ClientId, choices: String },
    #[error("client `{id}` has no grant on `{name}`: {advice}")]
    NotGranted {
        id: ClientId,
        name: ResourceName,
        advice: String,
    },
    #[error("there is no issuer: say --issuer URL or --config FILE")]
    NoIssuer,
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot write to stdout")]
    Write(#[from] std::io::Error),
}

impl Language {
    const fn template(self) -> &'static str {
        match self {
            Self::Curl => include_str!("snippet/client.sh"),
            Self::Python => include_str!("snippet/client.py"),
            Self::Go => include_str!("snippet/client.go"),
            Self::Node => include_str!("snippet/client.mjs"),
        }
    }

    /// What has to be there for the program to run, and how it is run.
    const fn needs(self) -> &'static str {
        match self {
            Self::Curl => "it needs curl 7.76 or later: sh FILE",
            Self::Python => "it needs Authlib and requests from pip: python3 FILE",
            Self::Go => "it needs golang.org/x/oauth2 in its go.mod: go run FILE",
            Self::Node => {
                "it needs openid-client 6 from npm, and .mjs at the end of its name: node FILE"
            }
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let (settings, issuer) = match place(args) {
        Ok(place) => place,
        Err(error) => return failed(io, &error),
    };
    let clock = Clock::of_this_machine();
    let registry = match Publisher::new(&settings, clock).first() {
        Update::Applied(applied) => applied.snapshot,
        Update::Rejected(rejected) => return tell_refusal(&settings.folder, &rejected, io),
        Update::Moved(_) | Update::Held(_) => return Exit::Failed,
    };
    let told = find(args, &registry)
        .and_then(|(client, grant)| tell(args, &issuer, (client, grant), clock.now_seconds(), io));
    match told {
        Ok(()) => Exit::Done,
        Err(error) => failed(io, &error),
    }
}

/// The registry and the issuer: what the arguments say, else what the settings say.
fn place(args: &Args) -> Result<(RegistrySettings, Issuer), SnippetError> {
    let (mut registry, of_settings) = match &args.config {
        Some(config) => {
            let settings = settings::load(config)?;
            (settings.registry, Some(settings.issuer))
        }
        None => (RegistrySettings::default(), None),
    };
    // Which algorithms the daemon has is not asked here.
    registry.rules.algorithms = Algorithm::ALL.to_vec();
    if let Some(folder) = &args.registry {
        registry.folder.clone_from(folder);
    }
    let issuer = args.issuer.clone().or(of_settings);
    Ok((registry, issuer.ok_or(SnippetError::NoIssuer)?))
}

/// The client, and the grant that the program is to use.
fn find<'a>(
    args: &Args,
    registry: &'a Snapshot,
) -> Result<(&'a Client, &'a ResourceGrant), SnippetError> {
    let id = &args.id;
    let Some(client) = registry.clients.get(id) else {
        let ids = registry.clients.keys().map(ClientId::as_str);
        let advice = suggest::advice(id.as_str(), "clients", ids);
        let advice = match advice.strip_prefix("clients: ") {
            Some(names) => format!("; it has {names}"),
            None => format!(": {advice}"),
        };
        return Err(SnippetError::UnknownClient {
            id: id.clone(),
            advice,
        });
    };
    let names = || client.grants.iter().map(|grant| &grant.resource.name);
    let grant = match &args.resource {
        Some(name) => client.grant_on(name).ok_or_else(|| {
            let names = names().map(ResourceName::as_str);
            let advice = suggest::advice(name.as_str(), "its resources", names);
            SnippetError::NotGranted {
                id: id.clone(),
                name: name.clone(),
                advice,
            }
        }),
        None => {
            let default = client.default_grant.and_then(|at| client.grants.get(at));
            let choices: Vec<String> = names().map(|name| format!("--resource {name}")).collect();
            default.ok_or_else(|| match choices.is_empty() {
                true => SnippetError::NothingGranted(id.clone()),
                false => SnippetError::WhichResource {
                    id: id.clone(),
                    choices: choices.join(" or "),
                },
            })
        }
    };
    Ok((client, grant?))
}

/// Prints the program, and to people what it needs and what may stand against it.
fn tell(
    args: &Args,
    issuer: &Issuer,
    (client, grant): (&Client, &ResourceGrant),
    now: UnixSeconds,
    io: &mut Io<'_>,
) -> Result<(), SnippetError> {
    let file = args
        .secret_file
        .clone()
        .unwrap_or_else(|| format!("{}.secret", client.id));
    let program = program(args.lang, issuer, (client, grant), &file);
    let needs = args.lang.needs();
    match args.format {
        Format::Text => write!(io.out, "{program}")?,
        Format::Json => writeln!(
            io.out,
            "{}",
            json!({
                "client_id": client.id.as_str(),
                "issuer": issuer.as_str(),
                "resource": grant.resource.identifier.as_str(),
                "scope": &*grant.scope,
                "secret_file": file,
                "needs": needs,
                "program": program,
            })
        )?,
    }
    writeln!(io.err, "{needs}")?;
    writeln!(io.err, "it reads the secret from {file:?}")?;
    for warning in warnings(client, now) {
        writeln!(io.err, "warning: {warning}")?;
    }
    Ok(())
}

/// Why the program would get no token, as the registry stands.
fn warnings(client: &Client, now: UnixSeconds) -> Vec<String> {
    let id = &client.id;
    let over = |end: Option<UnixSeconds>| end.is_some_and(|end| end <= now);
    let mut warnings = Vec::new();
    if client.disabled {
        warnings.push(format!("client `{id}` is disabled"));
    }
    if over(client.expires) {
        warnings.push(format!("client `{id}` has expired"));
    }
    if client.secrets.iter().all(|secret| over(secret.expires)) {
        warnings.push(format!(
            "client `{id}` has no secret that is valid: make one with `grantd secret new --client {id}`"
        ));
    }
    warnings
}

/// The template with its values, each as a literal of the language.
fn program(
    lang: Language,
    issuer: &Issuer,
    (client, grant): (&Client, &ResourceGrant),
    secret_file: &str,
) -> String {
    let resource = &grant.resource;
    let about = format!(
        "Client {} ({}), for {} ({}).",
        client.id, client.title, resource.name, resource.title
    );
    let base = issuer.as_str().strip_suffix(issuer.path());
    let base = base.unwrap_or(issuer.as_str());
    // RFC 8414 section 3: the well-known part goes before the issuer's path.
    let metadata = format!(
        "{base}/.well-known/oauth-authorization-server{}",
        issuer.path()
    );
    let value = |name: &str| match name {
        "about" => Some(literal::comment(&about)),
        "issuer" => Some(lang.literal(issuer.as_str())),
        "metadata" => Some(lang.literal(&metadata)),
        "client_id" => Some(lang.literal(client.id.as_str())),
        "resource" => Some(lang.literal(resource.identifier.as_str())),
        "scope" => Some(lang.literal(&grant.scope)),
        "secret_file" => Some(lang.literal(secret_file)),
        _ => None,
    };
    fill(lang.template(), value)
}

/// A template with its `{{names}}` replaced, in one pass: what stands in a value is never a name.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let named = after.split_once("}}");
        match named.and_then(|(name, after)| Some((value(name)?, after))) {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_template_is_filled() {
        for lang in Language::value_variants() {
            let names = [
                "about",
                "issuer",
                "client_id",
                "resource",
                "scope",
                "secret_file",
            ];
            for name in names {
                assert!(
                    lang.template().contains(&format!("{{{{{name}}}}}")),
                    "{lang:?}: {name}"
                );
            }
            let known =
                |name: &str| (name == "metadata" || names.contains(&name)).then(String::new);
            assert!(!fill(lang.template(), known).contains("{{"), "{lang:?}");
        }
    }

    #[test]
    fn what_stands_in_a_value_is_no_name() {
        let value = |name: &str| (name == "a").then(|| "{{a}}{{b}}".to_owned());
        assert_eq!(fill("<{{a}}>{{b}}{{a", value), "<{{a}}{{b}}>{{b}}{{a");
    }
}
