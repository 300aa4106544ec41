//! "Did you mean": the nearest of the names that exist. Pure.

/// Most names that a message lists.
const MAX_LISTED: usize = 8;

/// The candidate that is most likely meant: a third of its letters may differ, transpositions
/// counted once.
pub(super) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (wrong.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(wrong, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean …?" where a name is near, else a list of what exists.
pub(crate) fn advice<'a>(
    wrong: &str,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    let mut names: Vec<&str> = candidates.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    match nearest(wrong, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => format!("there are no {what} yet"),
        None => format!("{what}: {}", list(&names)),
    }
}

/// Names as a message shows them: the first few, and how many more there are.
fn list(names: &[&str]) -> String {
    let mut text = names
        .iter()
        .take(MAX_LISTED)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let more = names.len().saturating_sub(MAX_LISTED);
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_lists_what_is_not() {
        assert_eq!(
            advice("onwer", "keys", ["name", "owner"]),
            "did you mean `owner`?"
        );
        assert_eq!(advice("zzz", "keys", ["b", "a"]), "keys: `a`, `b`");
        assert_eq!(advice("zzz", "resources", []), "there are no resources yet");
        let many: Vec<String> = (10..30).map(|n| format!("name{n}")).collect();
        assert!(advice("zzz", "keys", many.iter().map(String::as_str)).ends_with(" and 12 more"));
    }
}
