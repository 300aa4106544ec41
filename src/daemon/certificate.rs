//! Watches the files of the server's certificate, and serves a new pair without a restart. Touches: fs, clock.
//!
//! **Invariant:** a pair is served whole or not at all (checklist 82): both files are read, belong together
//! and are valid now; else the pair that is served stays, and log, event, metrics and `/readyz` say why. A pair
//! is judged once two looks have seen the same files, so that one which is being written is not taken half;
//! at SIGHUP it is judged at once.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::health::Health;
use crate::audit::Journal;
use crate::audit::event::{
    CertificateLoaded, CertificateRefused, ControlEvent, Outside, ServedCertificateRef,
};
use crate::clock::Clock;
use crate::domain::{Lifetime, UnixSeconds, chain};
use crate::listener::{CertificateFacts, CertificateFiles, Pair, ServedCertificate, TlsError};
use crate::tasks::Tasks;

/// How often the files are looked at: a renewal is served within two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The longest time before its end at which a certificate is shown as degraded: half of what is left when
/// certbot renews (30 of 90 days).
const WARN_AT_MOST: Lifetime = Lifetime::from_days(15);

/// The part of its life that is left when a certificate is shown as degraded: those of a few days are renewed
/// later than those of months.
const WARN_PART: u64 = 6;

/// How long to wait before a record that the journal did not take is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Looks that may wait to be asked for: each is one SIGHUP's.
pub(super) const MAX_ASKED: usize = 4;

/// What a file was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// Both files; `None` for one that is not there.
type Stamps = [Option<Stamp>; 2];

/// The files, and what was last seen of them.
pub(super) struct Watch {
    pub(super) files: CertificateFiles,
    pub(super) served: Arc<ServedCertificate>,
    /// The issuer's host.
    pub(super) host: String,
    pub(super) clock: Clock,
    pub(super) health: Arc<Health>,
    pub(super) journal: Journal,
    pub(super) tasks: Tasks,
}

/// What the looks have found so far.
#[derive(Debug, Default)]
struct Memory {
    judged: Option<Stamps>,
    pending: Option<Stamps>,
    /// Why the files are not served, where they are not.
    refused: Option<String>,
    /// When to judge files again that have not changed: their time comes.
    again: Option<UnixSeconds>,
}

/// Reads the pair at a start. One whose time has passed, or has not come, is served all the same: a
/// daemon that does not start ships no events and rotates no keys, its clock may be what is wrong, and clients
/// say clearly what they refuse. The next good pair is taken at once.
///
/// # Errors
/// [`TlsError`] where there is no pair that could be served.
pub(super) fn first(files: &CertificateFiles, clock: Clock) -> Result<Pair, TlsError> {
    let pair = Pair::read(files)?;
    if let Err(fault) = pair.valid_at(clock.now_seconds()) {
        error!(
            error = %fault,
            "clients refuse this certificate: renew it, or set the clock; it is served until then"
        );
    }
    Ok(pair)
}

impl Watch {
    /// Looks until the daemon stops. Who asks is answered once a look is done.
    pub(super) async fn run(
        self,
        mut asked: mpsc::Receiver<oneshot::Sender<()>>,
        stop: CancellationToken,
    ) {
        let watch = Arc::new(self);
        // The first two looks judge what was read at the start: it may have changed since.
        let mut memory = Memory::default();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => None,
                Some(answer) = asked.recv() => Some(answer),
            };
            let (looking, at_once) = (Arc::clone(&watch), answer.is_some());
            let looked = watch.tasks.blocking(move || {
                let news = looking.look(&mut memory, at_once);
                (memory, news)
            });
            let Some((looked, news)) = looked.await else {
                return;
            };
            memory = looked;
            if let Some(event) = news {
                watch.record(event);
            }
            let refusing = memory.refused.is_some();
            watch.served.refusing.store(refusing, Ordering::Relaxed);
            let problems = watch.problems(&memory);
            watch.health.set_certificate_problems(problems);
            if let Some(answer) = answer {
                // Who asked may have gone.
                let _gone = answer.send(());
            }
        }
    }

    /// One look. What there is to record, if anything.
    fn look(&self, memory: &mut Memory, at_once: bool) -> Option<ControlEvent> {
        let seen = stamps(&self.files);
        let now = self.clock.now_seconds();
        let due = memory.again.is_some_and(|again| now >= again);
        if memory.judged == Some(seen) && !due && !at_once {
            return None;
        }
        if !at_once && !due && memory.pending != Some(seen) {
            memory.pending = Some(seen);
            return None;
        }
        // What is judged at once may still be written to within the tick of the file system's clock.
        memory.judged = (!at_once).then_some(seen);
        memory.pending = Some(seen);
        memory.again = None;
        let served = self.served.facts();
        let judged = self.judge(now);
        if stamps(&self.files) != seen {
            // Somebody writes: what was read may be a part.
            memory.judged = None;
            return None;
        }
        match judged {
            Ok(pair) if pair.facts.chain == served.chain => {
                if memory.refused.take().is_some() {
                    info!(
                        "the certificate's files are good again: they hold the one that is served"
                    );
                }
                None
            }
            Ok(pair) => {
                memory.refused = None;
                let facts = pair.facts.clone();
                info!(
                    fingerprint = %facts.fingerprint, until = %facts.not_after,
                    "another certificate is served"
                );
                self.served.replace(pair);
                Some(loaded(&facts, &served))
            }
            Err(fault) => {
                match &fault {
                    TlsError::NotYetValid { from, .. } => memory.again = Some(*from),
                    // Heals without a change of the files: by descriptors, by permissions, by the clock.
                    fault if fault.may_pass() => memory.judged = None,
                    _ => {}
                }
                let words = chain(&fault);
                if memory.refused.as_ref() == Some(&words) {
                    return None;
                }
                error!(error = words, until = %served.not_after, "certificate refused: the one before is served on");
                self.served.refused.fetch_add(1, Ordering::Relaxed);
                let event = refused(&fault, &words, &served);
                memory.refused = Some(words);
                Some(event)
            }
        }
    }

    fn judge(&self, now: UnixSeconds) -> Result<Pair, TlsError> {
        let pair = Pair::read(&self.files)?;
        if pair.facts.chain != self.served.facts().chain {
            pair.valid_at(now)?;
            pair.replaces(&self.served, &self.host)?;
        }
        Ok(pair)
    }

    /// What is wrong with certificates now, a sentence each.
    fn problems(&self, memory: &Memory) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(why) = &memory.refused {
            problems.push(format!(
                "the new certificate is refused, the one before is served: {why}"
            ));
        }
        problems.extend(untimely(&self.served.facts(), self.clock.now_seconds()));
        problems
    }

    /// Records in a task of its own: a journal that waits for its disk must not keep a renewal waiting.
    fn record(&self, event: ControlEvent) {
        let (journal, stopping) = (self.journal.clone(), self.tasks.stopping());
        self.tasks.spawn_short(async move {
            while let Err(reason) = journal.control(event.clone()).await {
                warn!(%reason, "an event of the certificate is not recorded: trying again");
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        });
    }
}

/// What is wrong with the served certificate's times.
fn untimely(facts: &CertificateFacts, now: UnixSeconds) -> Option<String> {
    let until = facts.not_after;
    if now > until {
        return Some(format!(
            "the certificate has expired at {until}: clients refuse it"
        ));
    }
    if now < facts.not_before {
        let from = facts.not_before;
        return Some(format!(
            "the certificate is not valid before {from}: clients refuse it"
        ));
    }
    let life = until.since(facts.not_before);
    let warn = (life.seconds() / WARN_PART).min(WARN_AT_MOST.seconds());
    let left = until.since(now).seconds();
    (left <= warn).then(|| format!("the certificate expires at {until} and is not renewed yet"))
}

fn reference(facts: &CertificateFacts) -> ServedCertificateRef {
    ServedCertificateRef {
        fingerprint: facts.fingerprint,
        not_before: facts.not_before,
        not_after: facts.not_after,
    }
}

fn loaded(facts: &CertificateFacts, before: &CertificateFacts) -> ControlEvent {
    ControlEvent::CertificateLoaded(CertificateLoaded {
        certificate: reference(facts),
        previous: before.fingerprint,
    })
}

fn refused(fault: &TlsError, words: &str, serving: &CertificateFacts) -> ControlEvent {
    ControlEvent::CertificateRefused(CertificateRefused {
        reason: fault.reason(),
        detail: Outside::new(words),
        serving: reference(serving),
    })
}

fn stamps(files: &CertificateFiles) -> Stamps {
    [stamp(&files.certificate), stamp(&files.key)]
}

/// Links are followed: certbot and Kubernetes change where a name leads.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    const DAY: u64 = 86_400;

    #[test]
    fn a_certificate_is_shown_when_its_renewal_is_late() {
        let facts = |days: u64| CertificateFacts {
            fingerprint: Digest::ZERO,
            chain: Digest::ZERO,
            not_before: UnixSeconds::new(DAY),
            not_after: UnixSeconds::new((days + 1) * DAY),
        };
        let said = |days: u64, at: u64| untimely(&facts(days), UnixSeconds::new(at));
        assert_eq!(said(90, 75 * DAY), None);
        assert!(said(90, 77 * DAY).is_some_and(|words| words.contains("expires")));
        assert!(said(90, 92 * DAY).is_some_and(|words| words.contains("has expired")));
        assert!(said(90, 0).is_some_and(|words| words.contains("not valid before")));
        // One of six days is renewed after four or five.
        assert_eq!(said(6, 5 * DAY), None);
        assert!(said(6, 6 * DAY + 1).is_some());
    }
}
