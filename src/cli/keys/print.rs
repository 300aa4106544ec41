//! How keys and rotations are printed, for people and as JSON. Pure.

use serde_json::{Value, json};

use super::super::{Format, Io};
use crate::admin::KeysOutcome;
use crate::domain::{Lifetime, UnixSeconds};
use crate::keys::ring::{KeyRecord, KeyState, Ring};
use crate::keys::schedule::{ScheduleSettings, gone_at, ready_at, relief_at};

/// Prints what a rotation did, by a live daemon or on the files of a stopped one.
///
/// # Errors
/// When printing fails.
pub(super) fn print_outcome(
    outcome: &KeysOutcome,
    format: Format,
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    if format == Format::Json {
        return writeln!(io.out, "{}", serde_json::to_string(outcome)?);
    }
    for ring in &outcome.rotated {
        let algorithm = &ring.algorithm;
        if let Some(kid) = &ring.withdrawn {
            writeln!(io.out, "{algorithm}: {kid} is withdrawn")?;
        }
        if let Some(kid) = ring.signs.as_ref().filter(|_| ring.relieved) {
            let span = Lifetime::from_seconds(ring.published_for_seconds);
            writeln!(
                io.out,
                "{algorithm}: {kid} signs; it was published for {span}"
            )?;
        }
        if !ring.lead_passed {
            writeln!(
                io.err,
                "{algorithm}: its lead had not passed: verifiers that cache may refuse its tokens until they fetch the JWKS again"
            )?;
        }
        if ring.withdrawn.is_some() {
            writeln!(
                io.err,
                "{algorithm}: verifiers that cache accept the withdrawn key until their cache ends"
            )?;
        }
    }
    for ring in &outcome.waiting {
        let algorithm = &ring.algorithm;
        match &ring.ready {
            Some(at) => writeln!(
                io.err,
                "{algorithm}: the next key may sign from {at} on: verifiers that cache do not know it before"
            )?,
            None => writeln!(
                io.err,
                "{algorithm}: the next key has not been published yet"
            )?,
        }
    }
    Ok(())
}

/// Prints rings, of whatever source.
///
/// # Errors
/// When printing fails.
pub(super) fn print_rings(
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
