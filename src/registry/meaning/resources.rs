//! What a change of a resource means. Pure.

use super::clients::{Carrier, claims};
use super::losses::Lost;
use super::words::{Words, count, owner, words};
use super::{About, Class, Scene, Statement, named};
use crate::domain::{Algorithm, ClientId, ResourceName, ScopeName};
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
        identifier: _,
        title: _,
        owner: _,
        token_lifetime: _,
        algorithm: _,
        scopes,
        claims: carried,
    } = after;
    let mut change = Changed {
        before,
        after,
        users: users(scene.new, name),
        said,
    };
    change.audience(scene);
    change.tokens();
    change.people();
    for (scope, description) in scopes {
        one_scope((before, after), scope, description, said);
    }
    for (scope, _) in &before.scopes {
        if !scopes.iter().any(|(kept, _)| kept == scope) {
            said.push(scope_removed(after, scope, lost, scene));
        }
    }
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

/// A resource as it was and is, and what is told of it.
struct Changed<'a> {
    before: &'a Resource,
    after: &'a Resource,
    /// The clients that have a grant on it now.
    users: Vec<ClientId>,
    said: &'a mut Vec<Statement>,
}

impl Changed<'_> {
    fn say(&mut self, (class, kind): (Class, &'static str), text: Words, key: &'static str) {
        let statement = of(self.after, class, kind, text).at(Spot::Key(key));
        self.said.push(statement.about(About {
            clients: self.users.clone(),
            ..About::default()
        }));
    }

    /// Which API its tokens are good at.
    fn audience(&mut self, scene: &Scene<'_>) {
        let (before, after) = (self.before, self.after);
        if before.identifier == after.identifier {
            return;
        }
        let form = format!(
            "resource {{}}: tokens are for {{}}, no longer for {{}}; {} get{} them, and a request for \
             the old name is refused",
            count(self.users.len(), "client"),
            third(self.users.len())
        );
        let text = words(&form, &[&after.name, &after.identifier, &before.identifier]);
        let how = (Class::Widens, "resource.identifier");
        self.say(how, text.and(taken(after, scene)), "identifier");
    }

    /// How long its tokens live, and by what they are signed.
    fn tokens(&mut self) {
        let (before, after) = (self.before, self.after);
        let number = count(self.users.len(), "client");
        let (was, is) = (before.token_lifetime, after.token_lifetime);
        if was != is {
            let how = match was < is {
                true => (Class::Widens, "resource.token_lifetime_longer"),
                false => (Class::Other, "resource.token_lifetime_shorter"),
            };
            let form = format!("resource {{}}: tokens live {is}, were {was}, for {number}");
            self.say(how, words(&form, &[&after.name]), "token_lifetime");
        }
        if before.algorithm != after.algorithm {
            let signed = |algorithm: Option<Algorithm>| {
                algorithm.map_or("the daemon's default", Algorithm::name)
            };
            let form = format!(
                "resource {{}}: tokens are signed with {}, no longer with {}, for {number}",
                signed(after.algorithm),
                signed(before.algorithm)
            );
            let how = (Class::Breaks, "resource.algorithm");
            self.say(how, words(&form, &[&after.name]), "algorithm");
        }
    }

    /// Who answers for it, and what people call it.
    fn people(&mut self) {
        let (before, after) = (self.before, self.after);
        let name = &after.name;
        if before.owner != after.owner {
            let (from, to) = (owner(before.owner.as_ref()), owner(after.owner.as_ref()));
            let text = words("resource {} passes from {} to {}", &[name, &from, &to]);
            self.say((Class::Other, "resource.owner"), text, "owner");
        }
        if before.title != after.title {
            let names: [&dyn std::fmt::Display; 3] = [name, &after.title, &before.title];
            let text = words("resource {} is called {}, was {}", &names);
            self.say((Class::Other, "resource.name"), text, "name");
        }
    }
}

/// A scope that came, or is described otherwise.
fn one_scope(
    (before, after): (&Resource, &Resource),
    scope: &ScopeName,
    description: &str,
    said: &mut Vec<Statement>,
) {
    let name = &after.name;
    let old = before.scopes.iter().find(|(old, _)| old == scope);
    let (kind, text) = match old {
        Some((_, old)) if old == description => return,
        Some((_, old)) => (
            "resource.scope_described",
            words(
                "resource {}: scope {} is described as {}, was {}",
                &[name, scope, &description, old],
            ),
        ),
        None => (
            "resource.scope_added",
            words(
                "resource {} has a new scope {}: {}",
                &[name, scope, &description],
            ),
        ),
    };
    let about = About {
        scopes: vec![scope.clone()],
        ..About::default()
    };
    let statement = of(after, Class::Other, kind, text).at(Spot::Scope(scope.clone()));
    said.push(statement.about(about));
}

/// A scope that is gone.
fn scope_removed(
    resource: &Resource,
    scope: &ScopeName,
    lost: &Lost,
    scene: &Scene<'_>,
) -> Statement {
    let name = &resource.name;
    let clients = lost.by_scope.get(&(name.clone(), scope.clone()));
    let clients = clients.cloned().unwrap_or_default();
    let text = match clients.len() {
        0 => words(
            "resource {}: scope {} is removed; no client had it",
            &[name, scope],
        ),
        number => {
            let (number, third) = (count(number, "client"), third(number));
            let form = format!("resource {{}}: {number} lose{third} {{}}, for it is removed");
            words(&form, &[name, scope])
        }
    };
    let class = Class::breaks(any_runs(scene, &clients));
    let about = About {
        scopes: vec![scope.clone()],
        clients,
        ..About::default()
    };
    let statement = of(resource, class, "resource.scope_removed", text).before();
    statement.at(Spot::Scope(scope.clone())).about(about)
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
