//! The index: rows merged from effects, and what can be asked of them.

use super::{Rebuild, Rebuilt, StoreError};
use crate::{
    Collection, Did, EntityId, Tid,
    fact::{AttestationFact, EntityFact, RelationshipFact},
    records::EntityType,
};
use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::Arc;

/// An entity as the index has it.
#[derive(Debug, Clone)]
pub struct EntityRow {
    /// Its number.
    pub id: EntityId,
    /// Its DID.
    pub did: Did,
    /// The handle last heard of. Not verified.
    pub handle: Option<String>,
    /// Its profile, if it has a live one.
    pub profile: Option<ProfileRow>,
    /// The first live statement that names it, or its profile's date.
    pub created_at: Option<Timestamp>,
    /// The newest revision of what names it.
    pub updated_at: Option<Timestamp>,
}

/// A profile, from a record or made through the API.
#[derive(Debug, Clone)]
pub struct ProfileRow {
    /// What to call it.
    pub name: String,
    /// What it is.
    pub entity_type: EntityType,
    /// In its own words.
    pub bio: Option<String>,
    /// Where its picture is.
    pub avatar_url: Option<String>,
    /// Its own claim.
    pub verified: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The record's CID; `None` when it was made through the API.
    pub cid: Option<String>,
}

/// A live record as the index has it.
#[derive(Debug, Clone)]
pub struct RecordRow {
    /// The repo.
    pub owner: EntityId,
    /// Its key.
    pub rkey: Tid,
    /// Its CID.
    pub cid: String,
    /// The revision that wrote it.
    pub rev: Tid,
    /// The canonical record, JSON text.
    pub body: String,
    /// It was proven against the repo's signature.
    pub verified: bool,
    /// When this index merged it.
    pub indexed_at: Timestamp,
}

/// Everything that is live at one instant: what the graph is built from.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The number of the last change in it.
    pub seq: u64,
    /// Every DID ever named.
    pub entities: Vec<EntityFact>,
    /// Live relationships.
    pub relationships: Vec<RelationshipFact>,
    /// Live attestations.
    pub attestations: Vec<AttestationFact>,
}

/// Is told how many of how many are done, now and then.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// What can be asked of the index.
#[async_trait]
pub trait Index: Send + Sync + 'static {
    /// Every live fact, from one consistent view.
    async fn facts(&self, progress: Progress) -> Result<Facts, StoreError>;

    /// An entity by its DID: any that was ever named. Whether it exists is the graph's to say.
    async fn entity(&self, did: &str) -> Result<Option<EntityRow>, StoreError>;

    /// Entities by number; those unknown are left out.
    async fn entities(&self, ids: &[EntityId]) -> Result<Vec<EntityRow>, StoreError>;

    /// The entity that most recently was heard to have this handle.
    async fn entity_by_handle(&self, handle: &str) -> Result<Option<EntityRow>, StoreError>;

    /// Numbers of entities whose name, handle or DID has a word that starts with each word of
    /// `query` (all of them without one), greater than `after`, in ascending order.
    async fn search(
        &self,
        query: Option<&str>,
        after: Option<EntityId>,
        limit: usize,
    ) -> Result<Vec<EntityId>, StoreError>;

    /// A live record.
    async fn record(
        &self,
        owner: EntityId,
        collection: Collection,
        rkey: Tid,
    ) -> Result<Option<RecordRow>, StoreError>;

    /// Every row that a merge decides about, as text, in a fixed order: two stores with the same
    /// records have the same dump. Accept times, the journal and dead letters are not in it. For
    /// tests and `rhiz doctor`.
    async fn dump(&self) -> Result<Vec<String>, StoreError>;

    /// Rows: entities, live records, tombstones, dead letters, journal.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Works out anew whatever is derived from the records kept here, and writes what was not so,
    /// or only counts it. Where nothing is damaged it changes nothing; broken off, it can be started
    /// again. What it changes comes out as changes, like that of any commit.
    async fn rebuild(&self, how: Rebuild, progress: Progress) -> Result<Rebuilt, StoreError>;
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// DIDs ever named.
    pub entities: u64,
    /// Live relationship records.
    pub relationships: u64,
    /// Live attestations.
    pub attestations: u64,
    /// Live profiles.
    pub profiles: u64,
    /// Every record row, tombstones too.
    pub records: u64,
    /// Events in the journal.
    pub journal: u64,
    /// Dead letters.
    pub dead_letters: u64,
}
