//! The rules of the index in their shortest form, to compare a store with.
//!
//! For each record the greatest (class, rev, delete over write, hash of the canonical record); for
//! each account and identity the greatest time; for each repo the greatest floor. What is live
//! follows from these.

use crate::events::{Draft, What, at, rev};
use rhiz_domain::{
    Collection, Did, EntityId, Tid, canonical,
    fact::{AttestationFact, Day, RelationshipFact, day_of},
    payload::Operation,
    store::{Facts, Store},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What a store answers once everything is applied, with DIDs for numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expected {
    /// Live relationships, a line each.
    pub relationships: BTreeSet<String>,
    /// Live attestations, a line each.
    pub attestations: BTreeSet<String>,
    /// Bodies of live records by URI.
    pub bodies: BTreeMap<String, Value>,
    /// Accounts that are not active.
    pub inactive: BTreeSet<Did>,
    /// Names of live profiles.
    pub names: BTreeMap<Did, String>,
    /// Handles.
    pub handles: BTreeMap<Did, String>,
    /// Record rows, tombstones too.
    pub records: u64,
}

type Version = (bool, Tid, bool, [u8; 32]);

/// The state of a history.
#[derive(Debug, Default)]
pub struct Model {
    records: BTreeMap<(Did, Collection, Tid), (Version, Option<Value>)>,
    accounts: BTreeMap<Did, (i64, bool, Option<String>)>,
    identities: BTreeMap<Did, (i64, Option<String>)>,
    floors: BTreeMap<Did, i64>,
}

impl Model {
    /// The state after these, in whatever order.
    #[must_use]
    pub fn of(history: &[Draft]) -> Self {
        let mut model = Self::default();
        history.iter().for_each(|draft| model.add(draft));
        model
    }

    /// Adds one more event.
    pub fn add(&mut self, draft: &Draft) {
        let did = draft.did.clone();
        match &draft.what {
            What::Record { collection, rkey, operation, .. } => {
                let record = draft.record();
                let hash = record.as_ref().map_or([0; 32], |r| canonical::hash(r).unwrap());
                let gone = *operation == Operation::Delete;
                let version = (draft.sourced, rev(draft.rev), gone, hash);
                let row = self.records.entry((did, *collection, *rkey));
                let row = row.or_insert_with(|| (version, record.clone()));
                if row.0 < version {
                    *row = (version, record);
                }
            }
            What::Account { time, active, status } => {
                if status.as_deref() == Some("deleted") {
                    let floor = self.floors.entry(did.clone()).or_insert(*time);
                    *floor = (*floor).max(*time);
                }
                let seen = (*time, !active, status.clone());
                let row = self.accounts.entry(did).or_insert_with(|| seen.clone());
                *row = row.clone().max(seen);
            }
            What::Identity { time, handle } => {
                let seen = (*time, handle.clone());
                let row = self.identities.entry(did).or_insert_with(|| seen.clone());
                *row = row.clone().max(seen);
            }
            What::Invalidated => {}
        }
    }

    /// What a store has to answer.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let mut out = Expected { records: self.records.len() as u64, ..Expected::default() };
        for ((owner, collection, rkey), ((_, revision, ..), record)) in &self.records {
            let floor = self.floors.get(owner).map(|t| Tid::at(at(*t), u16::MAX));
            let Some(record) = record.as_ref().filter(|_| Some(*revision) > floor) else {
                continue;
            };
            out.bodies.insert(collection.uri(owner.as_str(), *rkey), record.clone());
            let effective = |text: &Value| {
                let stated: jiff::Timestamp = text.as_str().unwrap().parse().unwrap();
                stated.min(revision.time())
            };
            let text = |v: &Value| v.as_str().unwrap().to_owned();
            match collection {
                Collection::Relationship => {
                    let both = &record["participants"];
                    let subject = if both[0] == owner.as_str() { &both[1] } else { &both[0] };
                    let last = record["temporal"].get("lastInteraction");
                    out.relationships.insert(relationship_line(
                        (owner.as_str(), *rkey, &text(subject)),
                        &text(&record["type"]),
                        record["strength"].as_u64().unwrap(),
                        last.map(|t| day_of(effective(t))),
                        effective(&record["createdAt"]).as_microsecond(),
                        *revision,
                        &text(&record["privacy"]["visibility"]),
                        &text(&record["privacy"]["consent"]),
                    ));
                }
                Collection::Attestation => {
                    out.attestations.insert(attestation_line(
                        (owner.as_str(), *rkey),
                        &text(&record["targetRelationship"]),
                        &text(&record["attestationType"]),
                        record["confidence"].as_u64().unwrap(),
                        effective(&record["createdAt"]).as_microsecond(),
                        *revision,
                    ));
                }
                Collection::Profile => {
                    out.names.insert(owner.clone(), text(&record["displayName"]));
                }
                _ => {}
            }
        }
        let inactive = self.accounts.iter().filter(|(_, (_, inactive, _))| *inactive);
        out.inactive = inactive.map(|(did, _)| did.clone()).collect();
        let handles = self.identities.iter();
        out.handles = handles.filter_map(|(d, (_, h))| Some((d.clone(), h.clone()?))).collect();
        out
    }
}

#[expect(clippy::too_many_arguments, reason = "a line of a table")]
fn relationship_line(
    (owner, rkey, subject): (&str, Tid, &str),
    kind: &str,
    strength: u64,
    last: Option<Day>,
    created: i64,
    revision: Tid,
    visibility: &str,
    consent: &str,
) -> String {
    format!(
        "{owner}/{rkey} {subject} {kind} {strength} {last:?} {created} {revision} {visibility} {consent}"
    )
}

fn attestation_line(
    (attester, rkey): (&str, Tid),
    target: &str,
    kind: &str,
    confidence: u64,
    effective: i64,
    revision: Tid,
) -> String {
    format!("{attester}/{rkey} {target} {kind} {confidence} {effective} {revision}")
}

/// Facts as lines, with DIDs for numbers.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    dids: HashMap<EntityId, Did>,
}

impl Lines {
    /// Knows the numbers of these facts.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        Self { dids: facts.entities.iter().map(|e| (e.id, e.did.clone())).collect() }
    }

    fn did(&self, id: EntityId) -> &str {
        self.dids.get(&id).unwrap_or_else(|| panic!("nobody has the number {id:?}")).as_str()
    }

    /// A relationship.
    #[must_use]
    pub fn relationship(&self, r: &RelationshipFact) -> String {
        assert!(!r.signed_by_owner && !r.signed_by_subject, "nothing here is signed: {r:?}");
        relationship_line(
            (self.did(r.key.owner), r.key.rkey, self.did(r.subject)),
            &r.kind,
            r.strength.into(),
            r.last_interaction,
            r.created,
            r.rev,
            r.visibility.as_str(),
            r.consent.as_str(),
        )
    }

    /// An attestation.
    #[must_use]
    pub fn attestation(&self, a: &AttestationFact) -> String {
        attestation_line(
            (self.did(a.key.owner), a.key.rkey),
            &Collection::Relationship.uri(self.did(a.target.owner), a.target.rkey),
            a.kind.as_str(),
            a.confidence.into(),
            a.effective,
            a.rev,
        )
    }
}

/// What a store answers, asked through every one of its doors.
pub async fn observe(store: &dyn Store) -> Expected {
    let facts = store.facts(Arc::new(|_, _| {})).await.unwrap();
    let lines = Lines::of(&facts);
    let mut out = Expected {
        relationships: facts.relationships.iter().map(|r| lines.relationship(r)).collect(),
        attestations: facts.attestations.iter().map(|a| lines.attestation(a)).collect(),
        records: store.counts().await.unwrap().records,
        ..Expected::default()
    };
    assert_eq!(out.relationships.len(), facts.relationships.len(), "one fact, twice");
    assert_eq!(out.attestations.len(), facts.attestations.len(), "one fact, twice");
    for fact in &facts.entities {
        let row = store.entity(fact.did.as_str()).await.unwrap().unwrap();
        assert_eq!((row.id, &row.did), (fact.id, &fact.did));
        assert_eq!(row.profile.is_some(), fact.stands_alone, "{row:?}");
        if !fact.active {
            out.inactive.insert(fact.did.clone());
        }
        if let Some(profile) = row.profile {
            out.names.insert(fact.did.clone(), profile.name);
        }
        if let Some(handle) = row.handle {
            out.handles.insert(fact.did.clone(), handle);
        }
        for collection in Collection::ALL {
            let keys = if collection == Collection::Profile {
                vec![Tid::ZERO]
            } else {
                (0..3).map(crate::events::key).collect()
            };
            for rkey in keys {
                if let Some(row) = store.record(fact.id, collection, rkey).await.unwrap() {
                    let body: Value = serde_json::from_str(&row.body).unwrap();
                    let hash = canonical::hash(&body).unwrap();
                    assert_eq!(row.cid, canonical::cid(&hash), "{body}");
                    out.bodies.insert(collection.uri(fact.did.as_str(), rkey), body);
                }
            }
        }
    }
    out
}
