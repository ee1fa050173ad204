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

/// What is done with a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Enter,
    Withdraw,
}

impl Way {
    fn count(self, of: &mut u32, by: u32) {
        match self {
            Self::Enter => *of += by,
            Self::Withdraw => *of -= by,
        }
    }

    fn total(self, of: &mut usize, by: usize) {
        match self {
            Self::Enter => *of += by,
            Self::Withdraw => *of -= by,
        }
    }

    fn sum(self, of: &mut Sum, by: Sum) {
        match self {
            Self::Enter => *of += by,
            Self::Withdraw => *of -= by,
        }
    }
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

    /// Adds the standing share of one side of a pair to its tally, or takes it out.
    pub(super) fn book_standing(
        &self,
        way: Way,
        facts: &Facts,
        pair: u32,
        x: u32,
        tally: &mut Tally,
    ) {
        let share = self.standing_share(facts, pair, x);
        if let Some(sd) = share.received {
            way.count(&mut tally.received, 1);
            way.sum(&mut tally.received_strength, Sum::of(sd));
        }
        way.count(&mut tally.recent, u32::from(share.recent));
        way.count(&mut tally.stated, u32::from(share.stated));
        way.count(&mut tally.mutual, u32::from(share.mutual));
    }

    /// Adds the trust share of one side of a pair to its tally and to the totals, or takes it out.
    pub(super) fn book_trust(
        &self,
        way: Way,
        facts: &Facts,
        pair: u32,
        x: u32,
        (tally, totals): (&mut Tally, &mut Totals),
    ) {
        let share = self.trust_share(facts, pair, x);
        if let Some((_, q, t)) = share.voice {
            way.sum(&mut tally.weight, Sum::of(q));
            way.sum(&mut tally.weighted_trust, Sum::of(q * t.value()));
        }
        way.count(&mut tally.counterparts, u32::from(share.records > 0));
        way.count(&mut tally.verified, u32::from(share.verified_records > 0));
        way.count(&mut tally.records, share.records);
        let was_verified = tally.verified_records > 0;
        way.count(&mut tally.verified_records, share.verified_records);
        if was_verified != (tally.verified_records > 0) {
            way.total(&mut totals.verified_entities, 1);
        }
        way.count(&mut tally.interactions, share.interactions);
        let p = &facts.pairs[pair as usize];
        if x == p.lo {
            let records = share.records as usize;
            way.total(&mut totals.relationships, records);
            way.total(&mut totals.mutual, if p.mutual { records } else { 0 });
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

    pub(crate) fn standing_of(&mut self, way: Way, facts: &Facts, pair: u32) {
        self.both(facts, pair, |this, x, tally, _| this.book_standing(way, facts, pair, x, tally));
    }

    pub(crate) fn trust_of(&mut self, way: Way, facts: &Facts, pair: u32) {
        self.both(facts, pair, |this, x, tally, totals| {
            this.book_trust(way, facts, pair, x, (tally, totals));
        });
    }
}
