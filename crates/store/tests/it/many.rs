//! Facts of so many rows that several connections read them.

use crate::Database;
use rhiz_domain::{
    clock::ManualClock,
    store::{Index, Store},
};
use rhiz_store::SqliteStore;
use rhiz_testkit::events::at;
use rusqlite::{Connection, params};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

const PEOPLE: u32 = 1_000;
const RELATIONSHIPS: u32 = 200_000;

fn insert(conn: &Connection, n: u32) {
    let (owner, subject) = (n % PEOPLE + 1, n / 7 % (PEOPLE / 2) + 1);
    conn.prepare_cached(
        "INSERT INTO relationships (id, subject, owner, rkey, kind, strength, created, rev, signed,
             visibility, consent)
         VALUES (2 * ?3 + 1, ?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0)",
    )
    .unwrap()
    .execute(params![subject, owner, n, format!("type {}", n % 40), n % 101])
    .unwrap();
}

/// A store with many rows that no pipeline made.
async fn database() -> (Database, SqliteStore) {
    let database = Database::new();
    let open = || SqliteStore::open(&database.path(), Arc::new(ManualClock::at(at(0)))).unwrap();
    open().close().await;
    let mut conn = Connection::open(database.path()).unwrap();
    let tx = conn.transaction().unwrap();
    for id in 1..=PEOPLE {
        tx.prepare_cached("INSERT INTO entities (id, did) VALUES ($1, $2)")
            .unwrap()
            .execute(params![id, format!("did:web:p{id}.example")])
            .unwrap();
    }
    for n in 0..RELATIONSHIPS {
        insert(&tx, n);
    }
    for n in 0..1_000 {
        tx.prepare_cached(
            "INSERT INTO attestations VALUES (2 * ?2 + 2, ?1, ?2, ?3, ?2, 0, 90, 0, 0)",
        )
        .unwrap()
        .execute(params![n % PEOPLE + 1, n, (n + 1) % PEOPLE + 1])
        .unwrap();
    }
    tx.commit().unwrap();
    let store = open();
    (database, store)
}

#[tokio::test]
async fn every_row_is_read_once_and_in_order() {
    let (_database, store) = database().await;
    let told = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&told);
    let total = u64::from(RELATIONSHIPS + PEOPLE + 1_000);
    let facts = store
        .facts(Arc::new(move |done, all| {
            assert!(done <= all && all == total);
            seen.fetch_max(done, Ordering::Relaxed);
        }))
        .await
        .unwrap();
    assert_eq!(told.load(Ordering::Relaxed), total);
    assert!(facts.entities.iter().map(|e| e.id.0).eq(1..=PEOPLE));
    assert_eq!(facts.attestations.len(), 1_000);
    let numbers = facts.relationships.iter().map(|r| {
        let n = r.key.rkey.to_u64() as u32;
        assert_eq!(*r.kind, *format!("type {}", n % 40));
        assert_eq!((r.key.owner.0, u32::from(r.strength)), (n % PEOPLE + 1, n % 101));
        n
    });
    assert!(numbers.eq(0..RELATIONSHIPS));
}

/// Each commit adds one relationship and one to the number of the change: whatever is read while
/// commits go on, the two agree.
#[tokio::test]
async fn all_connections_see_one_commit() {
    let (database, store) = database().await;
    let conn = Connection::open(database.path()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (wrote, has_written) = std::sync::mpsc::channel();
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            conn.pragma_update(None, "synchronous", "OFF").unwrap();
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                let tx = conn.unchecked_transaction().unwrap();
                insert(&tx, RELATIONSHIPS + n);
                tx.execute("INSERT OR REPLACE INTO meta VALUES ('change', $1)", [n]).unwrap();
                tx.commit().unwrap();
                // Heard once; nobody listens after that.
                let _ = wrote.send(());
            }
        }
    });
    has_written.recv().unwrap();
    drop(has_written);
    let mut last = 0;
    for _ in 0..5 {
        let facts = store.facts(Arc::new(|_, _| ())).await.unwrap();
        assert_eq!(facts.relationships.len() as u64, u64::from(RELATIONSHIPS) + facts.seq);
        assert!(facts.seq > 0 && facts.seq >= last);
        last = facts.seq;
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}
