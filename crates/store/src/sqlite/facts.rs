//! Everything that is live, read once: what the graph is built from.

use super::names::tid;
use rhiz_domain::{
    Did, EntityId, RecordKey,
    fact::{AttestationFact, AttestationKind, Consent, EntityFact, RelationshipFact, Visibility},
    store::Facts,
};
use rusqlite::Connection;
use std::{collections::HashSet, sync::Arc};

/// Facts between two reports of progress.
const REPORT: u64 = 16_384;

/// Counts what was read, and reports it now and then.
struct Counter<'a> {
    done: u64,
    total: u64,
    progress: &'a (dyn Fn(u64, u64) + Send + Sync),
}

impl Counter<'_> {
    fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(REPORT) {
            (self.progress)(self.done, self.total);
        }
    }
}

/// Reads every fact of one consistent view.
pub(super) fn read(
    conn: &Connection,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> rusqlite::Result<Facts> {
    // One read transaction: what commits meanwhile is not seen.
    let tx = conn.unchecked_transaction()?;
    let seq =
        tx.query_row("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'change'", [], |row| {
            row.get(0)
        })?;
    let count = |table: &str| {
        tx.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, usize>(0))
    };
    let (entities, relationships, attestations) =
        (count("entities")?, count("relationships")?, count("attestations")?);
    let total = (entities + relationships + attestations) as u64;
    progress(0, total);
    let mut counter = Counter { done: 0, total, progress };
    let mut facts = Facts {
        seq,
        entities: Vec::with_capacity(entities),
        relationships: Vec::with_capacity(relationships),
        attestations: Vec::with_capacity(attestations),
    };
    read_entities(&tx, &mut counter, &mut facts.entities)?;
    read_relationships(&tx, &mut counter, &mut facts.relationships)?;
    read_attestations(&tx, &mut counter, &mut facts.attestations)?;
    progress(total, total);
    Ok(facts)
}

fn read_entities(
    conn: &Connection,
    counter: &mut Counter<'_>,
    out: &mut Vec<EntityFact>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT id, did, active, EXISTS (SELECT 1 FROM profiles WHERE entity = id)
         FROM entities ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let did = row.get_ref(1)?.as_str()?;
        counter.step();
        out.push(EntityFact {
            id: EntityId(row.get(0)?),
            did: Did::parse(did).map_err(|e| {
                rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, e.into())
            })?,
            active: row.get(2)?,
            stands_alone: row.get(3)?,
        });
    }
    Ok(())
}

fn read_relationships(
    conn: &Connection,
    counter: &mut Counter<'_>,
    out: &mut Vec<RelationshipFact>,
) -> rusqlite::Result<()> {
    let mut kinds: HashSet<Arc<str>> = HashSet::new();
    let mut statement = conn.prepare(
        "SELECT subject, owner, rkey, kind, strength, last_interaction, created, rev, signed,
             visibility, consent
         FROM relationships",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind = row.get_ref(3)?.as_str()?;
        let kind = match kinds.get(kind) {
            Some(kind) => Arc::clone(kind),
            None => {
                let kind: Arc<str> = kind.into();
                kinds.insert(Arc::clone(&kind));
                kind
            }
        };
        let signed: u8 = row.get(8)?;
        counter.step();
        out.push(RelationshipFact {
            key: RecordKey { owner: EntityId(row.get(1)?), rkey: tid(row.get(2)?) },
            subject: EntityId(row.get(0)?),
            kind,
            strength: row.get(4)?,
            last_interaction: row.get(5)?,
            created: row.get(6)?,
            rev: tid(row.get(7)?),
            signed_by_owner: signed & 1 != 0,
            signed_by_subject: signed & 2 != 0,
            visibility: match row.get(9)? {
                0u8 => Visibility::Public,
                1 => Visibility::Network,
                // The strictest, should it ever be something else.
                _ => Visibility::Private,
            },
            consent: match row.get(10)? {
                0u8 => Consent::Full,
                1 => Consent::Limited,
                _ => Consent::Anonymous,
            },
        });
    }
    Ok(())
}

fn read_attestations(
    conn: &Connection,
    counter: &mut Counter<'_>,
    out: &mut Vec<AttestationFact>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT target_owner, target_rkey, attester, rkey, kind, confidence, effective, rev
         FROM attestations",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind: usize = row.get(4)?;
        let Some(kind) = AttestationKind::ALL.get(kind).copied() else { continue };
        counter.step();
        out.push(AttestationFact {
            key: RecordKey { owner: EntityId(row.get(2)?), rkey: tid(row.get(3)?) },
            target: RecordKey { owner: EntityId(row.get(0)?), rkey: tid(row.get(1)?) },
            kind,
            confidence: row.get(5)?,
            effective: row.get(6)?,
            rev: tid(row.get(7)?),
        });
    }
    Ok(())
}
