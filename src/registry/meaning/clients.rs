//! What a change of a client means. Pure.

use serde_json::Value;

use super::words::{Words, begin, end, owner, words};
use super::{About, Class, Scene, Statement, list, named, secrets};
use crate::domain::{Lifetime, ScopeName, UnixSeconds};
use crate::registry::object::{Object, Spot};
use crate::registry::snapshot::{Client, ResourceGrant};

type Claims = serde_json::Map<String, Value>;

/// A client that was not there: who it is, then what it gains.
pub(super) fn added(client: &Client, said: &mut Vec<Statement>) {
    let mut text = words(
        "client {} is new, of {}",
        &[&client.id, &owner(client.owner.as_ref())],
    );
    if client.disabled {
        text = text.and(words("; it is disabled", &[]));
    }
    if let Some(at) = client.expires {
        text = text.and(words(&format!("; it ends at {}", end(at)), &[]));
    }
    if client.secrets.is_empty() {
        text = text.and(words("; it has no credential yet", &[]));
    }
    let object = Object::Client(client.id.clone());
    said.push(Statement::new(Class::Widens, "client.added", object, text));
    for grant in &client.grants {
        said.push(gain(client, grant, grant.scopes.clone()));
    }
    claims(&Claims::new(), &client.claims, &of(client), said);
}

/// A client that is gone.
pub(super) fn removed(client: &Client, scene: &Scene<'_>, said: &mut Vec<Statement>) {
    let text = words("client {} is removed", &[&client.id]);
    let text = match (client.disabled, scene.runs(client)) {
        (true, _) => text.and(words("; it was disabled", &[])),
        (false, false) => text.and(words("; it had expired", &[])),
        (false, true) => text.and(scene.last_seen_words(&client.id)),
    };
    let class = Class::breaks(scene.runs(client));
    let object = Object::Client(client.id.clone());
    said.push(Statement::new(class, "client.removed", object, text).before());
}

/// A client that says something else, part by part; what it loses is told by [`super::losses`].
pub(super) fn changed(
    before: &Client,
    after: &Client,
    scene: &Scene<'_>,
    said: &mut Vec<Statement>,
) {
    // Taken apart, so that a new field does not compile until it is told.
    let Client {
        id,
        title,
        owner: _,
        disabled: _,
        expires: _,
        token_lifetime: _,
        grants,
        default_grant: _,
        secrets: _,
        claims: carried,
    } = after;
    let mut say = |class, kind, text: Words, spot| {
        let object = Object::Client(id.clone());
        said.push(Statement::new(class, kind, object, text).at(spot));
    };
    switched(before, after, scene, &mut say);
    if before.expires != after.expires {
        expiry(before, after, scene, &mut say);
    }
    if before.token_lifetime != after.token_lifetime {
        lifetime(before, after, &mut say);
    }
    if before.owner != after.owner {
        let (from, to) = (owner(before.owner.as_ref()), owner(after.owner.as_ref()));
        let text = words("client {} passes from {} to {}", &[id, &from, &to]);
        say(Class::Other, "client.owner", text, Spot::Key("owner"));
    }
    if before.title != *title {
        let text = words(
            "client {} is called {}, was {}",
            &[id, title, &before.title],
        );
        say(Class::Other, "client.name", text, Spot::Whole);
    }
    default_resource(before, after, &mut say);
    for grant in grants {
        gains(before, after, grant, said);
    }
    secrets::changed(before, after, scene, said);
    claims(&before.claims, carried, &of(after), said);
}

fn switched(
    before: &Client,
    after: &Client,
    scene: &Scene<'_>,
    say: &mut impl FnMut(Class, &'static str, Words, Spot),
) {
    let id = &after.id;
    match (before.disabled, after.disabled) {
        (false, true) => {
            let text = words("client {} is disabled", &[id]).and(scene.last_seen_words(id));
            let class = Class::breaks(scene.runs(before));
            say(class, "client.disabled", text, Spot::Whole);
        }
        (true, false) => {
            let names: Vec<String> = after
                .grants
                .iter()
                .map(|grant| named(&grant.resource))
                .collect();
            let text = words(
                "client {} is enabled again, with access to {}",
                &[id, &names.join(", ")],
            );
            say(Class::Widens, "client.enabled", text, Spot::Whole);
        }
        _ => {}
    }
}

fn expiry(
    before: &Client,
    after: &Client,
    scene: &Scene<'_>,
    say: &mut impl FnMut(Class, &'static str, Words, Spot),
) {
    let id = &after.id;
    let was = before.expires.map_or_else(
        || "it had no end".to_owned(),
        |at| format!("it was {}", end(at)),
    );
    let (class, kind, text) = match after.expires {
        None => (
            Class::Widens,
            "client.expires_later",
            words(&format!("client {{}} has no end any more; {was}"), &[id]),
        ),
        Some(at) if before.expires.is_some_and(|old| old < at) => (
            Class::Widens,
            "client.expires_later",
            words(&format!("client {{}} ends at {}; {was}", end(at)), &[id]),
        ),
        Some(at) => {
            let passed = match at <= scene.facts.now {
                true => ", which has passed",
                false => "",
            };
            let form = format!("client {{}} ends at {}{passed}; {was}", end(at));
            let text = words(&form, &[id]).and(scene.last_seen_words(id));
            let class = Class::breaks(scene.runs(before));
            (class, "client.expires_earlier", text)
        }
    };
    say(class, kind, text, Spot::Whole);
}

/// The lifetime that a client asks for itself. Whether tokens live longer by it is measured on the
/// resources as they are now; a change of theirs is told of them.
fn lifetime(
    before: &Client,
    after: &Client,
    say: &mut impl FnMut(Class, &'static str, Words, Spot),
) {
    let longer = |grant: &ResourceGrant| {
        let most = grant.resource.token_lifetime;
        let of = |own: Option<Lifetime>| own.map_or(most, |own| own.min(most));
        of(after.token_lifetime) > of(before.token_lifetime)
    };
    let (class, kind) = match after.grants.iter().any(longer) {
        true => (Class::Widens, "client.token_lifetime_longer"),
        false => (Class::Other, "client.token_lifetime_changed"),
    };
    let told = |own: Option<Lifetime>| match own {
        Some(own) => format!("at most {own}"),
        None => "as long as the resource says".to_owned(),
    };
    let (now, was) = (told(after.token_lifetime), told(before.token_lifetime));
    let form = format!("tokens of client {{}} live {now}; it was {was}");
    let text = words(&form, &[&after.id]);
    say(class, kind, text, Spot::Key("token_lifetime"));
}

fn default_resource(
    before: &Client,
    after: &Client,
    say: &mut impl FnMut(Class, &'static str, Words, Spot),
) {
    let of = |client: &Client| {
        let grant = client.grants.get(client.default_grant?)?;
        Some(grant.resource.name.clone())
    };
    let id = &after.id;
    let (class, text) = match (of(before), of(after)) {
        (was, is) if was == is => return,
        (Some(was), Some(is)) => (
            Class::Breaks,
            words(
                "a request of client {} that names no resource means {}; it meant {}",
                &[id, &is, &was],
            ),
        ),
        (Some(was), None) => (
            Class::Breaks,
            words(
                "a request of client {} that names no resource is refused; it meant {}",
                &[id, &was],
            ),
        ),
        (None, Some(is)) => (
            Class::Other,
            words(
                "a request of client {} that names no resource means {}; it was refused",
                &[id, &is],
            ),
        ),
        (None, None) => return,
    };
    let spot = Spot::Key("default_resource");
    say(class, "client.default_resource", text, spot);
}

fn gains(before: &Client, after: &Client, grant: &ResourceGrant, said: &mut Vec<Statement>) {
    let Some(old) = before.grant_on(&grant.resource.name) else {
        said.push(gain(after, grant, grant.scopes.clone()));
        return;
    };
    let gained = grant.scopes.iter().filter(|it| !old.scopes.contains(it));
    let gained: Vec<ScopeName> = gained.cloned().collect();
    if !gained.is_empty() {
        said.push(gain(after, grant, gained));
    }
}

fn gain(client: &Client, grant: &ResourceGrant, scopes: Vec<ScopeName>) -> Statement {
    let resource = &grant.resource;
    let text = match scopes.as_slice() {
        [] => words(
            "client {} gains access to {}",
            &[&client.id, &named(resource)],
        ),
        scopes => words(
            "client {} gains {} on {}",
            &[&client.id, &list(scopes), &named(resource)],
        ),
    };
    let object = Object::Client(client.id.clone());
    Statement::new(Class::Widens, "client.gains", object, text)
        .at(Spot::Grant(resource.name.clone()))
        .about(About {
            resource: Some(resource.name.clone()),
            scopes,
            ..About::default()
        })
}

/// Whose tokens carry claims.
pub(super) struct Carrier {
    pub(super) object: Object,
    pub(super) words: Words,
    pub(super) kinds: [&'static str; 3],
}

fn of(client: &Client) -> Carrier {
    Carrier {
        object: Object::Client(client.id.clone()),
        words: words("tokens of client {}", &[&client.id]),
        kinds: [
            "client.claim_added",
            "client.claim_changed",
            "client.claim_removed",
        ],
    }
}

/// Claims that tokens carry: one more, or another value, counts as access.
pub(super) fn claims(old: &Claims, new: &Claims, of: &Carrier, said: &mut Vec<Statement>) {
    let [added, changed, removed] = of.kinds;
    for (name, value) in new {
        let (kind, text) = match old.get(name) {
            Some(before) if before == value => continue,
            Some(before) => (
                changed,
                words(
                    " carry the claim {} = {}; it was {}",
                    &[name, value, before],
                ),
            ),
            None => (added, words(" carry the claim {} = {}", &[name, value])),
        };
        let text = of.words.clone().and(text);
        let claim = Spot::Claim(name.clone());
        said.push(Statement::new(Class::Widens, kind, of.object.clone(), text).at(claim));
    }
    for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        let text = words(" no longer carry the claim {}; it was {}", &[name, value]);
        let text = of.words.clone().and(text);
        let statement = Statement::new(Class::Breaks, removed, of.object.clone(), text);
        said.push(statement.at(Spot::Claim(name.clone())).before());
    }
}

/// A moment as a file spells it, or that there is none.
pub(super) fn from(moment: Option<UnixSeconds>) -> String {
    moment.map_or_else(|| "at once".to_owned(), |at| format!("from {}", begin(at)))
}
