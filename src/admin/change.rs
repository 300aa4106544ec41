//! A change of the overlay on its way from the socket to the daemon. Touches: process, by its channel.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::{Caller, ClientId, TokenId, UnixSeconds};
use crate::registry::overlay::{
    Command, Entry, EntryId, Overruled, Reason, Says, Taking, Tokens, Which,
};

/// Most changes that wait: operators type them, a script may do a few at once.
pub const MAX_CHANGES: usize = 32;

/// A change, and where its answer goes.
#[derive(Debug)]
pub struct Change {
    /// What to do.
    pub command: Command,
    /// Who asks.
    pub caller: Caller,
    /// Why, in their words.
    pub reason: Option<Reason>,
    /// Answered once it is in force, on disk and on record, or once it is clear what of that is not.
    pub answer: oneshot::Sender<Result<Done, Overruled>>,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Done {
    /// The entry that is in force now, or that was dropped.
    pub entry: Arc<Entry>,
    /// Whether it is in force.
    pub in_force: bool,
    /// Whether the command changed anything.
    pub changed: bool,
    /// What the registry says of its client.
    pub says: Option<Says>,
}

/// Sends a change to the daemon, and waits for its answer.
///
/// # Errors
/// [`Overruled`].
pub(super) async fn ask(
    changes: &mpsc::Sender<Change>,
    command: Command,
    caller: Caller,
    reason: Option<Reason>,
) -> Result<Done, Overruled> {
    let (answer, answered) = oneshot::channel();
    let change = Change {
        command,
        caller,
        reason,
        answer,
    };
    let sent = changes.try_send(change);
    sent.map_err(|_| Overruled::Stopping)?;
    answered.await.unwrap_or(Err(Overruled::Stopping))
}

/// The command that a request to disable means.
pub(super) fn disable(client: &str) -> Result<Command, String> {
    client_id(client).map(|client| Command::Take(Taking::Disable(client)))
}

/// The command that a request to revoke means.
pub(super) fn revoke(
    client: Option<&str>,
    jti: Option<&str>,
    before: Option<&str>,
) -> Result<Command, String> {
    let tokens = match (client, jti) {
        (Some(_), Some(_)) => return Err("either a client or a token, not both".to_owned()),
        (Some(client), None) => Tokens::OfClient(client_id(client)?),
        (None, Some(jti)) => Tokens::One(token_id(jti)?),
        (None, None) => Tokens::All,
    };
    match (&tokens, before) {
        (Tokens::One(_), Some(_)) => Err("a token is void whenever it was issued".to_owned()),
        (Tokens::All, None) => Err("say which tokens: of a client, one, or before when".to_owned()),
        (_, None) => Ok(Command::Take(Taking::Revoke(tokens, None))),
        (_, Some(text)) => UnixSeconds::parse_rfc3339(text)
            .map(|before| Command::Take(Taking::Revoke(tokens, Some(before))))
            .map_err(|error| error.to_string()),
    }
}

/// The command that a request to clear means.
pub(super) fn clear(
    entry: Option<u64>,
    client: Option<&str>,
    force: bool,
) -> Result<Command, String> {
    let which = match (entry, client) {
        (Some(entry), None) => Which::Entry(EntryId::new(entry)),
        (None, Some(client)) => Which::Client(client_id(client)?),
        _ => return Err("say which entry: its number, or its client".to_owned()),
    };
    Ok(Command::Clear { which, force })
}

/// A reason, where there is one.
pub(super) fn reason(text: Option<&str>) -> Result<Option<Reason>, String> {
    let reason = text.map(Reason::parse).transpose();
    reason.map_err(|error| error.to_string())
}

fn client_id(text: &str) -> Result<ClientId, String> {
    // The text is not repeated: it may be a secret in the wrong place.
    ClientId::parse(text).map_err(|error| format!("the client's id: {error}"))
}

fn token_id(text: &str) -> Result<TokenId, String> {
    TokenId::parse(text).map_err(|_| {
        "a jti has 32 lower-case hexadecimal digits: the claim jti of the token, never the token itself".to_owned()
    })
}
