//! The graph: what is read from many threads while one applies what happens.
//!
//! Two parts. The *state* (facts and what follows from them) stands behind a lock that is held
//! for microseconds. The *web* (the edges a search walks) is an immutable tree behind an atomic
//! pointer: a search takes it as it is at its start, and no change waits for a search or makes
//! one wait.

use crate::derived::Derived;
use crate::search::Pool;
use crate::state::{Dirty, State};
use crate::web::{Copies, Web};
use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use rhiz_domain::fact::{
    AttestationFact, ChangeSet, Day, EntityFact, EntityId, RecordKey, RelationshipFact,
};
use rhiz_domain::{Change, Did};
use std::sync::Arc;

/// Changes applied under one hold of the lock: readers wait for no more than these.
const CHANGES_PER_HOLD: usize = 16;

/// Relationships, attestations and who they name, with every score that follows from them.
///
/// The law: what it answers is a function of the facts applied and of [`Graph::as_of`]. The order
/// of arrival decides nothing, as long as of two changes of one record or entity the later
/// (by commit) is applied last; applying again what was applied, up to the newest, ends in the
/// same state.
#[derive(Debug)]
pub struct Graph {
    pub(crate) writer: Mutex<Writer>,
    pub(crate) state: RwLock<State>,
    pub(crate) web: ArcSwap<Web>,
    pub(crate) pool: Pool,
    pub(crate) averages: crate::stats::Averages,
    /// One at a time learns anew.
    pub(crate) relearning: Mutex<()>,
}

/// What changes may have altered. Nothing else is another answer than before, the network part of
/// trust scores and what is asked of several people at once (paths, predictions) apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// Those who may exist or not, be dated, have an edge or a direct score other than before, in
    /// the order of their numbers.
    pub entities: Vec<EntityId>,
    /// Relationships whose conviction, or who may know of it, may be another; in order. They may
    /// be gone.
    pub convictions: Vec<RecordKey>,
}

impl Affected {
    fn new(pairs: &[(u32, u32)], mut people: Vec<u32>, mut convictions: Vec<RecordKey>) -> Self {
        people.extend(pairs.iter().flat_map(|&(lo, hi)| [lo, hi]));
        people.sort_unstable();
        people.dedup();
        convictions.sort_unstable();
        convictions.dedup();
        Self { entities: people.into_iter().map(EntityId).collect(), convictions }
    }
}

/// What only the one who applies changes needs.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) copies: Copies,
}

impl Graph {
    /// Nothing yet.
    #[must_use]
    pub fn new(as_of: Day) -> Self {
        Self::from_state(State::new(as_of), 0)
    }

    /// All that is live, at once. `seq` is the number of the last change that these facts hold.
    /// Facts may come in any order; of two for one key the later one holds. What predictions need
    /// is learned too, as by [`Graph::relearn`].
    #[must_use]
    pub fn load(
        as_of: Day,
        seq: u64,
        entities: impl Iterator<Item = EntityFact>,
        relationships: impl Iterator<Item = RelationshipFact>,
        attestations: impl Iterator<Item = AttestationFact>,
    ) -> Self {
        Self::from_state(State::load(as_of, seq, entities, relationships, attestations), seq)
    }

    fn from_state(mut state: State, seq: u64) -> Self {
        let web = Arc::new(State::web(&state.facts, &state.derived, seq));
        state.facts.generation = 1;
        Self {
            writer: Mutex::default(),
            state: RwLock::new(state),
            web: ArcSwap::new(web),
            pool: Pool::default(),
            averages: crate::stats::Averages::default(),
            relearning: Mutex::new(()),
        }
    }

    /// Applies what one commit changed, and answers with what it may have altered. For one caller
    /// at a time; readers go on meanwhile, and see the changes of a large set in several steps.
    pub fn apply(&self, set: &ChangeSet) -> Affected {
        let mut writer = self.writer.lock();
        let web = self.web.load_full();
        let mut dirty = Dirty::default();
        for changes in set.changes.chunks(CHANGES_PER_HOLD) {
            if changes.iter().all(|change| matches!(change, Change::Touched(_))) {
                continue;
            }
            let mut state = self.state.write();
            for change in changes {
                std::hint::black_box(state.fetch(change, &web));
                state.apply(change, &mut dirty);
            }
        }
        let version = web.version.max(set.seq);
        let Dirty { mut pairs, people, convictions } = dirty;
        pairs.sort_unstable();
        pairs.dedup();
        let edits =
            if pairs.is_empty() { Vec::new() } else { self.state.read().edits(&web, &pairs) };
        let new = writer.copies.edited(&web, version, &edits);
        drop(web);
        self.publish(&mut writer, new);
        Affected::new(&pairs, people, convictions)
    }

    fn publish(&self, writer: &mut Writer, web: Arc<Web>) {
        let oldest_read = writer.copies.oldest_read();
        let mut state = self.state.write();
        let replaced = state.facts.generation - 1;
        state.facts.release(oldest_read.unwrap_or(replaced));
        let old = self.web.swap(web);
        state.facts.generation += 1;
        drop(state);
        // What it held may die here, outside of the lock that it does not need.
        writer.copies.retire(replaced, old);
    }

    /// Makes another day today. Everything is worked out anew beside what is read meanwhile.
    pub fn set_day(&self, day: Day) {
        let mut writer = self.writer.lock();
        let version = self.version();
        let (derived, web) = {
            let state = self.state.read();
            if state.derived.day == day {
                return;
            }
            let derived = Derived::compute(&state.facts, day);
            let web = State::web(&state.facts, &derived, version);
            (derived, web)
        };
        let old = std::mem::replace(&mut self.state.write().derived, derived);
        writer.copies.forget();
        self.publish(&mut writer, Arc::new(web));
        drop(old);
    }

    /// The number of the last change applied.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.web.load().version
    }

    /// The day all answers are for.
    #[must_use]
    pub fn as_of(&self) -> Day {
        self.web.load().day
    }

    /// The number of a DID that was told of, whether or not it exists for the public.
    #[must_use]
    pub fn find(&self, did: &str) -> Option<EntityId> {
        self.state.read().facts.find(did).map(EntityId)
    }

    /// The DID of a number, if it was told.
    #[must_use]
    pub fn did(&self, id: EntityId) -> Option<Did> {
        self.state.read().facts.did(id.0).cloned()
    }

    /// Exists for the public: its account is active, and it stands alone or something live that
    /// is not private names it.
    #[must_use]
    pub fn exists(&self, id: EntityId) -> bool {
        self.state.read().facts.exists(id.0)
    }

    /// `viewer` takes part in the relationship or is mutually related to one who does: they may
    /// read the texts of a `network` one. False for a relationship that is not known.
    #[must_use]
    pub fn acquainted(&self, viewer: EntityId, key: RecordKey) -> bool {
        let state = self.state.read();
        let facts = &state.facts;
        facts.find_record(key).is_some_and(|slot| {
            let r = facts.record(slot);
            facts.active(viewer.0)
                && (r.owner == viewer.0
                    || r.subject == viewer.0
                    || facts.acquainted(viewer.0, slot))
        })
    }
}
