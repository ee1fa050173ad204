//! 32 neighbouring entities and their edges, in one piece that is never changed: a change makes a
//! new page.

use super::half::Half;
use super::{Branch, Edge, Odd};
use std::sync::Arc;

pub(super) const PAGE: usize = 32;

/// Words at the beginning of a page: one for each entity, and one for the end.
const HEAD: usize = PAGE + 1;

/// Every edge stands with both its ends. With each end, neighbours of smaller number come first:
/// there the slot of the edge's record is known too.
///
/// All in words of 64 bits, so that one piece of memory holds it: for each entity where its halves
/// begin, and where those to greater numbers do (32 bits each); where the last one's end; the
/// halves; and two record slots a word, in the order of the halves to smaller numbers.
#[derive(Debug, Clone)]
pub(super) struct Page(Arc<[Half]>);

/// What a half cannot say, by (place in the page, neighbour).
pub(super) type Odds = Arc<Vec<(u8, u32, Arc<Odd>)>>;

/// One entity's edges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edges<'a> {
    /// To neighbours of smaller number, in the order of cost.
    pub(crate) low: &'a [Half],
    /// To neighbours of greater number, in the order of cost.
    pub(crate) high: &'a [Half],
    /// The branch and the place in it.
    pub(super) at: Option<(&'a Branch, usize)>,
}

impl<'a> Edges<'a> {
    pub(crate) const NONE: Self = Self { low: &[], high: &[], at: None };

    pub(crate) fn len(&self) -> usize {
        self.low.len() + self.high.len()
    }

    /// Something of it: afterwards its beginning is in the cache.
    pub(crate) fn fetch(&self) -> u64 {
        let first = |list: &[Half]| list.first().map_or(0, |half| half.place());
        first(self.low) ^ first(self.high)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Half> + use<'a> {
        self.low.iter().chain(self.high).copied()
    }

    /// The record slot of one of `low`.
    pub(crate) fn slot(&self, at: usize) -> Option<u32> {
        let (branch, place) = self.at.filter(|_| at < self.low.len())?;
        let page = branch.page(place)?;
        Some(page.slot(page.slots_before(place % PAGE) + at))
    }

    fn odds(&self) -> &'a [(u8, u32, Arc<Odd>)] {
        let Some((branch, place)) = self.at else { return &[] };
        let Some(odds) = branch.odds(place) else { return &[] };
        let place = place % PAGE;
        let from = odds.partition_point(|o| usize::from(o.0) < place);
        let to = odds.partition_point(|o| usize::from(o.0) <= place);
        &odds[from..to]
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
        self.slot(self.low.binary_search_by_key(&half.place(), |h| h.place()).ok()?)
    }
}

/// A new state of one edge, seen from one end.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) node: u32,
    /// What there was, if anything.
    pub(super) old: Option<Half>,
    pub(super) new: Option<Edge>,
}

impl Edit {
    fn neighbour(&self) -> Option<u32> {
        self.new.as_ref().map(|edge| edge.half).or(self.old).map(Half::neighbour)
    }
}

/// Where a page is made, before it is known how long it is. Used again and again, so that it stays
/// in the cache.
#[derive(Debug, Default)]
pub(super) struct Draft {
    words: Vec<Half>,
    slots: Vec<u32>,
    /// The slots of the page that this one follows.
    before: Vec<u32>,
}

impl Draft {
    fn start(&mut self) {
        self.words.clear();
        self.words.resize(HEAD, Half::from_bits(0));
        self.slots.clear();
    }

    fn set_head(&mut self, place: usize, start: usize, split: usize) {
        self.words[place] = Half::from_bits(start as u64 | (split as u64) << 32);
    }

    /// The page; none without an edge.
    fn finish(&mut self) -> Option<Page> {
        let end = self.words.len();
        if end == HEAD {
            return None;
        }
        self.set_head(PAGE, end, end);
        let pairs = self.slots.chunks(2).map(|pair| {
            let high = pair.get(1).map_or(0, |&slot| u64::from(slot) << 32);
            Half::from_bits(u64::from(pair[0]) | high)
        });
        self.words.extend(pairs);
        Some(Page(Arc::from(&self.words[..])))
    }

    /// A page from the edges of each entity, `(half, slot)`, in any order.
    pub(super) fn build(
        &mut self,
        first: u32,
        lists: &mut [Vec<(Half, u32)>; PAGE],
    ) -> Option<Page> {
        self.start();
        for (place, list) in lists.iter_mut().enumerate() {
            let node = first + place as u32;
            let (start, before) = (self.words.len(), self.slots.len());
            list.sort_unstable_by_key(|(half, _)| (half.neighbour() > node, *half));
            let low = list.iter().take_while(|(half, _)| half.neighbour() < node);
            self.slots.extend(low.map(|(_, slot)| *slot));
            self.words.extend(list.iter().map(|(half, _)| *half));
            self.set_head(place, start, start + self.slots.len() - before);
        }
        self.finish()
    }

    /// What a page is after some edits, which are sorted by entity, at most one for each edge.
    pub(super) fn edit(&mut self, old: Option<&Page>, edits: &[Edit]) -> Option<Page> {
        self.start();
        self.before.clear();
        if let Some(page) = old {
            page.unpack_slots(&mut self.before);
        }
        let mut rest = edits;
        // Untouched entities in a row are copied as one piece.
        let mut copied = 0;
        // Slots of the old page that have been dealt with.
        let mut passed = 0;
        while let Some(first) = rest.first() {
            let place = first.node as usize % PAGE;
            let (mine, others) = rest.split_at(rest.partition_point(|e| e.node == first.node));
            rest = others;
            self.copy(old, copied..place, &mut passed);
            self.rewrite(old, place, mine, &mut passed);
            copied = place + 1;
        }
        self.copy(old, copied..PAGE, &mut passed);
        self.finish()
    }

    fn copy(&mut self, old: Option<&Page>, places: std::ops::Range<usize>, passed: &mut usize) {
        let to = self.words.len();
        let Some(old) = old.filter(|_| !places.is_empty()) else {
            for place in places {
                self.set_head(place, to, to);
            }
            return;
        };
        let (from, end) = (old.start(places.start), old.start(places.end));
        self.words.extend_from_slice(&old.0[from..end]);
        let mut slots = 0;
        for place in places {
            let (start, split) = (old.start(place), old.split(place));
            self.set_head(place, start - from + to, split - from + to);
            slots += split - start;
        }
        self.slots.extend_from_slice(&self.before[*passed..*passed + slots]);
        *passed += slots;
    }

    fn rewrite(&mut self, old: Option<&Page>, place: usize, edits: &[Edit], passed: &mut usize) {
        let node = edits[0].node;
        let (low, high) = old.map_or((&[][..], &[][..]), |page| page.lists(place));
        let start = self.words.len();
        // In the order of the list; what goes before what comes.
        let mut steps: Vec<(Half, Option<u32>)> = Vec::with_capacity(2 * edits.len());
        for edit in edits {
            steps.extend(edit.old.map(|half| (half, None)));
            steps.extend(edit.new.as_ref().map(|edge| (edge.half, Some(edge.slot))));
        }
        steps.sort_unstable_by_key(|(half, slot)| {
            (half.neighbour() > node, half.place(), slot.is_some())
        });
        let lows = steps.partition_point(|(half, _)| half.neighbour() < node);
        let (to_low, to_high) = steps.split_at(lows);

        let mut at = 0;
        for &(half, slot) in to_low {
            let to = at + low[at..].partition_point(|h| h.place() < half.place());
            self.words.extend_from_slice(&low[at..to]);
            self.slots.extend_from_slice(&self.before[*passed + at..*passed + to]);
            at = to;
            if let Some(slot) = slot {
                self.words.push(half);
                self.slots.push(slot);
            } else {
                at += 1;
            }
        }
        self.words.extend_from_slice(&low[at..]);
        self.slots.extend_from_slice(&self.before[*passed + at..*passed + low.len()]);
        *passed += low.len();
        let split = self.words.len();
        let mut at = 0;
        for &(half, slot) in to_high {
            let to = at + high[at..].partition_point(|h| h.place() < half.place());
            self.words.extend_from_slice(&high[at..to]);
            at = to;
            if slot.is_some() {
                self.words.push(half);
            } else {
                at += 1;
            }
        }
        self.words.extend_from_slice(&high[at..]);
        self.set_head(place, start, split);
    }
}

/// What a page's odd pairs are after some edits.
pub(super) fn edited_odds(old: Option<&Odds>, edits: &[Edit]) -> Option<Odds> {
    if edits.iter().all(|e| e.new.as_ref().is_none_or(|e| e.odd.is_none()))
        && old.is_none_or(|old| !edits.iter().any(|e| is_odd(old, e)))
    {
        return old.cloned();
    }
    let mut odds: Vec<_> = old.map_or_else(Vec::new, |odds| odds.to_vec());
    for edit in edits {
        let (place, Some(neighbour)) = (place(edit), edit.neighbour()) else { continue };
        odds.retain(|o| (o.0, o.1) != (place, neighbour));
        if let Some(new) = edit.new.as_ref().and_then(|e| e.odd.clone()) {
            odds.push((place, neighbour, new));
        }
    }
    odds.sort_unstable_by_key(|o| (o.0, o.1));
    (!odds.is_empty()).then(|| Arc::new(odds))
}

fn place(edit: &Edit) -> u8 {
    (edit.node as usize % PAGE) as u8
}

fn is_odd(odds: &Odds, edit: &Edit) -> bool {
    let of = |neighbour| odds.binary_search_by_key(&(place(edit), neighbour), |o| (o.0, o.1));
    edit.neighbour().is_some_and(|neighbour| of(neighbour).is_ok())
}

impl Page {
    #[inline]
    fn start(&self, place: usize) -> usize {
        self.0[place].bits() as u32 as usize
    }

    #[inline]
    fn split(&self, place: usize) -> usize {
        (self.0[place].bits() >> 32) as usize
    }

    /// The halves of an entity to smaller and to greater numbers.
    #[inline]
    pub(super) fn lists(&self, place: usize) -> (&[Half], &[Half]) {
        let (start, split, end) = (self.start(place), self.split(place), self.start(place + 1));
        (&self.0[start..split], &self.0[split..end])
    }

    /// How many slots stand before those of an entity. Asked for seldom, so it is not kept.
    fn slots_before(&self, place: usize) -> usize {
        (0..place).map(|p| self.split(p) - self.start(p)).sum()
    }

    fn slot(&self, at: usize) -> u32 {
        (self.0[self.start(PAGE) + at / 2].bits() >> (at % 2 * 32)) as u32
    }

    /// All slots; where their number is odd, and a zero.
    fn unpack_slots(&self, into: &mut Vec<u32>) {
        let words = &self.0[self.start(PAGE)..];
        into.extend(words.iter().flat_map(|word| [word.bits() as u32, (word.bits() >> 32) as u32]));
    }

    /// The number of halves.
    pub(super) fn len(&self) -> usize {
        self.start(PAGE) - HEAD
    }

    pub(super) fn bytes(&self) -> usize {
        // 16: the two counters of an Arc.
        16 + size_of_val(&*self.0)
    }
}
