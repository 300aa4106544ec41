//! `grantd explain`: what a request would come to, and why. Touches: fs, clock.

mod print;

use super::folder::{FolderArgs, parse_at};
use super::tell::failed;
use super::{Exit, Format, Io, help};
use crate::domain::{AuthMethod, UnixSeconds};
use crate::explain::{Question, explain};

/// Explains why a request would be granted or refused.
///
/// Step by step, from the registry alone, by the rules that serve requests: the client, its credential, the
/// resource, the scopes, the token that it would get. No secret is needed, and no daemon is asked.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::EXPLAIN)]
pub(super) struct Args {
    /// The client's id.
    #[arg(long, value_name = "ID")]
    client: String,
    /// The resource, by its name in the registry or by its identifier; left out as in a request.
    #[arg(long, value_name = "NAME|URI")]
    resource: Option<String>,
    /// A scope, or several in one argument or in several; left out as in a request.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// The secret, by its id or its label; the one that gets most where left out.
    #[arg(long, value_name = "ID|LABEL")]
    credential: Option<String>,
    /// How the secret is presented: client_secret_basic or client_secret_post; in a way that the policy allows
    /// where left out.
    #[arg(long, value_name = "METHOD", value_parser = parse_method)]
    method: Option<AuthMethod>,
    /// As of this moment or day; now where left out.
    #[arg(long, value_name = "TIME", value_parser = parse_at)]
    at: Option<UnixSeconds>,
    #[command(flatten)]
    registry: FolderArgs,
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Exit {
    let accepted = match args.registry.read(io) {
        Ok(accepted) => accepted,
        Err(exit) => return exit,
    };
    let scope = (!args.scope.is_empty()).then(|| args.scope.join(" "));
    let question = Question {
        client: &args.client,
        resource: args.resource.as_deref(),
        scope: scope.as_deref(),
        credential: args.credential.as_deref(),
        method: args.method,
    };
    let now = args.at.unwrap_or(accepted.now);
    let registry = &accepted.snapshot;
    let explanation = match explain(question, registry, accepted.default_algorithm, now) {
        Ok(explanation) => explanation,
        Err(error) => return failed(io, &error),
    };
    let told = match args.format {
        Format::Text => print::text(&explanation, now, io),
        Format::Json => print::json(&explanation, registry, now, io),
    };
    match (told, explanation.refusal()) {
        (Err(error), _) => failed(io, &error),
        (Ok(()), Some(_)) => Exit::Refused,
        (Ok(()), None) => Exit::Done,
    }
}

fn parse_method(text: &str) -> Result<AuthMethod, String> {
    let method = AuthMethod::ALL
        .into_iter()
        .find(|method| method.name() == text);
    method.ok_or_else(|| {
        let names = AuthMethod::ALL.map(AuthMethod::name);
        format!("the methods are {}", names.join(" and "))
    })
}
