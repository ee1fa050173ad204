//! The journal: what is accepted, claimed, leased and settled, and where an event is meanwhile.

#[cfg(doc)]
use super::Store;
use super::{
    Act, AppendError, AuditPage, DeadFilter, DeadLetter, DeadPage, DeadSelection, Moved, StoreError,
};
use crate::{Did, Effect, Event, EventId, EventType, Origin, Pause, Paused, Stage};
use async_trait::async_trait;
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};

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
    /// Letters of one DID up to which what comes from a source is kept; the rest is counted.
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

/// Payloads that one claim holds, in bytes: workers hold many claims at once.
pub const MOST_CLAIMED: usize = 8 * 1024 * 1024;

/// How many events to claim of each priority (indexed by [`Priority`](crate::Priority)).
pub type Quota = [usize; 4];

/// What waits in the journal, from memory: cheap to ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depths {
    /// Ready to be claimed, by priority.
    pub claimable: [usize; 4],
    /// Those of them that take part of the capacity: not what waited for a retry, for the network,
    /// or in a pause, so that the pipeline cannot block itself.
    pub counted: usize,
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
    /// Since when the oldest one that is ready is on its way, by priority.
    pub fronts: [Option<Timestamp>; 4],
}

impl Depths {
    /// What counts against the capacity.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.counted + self.in_hand
    }

    /// Everything in the journal.
    #[must_use]
    pub fn all(&self) -> usize {
        self.claimable.iter().sum::<usize>()
            + self.in_hand
            + self.scheduled
            + self.leased
            + self.paused
    }

    /// Since when the oldest one that is ready is on its way, if any.
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
    /// To the dead letters. Of what came from a source, [`Rejected::MAX_PER_DID`] letters are kept of
    /// a DID, and the rest is counted; what was read ([`Event::effect`]) and is at or below the floor
    /// of a deleted account is not kept at all.
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

    /// Claims up to `quota` events, oldest first within a priority; fewer when they would be more
    /// than [`MOST_CLAIMED`] bytes, but one of each priority at least, whatever its size. `None` when there are none.
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

    /// The numbers of dead letters behind `after`, oldest first, `filter.limit` at most: what many
    /// steps are to be done to is looked for once, where nobody waits for it.
    async fn dead_numbers(&self, filter: DeadFilter, after: i64) -> Result<Vec<i64>, StoreError>;

    /// Puts dead letters back into the journal, as new, oldest first; at most `most` in one
    /// transaction with the row of the audit log that tells of the [`Act`]. Inputs that never
    /// became an event stay where they are. What it means does not change, nor what it is newer
    /// than ([`Event::timestamp`]); its waiting begins now ([`Event::replayed_at`]).
    async fn replay(
        &self,
        which: &DeadSelection,
        most: usize,
        act: &mut Act,
    ) -> Result<Moved, StoreError>;

    /// Removes dead letters for good; as [`Journal::replay`].
    async fn discard(
        &self,
        which: &DeadSelection,
        most: usize,
        act: &mut Act,
    ) -> Result<Moved, StoreError>;

    /// What operators did, newest first: of the rows with a smaller id than `before`, `limit` at
    /// most.
    async fn audit(&self, before: Option<i64>, limit: usize) -> Result<AuditPage, StoreError>;

    /// Forgets what need not be remembered any more: identities of events accepted before
    /// `accepted_before`, but not of what waits, and not where the name is a UUIDv7 of a later
    /// time. Looks at what is that old and not at the rest, in small steps; answers how many are
    /// gone.
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
    /// Applied; only its identity is remembered. (What was dropped before such things were noted is
    /// said to be done, too.)
    Done {
        /// When it was accepted.
        accepted_at: Timestamp,
    },
    /// Among the dead letters.
    Dead(Box<DeadLetter>),
    /// Never applied, and kept nowhere; only its identity is remembered.
    Dropped {
        /// When it was accepted or came.
        accepted_at: Timestamp,
        /// Why it is not kept.
        why: Dropped,
    },
}

/// Why an event that was not applied, or an input that became none, is not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// An operator discarded its dead letter.
    Discarded,
    /// So much was kept of its DID already that it was only counted.
    Counted,
    /// Its account was deleted, and all that was kept of it with it.
    Purged,
}

impl Dropped {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discarded => "discarded",
            Self::Counted => "counted",
            Self::Purged => "purged",
        }
    }
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
