//! What a store promises: a durable journal, and an index merged from it.
//!
//! Two laws hold for every implementation, and its conformance suite (`testkit::store`) tries to
//! break them:
//!
//! * **Accept means flushed.** [`Journal::append`] answers after its events, dead letters and
//!   cursor are on disk, all of them in one transaction. Example: a reader appends ten events and
//!   the cursor behind them; after a power cut either all eleven are there, or none.
//! * **Effect and acknowledgement are one transaction.** [`Claimed::settle`] merges an event's
//!   effect and removes the event from the journal, or does neither. Example: a `kill -9` between
//!   the two statements leaves the event waiting and the index untouched.

use crate::{
    ChangeSet, Collection, Did, Effect, EntityId, Event, EventId, EventType, Origin, Pause, Paused,
    Priority, Stage, Tid,
    fact::{AttestationFact, EntityFact, RelationshipFact},
    records::EntityType,
};
use async_trait::async_trait;
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};

pub use crate::rebuild::{Mended, Rebuild, Rebuilt};

/// Why a store could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It may work later: locked, disk full, unreachable. The text says in a sentence of ours what
    /// to do about it; callers with a key may see it.
    #[error("the database cannot be used at the moment: {0}")]
    Unavailable(String),
    /// The database was written by a newer version of this program.
    #[error(
        "the database has schema version {found}, this program knows up to {known}: use the newer program that made it, or another data directory"
    )]
    Newer {
        /// Version of the schema found.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// What is stored cannot be read: damage, or a bug.
    #[error("the database holds something that cannot be read: {0}")]
    Corrupt(String),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
    /// The lease under which it was to be done had run out: the event is in other hands.
    #[error("the lease has run out, and the event is in other hands")]
    Fenced,
}

/// Why events were not accepted. Nothing of the intake is stored then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// An `event_id` was used before, for something else.
    #[error("the event_id of item {index} was used before with another body")]
    Conflict {
        /// Which of the events, from 0.
        index: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far a source has been read: the position behind the last event that is in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Which source: `jetstream:wss://…`, `file:3f…`.
    pub source: String,
    /// Its own measure: microseconds, a sequence, an offset in bytes. Never goes back.
    pub position: u64,
}

/// An input that could not become an event, kept as it came.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Names it among the dead letters; the same input gives the same name.
    pub event_id: EventId,
    /// What it would have been, if that is known.
    pub event_type: Option<EventType>,
    /// Who caused it, if that is known.
    pub did: Option<Did>,
    /// The bytes, cut to [`Rejected::MAX_RAW`].
    pub raw: Vec<u8>,
    /// What is wrong with it.
    pub reason: String,
    /// Where it came from.
    pub origin: Origin,
    /// When it came.
    pub at: Timestamp,
}

impl Rejected {
    /// Bytes kept of an input at most.
    pub const MAX_RAW: usize = 64 * 1024;
    /// Inputs kept of one DID at most; the rest is counted.
    pub const MAX_PER_DID: usize = 1000;
}

/// What is accepted together, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// Events, valid, in order.
    pub events: Vec<Event>,
    /// Inputs that were not.
    pub rejected: Vec<Rejected>,
    /// Where the source stands once these are in.
    pub cursor: Option<Cursor>,
}

/// What became of an event at accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is in the journal.
    Accepted,
    /// It had been accepted before; nothing was stored.
    Duplicate,
}

/// How many events to claim of each priority (indexed by [`Priority`]).
pub type Quota = [usize; 4];

/// What waits in the journal, from memory: cheap to ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depths {
    /// Ready to be claimed, by priority.
    pub claimable: [usize; 4],
    /// Claimed and not settled; without retries, which take no part of the capacity.
    pub in_hand: usize,
    /// The payloads of both together, bytes.
    pub bytes: usize,
    /// Waiting for a retry. Takes no part of the capacity, as what follows here.
    pub scheduled: usize,
    /// Under a lease.
    pub leased: usize,
    /// Of types whose work is paused.
    pub paused: usize,
    /// Accept time of the oldest one that is ready, by priority.
    pub fronts: [Option<Timestamp>; 4],
}

impl Depths {
    /// What counts against the capacity.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.claimable.iter().sum::<usize>() + self.in_hand
    }

    /// Everything in the journal.
    #[must_use]
    pub fn all(&self) -> usize {
        self.waiting() + self.scheduled + self.leased + self.paused
    }

    /// Accept time of the oldest one that is ready, if any.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        self.fronts.into_iter().flatten().min()
    }
}

/// What becomes of a claimed event.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Merge the effect; the event is done.
    Apply(Effect),
    /// Put it back, to be claimed again from `due` on; `failed` counts it as an attempt.
    Later {
        /// When.
        due: Timestamp,
        /// Whether that was an attempt that failed, and why.
        failed: Option<String>,
    },
    /// To the dead letters.
    Bury {
        /// Why.
        reason: String,
    },
}

/// A verdict on the `index`-th event of a claim, with the stages to remember.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Position in [`Claimed::events`].
    pub index: usize,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What was done so far; kept with an event that stays or dies.
    pub stages: Vec<Stage>,
}

/// Nothing of a settlement was carried out.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SettleError {
    /// Why.
    #[source]
    pub error: StoreError,
    /// What was to be done, given back: it can be tried again.
    pub settlements: Vec<Settlement>,
}

/// Events in the hands of one worker. Dropped, the unsettled ones are ready again.
#[async_trait]
pub trait Claimed: Send {
    /// What was claimed, highest priority first.
    fn events(&self) -> &[Arc<Event>];

    /// How often the `index`-th event was in hand and never came back: the server died while it
    /// was in hand alone (that is how an event that kills the server is found), or its lease ran
    /// out.
    fn crashes(&self, index: usize) -> u32;

    /// How many were to be claimed with these and could not be read: they are dead letters now. A
    /// claim may hold nothing else.
    fn given_up(&self) -> usize {
        0
    }

    /// Takes the `index`-th event out of the claim and under a lease, for work that waits on the
    /// network. `None` when it is settled or leased already.
    fn lease(&mut self, index: usize) -> Option<Box<dyn Leased>>;

    /// Carries out the verdicts, all of them or none, in one transaction with the removal from the
    /// journal. Answers with the number of the last change of that commit (changes come out of
    /// [`Store::changes`] in that order).
    ///
    /// May be called again for the rest; an event that is settled is not settled again.
    async fn settle(&mut self, settlements: Vec<Settlement>) -> Result<u64, SettleError>;
}

/// One event in the hands of work that waits on the network. It holds no transaction; dropped
/// before it is settled, the event is ready again.
///
/// Law: a lease without a beat for [`LEASE_STALE`] has run out. The event is then ready again, one
/// more time counted that it did not come back, and nothing that its old holder does counts: every
/// later lease has a greater token, and an older one is refused ([`StoreError::Fenced`]). Example:
/// a holder sleeps 20 s between its answer and its settlement; meanwhile another has settled the
/// event; the first one's settlement changes nothing.
#[async_trait]
pub trait Leased: Send {
    /// The event.
    fn event(&self) -> &Arc<Event>;

    /// The fencing token, greater than that of every lease before.
    fn token(&self) -> u64;

    /// Says that the work goes on; to be said every [`LEASE_BEAT`].
    async fn beat(&mut self) -> Result<(), StoreError>;

    /// Carries out the verdict, as [`Claimed::settle`]; the index plays no part.
    async fn settle(&mut self, settlement: Settlement) -> Result<u64, SettleError>;
}

/// How often the holder of a lease says that it lives.
pub const LEASE_BEAT: Duration = Duration::from_secs(5);

/// Without a beat for so long a lease has run out.
pub const LEASE_STALE: Duration = Duration::from_secs(15);

/// A durable queue of events, by priority.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Accepts: one transaction, flushed. One receipt for each event, in order.
    async fn append(&self, intake: Intake) -> Result<Vec<Receipt>, AppendError>;

    /// Claims up to `quota` events, oldest first within a priority. `None` when there are none.
    async fn claim(&self, quota: Quota) -> Result<Option<Box<dyn Claimed>>, StoreError>;

    /// Makes ready what is scheduled and due, and what is under a lease that has run out. Answers
    /// with the next time that something scheduled will be due.
    async fn wake(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Waits until there may be something to claim.
    async fn ready(&self);

    /// Pauses or resumes, with an audit row; on disk when it answers. What is in hand goes on.
    /// Answers with all that stands still from now on.
    async fn pause(&self, pause: Pause, by: &str) -> Result<Paused, StoreError>;

    /// What stands still, from memory.
    fn paused(&self) -> Paused;

    /// What waits, from memory.
    fn depths(&self) -> Depths;

    /// How far a source has been read.
    async fn cursor(&self, source: &str) -> Result<Option<u64>, StoreError>;

    /// Where an event is, if the journal, the dead letters or the memory of accepted ones know.
    async fn find(&self, id: &EventId) -> Result<Option<Whereabouts>, StoreError>;

    /// Dead letters, newest first.
    async fn dead_letters(&self, filter: DeadFilter) -> Result<DeadPage, StoreError>;

    /// Puts dead letters back into the journal, as new, oldest first; at most `most` in one
    /// transaction with the audit row that tells who did it. Inputs that never became an event
    /// stay where they are.
    async fn replay(
        &self,
        which: &DeadSelection,
        most: usize,
        by: &str,
    ) -> Result<Moved, StoreError>;

    /// Removes dead letters for good; as [`Journal::replay`].
    async fn discard(
        &self,
        which: &DeadSelection,
        most: usize,
        by: &str,
    ) -> Result<Moved, StoreError>;

    /// What was done to dead letters, newest first.
    async fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError>;

    /// Forgets what need not be remembered any more: identities of events accepted before
    /// `accepted_before`. Works in small steps; answers how many are gone.
    async fn prune(&self, accepted_before: Timestamp) -> Result<u64, StoreError>;
}

/// Where an event is.
#[derive(Debug, Clone)]
pub enum Whereabouts {
    /// In the journal.
    Waiting {
        /// The event.
        event: Arc<Event>,
        /// What it waits for.
        place: Place,
    },
    /// Applied; only its identity is remembered.
    Done {
        /// When it was accepted.
        accepted_at: Timestamp,
    },
    /// Among the dead letters.
    Dead(Box<DeadLetter>),
}

/// What an event in the journal waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// For a worker.
    Ready,
    /// For whoever has it in hand, or under a lease.
    Working,
    /// For its time.
    Scheduled(Timestamp),
    /// For the work of its type to be resumed.
    Paused,
}

/// An event or an input that is given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its number among the dead letters.
    pub id: i64,
    /// The event's name.
    pub event_id: EventId,
    /// What it was, if known.
    pub event_type: Option<EventType>,
    /// Who caused it, if known.
    pub did: Option<Did>,
    /// How urgent it was.
    pub priority: Priority,
    /// Attempts that failed.
    pub retry_count: u32,
    /// When it was accepted or came.
    pub accepted_at: Timestamp,
    /// When it was given up.
    pub died_at: Timestamp,
    /// What was done.
    pub stages: Vec<Stage>,
    /// Why it was given up.
    pub last_error: String,
    /// Its payload, or the raw input as it came.
    pub payload: Vec<u8>,
    /// Where it came from: api, jetstream, file.
    pub origin: String,
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadFilter {
    /// Only of this type.
    pub event_type: Option<EventType>,
    /// Only caused by this DID.
    pub did: Option<Did>,
    /// Only given up at or after.
    pub since: Option<Timestamp>,
    /// Only given up before.
    pub until: Option<Timestamp>,
    /// Only with a smaller [`DeadLetter::id`]: what follows a page.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: usize,
}

/// Which dead letters something is done to.
#[derive(Debug, Clone)]
pub enum DeadSelection {
    /// Those of these events.
    Events(Vec<EventId>),
    /// All that match; `before` and `limit` play no part.
    Filter(DeadFilter),
}

/// What was done to dead letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Dead letters it was done to.
    pub done: u64,
    /// Those it cannot be done to: inputs that never became an event cannot be replayed.
    pub impossible: u64,
    /// There are more that match.
    pub more: bool,
}

/// One act of an operator.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// `replay`, `discard`, `pause` or `resume`.
    pub action: String,
    /// Who, as far as that is known.
    pub by: String,
    /// To what.
    pub subject: String,
    /// To how many.
    pub count: u64,
}

/// A page of dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadPage {
    /// All that match, on every page.
    pub count: u64,
    /// Inputs that were only counted, because their DID had too many.
    pub uncounted: u64,
    /// This page.
    pub letters: Vec<DeadLetter>,
    /// There are more behind the last one.
    pub more: bool,
}

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

/// A whole store.
#[async_trait]
pub trait Store: Journal + Index {
    /// The changes of every commit, in the order of commits. Can be taken once.
    fn changes(&self) -> Option<ChangeReceiver>;

    /// The number of the last committed change.
    fn last_change(&self) -> u64;

    /// Whether it can be written and read now.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Finishes what is being written, and closes.
    async fn close(&self);
}

/// Where changes come out, in order, for a thread of its own. Ends when the store is closed.
pub type ChangeReceiver = std::sync::mpsc::Receiver<ChangeSet>;
