//! Credentials as a table for people. Pure.

use super::print::span;
use crate::admin::{ClientReport, CredentialReport};

/// What stands where there is nothing.
const NOTHING: &str = "-";

/// Rows of the credentials of these clients, a heading first; with a column of the clients, or without.
pub(super) fn table(clients: &[ClientReport], with_client: bool) -> Vec<String> {
    let mut rows = vec![
        [
            "CLIENT",
            "CREDENTIAL",
            "LABEL",
            "STATE",
            "CREATED",
            "EXPIRES",
            "LAST USED",
        ]
        .map(str::to_owned),
    ];
    for client in clients {
        rows.extend(client.credentials.iter().map(|it| row(client, it)));
    }
    let widths: Vec<usize> = (0..7)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let skipped = usize::from(!with_client);
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).skip(skipped);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

fn row(client: &ClientReport, credential: &CredentialReport) -> [String; 7] {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
    let moment =
        |moment: &Option<String>| moment.as_deref().map_or_else(|| NOTHING.to_owned(), day);
    let used = match (&credential.last_used, credential.last_used_seconds_ago) {
        (Some(at), Some(ago)) => format!("{at}, {} ago", span(ago)),
        _ => "no use known".to_owned(),
    };
    [
        client.client.clone(),
        credential.id.clone(),
        // A label may hold what would steer a terminal, and its width counts as it is shown.
        crate::domain::visible(&text(&credential.label)).into_owned(),
        credential.state.clone(),
        moment(&credential.created),
        moment(&credential.expires),
        used,
    ]
}

/// A moment without its time where that is midnight, as files spell most of them.
fn day(moment: &str) -> String {
    moment
        .strip_suffix("T00:00:00Z")
        .unwrap_or(moment)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let credential = |label: Option<&str>, ago| CredentialReport {
            id: "secret:AAAAAAAAAAAA".to_owned(),
            label: label.map(str::to_owned),
            state: "valid".to_owned(),
            created: Some("2026-01-01T00:00:00Z".to_owned()),
            expires: Some("2026-12-01T10:00:00Z".to_owned()),
            last_used: Some("2026-11-29T10:00:00Z".to_owned()),
            last_used_seconds_ago: ago,
            ..CredentialReport::default()
        };
        let client = ClientReport {
            client: "nightly".to_owned(),
            credentials: vec![
                credential(Some("the \u{1b}old one"), Some(61)),
                credential(None, None),
            ],
            ..ClientReport::default()
        };
        let rows = table(std::slice::from_ref(&client), false);
        assert_eq!(
            rows,
            [
                "CREDENTIAL           LABEL              STATE  CREATED     EXPIRES               LAST USED",
                "secret:AAAAAAAAAAAA  the \\u{1b}old one  valid  2026-01-01  2026-12-01T10:00:00Z  2026-11-29T10:00:00Z, 1m 1s ago",
                "secret:AAAAAAAAAAAA  -                  valid  2026-01-01  2026-12-01T10:00:00Z  no use known",
            ]
        );
        assert!(
            table(&[client], true)
                .iter()
                .skip(1)
                .all(|row| row.starts_with("nightly  "))
        );
    }
}
