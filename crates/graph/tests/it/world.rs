//! Small random worlds, and the tools to write one by hand.

use rhiz_domain::fact::{
    AttestationFact, AttestationKind, Change, ChangeSet, Consent, Day, EntityFact, EntityId,
    RecordKey, RelationshipFact, Visibility,
};
use rhiz_domain::{Did, Tid};
use rhiz_graph::Graph;

pub(crate) const TODAY: Day = 20_000;
pub(crate) const DAY: i64 = 86_400_000_000;

/// SplitMix64: the same numbers everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for i in (1..all.len()).rev() {
            all.swap(i, self.below(i + 1));
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) day: Day,
    pub(crate) entities: Vec<EntityFact>,
    pub(crate) relationships: Vec<RelationshipFact>,
    pub(crate) attestations: Vec<AttestationFact>,
}

pub(crate) fn tid(n: u64) -> Tid {
    Tid::from_u64(n).unwrap()
}

pub(crate) fn key(owner: u32, n: u64) -> RecordKey {
    RecordKey { owner: EntityId(owner), rkey: tid(n) }
}

pub(crate) fn entity(id: u32) -> EntityFact {
    // Not in the order of the numbers; two names one of which begins with the other.
    let name = match id % 7 {
        0 => format!("did:plc:{:04}", 9999 - id),
        1 => format!("did:web:a{}", id / 7),
        2 => format!("did:web:a{}.com", id / 7),
        _ => format!("did:plc:{}{id}", (b'a' + (id * 11 % 26) as u8) as char),
    };
    EntityFact {
        id: EntityId(id),
        did: Did::parse(&name).unwrap(),
        active: true,
        stands_alone: false,
    }
}

/// A public relationship of today.
pub(crate) fn states(owner: u32, subject: u32, n: u64, strength: u8) -> RelationshipFact {
    RelationshipFact {
        key: key(owner, n),
        subject: EntityId(subject),
        kind: "professional".into(),
        strength,
        last_interaction: Some(TODAY),
        created: i64::from(TODAY) * DAY,
        rev: tid(n),
        signed_by_owner: false,
        signed_by_subject: false,
        visibility: Visibility::Public,
        consent: Consent::Full,
    }
}

/// An attestation of today with confidence 90.
pub(crate) fn attests(
    attester: u32,
    n: u64,
    target: RecordKey,
    kind: AttestationKind,
) -> AttestationFact {
    AttestationFact {
        key: key(attester, n),
        target,
        kind,
        confidence: 90,
        effective: i64::from(TODAY) * DAY,
        rev: tid(n),
    }
}

impl World {
    pub(crate) fn of(
        people: u32,
        relationships: Vec<RelationshipFact>,
        attestations: Vec<AttestationFact>,
    ) -> Self {
        let entities = (1..=people).map(entity).collect();
        Self { day: TODAY, entities, relationships, attestations }
    }

    /// Up to 9 people. A plain one has ties in plenty and little else; a rich one has everything.
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let rich = dice.chance(60);
        let people = 3 + dice.below(7) as u32;
        let mut entities: Vec<EntityFact> = (1..=people).map(entity).collect();
        if rich {
            for entity in &mut entities {
                entity.active = !dice.chance(6);
                entity.stands_alone = dice.chance(15);
            }
        }
        let strengths: &[u8] =
            if dice.chance(50) { &[50, 80, 100] } else { &[0, 1, 29, 30, 45, 60, 70, 80, 90, 100] };
        let kinds = ["professional", "personal", "family", "odd", "bowling"];
        let ages: &[Option<i32>] = if rich {
            &[Some(0), Some(1), Some(29), Some(30), Some(400), Some(3000), Some(-3), None]
        } else {
            &[Some(0)]
        };
        let count = dice.below(people as usize * people as usize) + 1;
        let mut relationships = Vec::new();
        for n in 0..count {
            let owner = 1 + dice.below(people as usize) as u32;
            let subject = 1 + dice.below(people as usize) as u32;
            if owner == subject {
                continue;
            }
            let mut fact = states(owner, subject, 1000 + n as u64, dice.pick(strengths));
            fact.last_interaction = dice.pick(ages).map(|age| TODAY - age);
            if rich {
                let several = if dice.chance(50) { 2 } else { kinds.len() };
                fact.kind = dice.pick(&kinds[..several]).into();
                fact.created -= dice.below(500) as i64 * DAY;
                fact.signed_by_owner = dice.chance(30);
                fact.signed_by_subject = dice.chance(30);
                fact.visibility = match dice.below(12) {
                    0 => Visibility::Private,
                    1 | 2 => Visibility::Network,
                    _ => Visibility::Public,
                };
                fact.consent = match dice.below(16) {
                    0 => Consent::Anonymous,
                    1 => Consent::Limited,
                    _ => Consent::Full,
                };
            }
            relationships.push(fact);
        }
        let mut attestations = Vec::new();
        if rich && !relationships.is_empty() {
            for n in 0..dice.below(3 * people as usize) {
                let attester = 1 + dice.below(people as usize) as u32;
                let target = if dice.chance(90) {
                    dice.pick(&relationships).key
                } else {
                    key(1 + dice.below(people as usize) as u32, 5)
                };
                let kind = dice.pick(&AttestationKind::ALL);
                let mut fact = attests(attester, 2000 + n as u64, target, kind);
                fact.confidence = dice.pick(&[0, 10, 50, 90, 100]);
                fact.effective -= dice.pick(&[0, 0, 1, 29, 30, 59, 60, 200]) * DAY;
                fact.rev = tid(dice.below(3) as u64);
                attestations.push(fact);
            }
        }
        Self { day: TODAY, entities, relationships, attestations }
    }

    pub(crate) fn graph(&self) -> Graph {
        Graph::load(
            self.day,
            0,
            self.entities.iter().cloned(),
            self.relationships.iter().cloned(),
            self.attestations.iter().cloned(),
        )
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        let entities = self.entities.iter().cloned().map(Change::Entity);
        let relationships = self.relationships.iter().cloned().map(Change::Relationship);
        let attestations = self.attestations.iter().cloned().map(Change::Attestation);
        entities.chain(relationships).chain(attestations).collect()
    }
}

pub(crate) fn set(seq: u64, changes: Vec<Change>) -> ChangeSet {
    ChangeSet { seq, changes }
}
