//! Does what an operator asks of the rings. Touches: fs, process.

use super::super::ring::{KeyState, Ring};
use super::super::schedule::Step;
use super::command::{Command, CommandError, Outcome, rotation, summary};
use super::fault::KeysError;
use super::keeper::Keeper;
use crate::domain::{Algorithm, KeyId};

impl Keeper {
    pub(super) fn obey(
        &mut self,
        command: &Command,
    ) -> Result<Result<Outcome, CommandError>, KeysError> {
        match command {
            Command::AcceptClock => Ok(Err(CommandError::ClockNotBehind)),
            Command::Rotate { algorithm } => self.rotate(*algorithm),
            Command::Compromised { kid } => self.withdraw(kid),
        }
    }

    fn rotate(
        &mut self,
        algorithm: Option<Algorithm>,
    ) -> Result<Result<Outcome, CommandError>, KeysError> {
        let listed = self.parts.settings.algorithms.clone();
        if let Some(unlisted) = algorithm.filter(|algorithm| !listed.contains(algorithm)) {
            return Ok(Err(CommandError::NotListed(unlisted)));
        }
        let mut outcome = Outcome::default();
        let wanted = |a: &Algorithm| algorithm.is_none_or(|only| only == *a);
        for algorithm in listed.into_iter().filter(wanted) {
            // A ring without a next key first gets one.
            self.catch_up(algorithm)?;
            let Some(before) = self.ring(algorithm).cloned() else {
                continue;
            };
            match rotation(&before, &self.seen, &self.parts.settings) {
                Err(waiting) => outcome.waiting.push(waiting),
                Ok(step) => {
                    self.apply(algorithm, &step)?;
                    self.catch_up(algorithm)?;
                    self.note(&mut outcome, &before, None);
                }
            }
        }
        if outcome.rotated.is_empty() {
            return Ok(Err(CommandError::NotReady(outcome.waiting)));
        }
        Ok(Ok(outcome))
    }

    fn withdraw(&mut self, kid: &KeyId) -> Result<Result<Outcome, CommandError>, KeysError> {
        let Some(before) = self.rings().iter().find(|r| r.find(kid).is_some()).cloned() else {
            return Ok(Err(CommandError::NoSuchKey(kid.clone())));
        };
        let state = before.find(kid).map(|key| key.state);
        if state == Some(KeyState::Withdrawn) {
            return Ok(Err(CommandError::Withdrawn(kid.clone())));
        }
        let algorithm = before.algorithm();
        self.apply(algorithm, &Step::Withdraw(kid.clone()))?;
        self.catch_up(algorithm)?;
        let mut outcome = Outcome::default();
        self.note(&mut outcome, &before, Some(kid));
        Ok(Ok(outcome))
    }

    fn note(&self, outcome: &mut Outcome, before: &Ring, withdrawn: Option<&KeyId>) {
        let Some(after) = self.ring(before.algorithm()) else {
            return;
        };
        let settings = &self.parts.settings;
        let rotated = summary(before, after, withdrawn, &self.seen, settings);
        outcome.rotated.push(rotated);
    }
}
