//! How keys and rotations are printed, for people and as JSON. Pure.

use serde_json::{Value, json};

use super::super::{Format, Io};
use crate::domain::{KeyId, UnixSeconds};
use crate::keys::ring::{KeyRecord, KeyState, Ring};
use crate::keys::rotate::{CommandError, Outcome, Rotated, Waiting};
use crate::keys::schedule::{ScheduleSettings, gone_at, ready_at, relief_at};

/// Prints what a rotation did.
///
/// # Errors
/// When printing fails.
pub fn print_outcome(outcome: &Outcome, format: Format, io: &mut Io<'_>) -> std::io::Result<()> {
    if format == Format::Json {
        let rotated: Vec<Value> = outcome.rotated.iter().map(rotated_json).collect();
        let waiting: Vec<Value> = outcome.waiting.iter().map(waiting_json).collect();
        return writeln!(
            io.out,
            "{}",
            json!({"rotated": rotated, "waiting": waiting})
        );
    }
    for rotated in &outcome.rotated {
        let algorithm = rotated.algorithm;
        if let Some(kid) = &rotated.withdrawn {
            writeln!(io.out, "{algorithm}: {kid} is withdrawn")?;
        }
        if let Some(kid) = rotated.signs.as_ref().filter(|_| rotated.relieved) {
            let span = rotated.published_for;
            writeln!(
                io.out,
                "{algorithm}: {kid} signs; it was published for {span}"
            )?;
        }
        if !rotated.lead_passed {
            writeln!(
                io.err,
                "{algorithm}: its lead had not passed: verifiers that cache may refuse its tokens until they fetch the JWKS again"
            )?;
        }
        if rotated.withdrawn.is_some() {
            writeln!(
                io.err,
                "{algorithm}: verifiers that cache accept the withdrawn key until their cache ends"
            )?;
        }
    }
    for waiting in &outcome.waiting {
        let refused = CommandError::NotReady(vec![waiting.clone()]);
        writeln!(io.err, "{refused}")?;
    }
    Ok(())
}

/// A rotated ring as the command line and the admin socket print it.
#[must_use]
pub fn rotated_json(rotated: &Rotated) -> Value {
    json!({
        "algorithm": rotated.algorithm.name(),
        "withdrawn": rotated.withdrawn.as_ref().map(KeyId::as_str),
        "signs": rotated.signs.as_ref().map(KeyId::as_str),
        "relieved": rotated.relieved,
        "published_for_seconds": rotated.published_for.seconds(),
        "lead_passed": rotated.lead_passed,
        "next": rotated.next.as_ref().map(KeyId::as_str),
    })
}

/// A ring that waits, as the command line and the admin socket print it.
#[must_use]
pub fn waiting_json(waiting: &Waiting) -> Value {
    json!({
        "algorithm": waiting.algorithm.name(),
        "next": waiting.next.as_ref().map(KeyId::as_str),
        "ready": waiting.ready.map(UnixSeconds::to_rfc3339),
    })
}

/// Prints rings, of whatever source.
///
/// # Errors
/// When printing fails.
pub fn print_rings(
    rings: &[Ring],
    settings: &ScheduleSettings,
    format: Format,
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    if format == Format::Json {
        let keys: Vec<Value> = rings
            .iter()
            .flat_map(|ring| ring.keys().iter().map(move |key| (ring, key)))
            .map(|(ring, key)| key_json(ring, key, settings))
            .collect();
        return writeln!(io.out, "{}", json!({ "keys": keys }));
    }
    let width = 43;
    if rings.iter().all(|ring| ring.keys().is_empty()) {
        return Ok(());
    }
    writeln!(
        io.out,
        "{:<width$}  {:<5}  {:<9}  {:<20}  NEXT STEP",
        "KID", "ALG", "STATE", "SINCE"
    )?;
    for ring in rings {
        for key in ring.keys() {
            let step = match next_step(ring, key, settings) {
                Some((what, Some(at))) => format!("{what} {at}"),
                Some((what, None)) => what.to_owned(),
                None => String::new(),
            };
            writeln!(
                io.out,
                "{:<width$}  {:<5}  {:<9}  {:<20}  {step}",
                key.id.as_str(),
                key.algorithm.name(),
                key.state.name(),
                since(key).to_rfc3339()
            )?;
        }
    }
    Ok(())
}

fn since(key: &KeyRecord) -> UnixSeconds {
    match key.state {
        KeyState::Next => key.published,
        KeyState::Active => key.activated,
        KeyState::Retiring => key.retired,
        KeyState::Withdrawn => key.withdrawn,
    }
    .unwrap_or(key.created)
}

/// What happens to a key next, and when, if that is known.
fn next_step(
    ring: &Ring,
    key: &KeyRecord,
    settings: &ScheduleSettings,
) -> Option<(&'static str, Option<UnixSeconds>)> {
    match key.state {
        KeyState::Next => {
            let ready = ready_at(key, settings);
            let relief = relief_at(ring, settings);
            let signs = ready.map(|at| relief.map_or(at, |relief| relief.max(at)));
            Some(match signs {
                Some(at) => ("signs", Some(at)),
                None => ("is published", None),
            })
        }
        KeyState::Active => Some(("retires", relief_at(ring, settings))),
        KeyState::Retiring | KeyState::Withdrawn => Some(("goes", gone_at(key, settings))),
    }
}

fn key_json(ring: &Ring, key: &KeyRecord, settings: &ScheduleSettings) -> Value {
    let time = |at: Option<UnixSeconds>| at.map(UnixSeconds::to_rfc3339);
    let step = next_step(ring, key, settings);
    json!({
        "kid": key.id.as_str(),
        "algorithm": key.algorithm.name(),
        "state": key.state.name(),
        "created": key.created.to_rfc3339(),
        "published": time(key.published),
        "not_before": time(key.not_before),
        "activated": time(key.activated),
        "retired": time(key.retired),
        "withdrawn": time(key.withdrawn),
        "tokens_until": time(key.tokens_until),
        "next_step": step.map(|(what, at)| json!({"what": what, "at": time(at)})),
    })
}
