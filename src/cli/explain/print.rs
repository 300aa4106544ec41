//! How an explanation is printed. Touches: process, by its terminal.

use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use crate::cli::{Io, table};
use crate::client_auth;
use crate::domain::{Denial, UnixSeconds, visible};
use crate::explain::{Explanation, Token};
use crate::registry::snapshot::{Client, Snapshot, StoredSecret};

/// Prints it for people: the verdict first, each rule, then the token or the other credentials.
pub(super) fn text(
    explanation: &Explanation<'_>,
    now: UnixSeconds,
    io: &mut Io<'_>,
) -> io::Result<()> {
    let colour = io::stdout().is_terminal();
    writeln!(io.out, "result: {}\n", verdict(explanation, colour))?;
    for step in &explanation.steps {
        let mark = if step.refusal.is_some() {
            "FAIL"
        } else {
            "pass"
        };
        writeln!(io.out, "{mark}  {:<12}{}", step.rule, visible(&step.why))?;
    }
    if let Some(token) = &explanation.token {
        writeln!(io.out)?;
        self::token(token, io)?;
    }
    match explanation.client {
        Some(client) if client.secrets.len() > 1 => credentials(client, explanation, now, io),
        _ => Ok(()),
    }
}

fn verdict(explanation: &Explanation<'_>, colour: bool) -> String {
    let (words, code) = match explanation.refusal() {
        None => ("granted".to_owned(), "32"),
        Some(denial) => {
            let answer = denial.answer();
            let (status, error) = (answer.status, answer.error.code());
            let reason = denial.reason();
            (
                format!("REFUSED, {reason}: the client gets {status} {error}"),
                "31",
            )
        }
    };
    if colour {
        // SGR of ECMA-48: bold and a colour, then none.
        format!("\u{1b}[1;{code}m{words}\u{1b}[0m")
    } else {
        words
    }
}

fn token(token: &Token<'_>, io: &mut Io<'_>) -> io::Result<()> {
    let resource = &token.terms.granted.resource;
    let mut line = |name: &str, value: &str| writeln!(io.out, "{name:<18}{}", visible(value));
    line("aud", resource.identifier.as_str())?;
    if !token.terms.scope.is_empty() {
        line("scope", &token.terms.scope)?;
    }
    for (name, value) in &token.claims {
        line(name, &value.to_string())?;
    }
    line("alg", token.algorithm.name())?;
    let mut bounds = token.bounds().into_iter();
    if let Some((bound, lifetime)) = bounds.next() {
        line("lifetime", &format!("{lifetime}, by {bound}"))?;
    }
    for (bound, lifetime) in bounds {
        line("", &format!("{bound} would allow {lifetime}"))?;
    }
    Ok(())
}

fn credentials(
    client: &Client,
    explanation: &Explanation<'_>,
    now: UnixSeconds,
    io: &mut Io<'_>,
) -> io::Result<()> {
    writeln!(io.out)?;
    let rows: Vec<[String; 4]> = client
        .secrets
        .iter()
        .map(|secret| {
            let chosen = explanation
                .credential
                .is_some_and(|chosen| std::ptr::eq(chosen, secret));
            let mark = if chosen { " (asked with)" } else { "" };
            [
                format!("{}{mark}", secret.id),
                secret.label.clone().unwrap_or_else(|| "-".to_owned()),
                state(secret, now).to_owned(),
                window(secret),
            ]
        })
        .collect();
    table::print(["CREDENTIAL", "LABEL", "STATE", "WHEN"], &rows, io)
}

/// When a secret may be used, in words.
fn window(secret: &StoredSecret) -> String {
    match (secret.not_before, secret.expires) {
        (Some(begin), Some(end)) => format!("from {begin} until {end}"),
        (Some(begin), None) => format!("from {begin}"),
        (None, Some(end)) => format!("until {end}"),
        (None, None) => "without an end".to_owned(),
    }
}

fn state(secret: &StoredSecret, now: UnixSeconds) -> &'static str {
    match client_auth::usable(secret, now) {
        Ok(()) => "usable",
        Err(Denial::CredentialNotYetValid) => "not-yet",
        Err(_) => "expired",
    }
}

/// Prints it as one JSON object.
pub(super) fn json(
    explanation: &Explanation<'_>,
    registry: &Snapshot,
    now: UnixSeconds,
    io: &mut Io<'_>,
) -> io::Result<()> {
    let refusal = explanation.refusal();
    let steps = explanation.steps.iter().map(|step| {
        json!({
            "rule": step.rule,
            "holds": step.refusal.is_none(),
            "reason": step.refusal.map(Denial::reason),
            "why": step.why,
        })
    });
    let secrets = explanation.client.map(|client| client.secrets.as_slice());
    let credentials = secrets.unwrap_or_default().iter().map(|secret| {
        let moment = |moment: Option<UnixSeconds>| moment.map(UnixSeconds::to_rfc3339);
        json!({
            "id": secret.id.as_str(),
            "label": secret.label,
            "state": state(secret, now),
            "not_before": moment(secret.not_before),
            "expires": moment(secret.expires),
        })
    });
    let value = json!({
        "granted": refusal.is_none(),
        "reason": refusal.map(Denial::reason),
        "answer": refusal.map(|denial| {
            let answer = denial.answer();
            json!({
                "status": answer.status,
                "error": answer.error.code(),
                "error_description": answer.description,
            })
        }),
        "at": now.to_rfc3339(),
        "digest": registry.digest.to_string(),
        "client": explanation.client.map(|client| client.id.as_str()),
        "credential": explanation.credential.map(|secret| secret.id.as_str()),
        "steps": steps.collect::<Vec<_>>(),
        "credentials": credentials.collect::<Vec<_>>(),
        "token": explanation.token.as_ref().map(token_object),
    });
    writeln!(io.out, "{value}")
}

fn token_object(token: &Token<'_>) -> Value {
    let resource = &token.terms.granted.resource;
    let bounds = token.bounds().into_iter();
    json!({
        "resource": resource.name.as_str(),
        "aud": resource.identifier.as_str(),
        "scope": &*token.terms.scope,
        "expires_in": token.terms.lifetime().seconds(),
        "bounds": bounds
            .map(|(by, lifetime)| json!({ "by": by, "seconds": lifetime.seconds() }))
            .collect::<Vec<_>>(),
        "alg": token.algorithm.name(),
        "claims": token.claims,
    })
}
