//! Derived rows that somebody damaged, and what a rebuild makes of them.

use crate::Database;
use rhiz_domain::store::{Mended, Rebuild, Rebuilt};
use rhiz_testkit::{
    events::{attestation, deleted, profile, relationship},
    store::Rig,
};
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const A: &str = "did:plc:a";
const B: &str = "did:plc:b";
const C: &str = "did:plc:c";
const D: &str = "did:plc:d";

/// A few records of each kind, one deleted account.
async fn rig() -> (Rig, PathBuf) {
    let database = Database::new();
    let path = database.path();
    let rig = Rig::new(database).await;
    rig.apply([
        relationship(A, B).key(1),
        relationship(B, A).key(1),
        relationship(C, A).key(1).privacy("private", "anonymous"),
        relationship(D, A).key(1),
        attestation(C, A, 1),
        attestation(A, B, 1).says("dispute"),
        profile(A, "Ada Lovelace"),
        profile(B, "Bob"),
        deleted(D, 9_000),
    ])
    .await;
    (rig, path)
}

/// Runs SQL on the file, where @a is the number of did:plc:a and so on.
fn run(path: &Path, sql: &str) {
    let sql = ["a", "b", "c", "d"].into_iter().fold(sql.to_owned(), |sql, who| {
        let number = format!("(SELECT id FROM entities WHERE did = 'did:plc:{who}')");
        sql.replace(&format!("@{who}"), &number)
    });
    Connection::open(path).unwrap().execute_batch(&sql).unwrap();
}

async fn rebuild(rig: &Rig) -> Rebuilt {
    rig.store.rebuild(Rebuild::Mend, Arc::new(|_, _| ())).await.unwrap()
}

/// Damages the file of a store, and answers with what a rebuild counted. The rows are as before.
async fn mended(damage: &str) -> Rebuilt {
    let (rig, path) = rig().await;
    let before = rig.store.dump().await.unwrap();
    run(&path, damage);
    let damaged = rig.store.dump().await.unwrap();
    assert_ne!(damaged, before, "nothing is damaged by {damage}");
    let (last, none) = (rig.store.last_change(), Arc::new(|_, _| ()));
    let looked = rig.store.rebuild(Rebuild::Look, none).await.unwrap();
    assert_eq!(rig.store.dump().await.unwrap(), damaged, "looking changes nothing");
    assert_eq!(rig.store.last_change(), last);
    let rebuilt = rebuild(&rig).await;
    // Mended names have words already; those looked at only have not.
    assert!(looked.names >= rebuilt.names);
    assert_eq!(Rebuilt { names: rebuilt.names, ..looked }, rebuilt, "{damage}");
    assert_eq!(rig.store.dump().await.unwrap(), before, "{damage}");
    assert_eq!(rebuild(&rig).await.wrong(), 0, "once is enough: {damage}");
    Rebuilt { records: 0, ..rebuilt }
}

fn added(added: u64) -> Mended {
    Mended { added, ..Mended::default() }
}

fn changed(changed: u64) -> Mended {
    Mended { changed, ..Mended::default() }
}

fn removed(removed: u64) -> Mended {
    Mended { removed, ..Mended::default() }
}

#[tokio::test]
async fn missing_rows_come_back() {
    let all = "DELETE FROM relationships; DELETE FROM attestations; DELETE FROM profiles;
        DELETE FROM terms; UPDATE records SET subject = NULL, subject_rkey = NULL;";
    let rebuilt = Rebuilt {
        references: 7,
        relationships: added(3),
        attestations: added(2),
        profiles: added(2),
        ..Rebuilt::default()
    };
    assert_eq!(mended(all).await, rebuilt);
}

#[tokio::test]
async fn rows_that_say_something_else_are_corrected() {
    let some = |what| Rebuilt { relationships: changed(what), ..Rebuilt::default() };
    assert_eq!(mended("UPDATE relationships SET visibility = 0 WHERE owner = @c").await, some(1));
    assert_eq!(mended("UPDATE relationships SET strength = 4711, kind = x'ff'").await, some(3));
    assert_eq!(mended("UPDATE relationships SET owner = @c, rkey = rkey + id").await, some(3));
    let attestations = Rebuilt { attestations: changed(2), ..Rebuilt::default() };
    assert_eq!(mended("UPDATE attestations SET kind = 9, target_rkey = 0").await, attestations);
    let names = Rebuilt { profiles: changed(2), ..Rebuilt::default() };
    assert_eq!(mended("UPDATE profiles SET name = 'Nobody', verified = 1").await, names);
}

#[tokio::test]
async fn rows_without_a_record_are_removed() {
    let relationships = "INSERT INTO relationships
        SELECT id + 1000000, subject, owner, rkey + 1, kind, strength, last_interaction, created,
            rev, signed, visibility, consent FROM relationships";
    let rebuilt = Rebuilt { relationships: removed(3), ..Rebuilt::default() };
    assert_eq!(mended(relationships).await, rebuilt);
    // The deleted account's, under the number of its own record.
    let dead = "INSERT INTO relationships
        SELECT id, @a, @d, 5, 'family', 50, 0, 0, 0, 0, 0, 0 FROM records WHERE owner = @d";
    let rebuilt = Rebuilt { relationships: removed(1), ..Rebuilt::default() };
    assert_eq!(mended(dead).await, rebuilt);
    let attestations = "INSERT INTO attestations
        SELECT id + 7, target_owner, target_rkey, attester, rkey, kind, confidence, effective, rev
        FROM attestations ORDER BY id DESC LIMIT 1";
    let rebuilt = Rebuilt { attestations: removed(1), ..Rebuilt::default() };
    assert_eq!(mended(attestations).await, rebuilt);
    let profiles = "INSERT INTO profiles SELECT @c, 0, 'Ghost', 'person', NULL, NULL, 0, 0;
        INSERT INTO terms SELECT 'ghost', @c";
    let rebuilt = Rebuilt { profiles: removed(1), names: 1, ..Rebuilt::default() };
    assert_eq!(mended(profiles).await, rebuilt);
}

#[tokio::test]
async fn words_of_names_are_found_again() {
    let names = |names| Rebuilt { names, ..Rebuilt::default() };
    assert_eq!(mended("DELETE FROM terms WHERE term = 'lovelace'").await, names(1));
    assert_eq!(mended("UPDATE terms SET term = term || 'x'").await, names(2));
}

/// What a deleted account had said does not stay, whoever put it back.
#[tokio::test]
async fn a_text_that_is_not_live_goes() {
    let damage = "UPDATE records SET body = '{}', cid = 'x' WHERE body IS NULL";
    assert_eq!(mended(damage).await, Rebuilt { references: 1, ..Rebuilt::default() });
}

#[tokio::test]
async fn a_damaged_text_says_nothing_and_is_counted() {
    let (rig, path) = rig().await;
    // A text that reads well, but is not the one that was hashed.
    run(
        &path,
        "UPDATE records SET body = replace(body, '\"strength\":50', '\"strength\":51')
            WHERE collection = 1;
        UPDATE records SET body = 'what?' WHERE collection = 2;
        UPDATE records SET hash = 'none' WHERE collection = 3;
        UPDATE relationships SET strength = 1 WHERE owner = @a;",
    );
    let conn = Connection::open(&path).unwrap();
    let damaged = conn.query_row("SELECT count(*) FROM records WHERE body IS NOT NULL", [], |r| {
        r.get::<_, u64>(0)
    });
    let before = rig.store.dump().await.unwrap();
    let rebuilt = rebuild(&rig).await;
    assert_eq!((rebuilt.unreadable, rebuilt.wrong()), (damaged.unwrap(), 0));
    assert_eq!(rig.store.dump().await.unwrap(), before, "what was derived is left as it was");
}

/// Those who follow the changes end with the same facts as those who load.
#[tokio::test]
async fn what_is_mended_is_told() {
    let (rig, path) = rig().await;
    let changes = rig.store.changes().unwrap();
    changes.try_iter().for_each(drop);
    run(
        &path,
        "DELETE FROM relationships WHERE owner = @b;
        UPDATE relationships SET rkey = 77 WHERE owner = @a;
        INSERT INTO attestations SELECT 99, @a, 1, @a, 5, 0, 0, 0, 0;",
    );
    let rebuilt = rebuild(&rig).await;
    assert_eq!(rebuilt.wrong(), 3);
    let mut told: Vec<String> = changes
        .try_iter()
        .flat_map(|set| set.changes)
        .map(|change| format!("{change:?}").split(['(', '{', ' ']).next().unwrap().to_owned())
        .collect();
    told.sort_unstable();
    assert_eq!(told, ["AttestationGone", "Relationship", "Relationship", "RelationshipGone"]);
}
