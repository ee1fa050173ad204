//! The file itself: damaged, foreign, from another version, and what is left of it after a close.

use crate::Database;
use rhiz_domain::{
    clock::ManualClock,
    store::{Index, Intake, Journal, Store, StoreError},
};
use rhiz_store::SqliteStore;
use rhiz_testkit::{
    events::{at, relationship},
    store::applied,
};
use std::sync::Arc;

fn open(database: &Database) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&database.path(), Arc::new(ManualClock::at(at(0))))
}

#[test]
fn what_is_no_database_is_told() {
    let database = Database::new();
    std::fs::write(database.path(), "this is a letter to my aunt, and long enough for a header")
        .unwrap();
    let error = open(&database).err().unwrap();
    assert!(
        matches!(&error, StoreError::Corrupt(why) if why.contains("not a database")),
        "{error}"
    );
}

#[test]
fn a_place_that_cannot_be_written_is_told() {
    let path = std::path::Path::new("no/such/directory/rhiz.db");
    let error = SqliteStore::open(path, Arc::new(ManualClock::at(at(0)))).err().unwrap();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let database = Database::new();
    open(&database).unwrap().close().await;
    let conn = rusqlite::Connection::open(database.path()).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    match open(&database).err() {
        Some(StoreError::Newer { found: 99, known }) => assert!(known < 99),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_close_leaves_one_file_that_is_whole() {
    let database = Database::new();
    let store = open(&database).unwrap();
    let events = (0..500).map(|n| relationship("did:plc:a", "did:plc:b").rev(n).build()).collect();
    store.append(Intake { events, ..Intake::default() }).await.unwrap();
    assert_eq!(store.counts().await.unwrap().journal, 500);
    store.close().await;
    let dir = database.path().parent().unwrap().to_owned();
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let wal = database.path().with_extension("db-wal");
    let left = wal.metadata().map_or(0, |m| m.len());
    assert_eq!(left, 0, "{names:?}");
    let conn = rusqlite::Connection::open(database.path()).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    // Every commit is flushed, for that is what an answer promises.
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

/// Wherever a page is overwritten that is in use: it keeps the database from being opened, or is
/// found.
#[tokio::test]
async fn a_damaged_page_is_found() {
    let database = Database::new();
    let store = open(&database).unwrap();
    let people = ["a", "b", "c"].map(|name| format!("did:plc:{name}"));
    let events =
        (0..2_000).map(|n| relationship(&people[n % 3], &people[(n + 1) % 3]).rev(n as i64));
    let events = events.map(|draft| draft.build()).collect();
    store.append(Intake { events, ..Intake::default() }).await.unwrap();
    for _ in 0..2 {
        let mut claim = store.claim([0, 300, 0, 0]).await.unwrap().unwrap();
        claim.settle(applied(&*claim)).await.unwrap();
    }
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    store.close().await;
    let free: usize = rusqlite::Connection::open(database.path())
        .unwrap()
        .pragma_query_value(None, "freelist_count", |row| row.get(0))
        .unwrap();
    let whole = std::fs::read(database.path()).unwrap();
    const PAGE: usize = 4096;
    let (mut found, mut missed, mut refused) = (0, 0, 0);
    for page in 1..whole.len() / PAGE {
        let mut bytes = whole.clone();
        bytes[page * PAGE..(page + 1) * PAGE].fill(0xA5);
        let copy = Database::new();
        std::fs::write(copy.path(), bytes).unwrap();
        match open(&copy) {
            Err(StoreError::Corrupt(_)) => refused += 1,
            Err(other) => panic!("page {page}: {other}"),
            Ok(store) => {
                let lines = store.check().await.unwrap();
                assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
                if lines.is_empty() {
                    missed += 1;
                } else {
                    found += 1;
                }
                store.close().await;
            }
        }
    }
    assert!(found > 20 && refused > 20, "{found} found, {refused} refused");
    assert!(missed <= free, "{missed} missed, where {free} are free");
}
