//! Derived rows, made anew from the records.
//!
//! Law: a derived row is a function of its record and of the floor of the repo. A step looks at a
//! stretch of records, works out what follows from each, and in the same transaction writes only
//! what is not so. Whoever is killed between two steps has done some of them, and the next rebuild
//! does them again for nothing: it ends in the same rows.
//!
//! A record whose text is damaged says nothing: what was derived from it is left as it is, and it
//! is counted.

use super::{
    merge::{
        About, attestation_fact, entity_changed, insert_attestation, insert_profile,
        insert_relationship, name_changed, name_of, relationship_fact, terms,
    },
    names::{column, tid},
    writer::{Job, Tx, Writer},
};
use rhiz_domain::{
    Change, Collection, Did, EntityId, Record, RecordKey, RecordWrite, Tid, Version, canonical,
    records::Form,
    store::{Mended, Progress, Rebuild, Rebuilt, StoreError},
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params, types::Value};
use std::collections::{BTreeSet, HashSet};
use tokio::sync::oneshot;

/// Records looked at in one transaction: others write in between.
const STEP: usize = 2_000;

/// Where a step begins.
#[derive(Debug, Clone, Copy)]
enum From {
    /// After the record of this number.
    Record(i64),
    /// After the entity of this number: profiles without a record, and the words of names.
    Entity(i64),
}

/// Looks at everything, step by step. `total` is how much there is, about.
pub(super) async fn run(
    writer: &Writer,
    how: Rebuild,
    total: u64,
    progress: Progress,
) -> Result<Rebuilt, StoreError> {
    let (mut from, mut all, mut done) = (From::Record(i64::MIN), Rebuilt::default(), 0);
    loop {
        progress(done, total.max(done));
        let (answer, answered) = oneshot::channel();
        writer.submit(Box::new(Step { from, how, found: Found::default(), answer }));
        let found = answered.await.unwrap_or(Err(StoreError::Closed))?;
        all += found.rebuilt;
        done += found.looked_at;
        match found.next {
            Some(next) => from = next,
            None => {
                progress(done, done);
                return Ok(all);
            }
        }
    }
}

/// What a step found.
#[derive(Debug, Default)]
struct Found {
    rebuilt: Rebuilt,
    looked_at: u64,
    next: Option<From>,
}

struct Step {
    from: From,
    how: Rebuild,
    found: Found,
    answer: oneshot::Sender<Result<Found, StoreError>>,
}

impl Job for Step {
    fn rows(&self) -> usize {
        STEP
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        // It may run again after a rollback.
        self.found = Found::default();
        let changes = tx.changes.len();
        if self.how == Rebuild::Look {
            tx.conn.execute_batch("SAVEPOINT look")?;
        }
        match self.from {
            From::Record(after) => records(tx, after, &mut self.found)?,
            From::Entity(after) => entities(tx, after, &mut self.found)?,
        }
        if self.how == Rebuild::Look {
            // Done and undone: what is counted is what would be written.
            tx.conn.execute_batch("ROLLBACK TO look; RELEASE look")?;
            tx.changes.truncate(changes);
            tx.names.clear();
        }
        Ok(())
    }
    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let Self { found, answer, .. } = *self;
        // Nobody waits any more when the caller was dropped.
        let _ = answer.send(result.map(|_| found));
    }
}

/// A record row, as far as what follows from it goes.
struct RecordRow {
    write: RecordWrite,
    owner: EntityId,
    floor: Tid,
    about: About,
    /// Its text, kept even where it is not live any more: then it is to go.
    text: Option<String>,
    /// Its account is being stripped: if it is not live, it may still look as if it were.
    stripping: bool,
}

fn record_row(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    let invalid = |at: usize, what: &str| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(at, kind, what.to_owned().into())
    };
    let did: String = row.get(1)?;
    let collection = Collection::from_number(row.get(3)?);
    let subject: Option<u32> = row.get(10)?;
    let subject_rkey: Option<i64> = row.get(11)?;
    Ok(RecordRow {
        write: RecordWrite {
            owner: Did::parse(&did).map_err(|e| invalid(1, &e.to_string()))?,
            collection: collection.ok_or_else(|| invalid(3, "no collection"))?,
            rkey: tid(row.get(4)?),
            version: Version {
                class: row.get(5)?,
                rev: tid(row.get(6)?),
                deleted: row.get(7)?,
                hash: row.get(8)?,
            },
            cid: None,
            body: None,
            record: None,
            verified: row.get(9)?,
        },
        owner: EntityId(row.get(2)?),
        floor: tid(row.get(13)?),
        about: subject.map(|s| (EntityId(s), tid(subject_rkey.unwrap_or(0)))),
        text: row.get(12)?,
        stripping: row.get(14)?,
    })
}

/// Reads the text of a record; `None` when it is not the one that was hashed.
fn read(write: &RecordWrite, text: &str) -> Option<Record> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    if canonical::hash(&value).ok()? != write.version.hash {
        return None;
    }
    // The flat form asks for no more than the lexicon's, and reads the same from it.
    Record::read(write.collection, &write.owner, &value, Form::Flat, "record").ok()
}

fn records(tx: &mut Tx<'_>, after: i64, found: &mut Found) -> rusqlite::Result<()> {
    let mut rows: Vec<(i64, Option<RecordRow>)> = Vec::with_capacity(STEP);
    {
        let mut statement = tx.conn.prepare_cached(
            "SELECT r.id, o.did, r.owner, r.collection, r.rkey, r.class, r.rev, r.deleted, r.hash,
                 r.verified, r.subject, r.subject_rkey, r.body, o.floor,
                 EXISTS (SELECT 1 FROM stripping WHERE entity = r.owner)
             FROM records r LEFT JOIN entities o ON o.id = r.owner
             WHERE r.id > $1 ORDER BY r.id LIMIT $2",
        )?;
        let mut found = statement.query(params![after, STEP])?;
        while let Some(row) = found.next()? {
            // A column that holds what was never written there is damage of this record alone.
            rows.push((row.get(0)?, record_row(row).ok()));
        }
    }
    let until = if rows.len() < STEP { i64::MAX } else { rows.last().map_or(i64::MAX, |r| r.0) };
    found.looked_at = rows.len() as u64;
    found.rebuilt.records = found.looked_at;
    found.next = Some(if until == i64::MAX { From::Entity(i64::MIN) } else { From::Record(until) });
    // Rows that there should be, and those that nobody can say anything about.
    let mut expected = [HashSet::new(), HashSet::new()];
    for (id, row) in rows {
        let readable = match row {
            Some(row) => record(tx, id, row, &mut expected, &mut found.rebuilt)?,
            None => false,
        };
        if !readable {
            found.rebuilt.unreadable += 1;
            expected.iter_mut().for_each(|ids| _ = ids.insert(id));
        }
    }
    let [relationships, attestations] = &expected;
    for (id, key) in surplus(tx.conn, "relationships", "owner", after, until, relationships)? {
        tx.conn.prepare_cached("DELETE FROM relationships WHERE id = $1")?.execute([id])?;
        tx.changes.extend(key.map(Change::RelationshipGone));
        found.rebuilt.relationships.removed += 1;
    }
    for (id, key) in surplus(tx.conn, "attestations", "attester", after, until, attestations)? {
        tx.conn.prepare_cached("DELETE FROM attestations WHERE id = $1")?.execute([id])?;
        tx.changes.extend(key.map(Change::AttestationGone));
        found.rebuilt.attestations.removed += 1;
    }
    Ok(())
}

/// Rows of a derived table in a stretch that are not expected, with the keys of their records.
fn surplus(
    conn: &Connection,
    table: &str,
    owner: &str,
    after: i64,
    until: i64,
    expected: &HashSet<i64>,
) -> rusqlite::Result<Vec<(i64, Option<RecordKey>)>> {
    let query = format!("SELECT id, {owner}, rkey FROM {table} WHERE id > $1 AND id <= $2");
    let mut statement = conn.prepare_cached(&query)?;
    let rows = statement.query_map([after, until], |row| {
        let key = row.get(1).and_then(|owner| {
            Ok(RecordKey { owner: EntityId(owner), rkey: tid(row.get::<_, i64>(2)?) })
        });
        Ok((row.get::<_, i64>(0)?, key.ok()))
    })?;
    rows.filter(|row| row.as_ref().map_or(true, |(id, _)| !expected.contains(id))).collect()
}

/// Brings in line what follows from one record. False when its text says nothing.
fn record(
    tx: &mut Tx<'_>,
    id: i64,
    row: RecordRow,
    expected: &mut [HashSet<i64>; 2],
    rebuilt: &mut Rebuilt,
) -> rusqlite::Result<bool> {
    let RecordRow { mut write, owner, floor, about: was_about, text, stripping } = row;
    let key = RecordKey { owner, rkey: write.rkey };
    if stripping && write.version.rev <= floor {
        // The next steps of `strip` do it.
        expected.iter_mut().for_each(|ids| _ = ids.insert(id));
        return Ok(true);
    }
    let live = !write.version.deleted && write.version.rev > floor;
    if live {
        let Some(record) = text.as_deref().and_then(|text| read(&write, text)) else {
            return Ok(false);
        };
        write.record = Some(record);
    }
    let mut about = None;
    match &write.record {
        Some(Record::Relationship(r)) => {
            let subject = name_of(tx, &r.subject)?.id;
            about = Some((subject, Tid::ZERO));
            let fact = relationship_fact(&write, key, subject, r);
            expected[0].insert(id);
            let now = [
                Value::from(subject.0),
                Value::from(owner.0),
                Value::from(column(key.rkey)),
                Value::from(fact.kind.to_string()),
                Value::from(fact.strength),
                Value::from(fact.last_interaction),
                Value::from(fact.created),
                Value::from(column(fact.rev)),
                Value::from(u8::from(fact.signed_by_owner) | u8::from(fact.signed_by_subject) << 1),
                Value::from(fact.visibility as u8),
                Value::from(fact.consent as u8),
            ];
            let kept = kept(
                tx.conn,
                "SELECT subject, owner, rkey, kind, strength, last_interaction, created, rev,
                     signed, visibility, consent
                 FROM relationships WHERE id = $1",
                [id],
            )?;
            if rebuilt.relationships.differ(kept.as_deref(), &now) {
                let old = kept.and_then(|kept| key_of(&kept[1], &kept[2]));
                tx.changes.extend(old.filter(|old| *old != key).map(Change::RelationshipGone));
                insert_relationship(tx, id, &fact)?;
                tx.changes.push(Change::Relationship(fact));
            }
        }
        Some(Record::Attestation(a)) => {
            let target = name_of(tx, &a.target_owner)?.id;
            about = Some((target, a.target_rkey));
            let fact = attestation_fact(&write, key, target, a);
            expected[1].insert(id);
            let now = [
                Value::from(target.0),
                Value::from(column(a.target_rkey)),
                Value::from(owner.0),
                Value::from(column(key.rkey)),
                Value::from(fact.kind as u8),
                Value::from(fact.confidence),
                Value::from(fact.effective),
                Value::from(column(fact.rev)),
            ];
            let kept = kept(
                tx.conn,
                "SELECT target_owner, target_rkey, attester, rkey, kind, confidence, effective, rev
                 FROM attestations WHERE id = $1",
                [id],
            )?;
            if rebuilt.attestations.differ(kept.as_deref(), &now) {
                let old = kept.and_then(|kept| key_of(&kept[2], &kept[3]));
                tx.changes.extend(old.filter(|old| *old != key).map(Change::AttestationGone));
                insert_attestation(tx, id, &fact)?;
                tx.changes.push(Change::Attestation(fact));
            }
        }
        Some(Record::Profile(p)) => {
            about = Some((owner, Tid::ZERO));
            let now = [
                Value::from(p.display_name.clone()),
                Value::from(p.entity_type.as_str().to_owned()),
                Value::from(p.bio.clone()),
                Value::from(p.avatar_url.clone()),
                Value::from(p.verified),
                Value::from(write.effective(p.created_at).as_microsecond()),
            ];
            let kept = kept(
                tx.conn,
                "SELECT name, type, bio, avatar_url, verified, created FROM profiles
                 WHERE entity = $1 AND made = 0",
                [owner.0],
            )?;
            if rebuilt.profiles.differ(kept.as_deref(), &now) {
                insert_profile(tx, &write, owner, p)?;
            }
        }
        _ => {}
    }
    // The row's own columns, and a text that a deleted account left behind.
    let left = !live && text.is_some();
    if was_about != about || left {
        tx.conn
            .prepare_cached(
                "UPDATE records SET subject = $1, subject_rkey = $2,
                     body = CASE WHEN $3 THEN NULL ELSE body END,
                     cid = CASE WHEN $3 THEN NULL ELSE cid END
                 WHERE id = $4",
            )?
            .execute(params![
                about.map(|(subject, _)| subject.0),
                about.map(|(_, rkey)| column(rkey)),
                left,
                id
            ])?;
        rebuilt.references += 1;
        tx.changes.push(Change::Touched(owner));
    }
    Ok(true)
}

/// A row as it is, whatever it holds.
fn kept(conn: &Connection, query: &str, of: impl Params) -> rusqlite::Result<Option<Vec<Value>>> {
    let mut statement = conn.prepare_cached(query)?;
    let columns = statement.column_count();
    statement.query_row(of, |row| (0..columns).map(|i| row.get(i)).collect()).optional()
}

fn key_of(owner: &Value, rkey: &Value) -> Option<RecordKey> {
    match (owner, rkey) {
        (Value::Integer(owner), Value::Integer(rkey)) => {
            Some(RecordKey { owner: EntityId(u32::try_from(*owner).ok()?), rkey: tid(*rkey) })
        }
        _ => None,
    }
}

/// Profiles that no record made, and the words of names, of a stretch of entities.
fn entities(tx: &mut Tx<'_>, after: i64, found: &mut Found) -> rusqlite::Result<()> {
    let known = tx
        .conn
        .prepare_cached("SELECT id, did FROM entities WHERE id > $1 ORDER BY id LIMIT $2")?
        .query_map(params![after, STEP], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let until = if known.len() < STEP { i64::MAX } else { known.last().map_or(i64::MAX, |e| e.0) };
    found.looked_at = known.len() as u64;
    found.next = (until < i64::MAX).then_some(From::Entity(until));
    let orphans = tx
        .conn
        .prepare_cached(
            "SELECT entity FROM profiles p WHERE entity > $1 AND entity <= $2 AND made = 0
                 AND NOT EXISTS (SELECT 1 FROM records r JOIN entities e ON e.id = r.owner
                     WHERE r.owner = p.entity AND r.collection = $3 AND r.body IS NOT NULL)",
        )?
        .query_map(params![after, until, Collection::Profile as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    for entity in &orphans {
        tx.conn
            .prepare_cached("DELETE FROM profiles WHERE entity = $1 AND made = 0")?
            .execute([entity])?;
        found.rebuilt.profiles.removed += 1;
    }
    // Words of people who are not there any more are nobody's.
    let nobodys = tx
        .conn
        .prepare_cached(
            "DELETE FROM terms WHERE entity > $1 AND entity <= $2
                 AND entity NOT IN (SELECT id FROM entities)",
        )?
        .execute([after, until])?;
    found.rebuilt.names += nobodys as u64;
    let names = pairs(
        tx.conn,
        "SELECT entity, name FROM profiles p WHERE entity > $1 AND entity <= $2
             AND made = (SELECT min(made) FROM profiles WHERE entity = p.entity)",
        [after, until],
    )?;
    let words = pairs(
        tx.conn,
        "SELECT entity, term FROM terms WHERE entity > $1 AND entity <= $2",
        [after, until],
    )?;
    let wanted: BTreeSet<(i64, String)> = names
        .iter()
        .flat_map(|(id, name)| terms(name).into_iter().map(|term| (*id, term)))
        .collect();
    let wrong: HashSet<i64> = wanted.symmetric_difference(&words).map(|(id, _)| *id).collect();
    for (id, did) in known {
        let gone = orphans.contains(&id);
        if !wrong.contains(&id) && !gone {
            continue;
        }
        let (Ok(entity), Ok(did)) = (u32::try_from(id), Did::parse(&did)) else { continue };
        if wrong.contains(&id) {
            name_changed(tx, &did, EntityId(entity))?;
            found.rebuilt.names += 1;
        } else {
            entity_changed(tx, &did, EntityId(entity))?;
        }
    }
    Ok(())
}

fn pairs(
    conn: &Connection,
    query: &str,
    of: impl Params,
) -> rusqlite::Result<BTreeSet<(i64, String)>> {
    conn.prepare_cached(query)?.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Counts a row that is not as it should be. True when it is to be written.
trait Differ {
    fn differ(&mut self, kept: Option<&[Value]>, now: &[Value]) -> bool;
}

impl Differ for Mended {
    fn differ(&mut self, kept: Option<&[Value]>, now: &[Value]) -> bool {
        match kept {
            None => self.added += 1,
            Some(kept) if kept != now => self.changed += 1,
            Some(_) => return false,
        }
        true
    }
}
