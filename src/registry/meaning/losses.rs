//! Which clients lose what, told once for many. Pure.

use std::collections::BTreeMap;

use super::words::{count, words};
use super::{About, Class, Scene, Side, Statement, list, named};
use crate::domain::{ClientId, ResourceName, ScopeName};
use crate::registry::diff::Change;
use crate::registry::object::{Object, Spot};
use crate::registry::snapshot::{Client, Resource, ResourceGrant};

/// From how many clients on the same loss is told once for all of them: more lines say less.
const TOLD_ONCE: usize = 5;

/// The clients that lose by each resource that is gone, and by each scope that is gone.
#[derive(Default)]
pub(super) struct Lost {
    pub(super) by_resource: BTreeMap<ResourceName, Vec<ClientId>>,
    pub(super) by_scope: BTreeMap<(ResourceName, ScopeName), Vec<ClientId>>,
}

/// What a client loses on a resource that stays: all, or these scopes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    Whole,
    Scopes(Vec<ScopeName>),
}

/// Finds all losses of grants. Those that a resource or a scope takes with it are handed back, to be
/// told of the resource; the others are told here.
pub(super) fn find(scene: &Scene<'_>, changes: &[Change], said: &mut Vec<Statement>) -> Lost {
    let mut lost = Lost::default();
    let mut rest: BTreeMap<(ResourceName, Loss), Vec<&Client>> = BTreeMap::new();
    for change in changes {
        let (before, after) = match change {
            Change::ClientChanged { before, after, .. } => (before, Some(after)),
            Change::ClientRemoved(before) => (before, None),
            _ => continue,
        };
        for grant in &before.grants {
            let kept = after.and_then(|after| after.grant_on(&grant.resource.name));
            if let Some(loss) = one_loss(scene, before, (grant, kept), &mut lost)
                // A client that is gone has a statement of its own.
                && after.is_some()
            {
                let key = (grant.resource.name.clone(), loss);
                rest.entry(key).or_default().push(before);
            }
        }
    }
    for ((resource, loss), clients) in rest {
        if let Some(resource) = scene.old.resources.get(&resource) {
            tell(scene, resource, (&loss, &clients), said);
        }
    }
    lost
}

/// What one client loses on one resource by a change of its own grants.
fn one_loss(
    scene: &Scene<'_>,
    client: &Client,
    (grant, kept): (&ResourceGrant, Option<&ResourceGrant>),
    lost: &mut Lost,
) -> Option<Loss> {
    let name = &grant.resource.name;
    let Some(resource) = scene.new.resources.get(name) else {
        let clients = lost.by_resource.entry(name.clone()).or_default();
        clients.push(client.id.clone());
        return None;
    };
    let has = |scope: &ScopeName| kept.is_some_and(|kept| kept.scopes.contains(scope));
    let gone: Vec<&ScopeName> = grant.scopes.iter().filter(|scope| !has(scope)).collect();
    let defined = |scope: &&ScopeName| resource.scopes.iter().any(|(name, _)| name == *scope);
    let mut own = Vec::new();
    for scope in gone {
        if defined(&scope) {
            own.push(scope.clone());
        } else {
            let key = (name.clone(), scope.clone());
            lost.by_scope
                .entry(key)
                .or_default()
                .push(client.id.clone());
        }
    }
    match (kept, own.is_empty()) {
        (None, _) => Some(Loss::Whole),
        (Some(_), true) => None,
        (Some(_), false) => Some(Loss::Scopes(own)),
    }
}

fn tell(
    scene: &Scene<'_>,
    resource: &Resource,
    (loss, clients): (&Loss, &[&Client]),
    said: &mut Vec<Statement>,
) {
    let (what, scopes) = match loss {
        Loss::Whole => ("access".to_owned(), Vec::new()),
        Loss::Scopes(scopes) => (list(scopes), scopes.clone()),
    };
    let about = |clients: Vec<ClientId>| About {
        resource: Some(resource.name.clone()),
        scopes: scopes.clone(),
        clients,
        ..About::default()
    };
    if clients.len() >= TOLD_ONCE {
        let class = Class::breaks(clients.iter().any(|client| scene.runs(client)));
        let number = count(clients.len(), "client");
        let text = words(
            &format!("resource {{}}: {number} lose {{}}"),
            &[&resource.name, &what],
        );
        let ids = clients.iter().map(|client| client.id.clone()).collect();
        let object = Object::Resource(resource.name.clone());
        said.push(Statement::new(class, "resource.clients_lose", object, text).about(about(ids)));
        return;
    }
    for client in clients {
        let text = match loss {
            Loss::Whole => words(
                "client {} loses access to {}",
                &[&client.id, &named(resource)],
            ),
            Loss::Scopes(_) => words(
                "client {} loses {} on {}",
                &[&client.id, &what, &named(resource)],
            ),
        };
        let text = text.and(scene.last_seen_words(&client.id));
        let class = Class::breaks(scene.runs(client));
        let object = Object::Client(client.id.clone());
        let mut statement = Statement::new(class, "client.loses", object, text)
            .at(Spot::Grant(resource.name.clone()))
            .about(about(Vec::new()));
        if matches!(loss, Loss::Whole) {
            statement.side = Side::Old;
        }
        said.push(statement);
    }
}
