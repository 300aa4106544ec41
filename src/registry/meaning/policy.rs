//! What a change of the policy means, rule by rule. Pure.

use super::words::{Words, words};
use super::{Class, Statement};
use crate::domain::Lifetime;
use crate::registry::object::{Object, Spot};
use crate::registry::snapshot::Policy;

/// A rule that allows more than before.
const LOOSENED: (Class, &str) = (Class::Widens, "policy.loosened");

/// A rule that allows less than before.
const TIGHTENED: (Class, &str) = (Class::Other, "policy.tightened");

/// Tells each rule that changed.
pub(super) fn changed(before: &Policy, after: &Policy, said: &mut Vec<Statement>) {
    // Taken apart, so that a new rule does not compile until it is told.
    let Policy {
        max_token_lifetime,
        max_secret_lifetime,
        require_owner,
    } = after;
    let mut say = |loosened: bool, text: Words, key: &'static str| {
        let (class, kind) = if loosened { LOOSENED } else { TIGHTENED };
        let statement = Statement::new(class, kind, Object::Policy, text);
        said.push(statement.at(Spot::Key(key)));
    };
    if before.max_token_lifetime != *max_token_lifetime {
        let was = before.max_token_lifetime;
        let text = words(
            &format!("policy: a token may live {max_token_lifetime}, was {was}"),
            &[],
        );
        say(was < *max_token_lifetime, text, "max_token_lifetime");
    }
    if before.max_secret_lifetime != *max_secret_lifetime {
        let told = |most: Option<Lifetime>| {
            most.map_or_else(|| "without a limit".to_owned(), |most| most.to_string())
        };
        let was = before.max_secret_lifetime;
        let looser = max_secret_lifetime.is_none_or(|most| was.is_some_and(|was| was < most));
        let (now, was) = (told(*max_secret_lifetime), told(was));
        let text = words(&format!("policy: a secret may live {now}, was {was}"), &[]);
        say(looser, text, "max_secret_lifetime");
    }
    if before.require_owner != *require_owner {
        let form = match require_owner {
            true => "policy: each client and resource must name its owner",
            false => "policy: clients and resources need no owner any more",
        };
        say(!require_owner, words(form, &[]), "require_owner");
    }
}
