//! Everything that is live, read once: what the graph is built from.
//!
//! Decoding a row takes longer than reading it, so several connections read, each on a thread of
//! its own, ranges of a table one after another. They all have to see the same commit.

use super::{names::tid, schema::open_reader, strip};
use rhiz_domain::{
    Did, EntityId, RecordKey, Tid,
    fact::{AttestationFact, AttestationKind, Consent, EntityFact, RelationshipFact, Visibility},
    store::Facts,
};
use rusqlite::Connection;
use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

type Report<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// Facts between two reports of progress.
const REPORT: u64 = 16_384;

/// Threads at most: beyond it memory is the limit.
const THREADS: usize = 4;

/// Facts from which on a further thread is worth its connection.
const WORTH_THREADS: usize = 100_000;

/// Ranges for each thread: the busiest one is a small part of all.
const RANGES: usize = 16;

/// Types remembered, so that their records share one text.
const KINDS: usize = 16;

/// Trials to see the same commit with all connections, while somebody writes.
const TRIALS: usize = 8;

/// Counts what one thread has read, and reports it now and then.
struct Counter<'a> {
    /// Accounts of which what is at or below the floor is not there any more.
    gone: &'a HashMap<EntityId, Tid>,
    mine: u64,
    all: &'a AtomicU64,
    total: u64,
    progress: Report<'a>,
}

impl Counter<'_> {
    fn is_live(&self, key: RecordKey, rev: Tid) -> bool {
        self.gone.is_empty() || self.gone.get(&key.owner).is_none_or(|floor| rev > *floor)
    }

    fn step(&mut self) {
        self.mine += 1;
        if self.mine.is_multiple_of(REPORT) {
            let all = self.all.fetch_add(REPORT, Ordering::Relaxed) + REPORT;
            (self.progress)(all, self.total);
        }
    }
}

/// What is in one table.
struct Table {
    name: &'static str,
    rows: usize,
}

/// Reads every fact of one consistent view.
pub(super) fn read(conn: &Connection, progress: Report<'_>) -> rusqlite::Result<Facts> {
    // One read transaction: what commits meanwhile is not seen.
    conn.execute_batch("BEGIN")?;
    let facts = read_view(conn, progress);
    conn.execute_batch("COMMIT")?;
    facts
}

fn read_view(conn: &Connection, progress: Report<'_>) -> rusqlite::Result<Facts> {
    let seq = change(conn)?;
    let table = |name| {
        let rows = conn.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get(0));
        rows.map(|rows| Table { name, rows })
    };
    let entities = table("entities")?;
    let relationships = table("relationships")?;
    let attestations = table("attestations")?;
    let total = entities.rows + relationships.rows + attestations.rows;
    progress(0, total as u64);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
    let mut helpers = helpers(conn, seq, threads.min(1 + total / WORTH_THREADS) - 1)?;
    let all = AtomicU64::new(0);
    let gone = strip::floors(conn)?;
    let counter = || Counter { gone: &gone, mine: 0, all: &all, total: total as u64, progress };
    let facts = Facts {
        seq,
        entities: in_ranges(conn, &mut helpers, &entities, counter, read_entities)?,
        relationships: in_ranges(conn, &mut helpers, &relationships, counter, read_relationships)?,
        attestations: in_ranges(conn, &mut helpers, &attestations, counter, read_attestations)?,
    };
    progress(total as u64, total as u64);
    Ok(facts)
}

/// The number of the last change that a connection sees.
fn change(conn: &Connection) -> rusqlite::Result<u64> {
    conn.query_row("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'change'", [], |row| {
        row.get(0)
    })
}

/// So many more connections that see the same change: every commit that changes a fact has a number
/// of its own. None of them when somebody commits all the time.
fn helpers(conn: &Connection, seq: u64, count: usize) -> rusqlite::Result<Vec<Connection>> {
    let Some(path) = conn.path().filter(|path| !path.is_empty()) else { return Ok(Vec::new()) };
    let mut helpers = Vec::with_capacity(count);
    'next: while helpers.len() < count {
        let helper = open_reader(Path::new(path))?;
        for _ in 0..TRIALS {
            helper.execute_batch("BEGIN")?;
            if change(&helper)? == seq {
                helpers.push(helper);
                continue 'next;
            }
            helper.execute_batch("COMMIT")?;
        }
        break;
    }
    Ok(helpers)
}

/// Reads a table range by range, on the thread of each connection; in the order of its numbers.
fn in_ranges<'a, T: Send>(
    conn: &Connection,
    helpers: &mut [Connection],
    table: &Table,
    counter: impl Fn() -> Counter<'a> + Sync,
    read: fn(&Connection, [i64; 2], &mut Counter<'_>, &mut Vec<T>) -> rusqlite::Result<()>,
) -> rusqlite::Result<Vec<T>> {
    let Table { name, rows } = table;
    if helpers.is_empty() {
        let mut facts = Vec::with_capacity(*rows);
        read(conn, [i64::MIN, i64::MAX], &mut counter(), &mut facts)?;
        return Ok(facts);
    }
    let last: i64 =
        conn.query_row(&format!("SELECT coalesce(max(id), 0) FROM {name}"), [], |r| r.get(0))?;
    let ranges = RANGES * (1 + helpers.len());
    let width = last / ranges as i64 + 1;
    let next = AtomicUsize::new(0);
    let work = |conn: &Connection| -> rusqlite::Result<Vec<(usize, Vec<T>)>> {
        let (mut counter, mut parts) = (counter(), Vec::new());
        loop {
            let range = next.fetch_add(1, Ordering::Relaxed);
            if range >= ranges {
                return Ok(parts);
            }
            let mut part = Vec::with_capacity(rows / ranges);
            let from = if range == 0 { i64::MIN } else { range as i64 * width };
            let to = if range + 1 == ranges { i64::MAX } else { (range as i64 + 1) * width - 1 };
            read(conn, [from, to], &mut counter, &mut part)?;
            parts.push((range, part));
        }
    };
    let mut parts = std::thread::scope(|scope| -> rusqlite::Result<_> {
        let work = &work;
        let others: Vec<_> =
            helpers.iter_mut().map(|helper| scope.spawn(move || work(helper))).collect();
        let mut parts = work(conn)?;
        for other in others {
            // A panic there is a panic here.
            parts.extend(other.join().unwrap_or_else(|p| std::panic::resume_unwind(p))?);
        }
        Ok(parts)
    })?;
    parts.sort_unstable_by_key(|(range, _)| *range);
    let mut facts = Vec::with_capacity(*rows);
    for (_, part) in parts {
        facts.extend(part);
    }
    Ok(facts)
}

fn read_entities(
    conn: &Connection,
    range: [i64; 2],
    counter: &mut Counter<'_>,
    out: &mut Vec<EntityFact>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT id, did, active, EXISTS (SELECT 1 FROM profiles WHERE entity = id)
         FROM entities WHERE id BETWEEN $1 AND $2 ORDER BY id",
    )?;
    let mut rows = statement.query(range)?;
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
    range: [i64; 2],
    counter: &mut Counter<'_>,
    out: &mut Vec<RelationshipFact>,
) -> rusqlite::Result<()> {
    // Most records are of few types: a short list, the last one found first.
    let mut kinds: Vec<Arc<str>> = Vec::new();
    let mut statement = conn.prepare(
        "SELECT subject, owner, rkey, kind, strength, last_interaction, created, rev, signed,
             visibility, consent
         FROM relationships WHERE id BETWEEN $1 AND $2 ORDER BY id",
    )?;
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        counter.step();
        let key = RecordKey { owner: EntityId(row.get(1)?), rkey: tid(row.get(2)?) };
        let rev = tid(row.get(7)?);
        if !counter.is_live(key, rev) {
            continue;
        }
        let kind = row.get_ref(3)?.as_str()?;
        let at = kinds.iter().position(|known| **known == *kind).unwrap_or_else(|| {
            kinds.truncate(KINDS - 1);
            kinds.push(kind.into());
            kinds.len() - 1
        });
        kinds.swap(0, at);
        let kind = Arc::clone(&kinds[0]);
        let signed: u8 = row.get(8)?;
        out.push(RelationshipFact {
            key,
            subject: EntityId(row.get(0)?),
            kind,
            strength: row.get(4)?,
            last_interaction: row.get(5)?,
            created: row.get(6)?,
            rev,
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
    range: [i64; 2],
    counter: &mut Counter<'_>,
    out: &mut Vec<AttestationFact>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT target_owner, target_rkey, attester, rkey, kind, confidence, effective, rev
         FROM attestations WHERE id BETWEEN $1 AND $2 ORDER BY id",
    )?;
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        let kind: usize = row.get(4)?;
        let Some(kind) = AttestationKind::ALL.get(kind).copied() else { continue };
        counter.step();
        let key = RecordKey { owner: EntityId(row.get(2)?), rkey: tid(row.get(3)?) };
        let rev = tid(row.get(7)?);
        if !counter.is_live(key, rev) {
            continue;
        }
        out.push(AttestationFact {
            key,
            target: RecordKey { owner: EntityId(row.get(0)?), rkey: tid(row.get(1)?) },
            kind,
            confidence: row.get(5)?,
            effective: row.get(6)?,
            rev,
        });
    }
    Ok(())
}
