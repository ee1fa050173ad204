//! The schema, and how an older one becomes today's.

use crate::error::from_sqlite;
use rhiz_domain::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Each brings the schema from its index to the next version.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
];

/// Older versions can corrupt a WAL under concurrent checkpoints (fixed in 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;

/// 64 MiB of pages: the hot part of an index of a million records.
const CACHE_KIB: i64 = 64 * 1024;

/// Opens the one connection that writes, and brings the schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(StoreError::Corrupt(format!(
            "SQLite {} is too old to be trusted with a WAL: 3.51.3 or newer is needed",
            rusqlite::version()
        )));
    }
    let mut conn = Connection::open(path).map_err(|e| from_sqlite(&e))?;
    if is_foreign(&conn).map_err(|e| from_sqlite(&e))? {
        let what = "it is the database of another program, and is left as it is";
        return Err(StoreError::Corrupt(what.into()));
    }
    configure(&conn).map_err(|e| from_sqlite(&e))?;
    migrate(&mut conn)?;
    Ok(conn)
}

/// Tables that no migration of ours made.
fn is_foreign(conn: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    Ok(tables > 0 && version(conn)? == 0)
}

fn configure(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(std::time::Duration::from_millis(250))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(conn: &mut Connection) -> Result<(), StoreError> {
    let known = MIGRATIONS.len() as i64;
    let sql = |e: rusqlite::Error| from_sqlite(&e);
    let found = version(conn).map_err(sql)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (i, step) in MIGRATIONS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        let tx = conn.transaction().map_err(sql)?;
        tx.execute_batch(step).map_err(sql)?;
        tx.pragma_update(None, "user_version", i as i64 + 1).map_err(sql)?;
        tx.commit().map_err(sql)?;
    }
    Ok(())
}

/// The version of the schema in the file; 0 for an empty one.
fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Opens a connection that only copies the WAL back. It waits for nobody.
pub(super) fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::ZERO)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_millis(250))?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB / 4)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::row::{EVENT, event};

    /// What the first version wrote is read as it was meant.
    #[test]
    fn an_older_database_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rhiz.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute(
            "INSERT INTO journal (seq, priority, event_id, event_type, did, accepted_at,
                 retry_count, origin, verified, payload)
             VALUES (7, 1, 'x', 'trust.invalidated', 'did:plc:a', 5000000, 0, 'api', 0, '{}')",
            [],
        )
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let conn = open_writer(&path).unwrap();
            assert_eq!(version(&conn).unwrap(), MIGRATIONS.len() as i64);
            let sql = format!("SELECT {EVENT} FROM journal WHERE seq = 7");
            let event = conn.query_row(&sql, [], event).unwrap();
            assert_eq!((event.event_id.as_str(), event.replayed_at), ("x", None));
            assert_eq!(event.under_way_since().as_second(), 5);
        }
    }

    /// What was there before is counted like what comes.
    #[test]
    fn older_dead_letters_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rhiz.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let letter = "INSERT INTO dead_letters (event_id, did, priority, retry_count, accepted_at,
                died_at, origin, verified, replayable, stages, last_error, payload)
            VALUES ('x', $1, 1, 0, 0, 0, 'api', 0, $2, '[]', '', '{}')";
        for (did, replayable) in [(Some("did:plc:a"), 1), (Some("did:plc:a"), 0), (None, 0)] {
            old.execute(letter, rusqlite::params![did, replayable]).unwrap();
        }
        drop(old);
        let conn = open_writer(&path).unwrap();
        let counts = || -> Vec<(String, i64, i64)> {
            let mut all = conn.prepare("SELECT * FROM dead_counts ORDER BY did").unwrap();
            let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
        };
        let told = |did: &str, letters, replayable| (did.to_owned(), letters, replayable);
        assert_eq!(counts(), [told("", 1, 0), told("*", 3, 1), told("did:plc:a", 2, 1)]);
        conn.execute("DELETE FROM dead_letters WHERE did IS NULL", []).unwrap();
        conn.execute(letter, rusqlite::params!["did:plc:b", 1]).unwrap();
        let now = [told("*", 3, 2), told("did:plc:a", 2, 1), told("did:plc:b", 1, 1)];
        assert_eq!(counts(), now);
    }
}
