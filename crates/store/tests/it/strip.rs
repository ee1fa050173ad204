//! What deleted accounts leave is taken away in steps, and nobody sees one.

use crate::Database;
use rhiz_domain::{
    Change, Clock, Collection, EntityId,
    clock::ManualClock,
    fact::EntityFact,
    store::{Index, Intake, Journal, Rebuild, Store},
};
use rhiz_store::SqliteStore;
use rhiz_testkit::{
    events::{
        Draft, account, at, attestation, context, deleted, intro, invalidated, key, profile,
        relationship,
    },
    model::{Model, observe},
    store::{Factory, Rig, applied, law},
};
use rusqlite::Connection;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

const A: &str = "did:plc:a";
const B: &str = "did:plc:b";
const C: &str = "did:plc:c";

/// Everything somebody can say, and what is said about it: `n` relationships of A among it.
fn history(n: u64) -> Vec<Draft> {
    let mut all: Vec<Draft> = (0..n).map(|k| relationship(A, B).key(k).rev(5)).collect();
    all.extend((0..n / 4).map(|k| attestation(A, B, k).key(k).rev(5)));
    all.extend([
        relationship(B, A).rev(5),
        relationship(C, B).rev(5),
        attestation(B, A, 0).rev(5),
        profile(A, "Ada").rev(5),
        intro(A, B).rev(5),
        context(A).rev(5),
    ]);
    all
}

fn named(history: Vec<Draft>) -> Vec<Draft> {
    history.into_iter().enumerate().map(|(n, draft)| draft.id(&format!("e{n}"))).collect()
}

/// Rows of A that still say something, and whether it is known that there are some.
fn left(path: &Path) -> (u64, bool) {
    let conn = Connection::open(path).unwrap();
    let sql = "SELECT (SELECT count(*) FROM records r JOIN entities e ON e.id = r.owner
                   WHERE e.did = $1 AND r.rev <= e.floor AND coalesce(r.body, r.subject) NOT NULL),
               EXISTS (SELECT 1 FROM stripping)";
    conn.query_row(sql, [A], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// Waits until all is taken away.
async fn quiet(path: &Path) {
    for _ in 0..20_000 {
        if left(path) == (0, false) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("it never ends: {:?}", left(path));
}

/// A store that does one step and no more unless it is asked to write.
async fn rig(step: usize) -> (Arc<Database>, Rig) {
    let database = Arc::new(Database::new().in_steps_of(step));
    (Arc::clone(&database), Rig::new(Shared(database)).await)
}

struct Shared(Arc<Database>);

#[async_trait::async_trait]
impl Factory for Shared {
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
        self.0.open(clock).await
    }
    async fn cut(&self) {
        self.0.cut().await;
    }
}

#[test]
fn any_order_ends_the_same_in_small_steps() {
    law::any_order_ends_the_same(|| Database::new().in_steps_of(2));
}

/// From the very commit on, through every door, whatever is told meanwhile; and in the end the rows
/// are those of a store that did it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_deleted_account_is_seen_while_it_goes() {
    let more = [
        // Late news from before, what was said anew, and what was said again.
        vec![relationship(A, C).key(1).rev(9), profile(A, "Late").rev(9)],
        vec![relationship(A, C).key(1).rev(11), relationship(A, B).key(2).rev(5).verified()],
        vec![attestation(A, C, 1).key(1).rev(11), attestation(A, C, 1).key(2).rev(9)],
        vec![account(A, 12, true), profile(A, "Ada again").rev(12)],
        vec![relationship(A, C).key(0).rev(13), relationship(A, C).key(1).rev(15).delete()],
        vec![deleted(A, 12)],
        vec![relationship(A, B).key(2).rev(14), account(A, 16, true)],
    ];
    let mut all = history(3_000);
    let (database, rig) = rig(1).await;
    rig.apply(named(all.clone())).await;
    all.push(deleted(A, 10));
    rig.apply([deleted(A, 10)]).await;
    let mut seen = 0;
    for (n, batch) in more.into_iter().enumerate() {
        seen += u32::from(left(&database.path()).0 > 0);
        assert_eq!(observe(&*rig.store).await, Model::of(&all).expected());
        let counts = rig.store.counts().await.unwrap();
        let expected = Model::of(&all).expected();
        assert_eq!(counts.relationships, expected.relationships.len() as u64);
        assert_eq!(counts.attestations, expected.attestations.len() as u64);
        let looked = rig.store.rebuild(Rebuild::Look, Arc::new(|_, _| {})).await.unwrap();
        assert_eq!(looked.wrong(), 0, "{looked:?}");
        let updated = rig.store.entity(B).await.unwrap().unwrap().updated_at.unwrap();
        assert!(expected.relationships.iter().any(|line| line.contains(B)) && updated >= at(5));
        all.extend(batch.iter().cloned());
        let named = batch.into_iter().enumerate();
        rig.apply(named.map(|(k, draft)| draft.id(&format!("more{n}-{k}")))).await;
    }
    assert!(seen > 1, "it was over before anybody looked");
    assert_eq!(observe(&*rig.store).await, Model::of(&all).expected());
    let dump = rig.store.dump().await.unwrap();
    quiet(&database.path()).await;
    assert_eq!(rig.store.dump().await.unwrap(), dump);
    assert_eq!(observe(&*rig.store).await, Model::of(&all).expected());

    let whole = Rig::new(Database::new().in_steps_of(1_000_000)).await;
    whole.apply(named(all)).await;
    assert_eq!(whole.store.dump().await.unwrap(), dump);
}

/// Who is fed by changes does not see an account that is active again before it is clean.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_not_active_before_it_is_clean() {
    let (database, rig) = rig(7).await;
    let changes = rig.store.changes().unwrap();
    rig.apply(named(history(200))).await;
    let deletion = rig.store.last_change();
    rig.apply([deleted(A, 10), account(A, 11, true)]).await;
    quiet(&database.path()).await;
    let id = rig.store.entity(A).await.unwrap().unwrap().id;
    let last = rig.store.last_change();
    let (mut live, mut active, mut ends, mut heard) = (0i64, true, 0, 0);
    while heard < last {
        let set = changes.recv().unwrap();
        heard = set.seq;
        for change in set.changes {
            match change {
                Change::Relationship(fact) if fact.key.owner == id => live += 1,
                Change::RelationshipGone(key) if key.owner == id => live -= 1,
                Change::Entity(EntityFact { id: who, active: is, .. }) if who == id => {
                    ends += u32::from(is && !active);
                    active = is;
                }
                _ => {}
            }
        }
        if heard > deletion {
            assert!(!active || live == 0, "{live} are left of an active account");
        }
    }
    assert!(active && live == 0 && ends == 1, "{active} {live} {ends}");
}

/// What others write does not wait for the end of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_between_two_steps() {
    let (database, rig) = rig(5).await;
    rig.apply(named(history(2_000))).await;
    rig.apply([deleted(A, 10)]).await;
    let before = left(&database.path()).0;
    rig.accept([invalidated(B).id("beside")]).await;
    let (after, more) = left(&database.path());
    assert!(more && after > 0 && before > 0, "of {before} there are {after}");
    quiet(&database.path()).await;
}

/// The files as they are at some instant of it, again and again, until all is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_two_steps_is_gone_on_from() {
    // The steps go on while we are not looking: it is tried until a crash comes between two.
    for _ in 0..20 {
        if crashes_between_steps().await > 0 {
            return;
        }
    }
    panic!("each time it was over before the first crash");
}

/// Answers with how many of four crashes came between two steps.
async fn crashes_between_steps() -> u32 {
    let (database, rig) = rig(2).await;
    let mut all = history(2_000);
    rig.apply(named(all.clone())).await;
    rig.apply([deleted(A, 10)]).await;
    all.push(deleted(A, 10));
    let expected = Model::of(&all).expected();
    let mut stores = vec![rig.store];
    let mut between = 0;
    for _ in 0..4 {
        database.cut().await;
        between += u32::from(left(&database.path()).1);
        stores.push(database.open(rig.clock.clone()).await);
    }
    let whole = Rig::new(Database::new().in_steps_of(1_000_000)).await;
    whole.apply(named(all)).await;
    let dump = whole.store.dump().await.unwrap();
    for store in &stores {
        assert_eq!(observe(&**store).await, expected);
        assert_eq!(store.dump().await.unwrap(), dump);
    }
    let store = stores.pop().unwrap();
    quiet(&database.path()).await;
    assert_eq!(store.dump().await.unwrap(), dump);
    store.close().await;
    for store in stores {
        store.close().await;
    }
    between
}

const RECORDS: u64 = 12_000;

fn open(path: &str) -> Arc<SqliteStore> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(at(1_000_000)));
    Arc::new(SqliteStore::open(path.as_ref(), clock).unwrap())
}

async fn apply(store: &SqliteStore, drafts: impl IntoIterator<Item = Draft>) {
    let events = drafts.into_iter().map(|d| d.build()).collect();
    store.append(Intake { events, ..Intake::default() }).await.unwrap();
    while let Some(mut claim) = store.claim([5_000; 4]).await.unwrap() {
        let settlements = applied(&*claim);
        claim.settle(settlements).await.unwrap();
    }
}

/// The child: deletes the account, tells so, and waits for its end. Started by hand it reads
/// nothing, and ends.
#[test]
#[ignore = "it is the child of `kill_9_between_two_steps`"]
fn child() {
    let mut path = String::new();
    std::io::stdin().read_line(&mut path).unwrap();
    if path.trim().is_empty() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(path.trim());
        apply(&store, [deleted(A, 10)]).await;
        std::io::stdout().lock().write_all(b"deleted\n").unwrap();
        std::future::pending::<()>().await;
    });
}

#[test]
fn kill_9_between_two_steps() {
    let database = Database::new();
    let path = database.path().into_os_string().into_string().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(&path);
        let all = (0..RECORDS).map(|k| relationship(A, B).key(k).rev(5).id(&format!("e{k}")));
        apply(&store, all).await;
        store.close().await;
    });
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "strip::child", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{path}").unwrap();
    let told = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(told.map_while(Result::ok).any(|line| line.ends_with("deleted")));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let (rows, more) = left(database.path().as_ref());
    assert!(more && rows > 0, "{rows} are left");
    runtime.block_on(async {
        let store = open(&path);
        let id: EntityId = store.entity(A).await.unwrap().unwrap().id;
        assert!(store.facts(Arc::new(|_, _| {})).await.unwrap().relationships.is_empty());
        assert!(
            store.record(id, Collection::Relationship, key(RECORDS - 1)).await.unwrap().is_none()
        );
        quiet(database.path().as_ref()).await;
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.relationships, counts.records), (0, RECORDS));
        store.close().await;
    });
}
