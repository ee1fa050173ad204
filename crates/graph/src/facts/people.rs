//! Who there is, and who exists for the public.

use super::{Facts, NONE};
use rhiz_domain::Did;
use rhiz_domain::fact::{EntityFact, EntityId, Visibility};
use std::cmp::Ordering;

#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) did: Option<Did>,
    /// Pairs with a record between them.
    pub(crate) pairs: Vec<u32>,
    /// Attestations of theirs.
    pub(crate) made: Vec<u32>,
    /// Targets in their repo.
    pub(crate) about: Vec<u32>,
    pub(crate) active: bool,
    pub(super) stands_alone: bool,
    /// As counted among the entities.
    pub(crate) counted: bool,
}

impl Person {
    /// Nothing told yet: active until told otherwise.
    const UNTOLD: Self = Self {
        did: None,
        pairs: Vec::new(),
        made: Vec::new(),
        about: Vec::new(),
        active: true,
        stands_alone: false,
        counted: false,
    };

    /// Something of it: afterwards it is in the cache.
    pub(super) fn fetch(&self) -> u64 {
        self.pairs.len() as u64 ^ u64::from(self.active) ^ self.did.as_ref().map_or(0, |_| 1)
    }
}

impl Facts {
    /// One more than the largest number told.
    pub(crate) fn people_slots(&self) -> usize {
        self.people.len()
    }

    pub(crate) fn person(&self, id: u32) -> Option<&Person> {
        self.people.get(id as usize)
    }

    pub(crate) fn person_mut(&mut self, id: u32) -> &mut Person {
        while self.people.len() <= id as usize {
            self.people.push(Person::UNTOLD);
        }
        &mut self.people[id as usize]
    }

    pub(crate) fn active(&self, id: u32) -> bool {
        self.person(id).is_none_or(|p| p.active)
    }

    pub(crate) fn did(&self, id: u32) -> Option<&Did> {
        self.person(id)?.did.as_ref()
    }

    pub(crate) fn find(&self, did: &str) -> Option<u32> {
        self.by_did
            .find(self.seed.text(did), |id| self.did(id).is_some_and(|known| known.as_str() == did))
    }

    /// What an entity fact would change of what follows from the records: its account's status
    /// or, by its name coming to be known, the order of URIs.
    pub(crate) fn matters(&self, fact: &EntityFact) -> bool {
        self.active(fact.id.0) != fact.active || self.did(fact.id.0) != Some(&fact.did)
    }

    pub(crate) fn set_entity(&mut self, fact: &EntityFact) {
        let id = fact.id.0;
        let before = self.did(id).cloned();
        if before.as_ref() != Some(&fact.did) {
            if let Some(old) = &before {
                let hash = self.seed.text(old.as_str());
                self.by_did.remove(hash, id);
            }
            self.person_mut(id).did = Some(fact.did.clone());
            let hash = self.seed.text(fact.did.as_str());
            let (seed, people) = (&self.seed, &self.people);
            self.by_did.insert(hash, id, |s| {
                people[s as usize].did.as_ref().map_or(0, |did| seed.text(did.as_str()))
            });
        }
        let person = self.person_mut(id);
        person.active = fact.active;
        person.stands_alone = fact.stands_alone;
    }

    pub(crate) fn entity_fact(&self, id: u32) -> Option<EntityFact> {
        let p = self.person(id)?;
        Some(EntityFact {
            id: EntityId(id),
            did: p.did.clone()?,
            active: p.active,
            stands_alone: p.stands_alone,
        })
    }

    /// Exists for the public: active, and named by something live that is not private, or
    /// standing alone.
    pub(crate) fn exists(&self, id: u32) -> bool {
        let Some(p) = self.person(id) else { return false };
        if !p.active {
            return false;
        }
        p.stands_alone
            || p.pairs.iter().any(|&pair| {
                let pair = &self.pairs[pair as usize];
                pair.open && self.active(pair.other(id))
            })
            || p.made.iter().any(|&a| self.active(self.target(self.attestation(a).target).owner))
            || p.about.iter().any(|&t| {
                let t = self.target(t);
                let hidden =
                    t.record != NONE && self.record(t.record).visibility == Visibility::Private;
                !hidden && t.voices.iter().any(|&a| self.active(self.attestation(a).attester))
            })
    }

    /// As the URIs of two repos compare: by what stands between `at://` and the next `/`. (Three
    /// characters that a DID may hold sort before `/`, so this is not quite the order of DIDs.)
    pub(crate) fn compare_authorities(&self, a: u32, b: u32) -> Ordering {
        authority(self.did(a)).cmp(authority(self.did(b))).then(a.cmp(&b))
    }
}

/// What stands between `at://` and the key in the URI of somebody's record, as it is compared.
pub(crate) fn authority(did: Option<&Did>) -> impl Iterator<Item = u8> {
    did.map_or("", Did::as_str).bytes().chain([b'/'])
}
