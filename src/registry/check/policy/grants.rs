//! Rules about grants: scopes that need two owners, grants that may not be together. Pure.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;

use super::{NeverTogetherDef, TwoOwnersDef};
use crate::domain::ScopeName;
use crate::registry::check::define::MAX_DESCRIPTION;
use crate::registry::check::values;
use crate::registry::diagnostic::Collector;
use crate::registry::file::{Given, NeverTogetherTable, TwoOwnersTable};
use crate::registry::policy::{GrantName, NeverTogether};

/// Most grants of one `never_together`: a rule that nobody can read keeps nobody from anything.
const MAX_TOGETHER: usize = 16;

pub(super) fn define_two_owners(
    resource: Spanned<String>,
    table: TwoOwnersTable,
    problems: &mut Collector<'_>,
) -> TwoOwnersDef {
    let TwoOwnersTable {
        scopes,
        owner,
        partial: _,
    } = table;
    let name = resource.get_ref();
    let empty = scopes.good().is_some_and(|list| list.get_ref().is_empty());
    if empty || matches!(scopes, Given::Missing) {
        let span = scopes.good().map_or(resource.span(), Spanned::span);
        let message = format!("two owners for no scope of `{name}`");
        problems.error(span, &message, "name some: `scopes = [\"SCOPE\"]`");
    }
    if matches!(owner, Given::Missing) {
        let message = format!("two owners of `{name}`, and the second has no name");
        let advice =
            "say whose approval is needed besides the resource owner's: `owner = \"team-…\"`";
        problems.error(resource.span(), &message, advice);
    }
    let mut names: Vec<Spanned<ScopeName>> = Vec::new();
    for scope in scopes.into_value().unwrap_or_default() {
        let Some(parsed) = values::parsed(
            ScopeName::parse(scope.get_ref()),
            "scope",
            scope.span(),
            problems,
        ) else {
            continue;
        };
        let named = Spanned::new(scope.span(), parsed);
        no_twin(&names, &named, problems);
        names.push(named);
    }
    TwoOwnersDef {
        scopes: names,
        owner: values::owner(owner, problems),
        resource,
    }
}

fn no_twin<T: PartialEq + std::fmt::Display>(
    seen: &[Spanned<T>],
    new: &Spanned<T>,
    problems: &mut Collector<'_>,
) {
    if let Some(first) = seen.iter().find(|it| it.get_ref() == new.get_ref()) {
        let message = format!("`{}` is named twice", new.get_ref());
        let also = Some((first.span(), "first named here"));
        problems.error_also(new.span(), &message, "remove one of the two", also);
    }
}

pub(super) fn define_together(
    given: Given<Vec<Spanned<NeverTogetherTable>>>,
    problems: &mut Collector<'_>,
) -> Vec<NeverTogetherDef> {
    let mut seen: HashMap<Vec<GrantName>, Range<usize>> = HashMap::new();
    let mut defined = Vec::new();
    for table in given.into_value().unwrap_or_default() {
        let at = table.span();
        let NeverTogetherTable {
            grants,
            reason,
            partial: _,
        } = table.into_inner();
        if matches!(grants, Given::Missing) {
            let advice = "name two or more: `grants = [\"RESOURCE/SCOPE\", \"RESOURCE/SCOPE\"]`";
            problems.error(at.clone(), "a rule without its grants", advice);
        }
        let reason = values::text(reason, MAX_DESCRIPTION, problems).into_value();
        let grants = grants.parse(|texts, span| grant_names(texts, span, problems));
        let rule = grants.good().map(|names| {
            let mut grants: Vec<GrantName> = names
                .get_ref()
                .iter()
                .map(|it| it.get_ref().clone())
                .collect();
            grants.sort_unstable();
            NeverTogether { grants, reason }
        });
        if let Some(rule) = &rule {
            let span = grants.good().map_or(at, Spanned::span);
            if let Some(first) = seen.get(&rule.grants) {
                let also = Some((first.clone(), "first written here"));
                let message = "a rule for the same grants stands twice";
                problems.error_also(span, message, "remove one of the two", also);
            } else {
                seen.insert(rule.grants.clone(), span);
            }
        }
        defined.push(NeverTogetherDef { grants, rule });
    }
    defined
}

/// The grants of one rule, or a problem for each reason why they make none.
fn grant_names(
    texts: Vec<Spanned<String>>,
    span: Range<usize>,
    problems: &mut Collector<'_>,
) -> Option<Vec<Spanned<GrantName>>> {
    let count = texts.len();
    let mut whole = true;
    if !(2..=MAX_TOGETHER).contains(&count) {
        let message = match count {
            0 | 1 => "less than two grants: nothing can be together".to_owned(),
            _ => format!("{count} grants in one rule: {MAX_TOGETHER} at most"),
        };
        let advice =
            "name those that one client may not have all of; to forbid one alone, remove its scope";
        problems.error(span, &message, advice);
        whole = false;
    }
    let mut names: Vec<Spanned<GrantName>> = Vec::new();
    for text in texts.into_iter().take(MAX_TOGETHER) {
        let parsed = match GrantName::parse(text.get_ref()) {
            Ok(parsed) => Spanned::new(text.span(), parsed),
            Err(error) => {
                let advice = "write `RESOURCE/SCOPE`, or `RESOURCE` for any grant there";
                problems.error(text.span(), &error.to_string(), advice);
                whole = false;
                continue;
            }
        };
        let name = parsed.get_ref();
        let covered = names
            .iter()
            .find(|other| other.get_ref().covers(name) || name.covers(other.get_ref()));
        if let Some(other) = covered {
            let message = format!("who has `{name}` or `{}` may have both", other.get_ref());
            let also = Some((other.span(), "this is the same, or part of it"));
            let advice = "name grants that one can have without the other";
            problems.error_also(text.span(), &message, advice, also);
            whole = false;
        }
        names.push(parsed);
    }
    whole.then_some(names)
}
