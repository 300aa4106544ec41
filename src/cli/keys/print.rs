//! How keys and rotations are printed, for people and as JSON. Pure.

use serde_json::{Value, json};

use super::super::{Format, Io};
use crate::admin::KeysOutcome;
use crate::domain::{Lifetime, UnixSeconds};
use crate::keys::outlook::{in_order, next_step, since};
use crate::keys::ring::{KeyRecord, Ring};
use crate::keys::schedule::ScheduleSettings;

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
            .flat_map(|ring| in_order(ring).into_iter().map(move |key| (ring, key)))
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
        for key in in_order(ring) {
            let step = match next_step(ring, key, settings) {
                (step, Some(at)) => format!("{} {at}", step.verb()),
                (step, None) => step.verb().to_owned(),
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

fn key_json(ring: &Ring, key: &KeyRecord, settings: &ScheduleSettings) -> Value {
    let time = |at: Option<UnixSeconds>| at.map(UnixSeconds::to_rfc3339);
    let (step, at) = next_step(ring, key, settings);
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
        "next_step": json!({"what": step.verb(), "at": time(at)}),
    })
}
