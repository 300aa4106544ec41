//! What a live daemon says that it serves. Touches: net, clock.

use std::path::Path;

use url::Url;

use super::super::https::{Client, Deadline, HttpsFault};
use super::super::json::{Object, shown};
use crate::clock::Clock;
use crate::domain::{CommitId, Lifetime};

/// How long to wait for the daemon: twice what it allows itself for one request.
const TIMEOUT: Lifetime = Lifetime::from_seconds(20);

/// What a daemon serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// The digest of its registry.
    pub(super) digest: String,
    /// The commit that it was read from.
    pub(super) commit: CommitId,
}

/// Why a live daemon's registry can't be compared with.
#[derive(Debug, thiserror::Error)]
pub(super) enum LiveFault {
    #[error("cannot ask the daemon what it serves")]
    Unreachable(#[source] HttpsFault),
    #[error("{url} answers {status}: this is no grantd, or not its address for metrics and health")]
    NoDaemon { url: String, status: u16 },
    #[error("{url} says nothing that can be understood: {reason}")]
    Strange { url: String, reason: String },
    #[error("the daemon at {url} serves no registry yet: {reasons}")]
    Nothing { url: String, reasons: String },
    #[error(
        "the daemon at {url} does not know which commit it serves: its folder is no git work tree; \
         compare with a copy of that folder (--from ./DIR)"
    )]
    NoCommit { url: String },
    #[error(
        "the commit {commit} that the daemon at {url} serves is not in this repository: `git fetch` it"
    )]
    UnknownCommit { url: String, commit: String },
    #[error(
        "the daemon at {url} does not serve what commit {commit} holds, but digest {served}; here it is \
         {found}: its folder was changed by hand, or is another one than DIR; or it is `grantd dev`, which \
         serves a demo client besides"
    )]
    Differs {
        url: String,
        commit: String,
        served: String,
        found: String,
    },
    #[error(
        "the folder of the daemon at {url} differs from its commit {commit}: what it serves is nowhere in \
         git; have it checked out anew there"
    )]
    Dirty { url: String, commit: String },
}

/// Asks a daemon for the digest and the commit of what it serves.
pub(super) fn ask(url: &Url, ca_file: Option<&Path>, clock: Clock) -> Result<Served, LiveFault> {
    let unreachable = LiveFault::Unreachable;
    let client = match url.scheme() {
        "https" => Client::new(ca_file),
        _ => Client::check(ca_file).map(|()| Client::plain()),
    };
    let deadline = Deadline::after(clock, TIMEOUT.to_duration());
    let reply = client.and_then(|client| client.fetch(url.as_str(), deadline));
    let reply = reply.map_err(unreachable)?;
    // A daemon that is not ready says so with 503, and what it serves all the same.
    if !matches!(reply.status, 200 | 503) {
        return Err(LiveFault::NoDaemon {
            url: reply.url,
            status: reply.status,
        });
    }
    read(&reply.body, url.as_str())
}

fn read(body: &[u8], url: &str) -> Result<Served, LiveFault> {
    let url = url.to_owned();
    let said = match Object::parse(body) {
        Ok(said) => said,
        Err(error) => {
            let reason = error.to_string();
            return Err(LiveFault::Strange { url, reason });
        }
    };
    if said.member("digest").is_none() {
        let reason = "it names no digest".to_owned();
        return Err(LiveFault::Strange { url, reason });
    }
    let Some(digest) = said.text("digest") else {
        let reasons = said.member("reasons").and_then(|it| it.as_array());
        let reasons: Vec<String> = reasons
            .into_iter()
            .flatten()
            .filter_map(|reason| reason.as_str().map(shown))
            .collect();
        let reasons = reasons.join("; ");
        return Err(LiveFault::Nothing { url, reasons });
    };
    let Some(commit) = said.text("commit") else {
        return Err(LiveFault::NoCommit { url });
    };
    let Ok(commit) = CommitId::parse(commit) else {
        let reason = "its commit is none".to_owned();
        return Err(LiveFault::Strange { url, reason });
    };
    if said.member("dirty").and_then(serde_json::Value::as_bool) == Some(true) {
        let commit = commit.as_str().to_owned();
        return Err(LiveFault::Dirty { url, commit });
    }
    Ok(Served {
        digest: shown(digest),
        commit,
    })
}
