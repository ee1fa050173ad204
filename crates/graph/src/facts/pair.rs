//! Two people and all that is stated between them.

use super::{Chunks, Facts, NONE, Record, Slots, put};
use crate::formula::Trust;
use rhiz_domain::fact::{AttestationKind, Consent, Visibility};
use std::cmp::Ordering;

/// Two people with at least one record between them, `lo` < `hi` by number. What follows `head`
/// is kept by [`Facts::refresh_pair`].
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) lo: u32,
    pub(crate) hi: u32,
    /// First of its records.
    pub(super) head: u32,
    pub(crate) mutual: bool,
    /// Both accounts are active.
    pub(crate) active: bool,
    /// Some record is not private. (What is open and active names its two people.)
    pub(crate) open: bool,
    /// The strictest of what is not private.
    pub(crate) visibility: Visibility,
    pub(crate) consent: Consent,
}

impl Pair {
    pub(super) fn hash(&self, seed: &super::Seed) -> u64 {
        seed.numbers(u64::from(self.lo), u64::from(self.hi))
    }

    /// Works out what follows `head`, from records that are marked where they are refused.
    pub(super) fn refresh(&mut self, records: &Chunks<Record>, active: bool) {
        let (mut visibility, mut consent, mut open) = (Visibility::Public, Consent::Full, false);
        let (mut by_lo, mut by_hi, mut by_both) = (false, false, false);
        let mut at = self.head;
        while at != NONE {
            let r = &records[at as usize];
            if r.visibility != Visibility::Private {
                open = true;
                visibility = visibility.max(r.visibility);
                consent = consent.max(r.consent);
                if active && !r.refused {
                    by_both |= r.signed_by_both();
                    by_lo |= r.owner == self.lo;
                    by_hi |= r.owner == self.hi;
                }
            }
            at = r.next;
        }
        self.mutual = by_both || (by_lo && by_hi);
        (self.active, self.open) = (active, open);
        (self.visibility, self.consent) = (visibility, consent);
    }

    pub(crate) fn other(&self, x: u32) -> u32 {
        if self.lo == x { self.hi } else { self.lo }
    }
}

/// A counted record, as far as the choice of an edge asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) slot: u32,
    pub(crate) kind: u32,
    pub(crate) trust: Trust,
    pub(crate) strength: u8,
    pub(crate) by_lo: bool,
    pub(crate) by_hi: bool,
}

impl Statement {
    fn weight(&self) -> (Trust, u8) {
        (self.trust, self.strength)
    }
}

/// The edge of a pair: of each side the statement with the largest trust (then the larger
/// strength, then the smaller URI); where both sides state, the weaker of the two (then the
/// smaller strength, then the smaller URI). `statements` are in the order of their URIs.
pub(crate) fn choose<'a>(statements: impl Iterator<Item = &'a Statement>) -> Option<&'a Statement> {
    let mut sides: [Option<(usize, &Statement)>; 2] = [None, None];
    for (rank, statement) in statements.enumerate() {
        for (side, states) in [statement.by_lo, statement.by_hi].into_iter().enumerate() {
            if states && sides[side].is_none_or(|(_, best)| statement.weight() > best.weight()) {
                sides[side] = Some((rank, statement));
            }
        }
    }
    match sides {
        [Some((i, a)), Some((j, b))] => {
            let a_is_it = match a.weight().cmp(&b.weight()) {
                Ordering::Less => true,
                Ordering::Greater => false,
                Ordering::Equal => i <= j,
            };
            Some(if a_is_it { a } else { b })
        }
        [a, b] => a.or(b).map(|(_, statement)| statement),
    }
}

impl Facts {
    pub(crate) fn find_pair(&self, a: u32, b: u32) -> Option<u32> {
        let (lo, hi) = (a.min(b), a.max(b));
        self.by_pair.find(self.seed.numbers(u64::from(lo), u64::from(hi)), |s| {
            let p = &self.pairs[s as usize];
            p.lo == lo && p.hi == hi
        })
    }

    pub(super) fn pair_for(&mut self, a: u32, b: u32) -> u32 {
        if let Some(found) = self.find_pair(a, b) {
            return found;
        }
        let new = Pair {
            lo: a.min(b),
            hi: a.max(b),
            head: NONE,
            mutual: false,
            active: true,
            open: false,
            visibility: Visibility::Public,
            consent: Consent::Full,
        };
        let hash = new.hash(&self.seed);
        let slot = put(&mut self.pairs, &mut self.free_pairs, new);
        self.person_mut(a).pairs.push(slot);
        self.person_mut(b).pairs.push(slot);
        let (seed, all) = (&self.seed, &self.pairs);
        Slots::insert(&mut self.by_pair, hash, slot, |s| all[s as usize].hash(seed));
        slot
    }

    /// Gives a pair without records up. True when it was one.
    pub(crate) fn drop_empty_pair(&mut self, slot: u32) -> bool {
        let Pair { lo, hi, head, .. } = self.pairs[slot as usize];
        if head != NONE || self.find_pair(lo, hi) != Some(slot) {
            return false;
        }
        let hash = self.pairs[slot as usize].hash(&self.seed);
        self.by_pair.remove(hash, slot);
        for id in [lo, hi] {
            let pairs = &mut self.person_mut(id).pairs;
            if let Some(at) = pairs.iter().position(|&p| p == slot) {
                pairs.swap_remove(at);
            }
        }
        self.free_pairs.push(slot);
        true
    }

    /// The pairs with a record among the slots of a range.
    pub(crate) fn live_pairs(
        &self,
        range: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (u32, &Pair)> {
        let first = range.start as u32;
        (first..).zip(self.pairs.range(range)).filter(|(_, pair)| pair.head != NONE)
    }

    /// All records of a pair.
    pub(crate) fn records_of(&self, pair: u32) -> impl Iterator<Item = u32> {
        let mut at = self.pairs[pair as usize].head;
        std::iter::from_fn(move || {
            let slot = (at != NONE).then_some(at)?;
            at = self.records[slot as usize].next;
            Some(slot)
        })
    }

    /// Both accounts active, not private, not refused: it counts.
    pub(crate) fn counted(&self, slot: u32) -> bool {
        let r = self.record(slot);
        !r.refused && r.visibility != Visibility::Private && self.pairs[r.pair as usize].active
    }

    /// The counted records of a pair.
    pub(crate) fn counted_of(&self, pair: u32) -> impl Iterator<Item = u32> {
        self.records_of(pair).filter(|&slot| self.counted(slot))
    }

    pub(crate) fn mutual(&self, a: u32, b: u32) -> bool {
        self.find_pair(a, b).is_some_and(|p| self.pairs[p as usize].mutual)
    }

    /// Works out what is refused, mutual and strictest in a pair.
    pub(crate) fn refresh_pair(&mut self, pair: u32) {
        let Pair { lo, hi, head, .. } = self.pairs[pair as usize];
        let active = self.active(lo) && self.active(hi);
        let mut at = head;
        while at != NONE {
            let refused = active && self.last_word(at) == Some(AttestationKind::Dispute);
            let r = &mut self.records[at as usize];
            r.refused = refused;
            at = r.next;
        }
        self.pairs[pair as usize].refresh(&self.records, active);
    }

    /// What the participant who does not own a record said of it last.
    pub(super) fn last_word(&self, slot: u32) -> Option<AttestationKind> {
        let r = self.record(slot);
        if r.target == NONE {
            return None;
        }
        let voices = &self.target(r.target).voices;
        let first = voices.partition_point(|&a| self.attestation(a).attester < r.subject);
        let newest = self.attestation(*voices.get(first)?);
        (newest.attester == r.subject).then_some(newest.kind)
    }

    /// The counted records of a pair in the order of their URIs.
    pub(crate) fn statements(&self, pair: u32, trust: &[Trust], into: &mut Vec<Statement>) {
        into.clear();
        let lo = self.pairs[pair as usize].lo;
        into.extend(self.counted_of(pair).map(|slot| {
            let r = self.record(slot);
            Statement {
                slot,
                kind: r.kind,
                trust: trust[slot as usize],
                strength: r.strength,
                by_lo: r.owner == lo || r.signed_by_both(),
                by_hi: r.owner != lo || r.signed_by_both(),
            }
        }));
        if into.len() > 1 {
            into.sort_unstable_by(|a, b| self.compare_uris(a.slot, b.slot));
        }
    }
}
