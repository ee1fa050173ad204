//! An event that kills the server ends as a dead letter; the others are applied.
//!
//! This binary starts itself again as a child that runs a pipeline over a real database, with a
//! processor that aborts the process on one event. The parent starts it until it ends by itself.

use async_trait::async_trait;
use rhiz_domain::{
    Event, Outcome,
    clock::{SeededEntropy, SystemClock},
    payload::interpret,
    store::{DeadFilter, Index, Intake, Journal, Store},
};
use rhiz_pipeline::{Applied, Downstream, Pipeline, Processor, Settings};
use rhiz_store::SqliteStore;
use rhiz_testkit::events::invalidated;
use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const A: &str = "did:plc:a";
const OTHERS: u64 = 60;

struct Killer;

impl Processor for Killer {
    fn name(&self) -> &'static str {
        "killer"
    }
    fn can_process(&self, _: &Event) -> bool {
        true
    }
    fn process(&self, event: &Event) -> Outcome {
        if event.event_id.as_str() == "killer" {
            std::process::abort();
        }
        interpret(event).into()
    }
}

struct AtOnce;

#[async_trait]
impl Downstream for AtOnce {
    async fn reached(&self, _: u64) -> Applied {
        Applied::default()
    }
}

fn open(path: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path, Arc::new(SystemClock::default())).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is the child of `an_event_that_kills_the_server_is_given_up`"]
async fn child() {
    let mut path = String::new();
    std::io::stdin().read_line(&mut path).unwrap();
    // Started by hand it is told nothing, and ends.
    if path.trim().is_empty() {
        return;
    }
    let store = open(Path::new(path.trim()));
    let pipeline = Pipeline::new(
        store.clone(),
        vec![Box::new(Killer)],
        Arc::new(AtOnce),
        Arc::new(SystemClock::default()),
        Arc::new(SeededEntropy::new(1)),
        Settings::default(),
    );
    let mut listener = pipeline.listen().unwrap();
    pipeline.start();
    // Each event that ends is told, and counted before it is told.
    while pipeline.snapshot().events_in_queue > 0 {
        listener.next().await;
    }
    assert!(pipeline.stop(Duration::from_secs(10)).await);
    store.close().await;
}

#[tokio::test]
async fn an_event_that_kills_the_server_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rhiz.db");
    let store = open(&path);
    let name = |n| match n {
        30 => "killer".to_owned(),
        n => format!("fine-{n}"),
    };
    let events = (0..=OTHERS).map(|n| invalidated(A).at(1_000_000).id(&name(n)).build());
    store.append(Intake { events: events.collect(), ..Intake::default() }).await.unwrap();
    store.close().await;
    drop(store);

    let mut starts = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "killing::child"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(
            &mut child.stdin.take().unwrap(),
            path.as_os_str().as_encoded_bytes(),
        )
        .unwrap();
        starts += 1;
        if child.wait().unwrap().success() {
            break;
        }
        assert!(starts < 20, "it kills the server for ever");
    }
    // The first death was in a crowd, and could not be laid at anybody's door; then four alone.
    assert_eq!(starts, 6);
    let store = open(&path);
    let filter = DeadFilter { limit: 9, ..DeadFilter::default() };
    let dead = store.dead_letters(filter).await.unwrap().letters;
    let [letter] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!(letter.event_id.as_str(), "killer");
    assert!(letter.last_error.starts_with("it was in hand 4 times"), "{}", letter.last_error);
    let facts = store.facts(Arc::new(|_, _| {})).await.unwrap();
    assert_eq!(facts.seq - facts.entities.len() as u64, OTHERS, "each of the others once");
    assert_eq!(store.counts().await.unwrap().journal, 0);
}
