//! Rankings, kept by viewer and brought up to date by what has changed.
//!
//! Law: a ranking is kept with the number of a change *v*, and whoever was affected by a change
//! after *v* is in the list of changes until the ranking has been told, or the ranking is forgotten. The
//! replica tells of a change once the graph holds it and before it counts as applied, so an answer
//! shows every change that was applied when it was asked for. A walk may see a change before it is
//! told; what it saw of it by half is walked again when it is. A ranking of another day is walked
//! anew: every trust is another one.
//!
//! Bounded by bytes, the longest unused ranking goes first; and the list of changes by its length:
//! what has not been asked for since is walked anew.

use super::{Answers, NoAnswer};
use parking_lot::Mutex;
use rhiz_domain::{Did, EntityId, fact::Day};
use rhiz_graph::{Graph, Ranking, Reached};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Walks of a viewer: enough to tell the first hundred apart.
const WALKS: u32 = 4000;
/// Bytes of all rankings kept: those of about five hundred viewers.
const MOST_BYTES: usize = 64 << 20;
/// What a viewer takes besides the walks, about.
const SEAT_BYTES: usize = 256;
/// Most entities in the list of changes.
const MOST_CHANGED: usize = 1 << 16;
/// A ranking that changes overtake is told of them so often, then left to the next who asks.
const TURNS: usize = 3;

/// Somebody reached by a viewer's walks.
#[derive(Debug, Clone)]
pub(crate) struct Ranked {
    pub(crate) did: String,
    /// Mean visits in a walk.
    pub(crate) visits: f64,
    /// Through whom, most often, and the share.
    pub(crate) through: Option<(String, f64)>,
}

/// A ranking and what it is of.
#[derive(Debug)]
struct Kept {
    ranking: Ranking,
    /// It has been told of all changes up to this one.
    version: u64,
    day: Day,
}

/// Held while a ranking is brought up to date: others who want it wait for that.
type Place = Arc<tokio::sync::Mutex<Option<Kept>>>;

#[derive(Debug)]
struct Seat {
    place: Place,
    bytes: usize,
    used: u64,
}

#[derive(Debug)]
struct Known {
    seats: HashMap<EntityId, Seat>,
    bytes: usize,
    /// Counts uses.
    uses: u64,
    /// Whom each change after `floor` affected, oldest first.
    changes: VecDeque<(u64, Box<[EntityId]>)>,
    changed: usize,
    floor: u64,
    /// The last change told of.
    head: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Rankings {
    known: Mutex<Known>,
    most_bytes: usize,
}

impl Rankings {
    /// None yet; `version` is what the graph holds.
    #[must_use]
    pub fn new(version: u64) -> Self {
        Self::holding(version, MOST_BYTES)
    }

    fn holding(version: u64, most_bytes: usize) -> Self {
        let known = Known {
            seats: HashMap::new(),
            bytes: 0,
            uses: 0,
            changes: VecDeque::new(),
            changed: 0,
            floor: version,
            head: version,
        };
        Self { known: Mutex::new(known), most_bytes }
    }

    /// The graph holds a change that has affected these.
    pub fn tell(&self, change: u64, affected: &[EntityId]) {
        let known = &mut *self.known.lock();
        known.head = known.head.max(change);
        if known.seats.is_empty() || affected.len() > MOST_CHANGED {
            // Nobody to tell, or too much: who comes begins anew.
            known.changes.clear();
            (known.changed, known.floor) = (0, known.head);
            return;
        }
        if affected.is_empty() {
            return;
        }
        known.changed += affected.len();
        known.changes.push_back((change, affected.into()));
        while known.changed > MOST_CHANGED
            && let Some((oldest, affected)) = known.changes.pop_front()
        {
            known.changed -= affected.len();
            known.floor = oldest;
        }
    }

    /// The last change told of, and whom those after `version` affected; `None` when that is not
    /// known any more.
    fn since(&self, version: u64) -> (u64, Option<Vec<EntityId>>) {
        let known = self.known.lock();
        let changed = (version >= known.floor).then(|| {
            let first = known.changes.partition_point(|(change, _)| *change <= version);
            let changes = known.changes.range(first..);
            let mut changed: Vec<EntityId> = changes.flat_map(|c| c.1.iter().copied()).collect();
            changed.sort_unstable();
            changed.dedup();
            changed
        });
        (known.head, changed)
    }

    fn place(&self, viewer: EntityId) -> Place {
        let known = &mut *self.known.lock();
        known.uses += 1;
        let bytes = &mut known.bytes;
        let seat = known.seats.entry(viewer).or_insert_with(|| {
            *bytes += SEAT_BYTES;
            Seat { place: Place::default(), bytes: SEAT_BYTES, used: 0 }
        });
        seat.used = known.uses;
        Arc::clone(&seat.place)
    }

    /// A viewer's ranking takes so much now; others go if that is too much.
    fn weigh(&self, viewer: EntityId, bytes: usize) {
        let known = &mut *self.known.lock();
        if let Some(seat) = known.seats.get_mut(&viewer) {
            let before = std::mem::replace(&mut seat.bytes, SEAT_BYTES + bytes);
            known.bytes = known.bytes - before + seat.bytes;
        }
        while known.bytes > self.most_bytes {
            let oldest = known.seats.iter().min_by_key(|(_, seat)| seat.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            known.bytes -= known.seats.remove(&oldest).map_or(0, |seat| seat.bytes);
        }
    }

    /// Makes a viewer's ranking that of the graph now. False when `go_on` said no; then the next
    /// one goes on from there.
    fn bring_up(
        &self,
        place: &mut Option<Kept>,
        graph: &Graph,
        viewer: EntityId,
        go_on: &mut dyn FnMut() -> bool,
    ) -> bool {
        for _ in 0..TURNS {
            let day = graph.as_of();
            let known = place.take().filter(|kept| kept.day == day);
            // Before the walks: what is told of from here on may be missing in them.
            let (head, changed) = self.since(known.as_ref().map_or(0, |kept| kept.version));
            let ranking = match (known, changed) {
                (Some(mut kept), Some(changed)) => {
                    kept.ranking.update(&changed);
                    kept.ranking
                }
                _ => Ranking::new(viewer, WALKS),
            };
            let kept = place.insert(Kept { ranking, version: head, day });
            let done = kept.ranking.walk(graph, go_on);
            self.weigh(viewer, kept.ranking.bytes());
            if !done {
                return false;
            }
            if self.known.lock().head == head {
                break;
            }
        }
        true
    }
}

impl Answers {
    /// Whom a viewer trusts, through whom: most visited first.
    pub(crate) async fn ranking(
        &self,
        viewer: &str,
        limit: usize,
    ) -> Result<(Did, Vec<Ranked>), NoAnswer> {
        let (id, did) = self.find(viewer, "did").await?;
        let place = self.node.rankings.place(id).lock_owned();
        let place = tokio::time::timeout(self.patience(), place).await;
        let mut place = place.map_err(|_| NoAnswer::Busy)?;
        let answers = self.clone();
        let search = self.explore(move |node, turn| {
            let mut go_on = || turn.go_on(node);
            if !node.rankings.bring_up(&mut place, &node.graph, id, &mut go_on) {
                return Err(NoAnswer::WalksTimeLimit(turn.limit()));
            }
            let ranking = place.as_ref().map(|kept| &kept.ranking);
            let shown = ranking.map(|r| r.ranked(limit, |id| node.graph.exists(id)));
            Ok(shown.unwrap_or_default().into_iter().map(|r| answers.named_rank(r)).collect())
        });
        Ok((did, search.await??))
    }

    fn named_rank(&self, reached: Reached) -> Ranked {
        let name = |id| self.did_text(id).to_string();
        Ranked {
            did: name(reached.id),
            visits: reached.visits,
            through: reached.through.map(|(id, share)| (name(id), share)),
        }
    }
}

#[cfg(test)]
mod tests;
