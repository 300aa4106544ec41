//! Metrics of what is served: readiness, registry, keys, clock, certificate. Touches: memory.

use std::fmt;

use super::super::status::{EXPIRY_WINDOW, FolderStanding, LastGood, Seen, Standing};
use super::page::{Page, count, flag, float, read};
use crate::domain::{CommitId, UnixSeconds};
use crate::keys::outlook::NextStep;
use crate::keys::ring::KeyState;
use crate::keys::rotate::KeysCounters;
use crate::registry::check::Expiring;
use crate::registry::deadlines::Moments;
use crate::registry::publish::RegistryCounters;
use crate::registry::snapshot::Served;

pub(super) fn of_standing(standing: &Standing, page: &mut Page<'_>) -> fmt::Result {
    page.gauge(
        "grantd_ready",
        "1 while a good client would get its token",
        flag(standing.ready),
    )?;
    page.gauge(
        "grantd_degraded",
        "How many things are not as they should be though tokens are issued",
        count(standing.degraded.len()),
    )
}

pub(super) fn of_registry(
    seen: &Seen,
    counters: &RegistryCounters,
    page: &mut Page<'_>,
) -> fmt::Result {
    let RegistryCounters {
        looks,
        applied,
        rejected,
        problems,
        watch_failures,
        // For whoever asked.
        asked: _,
    } = counters;
    let all = [
        ("grantd_registry_looks", "Looks at the folder", looks),
        ("grantd_registry_applied", "Registries accepted", applied),
        ("grantd_registry_rejected", "Registries refused", rejected),
        (
            "grantd_registry_watch_failures",
            "Folders that could not be watched by events",
            watch_failures,
        ),
    ];
    for (name, help, counter) in all {
        page.counter(name, help, read(counter))?;
    }
    page.gauge(
        "grantd_registry_problems",
        "Problems of the folder now",
        float(read(problems)),
    )?;
    let generation = seen.registry.as_ref().map_or(0, |served| served.generation);
    page.gauge(
        "grantd_registry_generation",
        "Registries served so far",
        float(generation),
    )?;
    of_folder(seen, page)?;
    match &seen.registry {
        Some(served) => of_served(served, seen, page),
        None => Ok(()),
    }
}

fn of_folder(seen: &Seen, page: &mut Page<'_>) -> fmt::Result {
    let FolderStanding {
        last_good,
        held,
        keep_waits,
        kept_broken,
    } = &seen.folder;
    let is = |what: fn(&LastGood, UnixSeconds) -> bool| {
        let last_good = last_good.as_ref();
        last_good.is_some_and(|last_good| what(last_good, seen.now))
    };
    page.gauge(
        "grantd_registry_last_good_age_seconds",
        "For how long the folder has held no good registry",
        float(
            last_good
                .as_ref()
                .map_or(0, |last_good| last_good.age(seen.now).seconds()),
        ),
    )?;
    let flags = [
        (
            "grantd_registry_last_good_too_old",
            "1 while that is longer than registry.last_good_max_age",
            is(LastGood::is_too_old),
        ),
        (
            "grantd_registry_restored",
            "1 while what is served was kept from a run before",
            is(|last_good, _| last_good.restored),
        ),
        (
            "grantd_registry_held",
            "1 while a change waits for an operator",
            held.is_some(),
        ),
        (
            "grantd_registry_keep_waiting",
            "1 while a change waits that can't be kept",
            keep_waits.is_some(),
        ),
        (
            "grantd_registry_kept_broken",
            "1 while something is wrong with what was kept",
            kept_broken.is_some(),
        ),
    ];
    for (name, help, raised) in flags {
        page.gauge(name, help, flag(raised))?;
    }
    Ok(())
}

fn of_served(served: &Served, seen: &Seen, page: &mut Page<'_>) -> fmt::Result {
    let digest = served.snapshot.digest.to_string();
    let commit = served.commit.as_ref().map_or("", CommitId::as_str);
    let dirty = match served.dirty {
        Some(true) => "true",
        Some(false) => "false",
        None => "",
    };
    page.info(
        "grantd_registry",
        "What is served",
        &[("digest", &digest), ("commit", commit), ("dirty", dirty)],
    )?;
    page.gauge(
        "grantd_registry_applied_timestamp_seconds",
        "Since when it is served",
        float(served.since.get()),
    )?;
    page.gauge(
        "grantd_registry_clients",
        "Clients served",
        count(served.snapshot.clients.len()),
    )?;
    page.gauge(
        "grantd_registry_resources",
        "Resources served",
        count(served.snapshot.resources.len()),
    )?;
    let deadlines = &served.snapshot.deadlines;
    let kinds = [
        ("client", &deadlines.clients),
        ("secret", &deadlines.secrets),
    ];
    let now = seen.now;
    page.gauges(
        "grantd_registry_next_expiry_timestamp_seconds",
        "The next moment at which one expires",
        ["kind"],
        kinds
            .iter()
            .filter_map(|(kind, moments)| Some(([*kind], float(moments.next(now)?.get())))),
    )?;
    page.gauges(
        "grantd_registry_expiring",
        "How many expire within 30 days",
        ["kind"],
        kinds
            .iter()
            .map(|(kind, moments)| ([*kind], count(moments.within(now, EXPIRY_WINDOW)))),
    )?;
    page.gauges(
        "grantd_registry_expired",
        "How many have expired",
        ["kind"],
        kinds
            .iter()
            .map(|(kind, moments)| ([*kind], count(moments.passed(now)))),
    )
}

/// What expires within the window of the settings, and what has expired: of the registry, and the server's own
/// certificate.
pub(super) fn of_expiries(seen: &Seen, page: &mut Page<'_>) -> fmt::Result {
    let deadlines = seen.registry.as_ref().map(|it| &it.snapshot.deadlines);
    let certificate = Moments::of([seen.certificate_not_after]);
    let classes = [
        (Expiring::CLIENT, deadlines.map(|it| &it.clients)),
        (Expiring::SECRET, deadlines.map(|it| &it.secrets)),
        ("certificate", Some(&certificate)),
    ];
    let mut show = |name, help, of: &dyn Fn(&Moments) -> usize| {
        let rows = classes.iter();
        let rows = rows.filter_map(|(class, moments)| Some(([*class], count(of((*moments)?)))));
        page.gauges(name, help, ["class"], rows)
    };
    show(
        "grantd_expiring",
        "How many expire within registry.expiry_window",
        &|moments| moments.within(seen.now, seen.expiry_window),
    )?;
    show("grantd_expired", "How many have expired", &|moments| {
        moments.passed(seen.now)
    })
}

pub(super) fn of_overlay(seen: &Seen, page: &mut Page<'_>) -> fmt::Result {
    let overlay = &seen.overlay;
    let disabled = overlay.disabled_count();
    let kinds = [
        ("client_disabled", disabled),
        ("tokens_revoked", overlay.len() - disabled),
    ];
    page.gauges(
        "grantd_overlay_entries",
        "What operators took away above the registry",
        ["kind"],
        kinds
            .map(|(kind, number)| ([kind], count(number)))
            .into_iter(),
    )?;
    let entries = overlay.entries();
    let disables = entries.iter().filter(|entry| entry.revocation().is_none());
    let oldest = disables.map(|entry| entry.at).min();
    page.gauge(
        "grantd_overlay_age_seconds",
        "Age of the oldest entry that disables a client",
        float(oldest.map_or(0, |at| seen.now.since(at).seconds())),
    )?;
    let open = entries
        .iter()
        .filter(|entry| !(entry.kept && entry.recorded));
    page.gauge(
        "grantd_overlay_unsettled",
        "Entries that are in force and not yet on disk and on record",
        count(open.count()),
    )
}

pub(super) fn of_keys(seen: &Seen, counters: &KeysCounters, page: &mut Page<'_>) -> fmt::Result {
    let KeysCounters {
        activations,
        failed_writes,
        unwritable: _,
        clock_behind: _,
        clock_ahead: _,
    } = counters;
    page.counter(
        "grantd_key_activations",
        "Keys that began to sign",
        read(activations),
    )?;
    page.counter(
        "grantd_key_write_failures",
        "Writes of key files that failed",
        read(failed_writes),
    )?;
    page.gauge(
        "grantd_keys_writable",
        "0 while the last write of a key file failed",
        flag(!seen.keys_unwritable),
    )?;
    page.gauge(
        "grantd_clock_behind_seconds",
        "By how much wall time is behind its mark",
        float(seen.clock_behind.seconds()),
    )?;
    page.gauge(
        "grantd_clock_ahead_seconds",
        "By how much wall time leapt ahead while the daemon ran, until it has held",
        float(seen.clock_ahead.seconds()),
    )?;
    of_rings(seen, page)
}

fn of_rings(seen: &Seen, page: &mut Page<'_>) -> fmt::Result {
    let ready = seen.rings.as_ref().is_some_and(|rings| rings.ready());
    page.gauge(
        "grantd_keys_ready",
        "1 while the default ring has a key that may sign",
        flag(ready),
    )?;
    let Some(rings) = &seen.rings else {
        return Ok(());
    };
    let in_state = |state| {
        let keys = rings.rings().iter();
        keys.map(|ring| ring.in_state(state).count()).sum()
    };
    page.gauges(
        "grantd_keys",
        "Keys by state",
        ["state"],
        KeyState::ALL
            .iter()
            .map(|state| ([state.name()], count(in_state(*state)))),
    )?;
    let steps = rings.rings().iter().flat_map(|ring| {
        let at = |step| seen.next(ring.algorithm(), step);
        NextStep::ALL
            .map(|step| (ring.algorithm().name(), step, at(step)))
            .into_iter()
    });
    page.gauges(
        "grantd_key_next_step_timestamp_seconds",
        "When the next key of a ring takes this step",
        ["algorithm", "step"],
        steps
            .filter_map(|(algorithm, step, at)| Some(([algorithm, step.name()], float(at?.get())))),
    )
}
