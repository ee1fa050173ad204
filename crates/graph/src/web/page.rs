//! 32 neighbouring entities and their edges, in one piece that is never changed: a change makes a
//! new page.

use super::half::Half;
use super::{Edge, Odd};
use std::sync::Arc;

pub(super) const PAGE: usize = 32;

/// Every edge stands with both its ends. With each end, neighbours of smaller number come first:
/// there the slot of the edge's record stands too.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Where an entity's halves begin; the last one is where the page's end.
    start: [u32; PAGE + 1],
    /// Where its neighbours of greater number begin.
    split: [u32; PAGE],
    halves: Vec<Half>,
    slots: Vec<u32>,
    /// What a half cannot say, by (place in the page, neighbour).
    odd: Box<[(u8, u32, Arc<Odd>)]>,
}

/// One entity's edges in a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edges<'a> {
    /// To neighbours of smaller number, in the order of cost.
    pub(crate) low: &'a [Half],
    /// To neighbours of greater number, in the order of cost.
    pub(crate) high: &'a [Half],
    /// The page and the place in it.
    page: Option<(&'a Page, usize)>,
}

impl<'a> Edges<'a> {
    pub(crate) const NONE: Self = Self { low: &[], high: &[], page: None };

    pub(crate) fn len(&self) -> usize {
        self.low.len() + self.high.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Half> + use<'a> {
        self.low.iter().chain(self.high).copied()
    }

    /// Record slots of `low`.
    pub(crate) fn slots(&self) -> &'a [u32] {
        self.page.map_or(&[], |(page, place)| {
            let from = page.slot(place);
            &page.slots[from..from + self.low.len()]
        })
    }

    fn odds(&self) -> &'a [(u8, u32, Arc<Odd>)] {
        let Some((page, place)) = self.page else { return &[] };
        if page.odd.is_empty() {
            return &[];
        }
        let from = page.odd.partition_point(|o| usize::from(o.0) < place);
        let to = page.odd.partition_point(|o| usize::from(o.0) <= place);
        &page.odd[from..to]
    }

    /// The statements of odd pairs, by neighbour.
    pub(crate) fn odd(&self) -> impl Iterator<Item = (u32, &'a Odd)> + use<'a> {
        self.odds().iter().map(|(_, neighbour, odd)| (*neighbour, &**odd))
    }

    pub(super) fn shared_odd(&self, neighbour: u32) -> Option<Arc<Odd>> {
        let odds = self.odds();
        let at = odds.binary_search_by_key(&neighbour, |(_, n, _)| *n).ok()?;
        Some(Arc::clone(&odds[at].2))
    }

    pub(crate) fn odd_with(&self, neighbour: u32) -> Option<&'a Odd> {
        let odds = self.odds();
        let at = odds.binary_search_by_key(&neighbour, |(_, n, _)| *n).ok()?;
        Some(&odds[at].2)
    }

    /// The edge to a neighbour, wherever it stands.
    pub(crate) fn find(&self, neighbour: u32) -> Option<Half> {
        self.iter().find(|half| half.neighbour() == neighbour)
    }

    /// The slot of an edge to a neighbour of smaller number.
    pub(crate) fn slot_of(&self, half: Half) -> Option<u32> {
        let at = self.low.binary_search_by_key(&half.place(), |h| h.place()).ok()?;
        self.slots().get(at).copied()
    }
}

/// A new state of one edge, seen from one end.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) node: u32,
    pub(super) neighbour: u32,
    pub(super) edge: Option<Edge>,
}

impl Page {
    pub(super) const EMPTY: fn() -> Self = || Self {
        start: [0; PAGE + 1],
        split: [0; PAGE],
        halves: Vec::new(),
        slots: Vec::new(),
        odd: Box::default(),
    };

    #[inline]
    pub(super) fn edges(&self, place: usize) -> Edges<'_> {
        let (start, split) = (self.start[place] as usize, self.split[place] as usize);
        let end = self.start[place + 1] as usize;
        Edges {
            low: &self.halves[start..split],
            high: &self.halves[split..end],
            page: Some((self, place)),
        }
    }

    /// Where the slots of an entity begin: after those of all before it. Asked for seldom, so it
    /// is not kept.
    fn slot(&self, place: usize) -> usize {
        let lows = self.start.iter().zip(&self.split).take(place);
        lows.map(|(start, split)| (split - start) as usize).sum()
    }

    /// A page from the edges of each entity, `(half, slot)`, in any order.
    pub(super) fn build(
        first: u32,
        lists: &mut [Vec<(Half, u32)>; PAGE],
        mut odd: Vec<(u8, u32, Arc<Odd>)>,
    ) -> Self {
        let mut page = Self::EMPTY();
        let all = lists.iter().map(Vec::len).sum();
        let mut halves = Vec::with_capacity(all);
        let mut slots = Vec::new();
        for (place, list) in lists.iter_mut().enumerate() {
            let node = first + place as u32;
            let slots_before = slots.len();
            list.sort_unstable_by_key(|(half, _)| (half.neighbour() > node, *half));
            let low = list.iter().take_while(|(half, _)| half.neighbour() < node);
            slots.extend(low.map(|(_, slot)| *slot));
            page.split[place] = page.start[place] + (slots.len() - slots_before) as u32;
            halves.extend(list.iter().map(|(half, _)| *half));
            page.start[place + 1] = halves.len() as u32;
        }
        odd.sort_unstable_by_key(|o| (o.0, o.1));
        slots.shrink_to_fit();
        page.halves = halves;
        page.slots = slots;
        page.odd = odd.into();
        page
    }

    /// The page after some edits, which are sorted by entity; the last one of an edge holds.
    pub(super) fn edited(&self, edits: &[Edit]) -> Self {
        let mut page = Self::EMPTY();
        let mut halves = Vec::with_capacity(self.halves.len() + edits.len());
        let mut slots = Vec::with_capacity(self.slots.len() + edits.len());
        let mut rest = edits;
        // Untouched entities in a row are copied as one piece.
        let mut copied = 0;
        while let Some(first) = rest.first() {
            let place = first.node as usize % PAGE;
            let (mine, others) = rest.split_at(rest.partition_point(|e| e.node == first.node));
            rest = others;
            self.copy(copied..place, &mut page, &mut halves, &mut slots);
            self.rewrite(place, mine, &mut page, &mut halves, &mut slots);
            copied = place + 1;
        }
        self.copy(copied..PAGE, &mut page, &mut halves, &mut slots);
        page.halves = halves;
        page.slots = slots;
        page.odd = self.edited_odd(edits);
        page
    }

    fn copy(
        &self,
        places: std::ops::Range<usize>,
        page: &mut Self,
        halves: &mut Vec<Half>,
        slots: &mut Vec<u32>,
    ) {
        if places.is_empty() {
            return;
        }
        let from = self.start[places.start];
        let to = halves.len() as u32;
        halves.extend_from_slice(&self.halves[from as usize..self.start[places.end] as usize]);
        slots.extend_from_slice(&self.slots[self.slot(places.start)..self.slot(places.end)]);
        for place in places {
            page.split[place] = self.split[place] - from + to;
            page.start[place + 1] = self.start[place + 1] - from + to;
        }
    }

    fn rewrite(
        &self,
        place: usize,
        edits: &[Edit],
        page: &mut Self,
        halves: &mut Vec<Half>,
        slots: &mut Vec<u32>,
    ) {
        let old = self.edges(place);
        let node = edits[0].node;
        // Each neighbour once, with its last edit.
        let mut last: Vec<&Edit> = edits.iter().rev().collect();
        last.sort_by_key(|e| e.neighbour);
        last.dedup_by_key(|e| e.neighbour);
        let touched =
            |half: &Half| last.binary_search_by_key(&half.neighbour(), |e| e.neighbour).is_ok();
        let mut new: Vec<(Half, u32)> =
            last.iter().filter_map(|e| e.edge.as_ref()).map(|e| (e.half, e.slot)).collect();
        new.sort_unstable_by_key(|(half, _)| *half);

        let mut coming = new.iter().filter(|(h, _)| h.neighbour() < node).copied().peekable();
        for (&half, &slot) in old.low.iter().zip(old.slots()) {
            if touched(&half) {
                continue;
            }
            while let Some((h, s)) = coming.next_if(|(h, _)| *h < half) {
                halves.push(h);
                slots.push(s);
            }
            halves.push(half);
            slots.push(slot);
        }
        for (h, s) in coming {
            halves.push(h);
            slots.push(s);
        }
        page.split[place] = halves.len() as u32;
        let mut coming = new.iter().filter(|(h, _)| h.neighbour() > node).peekable();
        for &half in old.high {
            if touched(&half) {
                continue;
            }
            while let Some((h, _)) = coming.next_if(|(h, _)| *h < half) {
                halves.push(*h);
            }
            halves.push(half);
        }
        halves.extend(coming.map(|(h, _)| *h));
        page.start[place + 1] = halves.len() as u32;
    }

    fn edited_odd(&self, edits: &[Edit]) -> Box<[(u8, u32, Arc<Odd>)]> {
        if self.odd.is_empty()
            && edits.iter().all(|e| e.edge.as_ref().is_none_or(|e| e.odd.is_none()))
        {
            return Box::default();
        }
        let mut odd: Vec<_> = self.odd.to_vec();
        for edit in edits {
            let place = (edit.node as usize % PAGE) as u8;
            odd.retain(|o| (o.0, o.1) != (place, edit.neighbour));
            if let Some(new) = edit.edge.as_ref().and_then(|e| e.odd.clone()) {
                odd.push((place, edit.neighbour, new));
            }
        }
        odd.sort_unstable_by_key(|o| (o.0, o.1));
        odd.into()
    }

    pub(super) fn len(&self) -> usize {
        self.halves.len()
    }

    pub(super) fn bytes(&self) -> usize {
        // 16: the two counters of an Arc.
        16 + size_of::<Self>()
            + self.halves.capacity() * size_of::<Half>()
            + self.slots.capacity() * size_of::<u32>()
            + self.odd.iter().map(|o| 32 + o.2.bytes()).sum::<usize>()
    }
}
