//! Answers from what was merged.

use super::{
    names::{column, tid},
    row::time,
};
use rhiz_domain::{
    Collection, Did, EntityId, Tid, canonical,
    records::EntityType,
    store::{Counts, EntityRow, ProfileRow, RecordRow},
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

const ENTITY: &str =
    "SELECT e.id, e.did, e.handle, p.name, p.type, p.bio, p.avatar_url, p.verified,
        p.created, p.made, r.hash, r.cid
    FROM entities e
    LEFT JOIN profiles p ON p.entity = e.id
        AND p.made = (SELECT min(made) FROM profiles WHERE entity = e.id)
    LEFT JOIN records r ON r.owner = e.id AND r.collection = 3 AND r.rkey = 0";

fn entity_row(conn: &Connection, row: &Row<'_>) -> rusqlite::Result<EntityRow> {
    let id = EntityId(row.get(0)?);
    let name: Option<String> = row.get(3)?;
    let profile = match name {
        None => None,
        Some(name) => {
            let kind: String = row.get(4)?;
            let from_record = row.get::<_, i64>(9)? == 0;
            Some(ProfileRow {
                name,
                entity_type: EntityType::parse(&kind).unwrap_or(EntityType::Person),
                bio: row.get(5)?,
                avatar_url: row.get(6)?,
                verified: row.get(7)?,
                created_at: time(row.get(8)?),
                cid: if from_record { cid(row, 10, 11)? } else { None },
            })
        }
    };
    let (first, newest) = dates(conn, id)?;
    let did: String = row.get(1)?;
    Ok(EntityRow {
        id,
        did: Did::parse(&did).map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, e.into())
        })?,
        handle: row.get(2)?,
        created_at: profile.as_ref().map(|p| p.created_at).or_else(|| first.map(time)),
        updated_at: newest.map(|rev| tid(rev).time()),
        profile,
    })
}

/// Of the live records that name an entity: the first date, and the newest revision. A private
/// record names nobody, nor does an attestation of one name its owner; what an account that is not
/// active says counts nowhere, nor does what a deleted one has left (`strip`).
fn dates(conn: &Connection, id: EntityId) -> rusqlite::Result<(Option<i64>, Option<i64>)> {
    conn.prepare_cached(
        "WITH f AS (SELECT floor FROM entities WHERE id = $1)
         SELECT min(created), max(rev) FROM (
             SELECT l.created, l.rev FROM relationships l JOIN entities o ON o.id = l.owner
                 WHERE l.subject = $1 AND l.visibility < 2 AND o.active AND l.rev > o.floor
             UNION ALL
             SELECT l.created, l.rev FROM f, records r JOIN relationships l ON l.id = r.id
                 WHERE r.owner = $1 AND r.collection = 1 AND l.visibility < 2 AND l.rev > f.floor
             UNION ALL
             SELECT a.effective, a.rev FROM attestations a JOIN entities o ON o.id = a.attester
                 WHERE a.target_owner = $1 AND o.active AND a.rev > o.floor AND NOT EXISTS (
                     SELECT 1 FROM f, records t JOIN relationships l ON l.id = t.id
                         WHERE t.owner = a.target_owner AND t.collection = 1
                             AND t.rkey = a.target_rkey AND l.visibility = 2
                             AND l.rev > f.floor)
             UNION ALL
             SELECT a.effective, a.rev FROM f, records r JOIN attestations a ON a.id = r.id
                 WHERE r.owner = $1 AND r.collection = 2 AND a.rev > f.floor
             UNION ALL
             SELECT NULL, rev FROM records
                 WHERE owner = $1 AND collection = 3 AND body IS NOT NULL)",
    )?
    .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn cid(row: &Row<'_>, hash: usize, given: usize) -> rusqlite::Result<Option<String>> {
    match row.get::<_, Option<String>>(given)? {
        Some(given) => Ok(Some(given)),
        None => Ok(row.get::<_, Option<[u8; 32]>>(hash)?.map(|hash| canonical::cid(&hash))),
    }
}

pub(super) fn entity(conn: &Connection, did: &str) -> rusqlite::Result<Option<EntityRow>> {
    conn.prepare_cached(&format!("{ENTITY} WHERE e.did = $1"))?
        .query_row([did], |row| entity_row(conn, row))
        .optional()
}

pub(super) fn entity_by_handle(
    conn: &Connection,
    handle: &str,
) -> rusqlite::Result<Option<EntityRow>> {
    conn.prepare_cached(&format!(
        "{ENTITY} WHERE e.handle = $1 ORDER BY e.identity_time DESC, e.did LIMIT 1"
    ))?
    .query_row([handle], |row| entity_row(conn, row))
    .optional()
}

pub(super) fn entities(conn: &Connection, ids: &[EntityId]) -> rusqlite::Result<Vec<EntityRow>> {
    let mut statement = conn.prepare_cached(&format!("{ENTITY} WHERE e.id = $1"))?;
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.extend(statement.query_row([id.0], |row| entity_row(conn, row)).optional()?);
    }
    Ok(rows)
}

/// The least text that is greater than all that start with `prefix`.
fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

/// Words of a query that are looked for; more only narrow what a name of 200 characters holds, and
/// SQLite takes no expression of any depth.
const MOST_WORDS: usize = 32;

pub(super) fn search(
    conn: &Connection,
    query: Option<&str>,
    after: Option<EntityId>,
    limit: usize,
) -> rusqlite::Result<Vec<EntityId>> {
    let after = after.map_or(0, |id| i64::from(id.0));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = query.map(str::trim).filter(|q| !q.is_empty());
    let mut words = query.map(super::merge::terms).unwrap_or_default();
    words.sort_unstable();
    words.dedup();
    words.truncate(MOST_WORDS);
    let mut sql = String::from("SELECT id FROM entities WHERE id > ?");
    let mut values: Vec<rusqlite::types::Value> = vec![after.into()];
    if let Some(query) = query {
        let lower = query.trim_start_matches('@').to_lowercase();
        sql.push_str(" AND (id IN (SELECT id FROM entities WHERE did >= ? AND did < ?)");
        values.push(query.to_owned().into());
        values.push(after_prefix(query).into());
        if !lower.is_empty() {
            sql.push_str(" OR id IN (SELECT id FROM entities WHERE handle >= ? AND handle < ?)");
            values.push(lower.clone().into());
            values.push(after_prefix(&lower).into());
        }
        if !words.is_empty() {
            sql.push_str(" OR (1");
            for word in words {
                sql.push_str(" AND id IN (SELECT entity FROM terms WHERE term >= ? AND term < ?)");
                values.push(word.clone().into());
                values.push(after_prefix(&word).into());
            }
            sql.push(')');
        }
        sql.push(')');
    }
    sql.push_str(" ORDER BY id LIMIT ?");
    values.push(limit.into());
    conn.prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| Ok(EntityId(row.get(0)?)))?
        .collect()
}

pub(super) fn record(
    conn: &Connection,
    owner: EntityId,
    collection: Collection,
    rkey: Tid,
) -> rusqlite::Result<Option<RecordRow>> {
    conn.prepare_cached(
        "SELECT hash, cid, rev, body, verified, indexed_at FROM records
         WHERE owner = $1 AND collection = $2 AND rkey = $3 AND body IS NOT NULL
             AND rev > (SELECT floor FROM entities WHERE id = $1)",
    )?
    .query_row(params![owner.0, collection as i64, column(rkey)], |row| {
        Ok(RecordRow {
            owner,
            rkey,
            cid: cid(row, 0, 1)?.unwrap_or_default(),
            rev: tid(row.get(2)?),
            body: row.get(3)?,
            verified: row.get(4)?,
            indexed_at: time(row.get(5)?),
        })
    })
    .optional()
}

pub(super) fn counts(conn: &Connection) -> rusqlite::Result<Counts> {
    // One view of all tables.
    let conn = &*conn.unchecked_transaction()?;
    let count = |table: &str| {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u64>(0))
    };
    // Of accounts that are being stripped: what is not live any more, and still there.
    let left = |collection: Collection| {
        conn.query_row(
            "SELECT count(*) FROM stripping s JOIN entities e ON e.id = s.entity
                 JOIN records r ON r.owner = s.entity
             WHERE r.collection = $1 AND r.rev <= e.floor AND r.subject IS NOT NULL",
            [collection as i64],
            |row| row.get::<_, u64>(0),
        )
    };
    let live = |table: &str, collection| {
        Ok::<_, rusqlite::Error>(count(table)?.saturating_sub(left(collection)?))
    };
    Ok(Counts {
        entities: count("entities")?,
        relationships: live("relationships", Collection::Relationship)?,
        attestations: live("attestations", Collection::Attestation)?,
        profiles: count("profiles")?,
        records: count("records")?,
        journal: count("journal")?,
        dead_letters: count("dead_letters")?,
    })
}

/// Every row that a merge decides about, with DIDs for numbers: those depend on who came first.
/// What is about to be stripped (`gone`) is as it will be.
const DUMP: [&str; 6] = [
    "SELECT 'entity ' || did, active, coalesce(status, '-'), coalesce(account_time, '-'), floor,
         coalesce(handle, '-'), coalesce(identity_time, '-')
     FROM entities WHERE account_time IS NOT NULL OR identity_time IS NOT NULL ORDER BY did",
    "SELECT 'record ' || o.did, r.collection, r.rkey, r.class, r.rev, r.deleted, hex(r.hash),
         r.verified, coalesce(iif(g.id, NULL, s.did), '-'),
         coalesce(iif(g.id, NULL, r.subject_rkey), '-'), coalesce(iif(g.id, NULL, r.cid), '-'),
         coalesce(iif(g.id, NULL, r.body), '-')
     FROM records r JOIN entities o ON o.id = r.owner LEFT JOIN entities s ON s.id = r.subject
         LEFT JOIN gone g ON g.id = r.owner AND r.rev <= g.floor
     ORDER BY o.did, r.collection, r.rkey",
    "SELECT 'relationship ' || s.did, o.did, r.rkey, r.kind, r.strength,
         coalesce(r.last_interaction, '-'), r.created, r.rev, r.signed, r.visibility, r.consent
     FROM relationships r JOIN entities o ON o.id = r.owner JOIN entities s ON s.id = r.subject
         LEFT JOIN gone g ON g.id = r.owner AND r.rev <= g.floor
     WHERE g.id IS NULL ORDER BY s.did, o.did, r.rkey",
    "SELECT 'attestation ' || t.did, r.target_rkey, o.did, r.rkey, r.kind, r.confidence,
         r.effective, r.rev
     FROM attestations r JOIN entities o ON o.id = r.attester
         JOIN entities t ON t.id = r.target_owner
         LEFT JOIN gone g ON g.id = r.attester AND r.rev <= g.floor
     WHERE g.id IS NULL ORDER BY t.did, r.target_rkey, o.did, r.rkey",
    "SELECT 'profile ' || e.did, p.made, p.name, p.type, coalesce(p.bio, '-'),
         coalesce(p.avatar_url, '-'), p.verified, p.created
     FROM profiles p JOIN entities e ON e.id = p.entity ORDER BY e.did, p.made",
    "SELECT 'term ' || t.term, e.did FROM terms t JOIN entities e ON e.id = t.entity
     ORDER BY t.term, e.did",
];

/// Accounts that are being stripped, and their floors.
const GONE: &str = "WITH gone AS MATERIALIZED (
    SELECT e.id, e.floor FROM stripping s JOIN entities e ON e.id = s.entity)";

pub(super) fn dump(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let conn = &*conn.unchecked_transaction()?;
    let mut lines = Vec::new();
    for query in DUMP {
        let mut statement = conn.prepare(&format!("{GONE} {query}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut line = String::new();
            for i in 0..columns {
                if i > 0 {
                    line.push(' ');
                }
                match row.get_ref(i)? {
                    rusqlite::types::ValueRef::Text(t) => {
                        line.push_str(&String::from_utf8_lossy(t));
                    }
                    rusqlite::types::ValueRef::Integer(n) => line.push_str(&n.to_string()),
                    other => line.push_str(&format!("{other:?}")),
                }
            }
            lines.push(line);
        }
    }
    Ok(lines)
}
