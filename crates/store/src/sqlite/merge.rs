//! What an effect does to the rows.
//!
//! Law: a row keeps the version that wrote it, and only a greater version changes it. What follows
//! from a row (derived rows, changes for the graph) is computed from the row that won, so that any
//! order and any repetition of effects ends in the same rows.
//!
//! Example: `update` at rev 3 comes before `create` at rev 2. The first writes the row, the second
//! finds a greater version and changes nothing.

use super::{
    names::{Name, column, tid},
    strip,
    writer::Tx,
};
use rhiz_domain::{
    Change, Collection, Did, Effect, EntityId, Record, RecordKey, RecordWrite, Tid, Version,
    fact::{AttestationFact, EntityFact, RelationshipFact},
    records::{Attestation, Profile, Relationship},
};
use rusqlite::{OptionalExtension, params};

/// Merges an effect.
pub(super) fn merge(tx: &mut Tx<'_>, effect: &Effect) -> rusqlite::Result<()> {
    match effect {
        Effect::Record(write) => merge_record(tx, write),
        Effect::Account { did, time, active, status } => {
            let seen =
                Account { time: time.as_microsecond(), active: *active, status: status.clone() };
            merge_account(tx, did, &seen)
        }
        Effect::Identity { did, time, handle } => {
            let handle = handle.as_ref().map(|h| h.as_str());
            merge_identity(tx, did, time.as_microsecond(), handle)
        }
        Effect::Invalidate { did } => {
            let name = name_of(tx, did)?;
            tx.changes.push(Change::Touched(name.id));
            Ok(())
        }
    }
}

pub(super) fn name_of(tx: &mut Tx<'_>, did: &Did) -> rusqlite::Result<Name> {
    let (name, new) = tx.names.of(tx.conn, did)?;
    if new {
        let (id, did) = (name.id, did.clone());
        tx.changes.push(Change::Entity(EntityFact { id, did, active: true, stands_alone: false }));
    }
    Ok(name)
}

/// The derived row of a record row: it has the same id.
pub(super) struct Derived {
    pub id: i64,
    pub collection: Collection,
    pub key: RecordKey,
}

fn merge_record(tx: &mut Tx<'_>, write: &RecordWrite) -> rusqlite::Result<()> {
    let owner = name_of(tx, &write.owner)?;
    let key = RecordKey { owner: owner.id, rkey: write.rkey };
    let old = tx
        .conn
        .prepare_cached(
            "SELECT id, class, rev, deleted, hash, subject, subject_rkey FROM records
             WHERE owner = $1 AND collection = $2 AND rkey = $3",
        )?
        .query_row(params![owner.id.0, write.collection as i64, column(write.rkey)], |row| {
            let version = Version {
                class: row.get(1)?,
                rev: tid(row.get(2)?),
                deleted: row.get(3)?,
                hash: row.get(4)?,
            };
            let subject: Option<u32> = row.get(5)?;
            let subject_rkey = tid(row.get::<_, Option<i64>>(6)?.unwrap_or(0));
            let about = subject.map(|subject| (EntityId(subject), subject_rkey));
            Ok((row.get::<_, i64>(0)?, version, about))
        })
        .optional()?;
    match &old {
        Some((_, version, _)) if *version > write.version => return Ok(()),
        Some((id, version, _)) if *version == write.version => {
            return confirm(tx, write, *id, key.owner);
        }
        _ => {}
    }
    let live = (write.version.rev > owner.floor).then_some(write.record.as_ref()).flatten();
    let about = match live {
        Some(Record::Relationship(r)) => Some((name_of(tx, &r.subject)?.id, Tid::ZERO)),
        Some(Record::Attestation(a)) => Some((name_of(tx, &a.target_owner)?.id, a.target_rkey)),
        Some(Record::Profile(_)) => Some((owner.id, Tid::ZERO)),
        _ => None,
    };
    let id = match old {
        None => insert_record(tx, write, owner.id, about, live.is_some())?,
        Some((id, _, was_about)) => {
            update_record(tx, write, id, about, live.is_some())?;
            if was_about.is_some() && was_about != about {
                remove_derived(
                    tx,
                    &write.owner,
                    &Derived { id, collection: write.collection, key },
                )?;
            }
            id
        }
    };
    match (live, about) {
        (Some(Record::Relationship(r)), Some((subject, _))) => {
            let fact = relationship_fact(write, key, subject, r);
            insert_relationship(tx, id, &fact)?;
            tx.changes.push(Change::Relationship(fact));
        }
        (Some(Record::Attestation(a)), Some((subject, _))) => {
            let fact = attestation_fact(write, key, subject, a);
            insert_attestation(tx, id, &fact)?;
            tx.changes.push(Change::Attestation(fact));
        }
        (Some(Record::Profile(p)), _) => insert_profile(tx, write, owner.id, p)?,
        _ => tx.changes.push(Change::Touched(owner.id)),
    }
    Ok(())
}

/// What a record row is about, for the columns of its derived row.
pub(super) type About = Option<(EntityId, Tid)>;

/// Writes the row of a record that is new; answers with its id.
fn insert_record(
    tx: &Tx<'_>,
    write: &RecordWrite,
    owner: EntityId,
    about: About,
    live: bool,
) -> rusqlite::Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO records (owner, collection, rkey, class, rev, deleted, hash, verified,
                 subject, subject_rkey, indexed_at, cid, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )?
        .execute(params![
            owner.0,
            write.collection as i64,
            column(write.rkey),
            write.version.class,
            column(write.version.rev),
            write.version.deleted,
            write.version.hash,
            write.verified,
            about.map(|(subject, _)| subject.0),
            about.map(|(_, rkey)| column(rkey)),
            tx.now,
            write.cid.as_deref().filter(|_| live),
            write.body.as_deref().filter(|_| live),
        ])?;
    Ok(tx.conn.last_insert_rowid())
}

/// Writes a greater version over a record row.
fn update_record(
    tx: &Tx<'_>,
    write: &RecordWrite,
    id: i64,
    about: About,
    live: bool,
) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE records SET class = $1, rev = $2, deleted = $3, hash = $4, verified = $5,
                 subject = $6, subject_rkey = $7, indexed_at = $8, cid = $9, body = $10
             WHERE id = $11",
        )?
        .execute(params![
            write.version.class,
            column(write.version.rev),
            write.version.deleted,
            write.version.hash,
            write.verified,
            about.map(|(subject, _)| subject.0),
            about.map(|(_, rkey)| column(rkey)),
            tx.now,
            write.cid.as_deref().filter(|_| live),
            write.body.as_deref().filter(|_| live),
            id,
        ])?;
    Ok(())
}

/// The same write, told once more: what one source proved, or called by another CID, is kept
/// whichever comes first.
fn confirm(tx: &mut Tx<'_>, write: &RecordWrite, id: i64, owner: EntityId) -> rusqlite::Result<()> {
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE records SET verified = max(verified, $1),
                 cid = CASE WHEN body IS NULL THEN NULL
                     ELSE nullif(max(coalesce(cid, ''), coalesce($2, '')), '') END
             WHERE id = $3 AND (verified < $1 OR (body IS NOT NULL AND coalesce(cid, '') < coalesce($2, '')))",
        )?
        .execute(params![write.verified, write.cid, id])?;
    if changed > 0 {
        tx.changes.push(Change::Touched(owner));
    }
    Ok(())
}

pub(super) fn relationship_fact(
    write: &RecordWrite,
    key: RecordKey,
    subject: EntityId,
    r: &Relationship,
) -> RelationshipFact {
    RelationshipFact {
        key,
        subject,
        kind: r.kind.as_str().into(),
        strength: r.strength,
        last_interaction: r.last_interaction.map(|t| write.effective_day(t)),
        created: write.effective(r.created_at).as_microsecond(),
        rev: write.version.rev,
        // Signatures count once the signers' keys are known; until then they are claims.
        signed_by_owner: false,
        signed_by_subject: false,
        visibility: r.visibility,
        consent: r.consent,
    }
}

pub(super) fn attestation_fact(
    write: &RecordWrite,
    key: RecordKey,
    target_owner: EntityId,
    a: &Attestation,
) -> AttestationFact {
    AttestationFact {
        key,
        target: RecordKey { owner: target_owner, rkey: a.target_rkey },
        kind: a.kind,
        confidence: a.confidence,
        effective: write.effective(a.created_at).as_microsecond(),
        rev: write.version.rev,
    }
}

pub(super) fn insert_relationship(
    tx: &Tx<'_>,
    id: i64,
    fact: &RelationshipFact,
) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO relationships (id, subject, owner, rkey, kind, strength,
                 last_interaction, created, rev, signed, visibility, consent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )?
        .execute(params![
            id,
            fact.subject.0,
            fact.key.owner.0,
            column(fact.key.rkey),
            &*fact.kind,
            fact.strength,
            fact.last_interaction,
            fact.created,
            column(fact.rev),
            u8::from(fact.signed_by_owner) | u8::from(fact.signed_by_subject) << 1,
            fact.visibility as u8,
            fact.consent as u8,
        ])?;
    Ok(())
}

pub(super) fn insert_attestation(
    tx: &Tx<'_>,
    id: i64,
    fact: &AttestationFact,
) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO attestations (id, target_owner, target_rkey, attester, rkey,
                 kind, confidence, effective, rev)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )?
        .execute(params![
            id,
            fact.target.owner.0,
            column(fact.target.rkey),
            fact.key.owner.0,
            column(fact.key.rkey),
            fact.kind as u8,
            fact.confidence,
            fact.effective,
            column(fact.rev),
        ])?;
    Ok(())
}

pub(super) fn insert_profile(
    tx: &mut Tx<'_>,
    write: &RecordWrite,
    entity: EntityId,
    p: &Profile,
) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO profiles (entity, made, name, type, bio, avatar_url, verified,
                 created)
             VALUES ($1, 0, $2, $3, $4, $5, $6, $7)",
        )?
        .execute(params![
            entity.0,
            p.display_name,
            p.entity_type.as_str(),
            p.bio,
            p.avatar_url,
            p.verified,
            write.effective(p.created_at).as_microsecond(),
        ])?;
    name_changed(tx, &write.owner, entity)
}

/// Brings the search terms and the graph's idea of an entity in line with its profile.
pub(super) fn name_changed(tx: &mut Tx<'_>, did: &Did, entity: EntityId) -> rusqlite::Result<()> {
    let name: Option<String> = tx
        .conn
        .prepare_cached("SELECT name FROM profiles WHERE entity = $1 ORDER BY made LIMIT 1")?
        .query_row([entity.0], |row| row.get(0))
        .optional()?;
    tx.conn.prepare_cached("DELETE FROM terms WHERE entity = $1")?.execute([entity.0])?;
    for term in name.as_deref().map(terms).unwrap_or_default() {
        tx.conn
            .prepare_cached("INSERT OR IGNORE INTO terms (term, entity) VALUES ($1, $2)")?
            .execute(params![term, entity.0])?;
    }
    entity_changed(tx, did, entity)
}

/// Tells the graph of an entity. One that is being stripped is not active: the graph has facts of it
/// that are no more.
pub(super) fn entity_changed(tx: &mut Tx<'_>, did: &Did, id: EntityId) -> rusqlite::Result<()> {
    let (active, stands_alone) = tx
        .conn
        .prepare_cached(
            "SELECT active AND NOT EXISTS (SELECT 1 FROM stripping WHERE entity = $1),
                 EXISTS (SELECT 1 FROM profiles WHERE entity = $1)
             FROM entities WHERE id = $1",
        )?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    tx.changes.push(Change::Entity(EntityFact { id, did: did.clone(), active, stands_alone }));
    tx.changes.push(Change::Touched(id));
    Ok(())
}

/// The words of a name, as they are searched: lower case, without punctuation at their ends.
pub(super) fn terms(name: &str) -> Vec<String> {
    name.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

pub(super) fn remove_derived(tx: &mut Tx<'_>, owner: &Did, old: &Derived) -> rusqlite::Result<()> {
    match old.collection {
        Collection::Relationship => {
            tx.conn.prepare_cached("DELETE FROM relationships WHERE id = $1")?.execute([old.id])?;
            tx.changes.push(Change::RelationshipGone(old.key));
        }
        Collection::Attestation => {
            tx.conn.prepare_cached("DELETE FROM attestations WHERE id = $1")?.execute([old.id])?;
            tx.changes.push(Change::AttestationGone(old.key));
        }
        Collection::Profile => {
            tx.conn
                .prepare_cached("DELETE FROM profiles WHERE entity = $1 AND made = 0")?
                .execute([old.key.owner.0])?;
            name_changed(tx, owner, old.key.owner)?;
        }
        Collection::Intro | Collection::Context | Collection::Claim => {}
    }
    Ok(())
}

/// An account's status, ordered as events about it are: by time, on a tie the inactive one.
struct Account {
    time: i64,
    active: bool,
    status: Option<String>,
}

impl Account {
    fn order(&self) -> (i64, bool, Option<&str>) {
        (self.time, !self.active, self.status.as_deref())
    }
}

fn merge_account(tx: &mut Tx<'_>, did: &Did, seen: &Account) -> rusqlite::Result<()> {
    let name = name_of(tx, did)?;
    let old = tx
        .conn
        .prepare_cached("SELECT account_time, active, status FROM entities WHERE id = $1")?
        .query_row([name.id.0], |row| {
            let (time, active, status): (Option<i64>, _, _) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(time.map(|time| Account { time, active, status }))
        })?;
    if seen.status.as_deref() == Some("deleted") && !seen.active {
        raise_floor(tx, did, name, seen.time)?;
    }
    if old.is_some_and(|old| old.order() >= seen.order()) {
        return Ok(());
    }
    tx.conn
        .prepare_cached(
            "UPDATE entities SET account_time = $1, active = $2, status = $3 WHERE id = $4",
        )?
        .execute(params![seen.time, seen.active, seen.status, name.id.0])?;
    entity_changed(tx, did, name.id)
}

/// What a deleted account had said is no longer live, and what is kept of it goes.
fn raise_floor(tx: &mut Tx<'_>, did: &Did, name: Name, time: i64) -> rusqlite::Result<()> {
    let time = jiff::Timestamp::from_microsecond(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let floor = Tid::at(time, u16::MAX);
    if floor <= name.floor {
        return Ok(());
    }
    tx.conn
        .prepare_cached("UPDATE entities SET floor = $1 WHERE id = $2")?
        .execute(params![column(floor), name.id.0])?;
    tx.names.raise(did, floor);
    strip::begin(tx, did, name.id, floor)?;
    // Texts that no fact holds are gone too.
    tx.changes.push(Change::Touched(name.id));
    Ok(())
}

fn merge_identity(
    tx: &mut Tx<'_>,
    did: &Did,
    time: i64,
    handle: Option<&str>,
) -> rusqlite::Result<()> {
    let name = name_of(tx, did)?;
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE entities SET identity_time = $1, handle = $2
             WHERE id = $3 AND (identity_time IS NULL OR identity_time < $1
                 OR (identity_time = $1 AND coalesce(handle, '') < coalesce($2, '')))",
        )?
        .execute(params![time, handle, name.id.0])?;
    if changed > 0 {
        tx.changes.push(Change::Touched(name.id));
    }
    Ok(())
}
