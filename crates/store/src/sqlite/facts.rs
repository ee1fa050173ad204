//! Everything that is live, read once: what the graph is built from.

use super::names::tid;
use rhiz_domain::{
    Did, EntityId, RecordKey,
    fact::{AttestationFact, AttestationKind, Consent, EntityFact, RelationshipFact, Visibility},
    store::FactSink,
};
use rusqlite::Connection;
use std::{collections::HashSet, sync::Arc};

/// Gives every fact of one consistent view to the sink; answers with the view's last change.
pub(super) fn read(conn: &Connection, sink: &mut dyn FactSink) -> rusqlite::Result<u64> {
    // One read transaction: what commits meanwhile is not seen.
    let tx = conn.unchecked_transaction()?;
    let seq =
        tx.query_row("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'change'", [], |row| {
            row.get(0)
        })?;
    let count = |table: &str| {
        tx.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u64>(0))
    };
    sink.expect(count("entities")? + count("relationships")? + count("attestations")?);
    entities(&tx, sink)?;
    relationships(&tx, sink)?;
    attestations(&tx, sink)?;
    Ok(seq)
}

fn entities(conn: &Connection, sink: &mut dyn FactSink) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT id, did, active, EXISTS (SELECT 1 FROM profiles WHERE entity = id)
         FROM entities ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let did = row.get_ref(1)?.as_str()?;
        sink.entity(EntityFact {
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

fn relationships(conn: &Connection, sink: &mut dyn FactSink) -> rusqlite::Result<()> {
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
        sink.relationship(RelationshipFact {
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

fn attestations(conn: &Connection, sink: &mut dyn FactSink) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT target_owner, target_rkey, attester, rkey, kind, confidence, effective, rev
         FROM attestations",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind: usize = row.get(4)?;
        let Some(kind) = AttestationKind::ALL.get(kind).copied() else { continue };
        sink.attestation(AttestationFact {
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
