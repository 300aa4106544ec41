//! What a change of a resource means. Pure.

use super::clients::{Carrier, claims};
use super::losses::Lost;
use super::words::{Words, count, owner, words};
use super::{About, Class, Scene, Statement, named};
use crate::domain::{Algorithm, ClientId, ResourceName};
use crate::registry::object::{Object, Spot};
use crate::registry::snapshot::{Resource, Snapshot};

/// A resource that was not there. Who gains what on it is told of the clients.
pub(super) fn added(resource: &Resource, scene: &Scene<'_>, said: &mut Vec<Statement>) {
    let text = words(
        "resource {} is new, of {}: tokens are for {}",
        &[
            &named(resource),
            &owner(resource.owner.as_ref()),
            &resource.identifier,
        ],
    );
    let text = text.and(taken(resource, scene));
    said.push(of(resource, Class::Other, "resource.added", text));
}

/// A resource that is gone.
pub(super) fn removed(
    resource: &Resource,
    lost: &Lost,
    scene: &Scene<'_>,
    said: &mut Vec<Statement>,
) {
    let clients = lost.by_resource.get(&resource.name);
    let clients = clients.cloned().unwrap_or_default();
    let text = match clients.len() {
        0 => words(
            "resource {} is removed; no client had access",
            &[&resource.name],
        ),
        number => words(
            &format!(
                "resource {{}}: {} lose{} access, for it is removed",
                count(number, "client"),
                third(number)
            ),
            &[&resource.name],
        ),
    };
    let class = Class::breaks(any_runs(scene, &clients));
    let about = About {
        clients,
        ..About::default()
    };
    said.push(
        of(resource, class, "resource.removed", text)
            .before()
            .about(about),
    );
}

/// A resource that says something else, part by part.
pub(super) fn changed(
    (before, after): (&Resource, &Resource),
    lost: &Lost,
    scene: &Scene<'_>,
    said: &mut Vec<Statement>,
) {
    // Taken apart, so that a new field does not compile until it is told.
    let Resource {
        name,
        identifier,
        title,
        owner: owned,
        token_lifetime,
        algorithm,
        scopes: _,
        claims: carried,
    } = after;
    let users = users(scene.new, name);
    let mut say = |class, kind, text: Words, key: &'static str| {
        let statement = of(after, class, kind, text).at(Spot::Key(key));
        said.push(statement.about(About {
            clients: users.clone(),
            ..About::default()
        }));
    };
    let number = count(users.len(), "client");
    if before.identifier != *identifier {
        let form = format!(
            "resource {{}}: tokens are for {{}}, no longer for {{}}; {number} get{} them, and a request \
             for the old name is refused",
            third(users.len())
        );
        let text = words(&form, &[name, identifier, &before.identifier]);
        let text = text.and(taken(after, scene));
        say(Class::Widens, "resource.identifier", text, "identifier");
    }
    if before.token_lifetime != *token_lifetime {
        let (class, kind) = match before.token_lifetime < *token_lifetime {
            true => (Class::Widens, "resource.token_lifetime_longer"),
            false => (Class::Other, "resource.token_lifetime_shorter"),
        };
        let was = before.token_lifetime;
        let form = format!("resource {{}}: tokens live {token_lifetime}, were {was}, for {number}");
        say(class, kind, words(&form, &[name]), "token_lifetime");
    }
    if before.algorithm != *algorithm {
        let signed = |algorithm: Option<Algorithm>| {
            algorithm.map_or("the daemon's default", Algorithm::name)
        };
        let form = format!(
            "resource {{}}: tokens are signed with {}, no longer with {}, for {number}",
            signed(*algorithm),
            signed(before.algorithm)
        );
        say(
            Class::Breaks,
            "resource.algorithm",
            words(&form, &[name]),
            "algorithm",
        );
    }
    if before.owner != *owned {
        let (from, to) = (owner(before.owner.as_ref()), owner(owned.as_ref()));
        let text = words("resource {} passes from {} to {}", &[name, &from, &to]);
        say(Class::Other, "resource.owner", text, "owner");
    }
    if before.title != *title {
        let text = words(
            "resource {} is called {}, was {}",
            &[name, title, &before.title],
        );
        say(Class::Other, "resource.name", text, "name");
    }
    scopes(before, after, lost, scene, said);
    let carrier = Carrier {
        object: Object::Resource(name.clone()),
        words: words("tokens for resource {}", &[name]),
        kinds: [
            "resource.claim_added",
            "resource.claim_changed",
            "resource.claim_removed",
        ],
    };
    claims(&before.claims, carried, &carrier, said);
}

fn scopes(
    before: &Resource,
    after: &Resource,
    lost: &Lost,
    scene: &Scene<'_>,
    said: &mut Vec<Statement>,
) {
    let name = &after.name;
    for (scope, description) in &after.scopes {
        let old = before.scopes.iter().find(|(old, _)| old == scope);
        let (kind, text) = match old {
            Some((_, old)) if old == description => continue,
            Some((_, old)) => (
                "resource.scope_described",
                words(
                    "resource {}: scope {} is described as {}, was {}",
                    &[name, scope, description, old],
                ),
            ),
            None => (
                "resource.scope_added",
                words(
                    "resource {} has a new scope {}: {}",
                    &[name, scope, description],
                ),
            ),
        };
        let spot = Spot::Scope(scope.clone());
        let about = About {
            scopes: vec![scope.clone()],
            ..About::default()
        };
        said.push(of(after, Class::Other, kind, text).at(spot).about(about));
    }
    for (scope, _) in &before.scopes {
        if after.scopes.iter().any(|(kept, _)| kept == scope) {
            continue;
        }
        let clients = lost.by_scope.get(&(name.clone(), scope.clone()));
        let clients = clients.cloned().unwrap_or_default();
        let text = match clients.len() {
            0 => words(
                "resource {}: scope {} is removed; no client had it",
                &[name, scope],
            ),
            number => words(
                &format!(
                    "resource {{}}: {} lose{} {{}}, for it is removed",
                    count(number, "client"),
                    third(number)
                ),
                &[name, scope],
            ),
        };
        let class = Class::breaks(any_runs(scene, &clients));
        let about = About {
            scopes: vec![scope.clone()],
            clients,
            ..About::default()
        };
        let statement = of(after, class, "resource.scope_removed", text).before();
        said.push(statement.at(Spot::Scope(scope.clone())).about(about));
    }
}

/// The end of a sentence that says whose audience a resource takes.
fn taken(resource: &Resource, scene: &Scene<'_>) -> Words {
    let known = scene.old.by_identifier.get(&resource.identifier);
    match known.filter(|known| known.name != resource.name) {
        Some(known) => words("; this was the audience of {}", &[&named(known)]),
        None => Words::default(),
    }
}

fn of(resource: &Resource, class: Class, kind: &'static str, text: Words) -> Statement {
    Statement::new(class, kind, Object::Resource(resource.name.clone()), text)
}

fn any_runs(scene: &Scene<'_>, clients: &[ClientId]) -> bool {
    let mut old = clients.iter().filter_map(|id| scene.old.clients.get(id));
    old.any(|client| scene.runs(client))
}

/// The clients that have a grant on a resource, in order.
fn users(registry: &Snapshot, resource: &ResourceName) -> Vec<ClientId> {
    let clients = registry.clients.values();
    let mut users: Vec<ClientId> = clients
        .filter(|client| client.grant_on(resource).is_some())
        .map(|client| client.id.clone())
        .collect();
    users.sort_unstable();
    users
}

/// The ending of the third person.
const fn third(number: usize) -> &'static str {
    if number == 1 { "s" } else { "" }
}
