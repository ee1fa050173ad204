//! Filling empty facts with everything at once. A record finds its pair, and later its key, in
//! indexes bigger than any cache: so these are filled part after part, each of which fits in one.

use super::index::{Seed, Slots};
use super::{Chunks, Facts, NONE, Pair, Record, key_hash};
use crate::parallel;
use rhiz_domain::fact::{AttestationKind, Consent, EntityFact, RelationshipFact, Visibility};

impl Facts {
    /// For facts without anything. Of two relationships with one key the later one holds.
    /// [`Facts::refresh_all`] has to follow.
    pub(crate) fn fill(
        &mut self,
        entities: impl Iterator<Item = EntityFact>,
        relationships: impl Iterator<Item = RelationshipFact>,
    ) {
        debug_assert!(self.people.len() + self.records.len() + self.pairs.len() == 0);
        for entity in entities {
            self.tell(entity);
        }
        let mut most = 0;
        for fact in relationships {
            most = most.max(fact.key.owner.0).max(fact.subject.0);
            let kind = self.kinds.take(&fact.kind);
            self.records.push(Record::new(&fact, kind, NONE, NONE));
        }
        if self.records.len() > 0 {
            self.person_mut(most);
        }
        let Self { seed, people, by_did, records, by_key, by_pair, .. } = self;
        let (seed, people, known) = (&*seed, &*people, &*records);
        let count = known.len();
        let (mut pair_of, doubles) = parallel::both(
            count,
            || group(seed, known, by_pair),
            || {
                let names = (0..).zip(people.iter());
                let names =
                    names.filter_map(|(id, p)| Some((seed.text(p.did.as_ref()?.as_str()), id)));
                by_did.fill(people.len(), names, |_, _| false, |_, _| ());
                index_keys(seed, known, by_key)
            },
        );
        self.pair_up(&mut pair_of);
        let Self { people, by_pair, pairs, .. } = self;
        let pairs = &*pairs;
        parallel::both(
            count,
            || list_pairs(pairs, people),
            || by_pair.renumber(|record| pair_of[record as usize]),
        );
        for slot in doubles {
            // It was never indexed, which removing it tolerates.
            self.remove_record(slot);
        }
    }

    /// An entity, which the index of names is not told of.
    fn tell(&mut self, fact: EntityFact) {
        let person = self.person_mut(fact.id.0);
        person.active = fact.active;
        person.stands_alone = fact.stands_alone;
        person.did = Some(fact.did);
    }

    /// Makes the pairs of all records, in the order of the first record of each. `firsts` holds
    /// that one's slot for every record; afterwards it holds the slot of the pair.
    fn pair_up(&mut self, firsts: &mut [u32]) {
        for slot in 0..self.records.len() as u32 {
            let record = &mut self.records[slot as usize];
            let first = firsts[slot as usize];
            if first == slot {
                record.pair = self.pairs.len() as u32;
                self.pairs.push(Pair {
                    lo: record.owner.min(record.subject),
                    hi: record.owner.max(record.subject),
                    head: slot,
                    mutual: false,
                    active: true,
                    open: false,
                    visibility: Visibility::Public,
                    consent: Consent::Full,
                });
            } else {
                // The first one comes before, so its pair is known.
                record.pair = firsts[first as usize];
                let head = &mut self.pairs[record.pair as usize].head;
                record.next = std::mem::replace(head, slot);
            }
            firsts[slot as usize] = record.pair;
        }
    }

    /// [`Facts::refresh_pair`] of all pairs, when nothing is marked as refused yet; then drops the
    /// empty ones.
    pub(crate) fn refresh_all(&mut self) {
        for target in 0..self.targets.len() as u32 {
            let slot = self.target(target).record;
            if slot == NONE {
                continue;
            }
            let r = self.record(slot);
            let active = self.active(r.owner) && self.active(r.subject);
            self.records[slot as usize].refused =
                active && self.last_word(slot) == Some(AttestationKind::Dispute);
        }
        // Who is not active, in bits: asked of everyone many times.
        let mut gone = vec![0u64; self.people.len().div_ceil(64)];
        for (id, person) in self.people.iter().enumerate() {
            gone[id / 64] |= u64::from(!person.active) << (id % 64);
        }
        let active = |id: u32| gone[id as usize / 64] >> (id % 64) & 1 == 0;
        let (records, jobs) = (&self.records, parallel::jobs(self.pairs.len()));
        parallel::run(self.pairs.parts_mut(jobs), |pairs| {
            for pair in pairs {
                pair.refresh(records, active(pair.lo) && active(pair.hi));
            }
        });
        for pair in 0..self.pairs.len() as u32 {
            self.drop_empty_pair(pair);
        }
    }

    /// Whom an open record between two active accounts names, in bits.
    pub(crate) fn named_by_pairs(&self) -> Vec<u64> {
        let mut named = vec![0u64; self.people.len().div_ceil(64)];
        for pair in self.pairs.iter().filter(|p| p.head != NONE && p.open && p.active) {
            for id in [pair.lo, pair.hi] {
                named[id as usize / 64] |= 1 << (id % 64);
            }
        }
        named
    }
}

/// Indexes the records by their two people, of each pair the first one; and answers with the slot
/// of that first one for every record.
fn group(seed: &Seed, records: &Chunks<Record>, by_pair: &mut Slots) -> Vec<u32> {
    let ends = |slot: u32| {
        let r = &records[slot as usize];
        (r.owner.min(r.subject), r.owner.max(r.subject))
    };
    let all = (0..).zip(records.iter()).map(|(slot, r)| {
        let (lo, hi) = (r.owner.min(r.subject), r.owner.max(r.subject));
        (seed.numbers(u64::from(lo), u64::from(hi)), slot)
    });
    let mut firsts: Vec<u32> = (0..records.len() as u32).collect();
    let same = |a, b| ends(a) == ends(b);
    by_pair.fill(records.len(), all, same, |slot, first| firsts[slot as usize] = first);
    firsts
}

/// Makes the index of keys. Returns the records whose key a later one has too.
fn index_keys(seed: &Seed, records: &Chunks<Record>, by_key: &mut Slots) -> Vec<u32> {
    // From the last one, so that an earlier one finds the later one there.
    let all = (0..records.len() as u32).rev().map(|slot| {
        let r = &records[slot as usize];
        (key_hash(seed, r.owner, r.rkey), slot)
    });
    let same = |a: u32, b: u32| {
        let (a, b) = (&records[a as usize], &records[b as usize]);
        a.owner == b.owner && a.rkey == b.rkey
    };
    let mut doubles = Vec::new();
    by_key.fill(records.len(), all, same, |slot, _| doubles.push(slot));
    doubles.sort_unstable();
    doubles
}

/// Makes everyone's list of pairs: a counting sort.
fn list_pairs(pairs: &Chunks<Pair>, people: &mut Chunks<super::Person>) {
    let mut ends = vec![0usize; people.len()];
    for pair in pairs.iter() {
        ends[pair.lo as usize] += 1;
        ends[pair.hi as usize] += 1;
    }
    let mut sum = 0;
    for end in &mut ends {
        sum += std::mem::replace(end, sum);
    }
    let mut lists = vec![0u32; sum];
    for (slot, pair) in (0..).zip(pairs.iter()) {
        for id in [pair.lo, pair.hi] {
            let end = &mut ends[id as usize];
            lists[*end] = slot;
            *end += 1;
        }
    }
    let mut from = 0;
    for (person, end) in people.iter_mut().zip(ends) {
        person.pairs = lists[from..end].to_vec();
        from = end;
    }
}
