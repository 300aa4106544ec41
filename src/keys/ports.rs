//! What the rotation needs from outside, as ports: where keys lie, and what must survive. Pure.
//!
//! One daemon keeps its keys in files and the rest in sled. With several daemons an issuer, both
//! become a replicated key-value bucket, changed by compare-and-set: behind the same two ports.

use std::future::Future;

use super::custody::CustodyError;
use super::event::KeysEvent;
use super::material::PrivateKey;
use super::ring::KeyRecord;
use crate::domain::{Algorithm, Secret, UnixSeconds};

/// A key as it lies in custody.
#[derive(Debug)]
pub struct Stored {
    /// What is known of it.
    pub record: KeyRecord,
    /// The key.
    pub key: PrivateKey,
}

/// Where private keys lie. Each change is whole and durable when its call returns.
pub trait Vault: Send {
    /// Every key.
    ///
    /// # Errors
    /// [`CustodyError`] when one key can't be read or trusted: then none is.
    fn load(&self) -> Result<Vec<Stored>, CustodyError>;

    /// Adds a key.
    ///
    /// # Errors
    /// [`CustodyError`]; whether the key is there is then unknown.
    fn create(&self, record: &KeyRecord, pkcs8: &Secret<Vec<u8>>) -> Result<(), CustodyError>;

    /// Changes what is known of a key.
    ///
    /// # Errors
    /// [`CustodyError`]; whether it is changed is then unknown.
    fn update(&self, record: &KeyRecord) -> Result<(), CustodyError>;

    /// Takes a key away.
    ///
    /// # Errors
    /// [`CustodyError`]; whether the key is there is then unknown.
    fn remove(&self, record: &KeyRecord) -> Result<(), CustodyError>;
}

/// What must survive a restart beside the keys. Each change is durable when its call returns; after
/// a failure the daemon must stop, for nobody knows what the disk holds. Want of room is none.
pub trait RingStore: Send + Sync {
    /// The keys of an algorithm as they were last recorded in the audit journal.
    ///
    /// # Errors
    /// [`StateFault`] when it can't be read.
    fn recorded(&self, algorithm: Algorithm) -> Result<Vec<KeyRecord>, StateFault>;

    /// Replaces them, in one commit.
    ///
    /// # Errors
    /// [`StateFault`]; the daemon must stop, unless it is [`StateFault::NoRoom`].
    fn set_recorded(&self, algorithm: Algorithm, keys: &[KeyRecord]) -> Result<(), StateFault>;

    /// The high-water mark of time.
    ///
    /// # Errors
    /// [`StateFault`] when it can't be read.
    fn time_mark(&self) -> Result<Option<UnixSeconds>, StateFault>;

    /// Replaces it.
    ///
    /// # Errors
    /// [`StateFault`]; the daemon must stop, unless it is [`StateFault::NoRoom`].
    fn set_time_mark(&self, mark: UnixSeconds) -> Result<(), StateFault>;
}

/// The state could not be read or written. The source says what the store saw.
#[derive(Debug, thiserror::Error)]
pub enum StateFault {
    /// Nobody knows what the disk holds: the daemon must stop.
    #[error("the state of the keys can't be kept")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The disk is full: nothing was changed, and it is tried again.
    #[error("the state of the keys can't be kept yet")]
    NoRoom(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The journal could not take an event: it is full, failing or stopping. It is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be recorded")]
pub struct NotRecorded;

/// Where what happens to keys is put on record. The composer connects it to the journal.
pub trait KeyJournal: Send + Sync {
    /// Records an event; done when it is on disk.
    fn record(&self, event: KeysEvent) -> impl Future<Output = Result<(), NotRecorded>> + Send;
}
