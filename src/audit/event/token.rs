//! The events of token requests. Pure.

use super::json::Object;
use super::{Envelope, EventKind, head};
use crate::audit::budget::Summary;
use crate::audit::decision::{RegistryRef, Trail};
use crate::domain::{ClientId, CommitId, Denial};
use crate::mint::TokenFacts;

/// `token.issued`: the hot path.
pub(in crate::audit) fn issued(
    envelope: &Envelope<'_>,
    facts: &TokenFacts,
    trail: &Trail,
) -> Vec<u8> {
    let subject = Some(facts.client.as_str());
    head(envelope, EventKind::TokenIssued, subject, |data| {
        request(data, trail);
        data.text("client_id", facts.client.as_str());
        credential(data, trail);
        data.text("resource", facts.audience.as_str());
        data.text("scope", &facts.scope);
        asked(data, trail);
        data.plain("jti", &facts.id.to_hex());
        data.plain("kid", facts.key.as_str().as_bytes());
        data.plain("alg", facts.algorithm.name().as_bytes());
        data.seconds("issued_at", facts.issued);
        data.seconds("expires_at", facts.expires);
        registry(data, trail.registry.as_ref());
    })
}

/// `token.denied`.
pub(in crate::audit) fn denied(envelope: &Envelope<'_>, denial: Denial, trail: &Trail) -> Vec<u8> {
    let client = trail.client.as_ref().map(ClientId::as_str);
    head(envelope, EventKind::TokenDenied, client, |data| {
        request(data, trail);
        data.plain("reason", denial.reason().as_bytes());
        data.plain("error", denial.answer().error.code().as_bytes());
        data.number("status", u64::from(denial.answer().status));
        data.truth("proved", trail.proved);
        data.optional("client_id", client);
        if client.is_none() {
            let unknown = trail.unknown_client.as_ref();
            data.optional("unknown_client_id", unknown.map(ClientId::as_str));
        }
        credential(data, trail);
        asked(data, trail);
        registry(data, trail.registry.as_ref());
    })
}

/// `token.denied_summary`.
pub(in crate::audit) fn denied_summary(envelope: &Envelope<'_>, summary: &Summary) -> Vec<u8> {
    head(envelope, EventKind::TokenDeniedSummary, None, |data| {
        data.millis("from", summary.from);
        data.millis("until", summary.until);
        data.number("total", summary.total());
        data.list("rows", summary.rows(), |object, row| {
            object.plain("reason", row.reason.reason().as_bytes());
            if let Some(method) = row.method {
                object.plain("auth_method", method.name().as_bytes());
            }
            object.text("prefix", &row.prefix);
            object.number("count", row.count);
        });
    })
}

/// The registry that was served, as one object.
pub(super) fn registry(data: &mut Object<'_>, registry: Option<&RegistryRef>) {
    if let Some(registry) = registry {
        data.object("registry", |object| fill_registry(object, registry));
    }
}

/// The members that name a registry.
pub(super) fn fill_registry(object: &mut Object<'_>, registry: &RegistryRef) {
    object.number("generation", registry.generation);
    object.shown("digest", registry.digest);
    object.optional("commit", registry.commit.as_ref().map(CommitId::as_str));
    if let Some(dirty) = registry.dirty {
        object.truth("dirty", dirty);
    }
}

fn request(data: &mut Object<'_>, trail: &Trail) {
    data.plain("request_id", &trail.request.to_hex());
    data.shown("remote", trail.remote);
}

fn credential(data: &mut Object<'_>, trail: &Trail) {
    if let Some(method) = trail.method {
        data.plain("auth_method", method.name().as_bytes());
    }
    if let Some(credential) = &trail.credential {
        data.text("credential_id", credential.id.as_str());
        let label = credential.label.as_ref();
        data.optional("credential_label", label.map(super::Outside::as_str));
    }
}

fn asked(data: &mut Object<'_>, trail: &Trail) {
    let resource = trail.asked_resource.as_ref();
    data.optional("asked_resource", resource.map(super::Outside::as_str));
    let scope = trail.asked_scope.as_ref();
    data.optional("asked_scope", scope.map(super::Outside::as_str));
}
