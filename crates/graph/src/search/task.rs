//! What a search is given, and how its two ends share the work.

use super::filter::Filter;
use crate::web::Web;
use std::cmp::Ordering;

/// More than any key; two of them still add up.
pub(super) const INFINITE: u64 = 1 << 40;
/// From this ratio of what is around the ends on, the lesser one may go a hop further. Measured:
/// 16 is better than 4 and 64 on Epinions and on a power law.
const LOPSIDED: usize = 16;
/// What a step costs besides its edges, in edges.
pub(super) const STEP_WORK: usize = 4;
/// More work than any end ever does.
pub(super) const NOTHING_LEFT: usize = 1 << 48;

/// One search.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) web: &'a Web,
    pub(super) filter: &'a Filter<'a>,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) max_hops: u32,
    /// Nothing worse than this key is wanted.
    pub(super) at_most: u64,
    /// So many paths are wanted in the end: what is worse than that many which were met is not
    /// looked for.
    pub(super) wanted: usize,
    /// May not be on the path.
    pub(super) banned: &'a [u32],
    /// May not be the first stop after `from`.
    pub(super) no_first: &'a [u32],
    /// Orders record slots by their URIs.
    pub(super) compare: &'a dyn Fn(u32, u32) -> Ordering,
}

/// What a path that has not been met costs at least, from the least key that waits at either end and
/// that of the cheapest leaf made: see [`bidirectional`](super::bidirectional).
pub(super) fn least_unmet(top: [u64; 2], leaf: [u64; 2]) -> u64 {
    (top[0] + top[1]).min(leaf[0] + top[1]).min(leaf[1] + top[0])
}

/// The time for a search is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfTime;

/// About how much there is within two hops: the degrees of the nearest neighbours.
fn around(task: &Task<'_>, id: u32) -> usize {
    let edges = task.web.edges(id);
    let near = edges.low.iter().take(8).chain(edges.high.iter().take(8));
    edges.len() + near.map(|half| task.web.edges(half.neighbour()).len()).sum::<usize>()
}

/// How many hops the labels of either end may have; together, the bound.
pub(super) fn caps(task: &Task<'_>) -> [u32; 2] {
    // The odd hop goes to the end with less around it; where that is very little, one more.
    let mut caps = [task.max_hops / 2; 2];
    let near = [around(task, task.from), around(task, task.to)];
    let small = usize::from(near[1] < near[0]);
    caps[small] += task.max_hops % 2;
    if caps[1 - small] > 1 && near[small] * LOPSIDED < near[1 - small] {
        caps[small] += 1;
        caps[1 - small] -= 1;
    }
    caps
}
