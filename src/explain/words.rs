//! What each rule says, for people. Pure.

use std::collections::BTreeSet;

use crate::domain::{
    AuthMethod, ClientId, Denial, ResourceName, ScopeName, UnixSeconds, split_scope,
};
use crate::grant::{Asked, Bound};
use crate::http::AskedResource;
use crate::registry::snapshot::{Client, Policy, ResourceGrant, Snapshot, StoredSecret};
use crate::registry::suggest;

pub(super) fn unknown_client(id: &str, registry: &Snapshot) -> String {
    let ids = registry.clients.keys().map(ClientId::as_str);
    let advice = suggest::advice(id, "clients", ids);
    format!("the registry has no client {id:?}: {advice}")
}

pub(super) fn client(client: &Client) -> String {
    format!("{}: {:?}{}", client.id, client.title, of(client))
}

fn of(client: &Client) -> String {
    match &client.owner {
        Some(owner) => format!(", of {}", owner.as_str()),
        None => String::new(),
    }
}

/// A secret by its id and its label.
pub(super) fn secret(secret: &StoredSecret) -> String {
    match &secret.label {
        Some(label) => format!("{} ({label})", secret.id),
        None => secret.id.to_string(),
    }
}

pub(super) fn credential(
    client: &Client,
    chosen: Option<&StoredSecret>,
    refusal: Option<Denial>,
) -> String {
    let Some(chosen) = chosen else {
        let id = &client.id;
        return format!("it has no secret: make one with `grantd secret new --client {id}`");
    };
    let name = secret(chosen);
    let moment = |moment: Option<UnixSeconds>| moment.map_or(String::new(), |at| at.to_string());
    match refusal {
        Some(Denial::CredentialNotYetValid) => {
            format!(
                "{name} may not be used before {}",
                moment(chosen.not_before)
            )
        }
        Some(_) => format!("{name} expired at {}", moment(chosen.expires)),
        None => format!("{name}, {}", until(chosen.expires)),
    }
}

pub(super) fn method(method: AuthMethod, refusal: Option<Denial>, policy: &Policy) -> String {
    let allowed = AuthMethod::ALL.into_iter();
    let allowed = allowed.filter(|method| policy.allows(*method));
    let names: Vec<&str> = allowed.map(AuthMethod::name).collect();
    let (name, names) = (method.name(), names.join(" and "));
    match refusal {
        Some(_) => format!("{name}, but the policy allows {names} alone"),
        None => format!("{name}; the policy allows {names}"),
    }
}

/// Until when something holds.
pub(super) fn until(end: Option<UnixSeconds>) -> String {
    end.map_or_else(|| "without an end".to_owned(), |at| format!("until {at}"))
}

pub(super) fn active(client: &Client, refusal: Option<Denial>) -> String {
    match (refusal, client.expires) {
        (Some(Denial::ClientDisabled), _) => "it is disabled: `disabled = true`".to_owned(),
        (Some(_), Some(at)) => format!("it expired at {at}"),
        (_, end) => format!("enabled, {}", until(end)),
    }
}

pub(super) fn resource(
    asked: Asked<'_>,
    client: &Client,
    granted: Option<&ResourceGrant>,
    refusal: Option<Denial>,
) -> String {
    let names = || {
        let grants = client.grants.iter();
        grants.map(|grant| grant.resource.name.as_str())
    };
    let text = match asked.resource {
        AskedResource::One(text) => text.as_str(),
        AskedResource::None | AskedResource::Several => "",
    };
    match (granted, refusal) {
        (Some(granted), _) => {
            let resource = &granted.resource;
            let default = match asked.resource {
                AskedResource::None => ", which it means when it names none",
                AskedResource::One(_) | AskedResource::Several => "",
            };
            format!("{}: {}{default}", resource.name, resource.identifier)
        }
        (None, Some(Denial::ResourceMissing)) => format!(
            "none is named, and it has no default: {}",
            suggest::advice("", "its resources", names())
        ),
        (None, Some(Denial::UnknownResource)) => format!(
            "no resource has the identifier or the name {text:?}: {}",
            suggest::advice(text, "its resources", names())
        ),
        (None, _) => format!(
            "it has no grant on {text}: {}",
            suggest::advice("", "its resources", names())
        ),
    }
}

pub(super) fn scope(
    asked: Option<&str>,
    granted: &ResourceGrant,
    chosen: Option<&str>,
    refusal: Option<Denial>,
) -> String {
    match (asked, chosen, refusal) {
        (_, Some(""), _) => "the resource has no scopes".to_owned(),
        (None, Some(chosen), _) => format!("none is named: all that it has there, {chosen}"),
        (_, Some(chosen), _) if chosen == &*granted.scope => {
            format!("{chosen}: all that it has there")
        }
        (_, Some(chosen), _) => format!("{chosen}; it has {}", granted.scope),
        (asked, None, Some(Denial::ScopeNotGranted)) => missing(asked.unwrap_or(""), granted),
        (asked, ..) => format!(
            "{:?} is no list of scopes: names separated by single spaces (RFC 6749 section 3.3)",
            asked.unwrap_or("")
        ),
    }
}

fn missing(asked: &str, granted: &ResourceGrant) -> String {
    let has: BTreeSet<&str> = granted.scopes.iter().map(ScopeName::as_str).collect();
    let defined: BTreeSet<&str> = granted
        .resource
        .scopes
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let wanted = split_scope(asked).unwrap_or_default();
    let (there, nowhere): (Vec<&str>, Vec<&str>) = wanted
        .into_iter()
        .filter(|name| !has.contains(name))
        .partition(|name| defined.contains(name));
    let mut parts = Vec::new();
    if !there.is_empty() {
        parts.push(format!("it was not granted {}", there.join(" ")));
    }
    if let Some(first) = nowhere.first() {
        parts.push(format!(
            "the resource has no scope {} ({})",
            nowhere.join(" "),
            suggest::advice(first, "scopes", defined.iter().copied())
        ));
    }
    let has: Vec<&str> = has.into_iter().collect();
    let has = match has.join(" ") {
        none if none.is_empty() => "nothing".to_owned(),
        some => some,
    };
    format!("{}; it has {has}", parts.join(", and "))
}

/// What bounds a lifetime, as the files name it.
#[must_use]
pub(super) const fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Resource => "the resource's token_lifetime",
        Bound::Client => "the client's token_lifetime",
        Bound::Policy => "the policy's max_token_lifetime",
        Bound::ClientEnd => "the client's end",
        Bound::CredentialEnd => "the credential's end",
    }
}

/// What is said of a resource that is not there.
pub(super) fn unknown_resource(text: &str, registry: &Snapshot) -> String {
    let names = registry.resources.keys().map(ResourceName::as_str);
    suggest::advice(text, "resources", names)
}
