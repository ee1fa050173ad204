//! Filling empty facts with all relationships at once: first the records and pairs, one after
//! another, then on two threads what finds them.

use super::{Facts, NONE, Pair, Record, key_hash};
use rhiz_domain::fact::{Consent, EntityFact, RelationshipFact, Visibility};

impl Facts {
    /// For facts without any relationship. Of two relationships with one key the later one holds.
    /// The pairs have to be refreshed afterwards, and empty ones dropped.
    pub(crate) fn fill(
        &mut self,
        entities: impl Iterator<Item = EntityFact>,
        relationships: impl Iterator<Item = RelationshipFact>,
    ) {
        debug_assert!(self.records.len() + self.pairs.len() == 0);
        let people = entities.size_hint().0;
        self.by_did.reserve(people, |_| 0);
        for entity in entities {
            self.set_entity(&entity);
        }
        // A hint may promise anything; more than this is believed when it comes.
        let expected = relationships.size_hint().0.min(1 << 26);
        self.by_pair.reserve(expected, |_| 0);
        let mut most = 0;
        for fact in relationships {
            let (owner, subject) = (fact.key.owner.0, fact.subject.0);
            most = most.max(owner).max(subject);
            let pair = self.bulk_pair(owner.min(subject), owner.max(subject));
            let kind = self.kinds.take(&fact.kind);
            let slot = self.records.len() as u32;
            let head = &mut self.pairs[pair as usize].head;
            let next = std::mem::replace(head, slot);
            self.records.push(Record::new(&fact, kind, pair, next));
        }
        if self.records.len() > 0 {
            self.person_mut(most);
        }
        let doubles = self.index();
        for slot in doubles {
            // It was never indexed, which removing it tolerates.
            self.remove_record(slot);
        }
    }

    fn bulk_pair(&mut self, lo: u32, hi: u32) -> u32 {
        if let Some(found) = self.find_pair(lo, hi) {
            return found;
        }
        let new = Pair {
            lo,
            hi,
            head: NONE,
            mutual: false,
            active: true,
            open: false,
            visibility: Visibility::Public,
            consent: Consent::Full,
        };
        let hash = new.hash(&self.seed);
        let slot = self.pairs.len() as u32;
        self.pairs.push(new);
        let (seed, all) = (&self.seed, &self.pairs);
        self.by_pair.insert(hash, slot, |s| all[s as usize].hash(seed));
        slot
    }

    /// Makes the index of keys and everyone's list of pairs. Returns the records whose key a
    /// later one has too.
    fn index(&mut self) -> Vec<u32> {
        let Self { seed, records, by_key, pairs, people, .. } = self;
        let (seed, records, pairs) = (&*seed, &*records, &*pairs);
        std::thread::scope(|scope| {
            let keys = scope.spawn(move || {
                let hash = |s: u32| {
                    let r: &Record = &records[s as usize];
                    key_hash(seed, r.owner, r.rkey)
                };
                let mut doubles = Vec::new();
                by_key.reserve(records.len(), hash);
                // From the last one, so that an earlier one finds the later one there.
                for slot in (0..records.len() as u32).rev() {
                    let r = &records[slot as usize];
                    let known = by_key.find(hash(slot), |s| {
                        let other = &records[s as usize];
                        other.owner == r.owner && other.rkey == r.rkey
                    });
                    match known {
                        Some(_) => doubles.push(slot),
                        None => by_key.insert(hash(slot), slot, hash),
                    }
                }
                doubles
            });
            let mut counts = vec![0u32; people.len()];
            for pair in pairs.iter() {
                counts[pair.lo as usize] += 1;
                counts[pair.hi as usize] += 1;
            }
            for (person, count) in people.iter_mut().zip(counts) {
                person.pairs.reserve_exact(count as usize);
            }
            for (slot, pair) in (0..).zip(pairs.iter()) {
                people[pair.lo as usize].pairs.push(slot);
                people[pair.hi as usize].pairs.push(slot);
            }
            // A panic there is a panic here.
            keys.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
