//! A row that cannot be read is given up, and keeps nobody waiting.

use crate::Database;
use rhiz_domain::{
    Clock, Priority,
    clock::ManualClock,
    store::{
        Act, DeadFilter, DeadLetter, DeadSelection, Index, Intake, Journal, Moved, Store,
        Whereabouts,
    },
};
use rhiz_store::SqliteStore;
use rhiz_testkit::{
    events::{at, relationship},
    store::{ALL, applied, id, ids},
};
use std::sync::Arc;

fn open(database: &Database) -> SqliteStore {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(at(1_000_000)));
    SqliteStore::open(&database.path(), clock).unwrap()
}

/// Three events that wait, the second one damaged by `sql`; closed in order, or not.
async fn damaged(database: &Database, sql: &str, in_order: bool) {
    let store = open(database);
    let events = ["first", "second", "third"]
        .map(|name| relationship("did:plc:a", "did:plc:b").id(name).at(1_000_000).build())
        .into();
    store.append(Intake { events, ..Intake::default() }).await.unwrap();
    if in_order {
        store.close().await;
    }
    drop(store);
    change(database, sql);
}

fn change(database: &Database, sql: &str) {
    let conn = rusqlite::Connection::open(database.path()).unwrap();
    conn.execute_batch("PRAGMA ignore_check_constraints = 1").unwrap();
    let changed = conn.execute(&format!("{sql} WHERE event_id = 'second'"), []).unwrap();
    assert_eq!(changed, 1);
}

async fn letters(store: &SqliteStore) -> Vec<DeadLetter> {
    let filter = DeadFilter { limit: 10, ..DeadFilter::default() };
    store.dead_letters(filter).await.unwrap().letters
}

/// Works on all there is; answers with the names of what was handed out, and how many were given up.
async fn work(store: &SqliteStore) -> (Vec<String>, usize) {
    let (mut names, mut given_up) = (Vec::new(), 0);
    while let Some(mut claim) = store.claim(ALL).await.unwrap() {
        names.extend(ids(&*claim));
        given_up += claim.given_up();
        let settlements = applied(&*claim);
        claim.settle(settlements).await.unwrap();
    }
    (names, given_up)
}

/// What was done to the row, what the letter says of it, and whether it can be replayed.
const DAMAGE: &[(&str, &str, bool)] = &[
    ("UPDATE journal SET payload = '{\"half\": '", "payload", false),
    ("UPDATE journal SET payload = x'ff00fe'", "payload: it is of type Blob", false),
    ("UPDATE journal SET payload = CAST(x'22ff22' AS TEXT)", "payload: invalid utf-8", false),
    ("UPDATE journal SET event_type = 'dream.dreamt'", "\"dream.dreamt\": an unknown type", true),
    ("UPDATE journal SET did = 'nobody'", "did: \"nobody\"", false),
    ("UPDATE journal SET event_id = 'sec ond'", "event_id: \"sec ond\"", false),
    ("UPDATE journal SET priority = 9", "priority: 9", false),
    ("UPDATE journal SET priority = 'urgent'", "priority", false),
    ("UPDATE journal SET accepted_at = 'yesterday'", "accepted_at", true),
    ("UPDATE journal SET retry_count = -1", "retry_count: -1 is out of range", true),
    ("UPDATE journal SET stages = '[{'", "stages", true),
    ("UPDATE journal SET replayed_at = 'x'", "replayed_at", true),
];

#[tokio::test]
async fn a_row_that_cannot_be_read_becomes_a_dead_letter() {
    for (sql, reason, replayable) in DAMAGE {
        for in_order in [true, false] {
            let database = Database::new();
            damaged(&database, sql, in_order).await;
            let raw: Vec<u8> = rusqlite::Connection::open(database.path())
                .unwrap()
                .query_row(
                    "SELECT CAST(payload AS BLOB) FROM journal ORDER BY seq LIMIT 1 OFFSET 1",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            let store = open(&database);
            let (names, given_up) = work(&store).await;
            assert_eq!((names, given_up), (vec!["first".into(), "third".into()], 1), "{sql}");
            assert_eq!(store.counts().await.unwrap().journal, 0);
            assert_eq!(store.depths().waiting(), 0);
            assert_eq!(store.depths().bytes, 0);
            let [letter] = &letters(&store).await[..] else { panic!("{sql}") };
            assert!(letter.last_error.contains(reason), "{sql}: {}", letter.last_error);
            assert_eq!(letter.payload, raw, "{sql}");
            let name = if sql.contains("event_id") { "damaged-2" } else { "second" };
            assert_eq!(letter.event_id.as_str(), name);
            assert_eq!(letter.priority, Priority::Normal);
            match store.find(&id(name)).await.unwrap() {
                Some(Whereabouts::Dead(found)) => assert_eq!(found.id, letter.id),
                other => panic!("{sql}: {other:?}"),
            }
            let which = DeadSelection::Events(vec![letter.event_id.clone()]);
            let moved = store.replay(&which, 9, &mut Act::by("me")).await.unwrap();
            let (done, impossible) = if *replayable { (1, 0) } else { (0, 1) };
            assert_eq!(moved, Moved { done, impossible, more: false }, "{sql}");
            work(&store).await;
            store.close().await;
        }
    }
}

/// The newer version is back, and knows its type.
#[tokio::test]
async fn what_a_newer_version_wrote_can_be_replayed_by_it() {
    let database = Database::new();
    damaged(&database, "UPDATE journal SET event_type = 'dream.dreamt'", true).await;
    let store = open(&database);
    work(&store).await;
    store.close().await;
    change(&database, "UPDATE dead_letters SET event_type = 'relationship.created'");
    let store = open(&database);
    let which = DeadSelection::Filter(DeadFilter::default());
    assert_eq!(store.replay(&which, 9, &mut Act::by("me")).await.unwrap().done, 1);
    assert_eq!(work(&store).await, (vec!["second".into()], 0));
}

/// While it is waiting for another attempt, when it is read again.
#[tokio::test]
async fn a_row_that_is_damaged_or_gone_in_use_keeps_nobody_waiting() {
    for sql in ["UPDATE journal SET did = 'nobody'", "DELETE FROM journal"] {
        let database = Database::new();
        damaged(&database, "UPDATE journal SET due = 5", true).await;
        let store = open(&database);
        change(&database, sql);
        store.wake(at(1_000_000)).await.unwrap();
        assert_eq!(work(&store).await, (vec!["first".into(), "third".into()], 1));
        let left = letters(&store).await.len();
        assert_eq!(left, usize::from(sql.starts_with("UPDATE")));
        assert_eq!(store.depths().waiting(), 0);
    }
}

/// One letter that is damaged does not hide the others.
#[tokio::test]
async fn a_damaged_letter_fails_no_list() {
    for damage in [
        "event_id = ''",
        "event_type = x'ff'",
        "did = 'x'",
        "priority = 7",
        "retry_count = -3",
        "accepted_at = 'x'",
        "stages = '{'",
        "last_error = x'00'",
        "payload = 5",
    ] {
        let database = Database::new();
        damaged(&database, "UPDATE journal SET did = 'nobody'", true).await;
        let store = open(&database);
        work(&store).await;
        change(&database, &format!("UPDATE dead_letters SET {damage}"));
        assert_eq!(letters(&store).await.len(), 1, "{damage}");
    }
}
