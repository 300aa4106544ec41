//! What a change of a client's secrets means. Pure.

use std::fmt::Display;

use super::clients::from;
use super::words::{Words, ago, begin, end, words};
use super::{About, Class, Scene, Side, Statement};
use crate::domain::CredentialId;
use crate::registry::object::{Object, Spot};
use crate::registry::snapshot::{Client, StoredSecret};

/// Tells each secret that came, went or changed.
pub(super) fn changed(
    before: &Client,
    after: &Client,
    scene: &Scene<'_>,
    said: &mut Vec<Statement>,
) {
    let find = |client: &Client, id: &CredentialId| {
        client.secrets.iter().position(|secret| secret.id == *id)
    };
    for (at, secret) in after.secrets.iter().enumerate() {
        let old = find(before, &secret.id).and_then(|at| before.secrets.get(at));
        match old {
            None => said.push(added(after, (at, secret), scene)),
            Some(old) if old == secret => {}
            Some(old) => one_changed(after, (at, old, secret), scene, said),
        }
    }
    for (at, secret) in before.secrets.iter().enumerate() {
        if find(after, &secret.id).is_none() {
            said.push(removed(before, after, (at, secret), scene));
        }
    }
}

/// A secret as a sentence names it, counted as its file has them; from the oldest, where there is none.
fn named(
    client: &Client,
    (at, secret): (usize, &StoredSecret),
    side: Side,
    scene: &Scene<'_>,
) -> Words {
    let number = scene.facts.places.and_then(|[old, new]| {
        let places = match side {
            Side::Old => old,
            Side::New => new,
        };
        places.secret_number(&client.id, &secret.id)
    });
    let form = format!("secret {}", number.unwrap_or(at + 1));
    match &secret.label {
        Some(label) => words(&format!("{form} ({{}}) of {{}}"), &[label, &client.id]),
        None => words(&format!("{form} of {{}}"), &[&client.id]),
    }
}

fn statement(
    client: &Client,
    secret: &StoredSecret,
    (class, kind): (Class, &'static str),
    text: Words,
) -> Statement {
    let object = Object::Client(client.id.clone());
    Statement::new(class, kind, object, text)
        .at(Spot::Secret(secret.id.clone()))
        .about(About {
            credential: Some(secret.id.clone()),
            ..About::default()
        })
}

fn added(client: &Client, (at, secret): (usize, &StoredSecret), scene: &Scene<'_>) -> Statement {
    let mut form = " is added".to_owned();
    if let Some(moment) = secret.not_before {
        form.push_str(&format!(", good from {}", begin(moment)));
    }
    match secret.expires {
        Some(moment) => form.push_str(&format!(", good until {}", end(moment))),
        None => form.push_str(", without an end"),
    }
    let text = named(client, (at, secret), Side::New, scene).and(words(&form, &[]));
    statement(client, secret, (Class::Widens, "secret.added"), text)
}

fn removed(
    before: &Client,
    after: &Client,
    (at, secret): (usize, &StoredSecret),
    scene: &Scene<'_>,
) -> Statement {
    let now = scene.facts.now;
    let expired = secret.expires.is_some_and(|end| end <= now);
    let text = named(before, (at, secret), Side::Old, scene);
    let mut text = text.and(words(" is removed", &[]));
    if expired {
        text = text.and(words("; it had expired", &[]));
    }
    let known = scene.facts.last_use.get(&before.id);
    match known.and_then(|known| known.get(secret.id.as_str())) {
        Some(Some(then)) => {
            let form = format!("; it was last used {}", ago(*then, now));
            text = text.and(words(&form, &[]));
        }
        Some(None) => text = text.and(words("; no use of it is on record", &[])),
        None => {}
    }
    if after.secrets.is_empty() {
        text = text.and(words("; the client has no credential left", &[]));
    }
    let class = Class::breaks(!expired && scene.runs(before));
    statement(before, secret, (class, "secret.removed"), text).before()
}

fn one_changed(
    client: &Client,
    (at, old, new): (usize, &StoredSecret, &StoredSecret),
    scene: &Scene<'_>,
    said: &mut Vec<Statement>,
) {
    // Taken apart, so that a new field does not compile until it is told. The id is the verifier's.
    let StoredSecret {
        id: _,
        verifier: _,
        last_use: _,
        label,
        created,
        not_before: _,
        expires: _,
    } = new;
    let mut say = |how: (Class, &'static str), form: String, names: &[&dyn Display]| {
        let text = named(client, (at, new), Side::New, scene).and(words(&form, names));
        said.push(statement(client, new, how, text));
    };
    if let Some((how, form)) = ends(old, new, scene.runs(client)) {
        say(how, form, &[]);
    }
    if let Some((how, form)) = begins(old, new, scene.runs(client)) {
        say(how, form, &[]);
    }
    if old.label != *label {
        let name = |label: &Option<String>| label.clone().unwrap_or_else(|| "nothing".to_owned());
        let form = " is called {}, was {}".to_owned();
        let names: [&dyn Display; 2] = [&name(label), &name(&old.label)];
        say((Class::Other, "secret.label"), form, &names);
    }
    if old.created != *created {
        let date = |at: Option<_>| at.map_or_else(|| "not dated".to_owned(), begin);
        let form = format!(" is dated {}; it was {}", date(*created), date(old.created));
        say((Class::Other, "secret.created"), form, &[]);
    }
}

/// Another end of a secret.
fn ends(
    old: &StoredSecret,
    new: &StoredSecret,
    runs: bool,
) -> Option<((Class, &'static str), String)> {
    if old.expires == new.expires {
        return None;
    }
    let until = |moment: Option<_>| {
        moment.map_or_else(
            || "without an end".to_owned(),
            |at| format!("until {}", end(at)),
        )
    };
    let later = new
        .expires
        .is_none_or(|new| old.expires.is_some_and(|old| old < new));
    let how = match later {
        true => (Class::Widens, "secret.expires_later"),
        false => (Class::breaks(runs), "secret.expires_earlier"),
    };
    let (is, was) = (until(new.expires), until(old.expires));
    Some((how, format!(" is good {is}; it was {was}")))
}

/// Another beginning of a secret.
fn begins(
    old: &StoredSecret,
    new: &StoredSecret,
    runs: bool,
) -> Option<((Class, &'static str), String)> {
    if old.not_before == new.not_before {
        return None;
    }
    let how = match new.not_before < old.not_before {
        true => (Class::Widens, "secret.begins_earlier"),
        false => (Class::breaks(runs), "secret.begins_later"),
    };
    let (is, was) = (from(new.not_before), from(old.not_before));
    Some((how, format!(" is good {is}; it was {was}")))
}
