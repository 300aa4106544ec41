//! What a change of the policy means, rule by rule. Pure.
//!
//! Where it can't be said which of two rules allows more (two patterns, a number and a share), the change
//! counts as loosening.

use super::words::{Words, owner, words};
use super::{Class, Statement, list};
use crate::domain::{AuthMethod, Lifetime};
use crate::registry::object::{Object, Spot};
use crate::registry::policy::{
    Field, FieldSet, GrantName, NamePattern, NamePatterns, NeverTogether, RemovalLimit,
    RequiredFields, TwoOwners,
};
use crate::registry::snapshot::Policy;

/// What is told of a policy so far.
struct Told<'a>(&'a mut Vec<Statement>);

/// Tells each rule that changed.
pub(super) fn changed(before: &Policy, after: &Policy, said: &mut Vec<Statement>) {
    // Taken apart, so that a new rule does not compile until it is told.
    let Policy {
        owner: owned,
        max_token_lifetime,
        max_secret_lifetime,
        require_owner,
        max_removed_clients,
        allowed_auth_methods,
        required_fields,
        names,
        two_owners,
        never_together,
    } = after;
    let mut told = Told(said);
    if before.owner != *owned {
        let (from, to) = (owner(before.owner.as_ref()), owner(owned.as_ref()));
        let text = words("the policy passes from {} to {}", &[&from, &to]);
        told.say((Class::Other, "policy.owner"), text, "owner");
    }
    if before.max_token_lifetime != *max_token_lifetime {
        let was = before.max_token_lifetime;
        let form = format!("policy: a token may live {max_token_lifetime}, was {was}");
        let looser = was < *max_token_lifetime;
        told.rule(looser, words(&form, &[]), "max_token_lifetime");
    }
    if before.max_secret_lifetime != *max_secret_lifetime {
        let limit = |most: Option<Lifetime>| {
            most.map_or_else(|| "without a limit".to_owned(), |most| most.to_string())
        };
        let was = before.max_secret_lifetime;
        let looser = max_secret_lifetime.is_none_or(|most| was.is_some_and(|was| was < most));
        let (now, was) = (limit(*max_secret_lifetime), limit(was));
        let form = format!("policy: a secret may live {now}, was {was}");
        told.rule(looser, words(&form, &[]), "max_secret_lifetime");
    }
    if before.require_owner != *require_owner {
        let form = match require_owner {
            true => "policy: each client and resource must name its owner",
            false => "policy: clients and resources need no owner any more",
        };
        told.rule(!require_owner, words(form, &[]), "require_owner");
    }
    removals(before.max_removed_clients, *max_removed_clients, &mut told);
    methods(
        before.allowed_auth_methods.as_deref(),
        allowed_auth_methods.as_deref(),
        &mut told,
    );
    fields(&before.required_fields, required_fields, &mut told);
    patterns(&before.names, names, &mut told);
    second_owners(&before.two_owners, two_owners, &mut told);
    together(&before.never_together, never_together, &mut told);
}

impl Told<'_> {
    fn say(&mut self, (class, kind): (Class, &'static str), text: Words, key: &'static str) {
        let statement = Statement::new(class, kind, Object::Policy, text);
        self.0.push(statement.at(Spot::Key(key)));
    }

    /// A rule that allows more than before, or less.
    fn rule(&mut self, looser: bool, text: Words, key: &'static str) {
        let how = match looser {
            true => (Class::Widens, "policy.loosened"),
            false => (Class::Other, "policy.tightened"),
        };
        self.say(how, text, key);
    }
}

fn removals(was: Option<RemovalLimit>, is: Option<RemovalLimit>, told: &mut Told<'_>) {
    if was == is {
        return;
    }
    let looser = match (was, is) {
        (None, _) => false,
        (Some(RemovalLimit::Clients(was)), Some(RemovalLimit::Clients(is))) => was < is,
        (Some(RemovalLimit::Percent(was)), Some(RemovalLimit::Percent(is))) => was < is,
        (Some(_), _) => true,
    };
    let limit = |it: Option<RemovalLimit>| {
        it.map_or_else(|| "any number of".to_owned(), |it| it.to_string())
    };
    let (is, was) = (limit(is), limit(was));
    let form = format!("policy: one change may take away {is} clients, was {was}");
    told.rule(looser, words(&form, &[]), "max_removed_clients");
}

fn methods(was: Option<&[AuthMethod]>, is: Option<&[AuthMethod]>, told: &mut Told<'_>) {
    if was == is {
        return;
    }
    let (old, new) = (
        was.unwrap_or(&AuthMethod::ALL),
        is.unwrap_or(&AuthMethod::ALL),
    );
    let key = "allowed_auth_methods";
    for method in new.iter().filter(|it| !old.contains(it)) {
        let text = words("policy: clients may use {} too", &[&method.name()]);
        told.rule(true, text, key);
    }
    for method in old.iter().filter(|it| !new.contains(it)) {
        let text = words(
            "policy: a client that uses {} is refused",
            &[&method.name()],
        );
        told.say((Class::Breaks, "policy.method_removed"), text, key);
    }
    let same = |a: &[AuthMethod], b: &[AuthMethod]| a.iter().all(|it| b.contains(it));
    if same(old, new) && same(new, old) {
        let form = match is {
            Some(_) => "policy: only the methods that clients may use now are allowed",
            None => "policy: every method that grantd offers is allowed",
        };
        told.rule(is.is_none(), words(form, &[]), key);
    }
}

fn fields(was: &RequiredFields, is: &RequiredFields, told: &mut Told<'_>) {
    let RequiredFields {
        client,
        resource,
        secret,
    } = is;
    field_set(was.client, *client, told);
    field_set(was.resource, *resource, told);
    field_set(was.secret, *secret, told);
}

fn field_set<F: Field + PartialEq>(was: FieldSet<F>, is: FieldSet<F>, told: &mut Told<'_>) {
    let table = F::TABLE;
    for field in is.iter().filter(|field| !was.contains(*field)) {
        let form = format!("policy: each {table} must say its {}", field.name());
        told.rule(false, words(&form, &[]), "required_fields");
    }
    for field in was.iter().filter(|field| !is.contains(*field)) {
        let form = format!(
            "policy: a {table} need not say its {} any more",
            field.name()
        );
        told.rule(true, words(&form, &[]), "required_fields");
    }
}

fn patterns(was: &NamePatterns, is: &NamePatterns, told: &mut Told<'_>) {
    let NamePatterns {
        client,
        resource,
        scope,
        owner,
    } = is;
    for (what, was, is) in [
        ("clients", &was.client, client),
        ("resources", &was.resource, resource),
        ("scopes", &was.scope, scope),
        ("owners", &was.owner, owner),
    ] {
        if was == is {
            continue;
        }
        let any = |pattern: &Option<NamePattern>| {
            pattern
                .as_ref()
                .map_or_else(|| "anything".to_owned(), ToString::to_string)
        };
        let form = format!("policy: names of {what} must match {{}}, was {{}}");
        let text = words(&form, &[&any(is), &any(was)]);
        told.rule(was.is_some(), text, "names");
    }
}

fn second_owners(was: &[TwoOwners], is: &[TwoOwners], told: &mut Told<'_>) {
    for rule in was.iter().filter(|rule| !is.contains(rule)) {
        let text = words(
            "policy: {} on {} no longer needs {} as a second owner",
            &[&list(&rule.scopes), &rule.resource, &rule.owner.as_str()],
        );
        told.rule(true, text, "two_owners");
    }
    for rule in is.iter().filter(|rule| !was.contains(rule)) {
        let text = words(
            "policy: {} on {} needs {} as a second owner",
            &[&list(&rule.scopes), &rule.resource, &rule.owner.as_str()],
        );
        told.rule(false, text, "two_owners");
    }
}

fn together(was: &[NeverTogether], is: &[NeverTogether], told: &mut Told<'_>) {
    let grants = |rule: &NeverTogether| {
        let names: Vec<String> = rule.grants.iter().map(GrantName::to_string).collect();
        names.join(" and ")
    };
    let find = |rules: &[NeverTogether], wanted: &NeverTogether| {
        rules
            .iter()
            .find(|rule| rule.grants == wanted.grants)
            .cloned()
    };
    for rule in was {
        if find(is, rule).is_none() {
            let text = words("policy: a client may have {} together", &[&grants(rule)]);
            told.rule(true, text, "never_together");
        }
    }
    for rule in is {
        match find(was, rule) {
            None => {
                let text = words("policy: no client may have {} together", &[&grants(rule)]);
                told.rule(false, text, "never_together");
            }
            Some(old) if old.reason != rule.reason => {
                let why = rule.reason.clone().unwrap_or_else(|| "nothing".to_owned());
                let text = words(
                    "policy: why no client may have {} together says {}",
                    &[&grants(rule), &why],
                );
                told.say((Class::Other, "policy.reason"), text, "never_together");
            }
            Some(_) => {}
        }
    }
}
