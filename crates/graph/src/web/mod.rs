//! The edges as a search reads them: an immutable tree of pages. A change makes the two pages of
//! an edge's ends anew; a reader keeps the tree it started with.
//!
//! An edge here is the chosen statement of a pair that may be a hop: counted, not anonymous, with
//! a trust above zero under some filter. Memory: 8 bytes with each end, 4 for the record's slot,
//! and 8 for each entity's places.

mod copies;
mod half;
mod page;

pub(crate) use copies::Copies;
pub(crate) use half::{CLOSED, Half, MAX_NODE, ODD};
pub(crate) use page::Edges;

use crate::facts::{Statement, choose};
use crate::parallel;
use page::{Draft, Edit, Odds, PAGE, Page};
use std::ops::Range;
use std::sync::Arc;

/// What an odd pair states, in the order of the URIs, with the text of each type.
#[derive(Debug, PartialEq)]
pub(crate) struct Odd {
    pub(crate) statements: Box<[(Arc<str>, Statement)]>,
}

impl Odd {
    /// The edge of the pair among statements of the types asked for.
    pub(crate) fn choose(&self, asked: impl Fn(&str) -> bool) -> Option<&Statement> {
        choose(self.statements.iter().filter(|(kind, _)| asked(kind)).map(|(_, s)| s))
    }

    fn bytes(&self) -> usize {
        32 + size_of_val(&*self.statements)
    }
}

/// An edge, seen from one end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edge {
    pub(crate) half: Half,
    pub(crate) slot: u32,
    pub(crate) odd: Option<Arc<Odd>>,
}

/// A new state of a pair's edge. There is at most one for a pair in a change.
#[derive(Debug, Clone)]
pub(crate) struct PairEdit {
    pub(crate) lo: u32,
    pub(crate) hi: u32,
    /// What there is, as seen from `lo`.
    pub(crate) old: Option<Half>,
    /// As seen from `lo`.
    pub(crate) new: Option<Edge>,
}

/// Pages in a branch.
const BRANCH: usize = 64;
const PER_BRANCH: usize = PAGE * BRANCH;

#[derive(Debug, Clone)]
struct Branch {
    pages: [Option<Page>; BRANCH],
    odds: [Option<Odds>; BRANCH],
}

impl Default for Branch {
    fn default() -> Self {
        Self { pages: std::array::from_fn(|_| None), odds: std::array::from_fn(|_| None) }
    }
}

impl Branch {
    #[inline]
    fn page(&self, place: usize) -> Option<&Page> {
        self.pages[place / PAGE].as_ref()
    }

    fn odds(&self, place: usize) -> Option<&Odds> {
        self.odds[place / PAGE].as_ref()
    }

    #[inline]
    fn edges(&self, place: usize) -> Option<Edges<'_>> {
        let (low, high) = self.page(place)?.lists(place % PAGE);
        Some(Edges { low, high, at: Some((self, place)) })
    }
}

/// All edges at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Web {
    branches: Vec<Option<Arc<Branch>>>,
    edges: usize,
    /// The last change in it.
    pub(crate) version: u64,
    pub(crate) day: i32,
}

/// What takes the place of a page.
#[derive(Debug, Clone)]
struct Swap {
    /// An entity of it.
    node: u32,
    page: Option<Page>,
    odds: Option<Odds>,
}

impl Web {
    /// From every edge there is, each seen from its lower end, in any order.
    pub(crate) fn build(version: u64, day: i32, all: &[Vec<(u32, Edge)>]) -> Self {
        let edges = all.iter().map(Vec::len).sum();
        let mut web = Self { branches: Vec::new(), edges, version, day };
        let ends = all.iter().flatten().map(|(_, edge)| edge.half.neighbour() as usize + 1);
        let nodes = ends.max().unwrap_or(0);
        let ranges = parallel::ranges(nodes, parallel::jobs(edges), PAGE);
        for pages in parallel::run(ranges, |nodes| pages(all, nodes)) {
            for swap in pages {
                web.put(swap);
            }
        }
        web
    }

    fn put(&mut self, Swap { node, page, odds }: Swap) {
        let at = node as usize / PER_BRANCH;
        if self.branches.len() <= at {
            self.branches.resize_with(at + 1, || None);
        }
        let branch = Arc::make_mut(self.branches[at].get_or_insert_default());
        let place = node as usize % PER_BRANCH / PAGE;
        branch.pages[place] = page;
        branch.odds[place] = odds;
    }

    #[inline]
    fn branch(&self, node: u32) -> Option<&Branch> {
        self.branches.get(node as usize / PER_BRANCH)?.as_deref()
    }

    /// The edges of one entity.
    #[inline]
    pub(crate) fn edges(&self, node: u32) -> Edges<'_> {
        let edges = self.branch(node).and_then(|branch| branch.edges(node as usize % PER_BRANCH));
        edges.unwrap_or(Edges::NONE)
    }

    /// The edge between two, seen from `lo`. Looks at the one with fewer edges.
    pub(crate) fn edge(&self, lo: u32, hi: u32) -> Option<Edge> {
        let (low, high) = (self.edges(lo), self.edges(hi));
        let half = if low.len() <= high.len() { low.find(hi)? } else { high.find(lo)?.to(hi) };
        let slot = high.slot_of(half.to(lo))?;
        let odd = if half.kind() == ODD { high.shared_odd(lo) } else { None };
        Some(Edge { half, slot, odd })
    }

    /// Makes edits; of every page that is another one afterwards, `done` is told.
    fn edit(&mut self, edits: &[PairEdit], draft: &mut Draft, mut done: impl FnMut(Swap)) {
        let mut halves: Vec<Edit> = Vec::with_capacity(2 * edits.len());
        for PairEdit { lo, hi, old, new } in edits {
            let seen = new.as_ref().map(|e| Edge { half: e.half.to(*lo), ..e.clone() });
            halves.push(Edit { node: *lo, old: *old, new: new.clone() });
            halves.push(Edit { node: *hi, old: old.map(|half| half.to(*lo)), new: seen });
        }
        halves.sort_unstable_by_key(|e| e.node);
        let mut change = 0isize;
        for edits in halves.chunk_by(|a, b| a.node as usize / PAGE == b.node as usize / PAGE) {
            let node = edits[0].node;
            let (branch, place) = (self.branch(node), node as usize % PER_BRANCH);
            let old = branch.and_then(|branch| branch.page(place));
            let page = draft.edit(old, edits);
            let odds = page::edited_odds(branch.and_then(|branch| branch.odds(place)), edits);
            let len = |page: Option<&Page>| page.map_or(0, Page::len) as isize;
            change += len(page.as_ref()) - len(old);
            self.put(Swap { node, page: page.clone(), odds: odds.clone() });
            done(Swap { node, page, odds });
        }
        self.edges = self.edges.saturating_add_signed(change / 2);
    }

    /// The number of edges.
    pub(crate) fn len(&self) -> usize {
        self.edges
    }

    /// One more than the largest entity number a page has room for.
    pub(crate) fn nodes(&self) -> usize {
        self.branches.len() * PER_BRANCH
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let pages = self.branches.iter().flatten().flat_map(|branch| branch.pages.iter().flatten());
        let odds = self.branches.iter().flatten().flat_map(|branch| branch.odds.iter().flatten());
        let odds = odds.map(|odds| 40 + odds.iter().map(|o| 32 + o.2.bytes()).sum::<usize>());
        self.tree_bytes() + pages.map(Page::bytes).sum::<usize>() + odds.sum::<usize>()
    }

    /// Bytes held above the pages.
    fn tree_bytes(&self) -> usize {
        self.branches.capacity() * size_of::<Option<Arc<Branch>>>()
            + self.branches.iter().flatten().count() * (16 + size_of::<Branch>())
    }
}

/// The pages of the entities in a range that begins with one.
fn pages(all: &[Vec<(u32, Edge)>], nodes: Range<usize>) -> Vec<Swap> {
    let place = |node: u32| (node as usize).checked_sub(nodes.start).filter(|at| *at < nodes.len());
    // A counting sort by entity: places first, then halves.
    let mut ends = vec![0usize; nodes.len()];
    for (lo, edge) in all.iter().flatten() {
        for at in [*lo, edge.half.neighbour()].into_iter().filter_map(place) {
            ends[at] += 1;
        }
    }
    let mut sum = 0;
    for end in &mut ends {
        sum += std::mem::replace(end, sum);
    }
    let mut odd: Vec<(u32, u32, Arc<Odd>)> = Vec::new();
    let mut halves = vec![(Half::new(0, 0, 0, 0), 0u32); sum];
    for (lo, edge) in all.iter().flatten() {
        let hi = edge.half.neighbour();
        for (node, other) in [(*lo, hi), (hi, *lo)] {
            let Some(at) = place(node) else { continue };
            halves[ends[at]] = (edge.half.to(other), edge.slot);
            ends[at] += 1;
            odd.extend(edge.odd.as_ref().map(|odd| (node, other, Arc::clone(odd))));
        }
    }
    odd.sort_unstable_by_key(|o| (o.0, o.1));
    let mut odd = odd.into_iter().peekable();
    let mut pages = Vec::with_capacity(nodes.len().div_ceil(PAGE));
    let mut lists: [Vec<(Half, u32)>; PAGE] = std::array::from_fn(|_| Vec::new());
    let mut draft = Draft::default();
    let mut from = 0;
    for (first, ends) in nodes.step_by(PAGE).zip(ends.chunks(PAGE)) {
        lists.iter_mut().for_each(Vec::clear);
        for (list, &end) in lists.iter_mut().zip(ends) {
            list.extend_from_slice(&halves[from..end]);
            from = end;
        }
        let mut odds = Vec::new();
        while let Some((node, other, text)) = odd.next_if(|o| (o.0 as usize) < first + PAGE) {
            odds.push(((node as usize % PAGE) as u8, other, text));
        }
        let node = first as u32;
        if let Some(page) = draft.build(node, &mut lists) {
            let odds = (!odds.is_empty()).then(|| Arc::new(odds));
            pages.push(Swap { node, page: Some(page), odds });
        }
    }
    pages
}
