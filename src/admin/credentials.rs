//! Answers about clients and the last uses of their credentials. Touches: memory.

use super::protocol::{Answer, ClientReport, UsePage};
use super::server::AdminPorts;
use crate::domain::{ClientId, UnixSeconds};
use crate::registry::overlay::Overlay;
use crate::registry::snapshot::Snapshot;
use crate::registry::suggest;

/// Why there is no client.
const NONE_YET: &str = "no registry is served yet";

/// Why there is no answer.
const STOPPING: &str = "the daemon is stopping";

/// One client of the registry that is served.
pub(super) async fn client(ports: &AdminPorts, id: String) -> Answer {
    // What is no id is not compared with 100,000 of them, nor repeated: it may be a secret.
    let Ok(id) = ClientId::parse(&id) else {
        return Answer::refuse("this is no client id: a name of 1 to 63 characters");
    };
    let seen = ports.look.status().seen;
    let Some(served) = seen.registry else {
        return Answer::refuse(NONE_YET);
    };
    // Who asks for a client that is not there is told of one with a similar name: all are looked at.
    let found = ports
        .tasks
        .blocking(move || find((&served.snapshot, &seen.overlay), &id, seen.now));
    match found.await {
        Some(Ok(client)) => Answer {
            ok: true,
            client: Some(client),
            ..Answer::default()
        },
        Some(Err(reason)) => Answer::refuse(reason),
        None => Answer::refuse(STOPPING),
    }
}

fn find(
    (snapshot, overlay): (&Snapshot, &Overlay),
    id: &ClientId,
    now: UnixSeconds,
) -> Result<ClientReport, String> {
    match snapshot.clients.get(id) {
        Some(client) => Ok(ClientReport::of(client, now).below(overlay, (client, snapshot))),
        None => {
            let names = snapshot.clients.keys().map(ClientId::as_str);
            let advice = suggest::advice(id.as_str(), "clients", names);
            Err(format!(
                "the registry that is served has no client `{id}`: {advice}"
            ))
        }
    }
}

/// A page of last uses: the answer, and a line for each credential.
pub(super) async fn last_use(ports: &AdminPorts, after: Option<&str>) -> Vec<u8> {
    let after = match after.map(ClientId::parse).transpose() {
        Ok(after) => after,
        Err(error) => return Answer::refuse(format!("after: {error}")).to_line(),
    };
    let seen = ports.look.status().seen;
    let Some(served) = seen.registry else {
        return Answer::refuse(NONE_YET).to_line();
    };
    // A walk over all clients: not on a thread that serves requests.
    let page = ports
        .tasks
        .blocking(move || lines(&UsePage::of(&served.snapshot, after.as_ref()), seen.now));
    match page.await {
        Some(lines) => lines,
        None => Answer::refuse(STOPPING).to_line(),
    }
}

fn lines(page: &UsePage, now: UnixSeconds) -> Vec<u8> {
    let answer = Answer {
        ok: true,
        lines: Some(page.uses.len()),
        next: page.next.clone(),
        now: Some(now.to_rfc3339()),
        ..Answer::default()
    };
    let mut out = answer.to_line();
    for credential in &page.uses {
        // Texts and moments alone: it does not fail.
        out.extend(serde_json::to_vec(credential).unwrap_or_default());
        out.push(b'\n');
    }
    out
}
