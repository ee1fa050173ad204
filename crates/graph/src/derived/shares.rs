//! What one pair adds to the sums of its two people: worked out, entered, withdrawn.

use super::{Derived, Tally, Totals};
use crate::facts::Facts;
use crate::formula::{self, RECENT_DAYS, Sum, Trust};
use rhiz_domain::fact::Day;

/// What one pair adds to one side's standing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StandingShare {
    /// The largest s·d received, if anything was.
    pub(crate) received: Option<f64>,
    pub(crate) recent: bool,
    pub(crate) stated: bool,
    pub(crate) mutual: bool,
}

/// What one pair adds to one side's other scores.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TrustShare {
    /// The received record that speaks for the counterpart, with its q and t.
    pub(crate) voice: Option<(u32, f64, Trust)>,
    pub(crate) records: u32,
    pub(crate) verified_records: u32,
    pub(crate) interactions: u32,
}

fn recent(last: Option<Day>, as_of: Day) -> bool {
    last.is_some_and(|day| formula::days_between(day, as_of) < RECENT_DAYS)
}

impl Derived {
    pub(crate) fn standing_share(&self, facts: &Facts, pair: u32, x: u32) -> StandingShare {
        let mut share = StandingShare::default();
        for slot in facts.counted_of(pair) {
            let r = facts.record(slot);
            if r.received_by(x) {
                let sd = f64::from(r.strength) / 100.0
                    * formula::freshness(r.last_interaction(), self.day);
                share.received = Some(share.received.map_or(sd, |best| best.max(sd)));
                share.recent |= recent(r.last_interaction(), self.day);
            }
            share.stated |= r.stated_by(x);
        }
        share.mutual = share.stated && facts.pairs[pair as usize].mutual;
        share
    }

    pub(crate) fn trust_share(&self, facts: &Facts, pair: u32, x: u32) -> TrustShare {
        let mut share = TrustShare::default();
        let mut voice: Option<(u32, Trust, u8)> = None;
        for slot in facts.counted_of(pair) {
            let r = facts.record(slot);
            share.records += 1;
            share.interactions += u32::from(recent(r.last_interaction(), self.day));
            if !r.received_by(x) {
                continue;
            }
            share.verified_records += u32::from(self.verified(slot));
            if r.strength >= formula::NETWORK_STRENGTH {
                let mine = (self.trust[slot as usize], r.strength);
                let better = voice.is_none_or(|(best, trust, strength)| {
                    match mine.cmp(&(trust, strength)) {
                        std::cmp::Ordering::Equal => facts.compare_uris(slot, best).is_lt(),
                        order => order.is_gt(),
                    }
                });
                if better {
                    voice = Some((slot, mine.0, mine.1));
                }
            }
        }
        share.voice = voice.map(|(slot, trust, _)| (slot, self.voice_weight(slot), trust));
        share
    }

    pub(super) fn enter_standing_of(
        &self,
        facts: &Facts,
        pair: u32,
        x: u32,
        tally: &mut Tally,
        _: &mut Totals,
    ) {
        let share = self.standing_share(facts, pair, x);
        if let Some(sd) = share.received {
            tally.received += 1;
            tally.received_strength += Sum::of(sd);
        }
        tally.recent += u32::from(share.recent);
        tally.stated += u32::from(share.stated);
        tally.mutual += u32::from(share.mutual);
    }

    fn withdraw_standing_of(&self, facts: &Facts, pair: u32, x: u32, tally: &mut Tally) {
        let share = self.standing_share(facts, pair, x);
        if let Some(sd) = share.received {
            tally.received -= 1;
            tally.received_strength -= Sum::of(sd);
        }
        tally.recent -= u32::from(share.recent);
        tally.stated -= u32::from(share.stated);
        tally.mutual -= u32::from(share.mutual);
    }

    pub(super) fn enter_trust_of(
        &self,
        facts: &Facts,
        pair: u32,
        x: u32,
        tally: &mut Tally,
        totals: &mut Totals,
    ) {
        let share = self.trust_share(facts, pair, x);
        if let Some((_, q, t)) = share.voice {
            tally.weight += Sum::of(q);
            tally.weighted_trust += Sum::of(q * t.value());
        }
        tally.counterparts += u32::from(share.records > 0);
        tally.verified += u32::from(share.verified_records > 0);
        tally.records += share.records;
        let first = tally.verified_records == 0 && share.verified_records > 0;
        tally.verified_records += share.verified_records;
        tally.interactions += share.interactions;
        totals.verified_entities += usize::from(first);
        let p = &facts.pairs[pair as usize];
        if x == p.lo {
            let records = share.records as usize;
            totals.relationships += records;
            totals.mutual += if p.mutual { records } else { 0 };
        }
    }

    fn withdraw_trust_of(
        &self,
        facts: &Facts,
        pair: u32,
        x: u32,
        tally: &mut Tally,
        totals: &mut Totals,
    ) {
        let share = self.trust_share(facts, pair, x);
        if let Some((_, q, t)) = share.voice {
            tally.weight -= Sum::of(q);
            tally.weighted_trust -= Sum::of(q * t.value());
        }
        tally.counterparts -= u32::from(share.records > 0);
        tally.verified -= u32::from(share.verified_records > 0);
        tally.records -= share.records;
        tally.verified_records -= share.verified_records;
        let last = tally.verified_records == 0 && share.verified_records > 0;
        tally.interactions -= share.interactions;
        totals.verified_entities -= usize::from(last);
        let p = &facts.pairs[pair as usize];
        if x == p.lo {
            let records = share.records as usize;
            totals.relationships -= records;
            totals.mutual -= if p.mutual { records } else { 0 };
        }
    }

    /// Does something with the tally of each side of a pair.
    fn both(
        &mut self,
        facts: &Facts,
        pair: u32,
        change: impl Fn(&Self, u32, &mut Tally, &mut Totals),
    ) {
        let p = &facts.pairs[pair as usize];
        for x in [p.lo, p.hi] {
            let (mut tally, mut totals) = (self.tally(x), self.totals);
            change(self, x, &mut tally, &mut totals);
            if self.tallies.len() <= x as usize {
                self.tallies.resize(x as usize + 1, Tally::default());
            }
            self.tallies[x as usize] = tally;
            self.totals = totals;
        }
    }

    pub(crate) fn enter_standing(&mut self, facts: &Facts, pair: u32) {
        self.both(facts, pair, |this, x, tally, totals| {
            this.enter_standing_of(facts, pair, x, tally, totals);
        });
    }

    pub(crate) fn withdraw_standing(&mut self, facts: &Facts, pair: u32) {
        self.both(facts, pair, |this, x, tally, _| {
            this.withdraw_standing_of(facts, pair, x, tally);
        });
    }

    pub(crate) fn enter_trust(&mut self, facts: &Facts, pair: u32) {
        self.both(facts, pair, |this, x, tally, totals| {
            this.enter_trust_of(facts, pair, x, tally, totals);
        });
    }

    pub(crate) fn withdraw_trust(&mut self, facts: &Facts, pair: u32) {
        self.both(facts, pair, |this, x, tally, totals| {
            this.withdraw_trust_of(facts, pair, x, tally, totals);
        });
    }
}
