//! Which edges may be hops.

use crate::facts::{KNOWN, Kinds, Statement};
use crate::web::{Edges, Half, ODD, Odd, Web};
use std::sync::Arc;

/// A filter on strength and type.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    pub(crate) min_strength: u8,
    types: Option<Types<'a>>,
}

#[derive(Debug)]
struct Types<'a> {
    /// A bit for each known type.
    known: u8,
    texts: &'a [String],
}

impl<'a> Filter<'a> {
    pub(crate) fn new(min_strength: u8, kinds: Option<&'a [String]>) -> Self {
        let types = kinds.map(|texts| {
            let asked = |text: &&str| texts.iter().any(|t| t == *text);
            let known = KNOWN.iter().enumerate().filter(|(_, text)| asked(text));
            Types { known: known.map(|(bit, _)| 1 << bit).sum(), texts }
        });
        Self { min_strength, types }
    }

    /// Calls `visit(neighbour, cost)` for the usable edges, as long as it says so: each list is
    /// in the order of cost, so that one refusal ends the list.
    #[inline]
    pub(crate) fn for_each(&self, edges: Edges<'_>, mut visit: impl FnMut(u32, u32) -> bool) {
        match &self.types {
            None => {
                for list in [edges.low, edges.high] {
                    for half in list {
                        if half.cost() == crate::web::CLOSED {
                            break;
                        }
                        if half.strength() >= self.min_strength
                            && !visit(half.neighbour(), half.cost())
                        {
                            break;
                        }
                    }
                }
            }
            Some(types) => {
                for list in [edges.low, edges.high] {
                    for half in list {
                        if half.strength() >= self.min_strength
                            && half.kind() != ODD
                            && types.known >> half.kind() & 1 == 1
                            && !visit(half.neighbour(), half.cost())
                        {
                            break;
                        }
                    }
                }
                for (neighbour, odd) in edges.odd() {
                    if let Some(edge) = self.among(odd)
                        && edge.strength >= self.min_strength
                        && let Some(cost) = edge.trust.cost()
                    {
                        visit(neighbour, cost);
                    }
                }
            }
        }
    }

    /// Strength and record slot of the edge between two, which has this cost under this filter.
    pub(crate) fn resolve(&self, web: &Web, a: u32, b: u32, cost: u32) -> Option<(u8, u32)> {
        let (lo, hi) = (a.min(b), a.max(b));
        let edges = web.edges(hi);
        if let Some(odd) = self.odd(edges, lo) {
            let edge = self.among(odd)?;
            return Some((edge.strength, edge.slot));
        }
        let place = Half::new(cost, lo, 0, 0).place();
        let at = edges.low.binary_search_by_key(&place, |half| half.place()).ok()?;
        Some((edges.low[at].strength(), edges.slot(at)?))
    }

    /// The type of the edge between two, which has this cost and record under this filter, at the
    /// time of the web.
    pub(crate) fn kind(
        &self,
        web: &Web,
        (a, b): (u32, u32),
        (cost, slot): (u32, u32),
        kinds: &Kinds,
    ) -> Option<Arc<str>> {
        let (lo, hi) = (a.min(b), a.max(b));
        let edges = web.edges(hi);
        if let Some(odd) = edges.odd_with(lo) {
            let (text, _) = odd.statements.iter().find(|(_, s)| s.slot == slot)?;
            return Some(Arc::clone(text));
        }
        let place = Half::new(cost, lo, 0, 0).place();
        let at = edges.low.binary_search_by_key(&place, |half| half.place()).ok()?;
        Some(Arc::clone(kinds.text(edges.low[at].kind().into())))
    }

    /// Cost and record slot of the edge between two under this filter.
    pub(crate) fn edge(&self, web: &Web, a: u32, b: u32) -> Option<(u32, u32)> {
        let (lo, hi) = (a.min(b), a.max(b));
        if let Some(odd) = self.odd(web.edges(hi), lo) {
            let edge = self.among(odd)?;
            return Some((edge.trust.cost()?, edge.slot));
        }
        web.edge(lo, hi).map(|edge| (edge.half.cost(), edge.slot))
    }

    fn odd<'e>(&self, edges: Edges<'e>, lo: u32) -> Option<&'e Odd> {
        self.types.as_ref().and_then(|_| edges.odd_with(lo))
    }

    /// The statement of an odd pair that is its edge among the types asked for.
    fn among<'o>(&self, odd: &'o Odd) -> Option<&'o Statement> {
        odd.choose(|kind| {
            self.types.as_ref().is_none_or(|types| types.texts.iter().any(|t| t == kind))
        })
    }
}
