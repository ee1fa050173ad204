//! The trees above the pages, used again: a web that nobody reads any more becomes the next one.
//! So a change copies pages, but hardly ever what is above them, where every copy of a pointer
//! would touch the counter of what it points at.
//!
//! The law: a web is only changed where nobody else holds it (`Arc::get_mut`), and what is
//! published is the web before, changed by the edits. A web that was published before has missed
//! some swaps of pages: they are in the log, and are made up for first. Where all former webs are
//! still read, the newest one is copied: its root at once, its branches as they are changed.
//!
//! Kept by the one who applies changes.

use super::page::Draft;
use super::{PairEdit, Swap, Web};
use std::collections::VecDeque;
use std::sync::Arc;

/// Webs that nobody reads, kept at most.
const IDLE: usize = 8;
/// A web that has missed more pages than this is not used again: as many are kept for it.
const BEHIND: u64 = 1024;

#[derive(Debug)]
struct Former {
    generation: u64,
    /// So many of all swaps have been made in it.
    swaps: u64,
    web: Arc<Web>,
}

impl Former {
    /// Nobody comes to hold it any more, so who does not now never will.
    fn is_read(&self) -> bool {
        Arc::strong_count(&self.web) > 1
    }
}

/// Former webs, those that have missed most first, and what they have missed.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    former: VecDeque<Former>,
    log: VecDeque<Swap>,
    /// Swaps of pages ever made.
    swaps: u64,
    /// As many had been made in the web that is published.
    published: u64,
    draft: Draft,
}

impl Copies {
    /// The next web: `now` with some edits.
    pub(crate) fn edited(&mut self, now: &Arc<Web>, version: u64, edits: &[PairEdit]) -> Arc<Web> {
        let mut next = self.copy(now);
        self.published = self.swaps;
        // Nobody else has it.
        let web = Arc::make_mut(&mut next);
        (web.version, web.day) = (version, now.day);
        let Self { draft, log, swaps, .. } = self;
        web.edit(edits, draft, |swap| {
            log.push_back(swap);
            *swaps += 1;
        });
        next
    }

    /// A web like `now` that nobody else has.
    fn copy(&mut self, now: &Arc<Web>) -> Arc<Web> {
        let Self { former, log, swaps, .. } = self;
        let missed = |f: &Former| (*swaps - f.swaps) as usize;
        // The one that has missed most first, so that none misses too much.
        let idle = former
            .iter_mut()
            .position(|f| missed(f) <= log.len() && Arc::get_mut(&mut f.web).is_some());
        let Some(mut idle) = idle.and_then(|at| former.remove(at)) else {
            return Arc::new(Web::clone(now));
        };
        let from = log.len() - missed(&idle);
        let web = Arc::make_mut(&mut idle.web);
        for swap in log.range(from..) {
            web.put(swap.clone());
        }
        web.edges = now.edges;
        idle.web
    }

    /// The web that is about to be published was made anew: none before it can be used again.
    pub(crate) fn forget(&mut self) {
        self.published = self.swaps;
        self.swaps += BEHIND + 1;
        self.log.clear();
    }

    /// Takes a web that has just been replaced.
    pub(crate) fn retire(&mut self, generation: u64, web: Arc<Web>) {
        self.former.push_back(Former { generation, swaps: self.published, web });
        let oldest = self.swaps.saturating_sub(BEHIND);
        self.former.retain(|f| f.is_read() || f.swaps >= oldest);
        if self.former.iter().filter(|f| !f.is_read()).count() > IDLE
            && let Some(at) = self.former.iter().position(|f| !f.is_read())
        {
            self.former.remove(at);
        }
        let needed = self.former.iter().map(|f| f.swaps.max(oldest)).min().unwrap_or(self.swaps);
        let missed = (self.swaps - needed) as usize;
        self.log.drain(..self.log.len().saturating_sub(missed));
    }

    /// The generation of the oldest web that was replaced and is still read.
    pub(crate) fn oldest_read(&self) -> Option<u64> {
        self.former.iter().filter(|f| f.is_read()).map(|f| f.generation).min()
    }

    /// Bytes held beside those of the web that is published.
    pub(crate) fn bytes(&self) -> usize {
        self.former.iter().map(|f| f.web.tree_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Edge, Half, Web};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Two pages of one branch, and one of another.
    const PEOPLE: [u32; 6] = [1, 2, 40, 41, 5_000, 5_001];

    type Edges = BTreeMap<(u32, u32), (u32, u32)>;

    fn edge(hi: u32, (cost, slot): (u32, u32)) -> Edge {
        Edge { half: Half::new(cost, hi, 50, 0), slot, odd: None }
    }

    /// All edges, read from both ends.
    fn check(web: &Web, edges: &Edges) {
        assert_eq!(web.len(), edges.len());
        let ends: usize = PEOPLE.iter().map(|&id| web.edges(id).len()).sum();
        assert_eq!(ends, 2 * edges.len());
        for (&(lo, hi), &told) in edges {
            assert_eq!(web.edge(lo, hi), Some(edge(hi, told)));
            assert!(web.edges(lo).find(hi).is_some() && web.edges(hi).find(lo).is_some());
        }
        for id in PEOPLE {
            let all = web.edges(id);
            assert!(all.low.is_sorted() && all.high.is_sorted());
        }
    }

    proptest! {
        /// Whoever reads a web reads what it was when it was published, whatever comes after it,
        /// and however many are read at the same time.
        #[test]
        fn what_is_read_stays(
            changes in prop::collection::vec(
                (0..6usize, 0..6usize, prop::option::of((0..50u32, 0..9u32)), 0..8u8), 1..200),
        ) {
            let mut copies = Copies::default();
            let mut web = Arc::new(Web::build(0, 0, &[]));
            let mut edges = Edges::new();
            let mut read: Vec<(Arc<Web>, Edges)> = Vec::new();
            for (n, (a, b, new, what)) in changes.into_iter().enumerate() {
                if a == b {
                    continue;
                }
                let (lo, hi) = (PEOPLE[a.min(b)], PEOPLE[a.max(b)]);
                let old = web.edge(lo, hi).map(|edge| edge.half);
                let edit = PairEdit { lo, hi, old, new: new.map(|told| edge(hi, told)) };
                match new {
                    Some(told) => drop(edges.insert((lo, hi), told)),
                    None => drop(edges.remove(&(lo, hi))),
                }
                let next = if what == 7 {
                    // As when a day begins.
                    let all = edges.iter().map(|(&(lo, hi), &told)| (lo, edge(hi, told))).collect();
                    copies.forget();
                    Arc::new(Web::build(n as u64, 0, &[all]))
                } else {
                    copies.edited(&web, n as u64, &[edit])
                };
                check(&next, &edges);
                if what < 3 {
                    read.push((Arc::clone(&web), snapshot(&web)));
                }
                copies.retire(n as u64, std::mem::replace(&mut web, next));
                if what == 3 && !read.is_empty() {
                    read.remove(a % read.len());
                }
                for (web, edges) in &read {
                    check(web, edges);
                }
                prop_assert_eq!(copies.oldest_read().is_some(), !read.is_empty());
            }
        }
    }

    fn snapshot(web: &Web) -> Edges {
        let mut all = Edges::new();
        for (at, &lo) in PEOPLE.iter().enumerate() {
            for &hi in &PEOPLE[at + 1..] {
                all.extend(web.edge(lo, hi).map(|e| ((lo, hi), (e.half.cost(), e.slot))));
            }
        }
        all
    }

    #[test]
    fn two_webs_take_turns_and_what_is_missed_too_long_is_given_up() {
        let mut copies = Copies::default();
        let mut web = Arc::new(Web::build(0, 0, &[]));
        let mut change = |copies: &mut Copies, n: u64| {
            let old = web.edge(1, 40).map(|edge| edge.half);
            let new = Some(edge(40, (n as u32 % 100, 1)));
            let next = copies.edited(&web, n, &[PairEdit { lo: 1, hi: 40, old, new }]);
            copies.retire(n, std::mem::replace(&mut web, next));
            Arc::clone(&web)
        };
        let mut seen: Vec<*const Web> =
            (0..20).map(|n| Arc::as_ptr(&change(&mut copies, n))).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 2, "one is published, the other one is next");

        let read = change(&mut copies, 20);
        for n in 21..2 * BEHIND {
            drop(change(&mut copies, n));
        }
        assert_eq!(copies.oldest_read(), Some(21));
        assert!(copies.log.len() as u64 <= BEHIND);
        drop(read);
        drop(change(&mut copies, 2 * BEHIND));
        assert_eq!((copies.oldest_read(), copies.former.len()), (None, 1));
        assert!(copies.log.len() <= 2);
    }
}
