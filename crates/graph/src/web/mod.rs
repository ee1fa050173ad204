//! The edges as a search reads them: an immutable tree of pages. A change copies the two pages of
//! an edge's ends and the few small nodes above them; a reader keeps the tree it started with.
//!
//! An edge here is the chosen statement of a pair that may be a hop: counted, not anonymous, with
//! a trust above zero under some filter. Memory: 8 bytes with each end, 4 for the record's slot,
//! and 8 for each entity's places.

mod half;
mod page;

pub(crate) use half::{CLOSED, Half, MAX_NODE, ODD};
pub(crate) use page::Edges;

use crate::facts::{Statement, choose};
use crate::parallel;
use page::{Edit, PAGE, Page};
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

/// A new state of a pair's edge.
#[derive(Debug, Clone)]
pub(crate) struct PairEdit {
    pub(crate) lo: u32,
    pub(crate) hi: u32,
    /// As seen from `lo`.
    pub(crate) edge: Option<Edge>,
}

const TWIG: usize = 16;
const BRANCH: usize = 64;
const PER_TWIG: usize = PAGE * TWIG;
const PER_BRANCH: usize = PER_TWIG * BRANCH;

#[derive(Debug, Clone, Default)]
struct Twig([Option<Arc<Page>>; TWIG]);

#[derive(Debug, Clone)]
struct Branch([Option<Arc<Twig>>; BRANCH]);

impl Default for Branch {
    fn default() -> Self {
        Self(std::array::from_fn(|_| None))
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

impl Web {
    /// From every edge there is, each seen from its lower end, in any order.
    pub(crate) fn build(version: u64, day: i32, all: &[Vec<(u32, Edge)>]) -> Self {
        let edges = all.iter().map(Vec::len).sum();
        let mut web = Self { branches: Vec::new(), edges, version, day };
        let ends = all.iter().flatten().map(|(_, edge)| edge.half.neighbour() as usize + 1);
        let nodes = ends.max().unwrap_or(0);
        let ranges = parallel::ranges(nodes, parallel::jobs(edges), PAGE);
        for pages in parallel::run(ranges, |nodes| pages(all, nodes)) {
            for (first, page) in pages {
                *web.page_mut(first) = Some(page);
            }
        }
        web
    }

    fn page_mut(&mut self, node: usize) -> &mut Option<Arc<Page>> {
        let at = node / PER_BRANCH;
        if self.branches.len() <= at {
            self.branches.resize_with(at + 1, || None);
        }
        let branch = Arc::make_mut(self.branches[at].get_or_insert_default());
        let twig = branch.0[node % PER_BRANCH / PER_TWIG].get_or_insert_default();
        &mut Arc::make_mut(twig).0[node % PER_TWIG / PAGE]
    }

    /// The edges of one entity.
    #[inline]
    pub(crate) fn edges(&self, node: u32) -> Edges<'_> {
        let node = node as usize;
        let page = self
            .branches
            .get(node / PER_BRANCH)
            .and_then(|branch| branch.as_ref())
            .and_then(|branch| branch.0[node % PER_BRANCH / PER_TWIG].as_ref())
            .and_then(|twig| twig.0[node % PER_TWIG / PAGE].as_ref());
        page.map_or(Edges::NONE, |page| page.edges(node % PAGE))
    }

    /// The edge between two, seen from `lo`. Looks at the one with fewer edges.
    pub(crate) fn edge(&self, lo: u32, hi: u32) -> Option<Edge> {
        let (low, high) = (self.edges(lo), self.edges(hi));
        let half = if low.len() <= high.len() { low.find(hi)? } else { high.find(lo)?.to(hi) };
        let slot = high.slot_of(half.to(lo))?;
        let odd = if half.kind() == ODD { high.shared_odd(lo) } else { None };
        Some(Edge { half, slot, odd })
    }

    /// This web after some edits; `self` is untouched.
    pub(crate) fn edited(&self, version: u64, edits: &[PairEdit]) -> Self {
        let mut web = self.clone();
        web.version = version;
        let mut halves: Vec<Edit> = Vec::with_capacity(2 * edits.len());
        for PairEdit { lo, hi, edge } in edits {
            let seen = edge.as_ref().map(|e| Edge { half: e.half.to(*lo), ..e.clone() });
            halves.push(Edit { node: *lo, neighbour: *hi, edge: edge.clone() });
            halves.push(Edit { node: *hi, neighbour: *lo, edge: seen });
        }
        // Stable: of one edge, the last edit stays last.
        halves.sort_by_key(|e| e.node);
        let mut change = 0isize;
        for edits in halves.chunk_by(|a, b| a.node as usize / PAGE == b.node as usize / PAGE) {
            let page = web.page_mut(edits[0].node as usize);
            let new = match page {
                Some(old) => old.edited(edits),
                None => Page::EMPTY().edited(edits),
            };
            change += new.len() as isize - page.as_ref().map_or(0, |p| p.len()) as isize;
            *page = (new.len() > 0).then(|| Arc::new(new));
        }
        web.edges = web.edges.saturating_add_signed(change / 2);
        web
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
        let mut bytes = self.branches.capacity() * size_of::<Option<Arc<Branch>>>();
        for branch in self.branches.iter().flatten() {
            bytes += 16 + size_of::<Branch>();
            for twig in branch.0.iter().flatten() {
                bytes += 16 + size_of::<Twig>();
                bytes += twig.0.iter().flatten().map(|page| page.bytes()).sum::<usize>();
            }
        }
        bytes
    }
}

/// The pages of the entities in a range that begins with one, each with its first entity.
fn pages(all: &[Vec<(u32, Edge)>], nodes: Range<usize>) -> Vec<(usize, Arc<Page>)> {
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
    let mut from = 0;
    for (first, ends) in nodes.step_by(PAGE).zip(ends.chunks(PAGE)) {
        lists.iter_mut().for_each(Vec::clear);
        for (list, &end) in lists.iter_mut().zip(ends) {
            list.extend_from_slice(&halves[from..end]);
            from = end;
        }
        let mut here = Vec::new();
        while let Some((node, other, text)) = odd.next_if(|o| (o.0 as usize) < first + PAGE) {
            here.push(((node as usize % PAGE) as u8, other, text));
        }
        if lists.iter().any(|list| !list.is_empty()) {
            pages.push((first, Arc::new(Page::build(first as u32, &mut lists, here))));
        }
    }
    pages
}
