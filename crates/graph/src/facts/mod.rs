//! What is live, and what follows from it without a date: who stands in a pair, what is refused,
//! what is mutual, who exists.
//!
//! Records, attestations, pairs and targets lie in slots and point at one another by slot. A
//! record's slot is bound to its key for as long as any published [`crate::web::Web`] may name it:
//! freed slots wait in `retired` until the graph releases them.

mod bulk;
mod chunks;
mod index;
mod kinds;
mod pair;
mod people;
mod voices;

pub(crate) use chunks::Chunks;
pub(crate) use kinds::{KNOWN, Kinds};
pub(crate) use pair::{Pair, Statement, choose};
pub(crate) use people::{Person, authority};

use index::{Seed, Slots};
use rhiz_domain::fact::{
    AttestationFact, AttestationKind, Consent, Day, EntityId, RecordKey, RelationshipFact,
    Visibility,
};
use rhiz_domain::syntax::Tid;
use std::cmp::Ordering;
use std::collections::VecDeque;

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

const UNKNOWN_DAY: Day = Day::MIN;

/// A relationship record. `pair` is [`NONE`] in a free slot.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) rkey: Tid,
    created: i64,
    rev: Tid,
    pub(crate) owner: u32,
    pub(crate) subject: u32,
    pub(crate) kind: u32,
    last: Day,
    next: u32,
    pub(crate) pair: u32,
    pub(crate) target: u32,
    pub(crate) strength: u8,
    pub(crate) signed_by_owner: bool,
    pub(crate) signed_by_subject: bool,
    /// The subject's newest attestation on it is a dispute.
    pub(crate) refused: bool,
    pub(crate) visibility: Visibility,
    pub(crate) consent: Consent,
}

impl Record {
    fn new(fact: &RelationshipFact, kind: u32, pair: u32, next: u32) -> Self {
        Self {
            rkey: fact.key.rkey,
            created: fact.created,
            rev: fact.rev,
            owner: fact.key.owner.0,
            subject: fact.subject.0,
            kind,
            last: fact.last_interaction.unwrap_or(UNKNOWN_DAY),
            next,
            pair,
            target: NONE,
            strength: fact.strength.min(100),
            signed_by_owner: fact.signed_by_owner,
            signed_by_subject: fact.signed_by_subject,
            refused: false,
            visibility: fact.visibility,
            consent: fact.consent,
        }
    }

    pub(crate) fn last_interaction(&self) -> Option<Day> {
        (self.last != UNKNOWN_DAY).then_some(self.last)
    }

    pub(crate) fn key(&self) -> RecordKey {
        RecordKey { owner: EntityId(self.owner), rkey: self.rkey }
    }

    /// `x` has received it: it is in the other's repo, or the other has signed it.
    pub(crate) fn received_by(&self, x: u32) -> bool {
        self.owner != x || self.signed_by_subject
    }

    /// `x` states it: it is in x's repo, or x has signed it.
    pub(crate) fn stated_by(&self, x: u32) -> bool {
        self.owner == x || self.signed_by_subject
    }

    pub(crate) fn signed_by_both(&self) -> bool {
        self.signed_by_owner && self.signed_by_subject
    }
}

/// An attestation. `target` is [`NONE`] in a free slot.
#[derive(Debug, Clone)]
pub(crate) struct Attestation {
    pub(crate) rkey: Tid,
    pub(crate) effective: i64,
    rev: Tid,
    pub(crate) attester: u32,
    pub(crate) target: u32,
    pub(crate) kind: AttestationKind,
    pub(crate) confidence: u8,
    /// As counted among the attestations.
    pub(crate) counted: bool,
}

impl Attestation {
    pub(crate) fn key(&self) -> RecordKey {
        RecordKey { owner: EntityId(self.attester), rkey: self.rkey }
    }

    /// The UTC day of its effective instant.
    pub(crate) fn day(&self) -> Day {
        // Microseconds of ±9999 years: their days fit in 32 bits.
        self.effective.div_euclid(86_400_000_000) as Day
    }
}

/// What attestations speak of, whether or not it is known.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) owner: u32,
    rkey: Tid,
    /// The live record, or [`NONE`].
    pub(crate) record: u32,
    /// Attestations by attester, the newest of each first.
    pub(crate) voices: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct Facts {
    seed: Seed,
    people: Chunks<Person>,
    by_did: Slots,
    records: Chunks<Record>,
    by_key: Slots,
    free_records: Vec<u32>,
    retired: VecDeque<(u64, u32)>,
    /// The generation of the web that is about to be published.
    pub(crate) generation: u64,
    pub(crate) pairs: Chunks<Pair>,
    by_pair: Slots,
    free_pairs: Vec<u32>,
    attestations: Chunks<Attestation>,
    by_attestation: Slots,
    free_attestations: Vec<u32>,
    targets: Chunks<Target>,
    by_target: Slots,
    free_targets: Vec<u32>,
    pub(crate) kinds: Kinds,
}

fn key_hash(seed: &Seed, owner: u32, rkey: Tid) -> u64 {
    seed.numbers(rkey.to_u64(), u64::from(owner))
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self {
            seed: Seed::new(),
            people: Chunks::new(),
            by_did: Slots::default(),
            records: Chunks::new(),
            by_key: Slots::default(),
            free_records: Vec::new(),
            retired: VecDeque::new(),
            generation: 0,
            pairs: Chunks::new(),
            by_pair: Slots::default(),
            free_pairs: Vec::new(),
            attestations: Chunks::new(),
            by_attestation: Slots::default(),
            free_attestations: Vec::new(),
            targets: Chunks::new(),
            by_target: Slots::default(),
            free_targets: Vec::new(),
            kinds: Kinds::new(),
        }
    }

    // ---- records

    pub(crate) fn record(&self, slot: u32) -> &Record {
        &self.records[slot as usize]
    }

    pub(crate) fn record_slots(&self) -> usize {
        self.records.len()
    }

    /// Slots of all records that are there.
    pub(crate) fn live_records(&self) -> impl Iterator<Item = u32> {
        (0..self.records.len() as u32).filter(|&s| self.records[s as usize].pair != NONE)
    }

    /// Every record slot, with what lies there; free ones too.
    pub(crate) fn records(
        &self,
        range: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (u32, &Record)> {
        (range.start as u32..).zip(self.records.range(range))
    }

    /// Pairs of whose records an attestation speaks, each once, in order.
    pub(crate) fn attested_pairs(&self) -> Vec<u32> {
        // A free target may still name a record, which then does not name it.
        let records = (0..).zip(self.targets.iter()).filter(|(_, t)| t.record != NONE);
        let records = records.map(|(slot, t)| (slot, self.record(t.record)));
        let attested = records.filter(|(slot, r)| r.pair != NONE && r.target == *slot);
        let mut pairs: Vec<u32> = attested.map(|(_, r)| r.pair).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    pub(crate) fn find_record(&self, key: RecordKey) -> Option<u32> {
        self.by_key.find(key_hash(&self.seed, key.owner.0, key.rkey), |s| {
            let r = &self.records[s as usize];
            r.owner == key.owner.0 && r.rkey == key.rkey
        })
    }

    /// Brings near what a change of a relationship looks at. Memory brings many things at the
    /// same time, if it is asked for them one after another; the change itself would wait for
    /// each before it knows the next.
    pub(crate) fn fetch(&self, fact: &RelationshipFact) -> u64 {
        let ends = [fact.key.owner.0, fact.subject.0];
        let people = ends.map(|id| self.person(id).map_or(0, Person::fetch));
        let slot = self.find_record(fact.key).unwrap_or(NONE);
        let pair = self.find_pair(ends[0], ends[1]).unwrap_or(NONE);
        people[0] ^ people[1] ^ u64::from(slot ^ pair)
    }

    pub(crate) fn relationship(&self, slot: u32) -> RelationshipFact {
        let r = self.record(slot);
        RelationshipFact {
            key: r.key(),
            subject: EntityId(r.subject),
            kind: self.kinds.text(r.kind).clone(),
            strength: r.strength,
            last_interaction: r.last_interaction(),
            created: r.created,
            rev: r.rev,
            signed_by_owner: r.signed_by_owner,
            signed_by_subject: r.signed_by_subject,
            visibility: r.visibility,
            consent: r.consent,
        }
    }

    /// Its effective instant, microseconds since 1970.
    pub(crate) fn created(&self, slot: u32) -> i64 {
        self.record(slot).created
    }

    /// Puts a record that is not there. `refresh_pair` of its pair has to follow.
    pub(crate) fn insert_record(&mut self, fact: &RelationshipFact) -> u32 {
        let (owner, subject) = (fact.key.owner.0, fact.subject.0);
        let pair = self.pair_for(owner, subject);
        let hash = key_hash(&self.seed, owner, fact.key.rkey);
        let target = self.find_target(fact.key).unwrap_or(NONE);
        let kind = self.kinds.take(&fact.kind);
        let next = self.pairs[pair as usize].head;
        let record = Record { target, ..Record::new(fact, kind, pair, next) };
        let slot = put(&mut self.records, &mut self.free_records, record);
        debug_assert!(slot != NONE);
        self.pairs[pair as usize].head = slot;
        if target != NONE {
            self.targets[target as usize].record = slot;
        }
        let (seed, all) = (&self.seed, &self.records);
        self.by_key
            .insert(hash, slot, |s| key_hash(seed, all[s as usize].owner, all[s as usize].rkey));
        slot
    }

    /// Puts a record in the place of one with the same key and the same two people: its slot
    /// means what it meant. `refresh_pair` of its pair has to follow.
    pub(crate) fn replace_record(&mut self, slot: u32, fact: &RelationshipFact) {
        let kind = self.kinds.take(&fact.kind);
        let old = &mut self.records[slot as usize];
        let new = Record::new(fact, kind, old.pair, old.next);
        let old = std::mem::replace(old, Record { target: old.target, ..new });
        self.kinds.give_back(old.kind);
    }

    /// Takes a record out. Its pair stays, maybe empty: `refresh_pair`, then `drop_empty_pair`.
    pub(crate) fn remove_record(&mut self, slot: u32) {
        let Record { rkey, owner, kind, next, pair, target, .. } = self.records[slot as usize];
        let head = self.pairs[pair as usize].head;
        if head == slot {
            self.pairs[pair as usize].head = next;
        } else {
            let mut at = head;
            while self.records[at as usize].next != slot {
                at = self.records[at as usize].next;
            }
            self.records[at as usize].next = next;
        }
        if target != NONE {
            self.targets[target as usize].record = NONE;
        }
        self.by_key.remove(key_hash(&self.seed, owner, rkey), slot);
        self.kinds.give_back(kind);
        self.records[slot as usize].pair = NONE;
        self.retired.push_back((self.generation, slot));
    }

    /// No web older than `generation` is read any more: slots retired on the way to it are free.
    pub(crate) fn release(&mut self, generation: u64) {
        while let Some(&(retired, slot)) = self.retired.front()
            && retired <= generation
        {
            self.retired.pop_front();
            self.free_records.push(slot);
        }
    }

    /// By the whole URI, as text.
    pub(crate) fn compare_uris(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (self.record(a), self.record(b));
        if a.owner == b.owner {
            return a.rkey.cmp(&b.rkey);
        }
        self.compare_authorities(a.owner, b.owner)
    }

    // ---- attestations and their targets

    pub(crate) fn attestation(&self, slot: u32) -> &Attestation {
        &self.attestations[slot as usize]
    }

    pub(crate) fn live_attestations(&self) -> impl Iterator<Item = u32> {
        (0..self.attestations.len() as u32)
            .filter(|&s| self.attestations[s as usize].target != NONE)
    }

    pub(crate) fn target(&self, slot: u32) -> &Target {
        &self.targets[slot as usize]
    }

    pub(crate) fn find_target(&self, key: RecordKey) -> Option<u32> {
        self.by_target.find(key_hash(&self.seed, key.owner.0, key.rkey), |s| {
            let t = &self.targets[s as usize];
            t.owner == key.owner.0 && t.rkey == key.rkey
        })
    }

    pub(crate) fn find_attestation(&self, key: RecordKey) -> Option<u32> {
        self.by_attestation.find(key_hash(&self.seed, key.owner.0, key.rkey), |s| {
            let a = &self.attestations[s as usize];
            a.attester == key.owner.0 && a.rkey == key.rkey
        })
    }

    pub(crate) fn attestation_fact(&self, slot: u32) -> AttestationFact {
        let a = self.attestation(slot);
        let t = self.target(a.target);
        AttestationFact {
            key: a.key(),
            target: RecordKey { owner: EntityId(t.owner), rkey: t.rkey },
            kind: a.kind,
            confidence: a.confidence,
            effective: a.effective,
            rev: a.rev,
        }
    }

    pub(crate) fn attestation_mut(&mut self, slot: u32) -> &mut Attestation {
        &mut self.attestations[slot as usize]
    }

    /// Live, on something that is not private, of people whose accounts are active.
    pub(crate) fn attestation_counts(&self, slot: u32) -> bool {
        let a = self.attestation(slot);
        let t = self.target(a.target);
        self.active(a.attester)
            && self.active(t.owner)
            && (t.record == NONE || self.record(t.record).visibility != Visibility::Private)
    }

    /// Puts an attestation that is not there.
    pub(crate) fn insert_attestation(&mut self, fact: &AttestationFact) -> u32 {
        let target = self.target_for(fact.target);
        let attester = fact.key.owner.0;
        let slot = put(
            &mut self.attestations,
            &mut self.free_attestations,
            Attestation {
                rkey: fact.key.rkey,
                effective: fact.effective,
                rev: fact.rev,
                attester,
                target,
                kind: fact.kind,
                confidence: fact.confidence.min(100),
                counted: false,
            },
        );
        let place = {
            let order = |s: u32| voice_order(&self.attestations[s as usize]);
            let mine = order(slot);
            self.targets[target as usize].voices.partition_point(|&s| order(s) < mine)
        };
        self.targets[target as usize].voices.insert(place, slot);
        self.person_mut(attester).made.push(slot);
        let hash = key_hash(&self.seed, attester, fact.key.rkey);
        let (seed, all) = (&self.seed, &self.attestations);
        self.by_attestation
            .insert(hash, slot, |s| key_hash(seed, all[s as usize].attester, all[s as usize].rkey));
        slot
    }

    pub(crate) fn remove_attestation(&mut self, slot: u32) {
        let Attestation { rkey, attester, target, .. } = self.attestations[slot as usize];
        self.targets[target as usize].voices.retain(|&s| s != slot);
        self.person_mut(attester).made.retain(|&s| s != slot);
        self.by_attestation.remove(key_hash(&self.seed, attester, rkey), slot);
        self.attestations[slot as usize].target = NONE;
        self.free_attestations.push(slot);
        if self.targets[target as usize].voices.is_empty() {
            self.drop_target(target);
        }
    }

    fn target_for(&mut self, key: RecordKey) -> u32 {
        if let Some(found) = self.find_target(key) {
            return found;
        }
        let record = self.find_record(key).unwrap_or(NONE);
        let (owner, rkey) = (key.owner.0, key.rkey);
        let new = Target { owner, rkey, record, voices: Vec::new() };
        let slot = put(&mut self.targets, &mut self.free_targets, new);
        if record != NONE {
            self.records[record as usize].target = slot;
        }
        self.person_mut(owner).about.push(slot);
        let hash = key_hash(&self.seed, owner, rkey);
        let (seed, all) = (&self.seed, &self.targets);
        self.by_target
            .insert(hash, slot, |s| key_hash(seed, all[s as usize].owner, all[s as usize].rkey));
        slot
    }

    fn drop_target(&mut self, slot: u32) {
        let Target { owner, rkey, record, .. } = self.targets[slot as usize];
        if record != NONE {
            self.records[record as usize].target = NONE;
        }
        self.person_mut(owner).about.retain(|&s| s != slot);
        self.by_target.remove(key_hash(&self.seed, owner, rkey), slot);
        self.free_targets.push(slot);
    }

    /// Bytes held, names apart.
    /// Bytes held, but for [`Facts::list_bytes`].
    pub(crate) fn bytes(&self) -> usize {
        self.records.bytes()
            + self.pairs.bytes()
            + self.attestations.bytes()
            + self.targets.bytes()
            + self.people.bytes()
            + self.by_key.bytes()
            + self.by_pair.bytes()
            + self.by_attestation.bytes()
            + self.by_target.bytes()
            + self.by_did.bytes()
    }

    /// Bytes of the lists of the people, and of what is attested, in a range of their numbers;
    /// `None` behind the last of either.
    pub(crate) fn list_bytes(&self, range: std::ops::Range<usize>) -> Option<usize> {
        let list = |v: &Vec<u32>| v.capacity() * 4;
        (range.start < self.people.len().max(self.targets.len())).then(|| {
            let people = self.people.range(range.clone());
            people.map(|p| list(&p.pairs) + list(&p.made) + list(&p.about)).sum::<usize>()
                + self.targets.range(range).map(|t| list(&t.voices)).sum::<usize>()
        })
    }
}

/// By attester; of one attester the newest first.
fn voice_order(a: &Attestation) -> (u32, std::cmp::Reverse<(i64, Tid, Tid)>) {
    (a.attester, std::cmp::Reverse((a.effective, a.rev, a.rkey)))
}

fn put<T>(all: &mut Chunks<T>, free: &mut Vec<u32>, new: T) -> u32 {
    if let Some(slot) = free.pop() {
        all[slot as usize] = new;
        return slot;
    }
    all.push(new);
    (all.len() - 1) as u32
}
