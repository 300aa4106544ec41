//! Checks a registry again and again, and looks only at what changed. Pure.
//!
//! What was accepted last is kept. Where resources and policy say the same as then, only the clients of
//! changed files are examined, and all others are shared with the snapshot before.
//!
//! **Invariant:** the answer is the one that [`check`](super::check) gives of all files. It rests on this: what
//! is said of a client depends on its file, on the resources and on the policy alone, but for names and hashes
//! that two of them have. Whatever may be a problem is left to a look at everything.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::build;
use super::clients::{examine_client, examine_secret};
use super::cross;
use super::define::{ClientDef, Definitions};
use super::findings::{Findings, Found, MAX_FINDINGS};
use super::rules::Rulebook;
use super::{Rules, judge};
use crate::domain::ClientId;
use crate::registry::diagnostic::{self, Problem};
use crate::registry::digest::Digests;
use crate::registry::snapshot::{Client, Snapshot};
use crate::registry::source::Place;

/// What checks, and what it accepted last.
#[derive(Debug)]
pub struct Checker {
    rules: Rules,
    accepted: Option<Accepted>,
}

/// A registry that was accepted.
#[derive(Debug)]
pub struct Judged {
    /// What is served. Clients that say the same as in the one before are the same objects.
    pub snapshot: Arc<Snapshot>,
    /// What somebody should look at, sorted by file and line.
    pub warnings: Vec<Problem>,
}

#[derive(Debug)]
struct Accepted {
    files: Vec<Arc<Definitions>>,
    snapshot: Arc<Snapshot>,
    digests: Digests,
    /// The first bytes of all hashes: where one is there already, everything is looked at. `None` where two begin
    /// the same: then it can't be told whether both are gone.
    hashes: Option<HashSet<u64>>,
    warnings: Vec<Problem>,
}

/// A change that was found right.
struct Change {
    removed: Vec<ClientId>,
    /// Clients that are new or say something else.
    changed: Vec<Arc<Client>>,
    hashes_gone: HashSet<u64>,
    hashes_come: HashSet<u64>,
    warnings: Vec<Problem>,
}

impl Checker {
    /// A checker that has accepted nothing yet.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self {
            rules,
            accepted: None,
        }
    }

    /// Checks files together. `files` are in the order of their paths.
    ///
    /// # Errors
    /// Every problem of every file, sorted by file and line.
    pub fn check(&mut self, files: &[Arc<Definitions>]) -> Result<Judged, Vec<Problem>> {
        if let Some(accepted) = &mut self.accepted
            && let Some(change) = accepted.change(files, &self.rules)
        {
            accepted.take(change, files);
            return Ok(accepted.judged());
        }
        let before = self.accepted.as_ref().map(|it| &*it.snapshot);
        let (checked, digests) = judge(files, &self.rules, before)?;
        let accepted = Accepted {
            files: files.to_vec(),
            hashes: distinct(hashes(files)),
            digests,
            snapshot: Arc::new(checked.snapshot),
            warnings: checked.warnings,
        };
        Ok(self.accepted.insert(accepted).judged())
    }
}

impl Accepted {
    fn judged(&self) -> Judged {
        Judged {
            snapshot: Arc::clone(&self.snapshot),
            warnings: self.warnings.clone(),
        }
    }

    /// What these files change, where that can be said from what changed alone, and nothing is wrong.
    fn change(&self, files: &[Arc<Definitions>], rules: &Rules) -> Option<Change> {
        let (gone, come) = differing(&self.files, files);
        if come
            .iter()
            .any(|file| file.partial || !file.problems.is_empty())
        {
            return None;
        }
        let mut found = Findings::default();
        let defining: Vec<Arc<Definitions>> = files
            .iter()
            .filter(|file| file.policy.is_some() || !file.resources.is_empty())
            .map(Arc::clone)
            .collect();
        let registry = cross::examine_resources(&defining, rules, &mut found);
        if !build::says_the_same(&registry, &self.snapshot) {
            return None;
        }
        let left = left_out(ids(&gone), ids(&come), |id| {
            self.snapshot.clients.contains_key(*id)
        })?;
        let (hashes_gone, hashes_come) = (hashes(&gone).collect(), hashes(&come).collect());
        let all = self.hashes.as_ref()?;
        let known = |hash: &u64| all.contains(hash);
        left_out(hashes(&gone), hashes(&come), known)?;
        let defs = come.iter().flat_map(|file| {
            let file: &Definitions = file;
            file.clients.iter().map(move |def| Found { file, def })
        });
        let book = Rulebook::of(registry.policy_at);
        for client in defs.clone() {
            examine_client(client, &registry, &mut found);
            book.examine_client(client, &mut found);
            for secret in &client.def.secrets {
                examine_secret(client, secret, &registry, &mut found);
            }
        }
        Some(Change {
            removed: left.into_iter().cloned().collect(),
            changed: self.changed(defs),
            warnings: self.warnings(&gone, &come, &mut found)?,
            hashes_gone,
            hashes_come,
        })
    }

    /// The clients of these definitions that the snapshot does not have as they are now.
    fn changed<'a>(&self, defs: impl Iterator<Item = Found<'a, ClientDef>>) -> Vec<Arc<Client>> {
        let resources = self.snapshot.resources.iter();
        let resources: HashMap<&str, _> = resources
            .map(|(name, it)| (name.as_str(), Arc::clone(it)))
            .collect();
        let built = defs.map(|found| build::client(found, &resources));
        let other = |client: &Client| {
            let known = self.snapshot.clients.get(&client.id);
            known.is_none_or(|known| **known != *client)
        };
        built.filter(other).map(Arc::new).collect()
    }

    /// The warnings of unchanged files, and those that were found now. `None` where something is wrong, or where
    /// there are so many that some are not told.
    fn warnings(
        &self,
        gone: &[&Arc<Definitions>],
        come: &[&Arc<Definitions>],
        found: &mut Findings,
    ) -> Option<Vec<Problem>> {
        let changed: HashSet<&str> = gone
            .iter()
            .chain(come)
            .map(|file| &**file.source().path())
            .collect();
        let plain = changed.iter().all(|path| Place::file(path).file == **path);
        if !found.errors().is_empty() || !plain {
            return None;
        }
        let stays = |problem: &&Problem| !changed.contains(problem.place.file.as_str());
        let mut warnings: Vec<Problem> = self.warnings.iter().filter(stays).cloned().collect();
        let news = found.warnings();
        warnings.extend(
            news.into_iter()
                .filter(|it| changed.contains(it.place.file.as_str())),
        );
        diagnostic::sort(&mut warnings);
        let all_told = self.warnings.len().max(warnings.len()) < MAX_FINDINGS;
        all_told.then_some(warnings)
    }

    /// Takes over a change.
    fn take(&mut self, change: Change, files: &[Arc<Definitions>]) {
        let Change {
            removed,
            changed,
            hashes_gone,
            hashes_come,
            warnings,
        } = change;
        self.warnings = warnings;
        self.files = files.to_vec();
        if let Some(known) = &mut self.hashes {
            for hash in &hashes_gone {
                known.remove(hash);
            }
            known.extend(hashes_come);
        }
        if !removed.is_empty() || !changed.is_empty() {
            let snapshot = self
                .snapshot
                .replaced(&removed, &changed, &mut self.digests);
            self.snapshot = Arc::new(snapshot);
        }
    }
}

/// The files of either side that the other does not have, each side in its order. A file that only moved among
/// others may count as gone and come: nothing is lost by it.
fn differing<'a>(
    old: &'a [Arc<Definitions>],
    new: &'a [Arc<Definitions>],
) -> (Vec<&'a Arc<Definitions>>, Vec<&'a Arc<Definitions>>) {
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
    while let (Some(old), Some(new)) = (olds.peek(), news.peek()) {
        if !Arc::ptr_eq(old, new) {
            let order = old.source().path().cmp(new.source().path());
            if order.is_le() {
                gone.extend(olds.next());
            }
            if order.is_ge() {
                come.extend(news.next());
            }
            continue;
        }
        olds.next();
        news.next();
    }
    gone.extend(olds);
    come.extend(news);
    (gone, come)
}

/// What is gone and did not come again. `None` where something comes twice, or is there already and stays.
fn left_out<T: Copy + Eq + Hash>(
    gone: impl Iterator<Item = T>,
    come: impl Iterator<Item = T>,
    known: impl Fn(&T) -> bool,
) -> Option<HashSet<T>> {
    let gone: HashSet<T> = gone.collect();
    let mut left = gone.clone();
    let mut seen = HashSet::new();
    for it in come {
        if !seen.insert(it) || (known(&it) && !gone.contains(&it)) {
            return None;
        }
        left.remove(&it);
    }
    Some(left)
}

fn distinct(all: impl Iterator<Item = u64>) -> Option<HashSet<u64>> {
    let mut seen = HashSet::new();
    for it in all {
        if !seen.insert(it) {
            return None;
        }
    }
    Some(seen)
}

fn ids<'a>(files: &[&'a Arc<Definitions>]) -> impl Iterator<Item = &'a ClientId> {
    files.iter().flat_map(|file| file.client_ids())
}

/// The first bytes of each hash in these files.
fn hashes<F: AsRef<Definitions>>(files: &[F]) -> impl Iterator<Item = u64> {
    let clients = files.iter().flat_map(|file| &file.as_ref().clients);
    let secrets = clients.flat_map(|client| &client.secrets);
    secrets.map(|secret| {
        let [a, b, c, d, e, f, g, h, ..] = *secret.verifier.get_ref().digest().as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    })
}
