//! What follows from the facts on one day: standings, backings, trusts, and the sums behind the
//! scores.
//!
//! The law: everything here is a function of facts and day. Two ways lead to it, and end in the
//! same bits: [`Derived::compute`] from nothing, and, for one changed pair, *withdraw* its shares,
//! change it, *enter* its shares again. A share is worked out from facts and from what is stored
//! here, so what is withdrawn is what was entered, as long as neither changes in between.
//!
//! The chain has no loop: records and refusals → standing → backing → trust → network.

mod shares;
mod tally;

pub(crate) use shares::{StandingShare, TrustShare, Way};
pub(crate) use tally::{Tally, Totals};

use crate::facts::{Facts, NONE, Pair};
use crate::formula::{self, Sum, Trust};
use crate::parallel;
use rhiz_domain::fact::{AttestationKind, Day};
use std::collections::HashMap;

/// What acquaintances attest of a record; there is one only where at least one does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backing {
    /// 0–100, unrounded.
    pub(crate) score: f64,
    pub(crate) verifiers: u32,
    pub(crate) voices: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Derived {
    pub(crate) day: Day,
    tallies: Vec<Tally>,
    /// By record slot.
    pub(crate) trust: Vec<Trust>,
    /// By record slot.
    backing: HashMap<u32, Backing>,
    /// A bit for each record slot that is in `backing`: most are not.
    backed: Vec<u64>,
    pub(crate) totals: Totals,
}

/// Pairs whose tallies are fetched together: they fit in the nearest cache.
const BLOCK: usize = 64;

impl Derived {
    /// Of nothing.
    pub(crate) fn empty(day: Day) -> Self {
        Self { day, ..Self::default() }
    }

    /// Everything, from nothing but the facts.
    pub(crate) fn compute(facts: &Facts, day: Day) -> Self {
        let mut new = Self::empty(day);
        // Some more than there is, so that none of a day's changes has to wait for a list to
        // be moved. (Tomorrow this is made anew.)
        new.tallies.reserve(facts.people_slots() / 8 * 9);
        new.trust.reserve(facts.record_slots() / 8 * 9);
        new.make_room(facts);
        new.assess_unattested(facts);
        new.gather(facts);
        // What is attested depends on everybody's standing.
        let attested = facts.attested_pairs();
        for &pair in &attested {
            for slot in facts.records_of(pair) {
                new.assess(facts, slot);
            }
        }
        for &pair in &attested {
            new.trust_of(Way::Enter, facts, pair);
        }
        new
    }

    /// Works out the trust of all records that nobody attests.
    fn assess_unattested(&mut self, facts: &Facts) {
        let mut trust = std::mem::take(&mut self.trust);
        let share = trust.len().div_ceil(parallel::jobs(trust.len())).max(1);
        let this = &*self;
        parallel::run(trust.chunks_mut(share).zip((0..).step_by(share)), |(trust, first)| {
            let records = facts.records(first..first + trust.len());
            for (trust, (slot, r)) in trust.iter_mut().zip(records) {
                if r.pair != NONE && r.target == NONE {
                    *trust = this.work_out_trust(facts, slot, None);
                }
            }
        });
        self.trust = trust;
    }

    /// Enters the shares of all pairs, those in the trust of an attested pair apart, on several
    /// threads: each one goes through all pairs, as they lie in memory, and fills the tallies of
    /// some entities. Those are what it waits for: so each is looked at only once.
    fn gather(&mut self, facts: &Facts) {
        let mut tallies = std::mem::take(&mut self.tallies);
        let pairs = 0..facts.pairs.len();
        let share = tallies.len().div_ceil(parallel::jobs(pairs.len())).max(1);
        let parts = tallies.chunks_mut(share).zip((0u32..).step_by(share));
        let this = &*self;
        let parts = parallel::run(parts, |(tallies, first)| {
            let mut totals = Totals::default();
            let place = |x: u32| x.checked_sub(first).map(|at| at as usize);
            let last = tallies.len();
            let mine = |x: u32| place(x).is_some_and(|at| at < last);
            let mut pairs =
                facts.live_pairs(pairs.clone()).filter(|(_, p)| mine(p.lo) || mine(p.hi));
            let mut block = Vec::with_capacity(BLOCK);
            loop {
                block.clear();
                block.extend(pairs.by_ref().take(BLOCK));
                if block.is_empty() {
                    break;
                }
                let places = |p: &Pair| [p.lo, p.hi].map(|x| (x, place(x).filter(|at| *at < last)));
                // Memory brings many at the same time, if it is asked for them one after another.
                let ends = block.iter().flat_map(|(_, p)| places(p));
                let fetched = ends.filter_map(|(_, at)| Some(tallies[at?].fetch()));
                std::hint::black_box(fetched.fold(0, u64::wrapping_add));
                for &(pair, p) in &block {
                    let attested = facts.records_of(pair).any(|s| facts.record(s).target != NONE);
                    for (x, at) in places(p) {
                        let Some(at) = at else { continue };
                        let tally = &mut tallies[at];
                        this.book_standing(Way::Enter, facts, pair, x, tally);
                        if !attested {
                            this.book_trust(Way::Enter, facts, pair, x, (tally, &mut totals));
                        }
                    }
                }
            }
            totals
        });
        self.tallies = tallies;
        for part in parts {
            self.totals.relationships += part.relationships;
            self.totals.mutual += part.mutual;
            self.totals.verified_entities += part.verified_entities;
        }
    }

    /// Room for every entity and record slot there is.
    pub(crate) fn make_room(&mut self, facts: &Facts) {
        if self.tallies.len() < facts.people_slots() {
            self.tallies.resize(facts.people_slots(), Tally::default());
        }
        if self.trust.len() < facts.record_slots() {
            self.trust.resize(facts.record_slots(), Trust::ZERO);
            self.backed.resize(facts.record_slots().div_ceil(64), 0);
        }
    }

    pub(crate) fn tally(&self, id: u32) -> Tally {
        self.tallies.get(id as usize).copied().unwrap_or_default()
    }

    /// Brings near the sums of one.
    pub(crate) fn fetch(&self, id: u32) -> u64 {
        self.tallies.get(id as usize).map_or(0, Tally::fetch)
    }

    pub(crate) fn standing(&self, id: u32) -> f64 {
        self.tally(id).standing()
    }

    /// What acquaintances attest of a record, as last worked out.
    pub(crate) fn backing_of(&self, slot: u32) -> Option<&Backing> {
        let bits = self.backed.get(slot as usize / 64)?;
        if bits >> (slot % 64) & 1 == 1 { self.backing.get(&slot) } else { None }
    }

    fn set_backing(&mut self, slot: u32, backing: Option<Backing>) {
        let bits = &mut self.backed[slot as usize / 64];
        match backing {
            Some(backing) => {
                *bits |= 1 << (slot % 64);
                self.backing.insert(slot, backing);
            }
            None if *bits >> (slot % 64) & 1 == 1 => {
                *bits &= !(1 << (slot % 64));
                self.backing.remove(&slot);
            }
            None => {}
        }
    }

    /// *q*: the backing as a fraction, or one half where no acquaintance attests.
    fn voice_weight(&self, slot: u32) -> f64 {
        self.backing_of(slot).map_or(formula::UNATTESTED_BACKING, |b| b.score / 100.0)
    }

    /// It has an acquainted attester, and enough backing.
    pub(crate) fn verified(&self, slot: u32) -> bool {
        self.backing_of(slot).is_some_and(|b| b.score >= formula::VERIFIED_BACKING)
    }

    /// Works out backing and trust of one record. The standings have to be right already.
    pub(crate) fn assess(&mut self, facts: &Facts, slot: u32) {
        let backing = self.work_out_backing(facts, slot);
        self.trust[slot as usize] = self.work_out_trust(facts, slot, backing.as_ref());
        self.set_backing(slot, backing);
    }

    fn work_out_trust(&self, facts: &Facts, slot: u32, backing: Option<&Backing>) -> Trust {
        let [s, d, v, g, m] = self.factors_with(facts, slot, backing);
        formula::trust(s, d, v, g, m)
    }

    /// A record's slot is free: nothing follows from it any more.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.set_backing(slot, None);
        self.trust[slot as usize] = Trust::ZERO;
    }

    /// s, d, v, g, m of a record.
    pub(crate) fn factors(&self, facts: &Facts, slot: u32) -> [f64; 5] {
        self.factors_with(facts, slot, self.backing_of(slot))
    }

    fn factors_with(&self, facts: &Facts, slot: u32, backing: Option<&Backing>) -> [f64; 5] {
        let r = facts.record(slot);
        let mutual = facts.pairs[r.pair as usize].mutual && facts.counted(slot);
        [
            f64::from(r.strength) / 100.0,
            formula::freshness(r.last_interaction(), self.day),
            formula::verification(backing.map_or(0, |b| b.verifiers)),
            formula::guard(backing.map(|b| b.score)),
            formula::mutuality(mutual),
        ]
    }

    /// *w* of an attestation that counts.
    pub(crate) fn weight(&self, a: &crate::facts::Attestation) -> f64 {
        let days = formula::days_between(a.day(), self.day);
        formula::attestation_weight(a.kind, self.standing(a.attester), days, a.confidence)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.tallies.capacity() * size_of::<Tally>()
            + self.trust.capacity() * size_of::<Trust>()
            + self.backing.capacity() * size_of::<(u32, Backing)>()
    }

    fn work_out_backing(&self, facts: &Facts, slot: u32) -> Option<Backing> {
        let (mut sum, mut absolute) = (Sum::default(), Sum::default());
        let (mut voices, mut verifiers) = (0, 0);
        for (_, a) in facts.voices(slot) {
            if !facts.acquainted(a.attester, slot) {
                continue;
            }
            let w = self.weight(a);
            sum += Sum::of(w);
            absolute += Sum::of(w.abs());
            voices += 1;
            let affirms = matches!(a.kind, AttestationKind::Verify | AttestationKind::Strengthen);
            verifiers += u32::from(affirms);
        }
        (voices > 0).then(|| Backing {
            score: formula::conviction(sum.value(), absolute.value()),
            verifiers,
            voices,
        })
    }
}
