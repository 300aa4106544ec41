//! A plan as one JSON object. Pure.

use serde_json::{Value, json};

use super::report::{About, Refused, Report, Told};
use crate::domain::{ClientId, CredentialId, Owner, ResourceName, ScopeName, UnixSeconds};
use crate::registry::approval::{Approval, Approver};
use crate::registry::meaning::{Class, Side};

/// Names this form: what is added later leaves it as it is.
const FORMAT: &str = "grantd plan v1";

/// A plan.
pub(super) fn report(report: &Report) -> Value {
    let counts = &report.counts;
    json!({
        "format": FORMAT,
        "accepted": true,
        "changed": report.changes(),
        "refused": report.is_refused(),
        "summary": report.summary(),
        "from": about(&report.from),
        "to": about(&report.to),
        "counts": {
            "widens": report.number(Class::Widens),
            "breaks": report.number(Class::Breaks),
            "other": report.number(Class::Other),
            "clients_added": counts.clients_added,
            "clients_changed": counts.clients_changed,
            "clients_removed": counts.clients_removed,
            "resources_added": counts.resources_added,
            "resources_changed": counts.resources_changed,
            "resources_removed": counts.resources_removed,
            "policy_changed": counts.policy_changed,
        },
        "statements": report.told.iter().map(statement).collect::<Vec<_>>(),
        "approvals": report.approvals.as_ref().map(|approvals| {
            approvals.iter().map(|it| approval(report, it)).collect::<Vec<_>>()
        }),
        "approved_by": report.approved.as_ref().map(|owners| {
            owners.iter().map(Owner::as_str).collect::<Vec<_>>()
        }),
        "held": report.held.as_ref().map(|held| json!({
            "hash": held.hash.to_string(),
            "reasons": held.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "accept": format!("grantd registry accept {}", held.hash),
        })),
        "overlay": report.overlay.iter().map(|taken| json!({
            "client": taken.disabled.as_ref().map(ClientId::as_str),
            "text": taken.text.to_string(),
        })).collect::<Vec<_>>(),
        "last_use_exported": report.figures.map(UnixSeconds::to_rfc3339),
    })
}

/// A registry that is refused.
pub(super) fn refused(refused: &Refused) -> Value {
    json!({
        "format": FORMAT,
        "accepted": false,
        "refused": true,
        "summary": refused.summary(),
        "prefix": refused.prefix,
        "error": refused.error,
        "problems": refused.problems,
    })
}

fn about(about: &About) -> Value {
    json!({
        "source": about.source,
        "commit": about.commit,
        "digest": about.digest,
    })
}

fn statement(told: &Told) -> Value {
    let statement = &told.statement;
    let about = &statement.about;
    json!({
        "class": statement.class.name(),
        "kind": statement.kind,
        "object": statement.object.to_string(),
        "text": statement.text.to_string(),
        "side": match statement.side {
            Side::Old => "from",
            Side::New => "to",
        },
        "file": told.file,
        "line": told.line,
        "column": told.column,
        "resource": about.resource.as_ref().map(ResourceName::as_str),
        "scopes": about.scopes.iter().map(ScopeName::as_str).collect::<Vec<_>>(),
        "credential": about.credential.as_ref().map(CredentialId::as_str),
        "clients": about.clients.iter().map(ClientId::as_str).collect::<Vec<_>>(),
    })
}

fn approval(report: &Report, approval: &Approval) -> Value {
    let named = approval
        .one_of
        .iter()
        .filter_map(|approver| match approver {
            Approver::Owner(owner) => Some(owner.as_str()),
            Approver::Nobody => None,
        });
    json!({
        "one_of": named.collect::<Vec<_>>(),
        "given": report.given(approval),
        "reasons": approval.reasons.iter().map(|reason| json!({
            "rule": reason.rule,
            "object": reason.object.to_string(),
            "text": reason.text.to_string(),
        })).collect::<Vec<_>>(),
    })
}
