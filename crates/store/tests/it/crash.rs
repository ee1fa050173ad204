//! `kill -9` at any instant: nothing that was answered is missing, nothing is applied twice.
//!
//! This binary starts itself again as a child that accepts and applies under load and tells every
//! answered accept over a pipe. The parent kills it after a random number of answers, again and
//! again, and looks at the database that is left.
//!
//! It kills a process, not a machine: what the disk was told to flush is not tested here.

use crate::Database;
use rhiz_domain::{
    Clock, Collection, Entropy, EventId,
    clock::{ManualClock, SeededEntropy},
    store::{Index, Intake, Journal, Store, Whereabouts},
};
use rhiz_store::SqliteStore;
use rhiz_testkit::{
    events::{at, invalidated, key, relationship},
    store::applied,
};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
};

const KILLS: u64 = 40;
/// Accepts of one run are numbered from `run · STRIDE`.
const STRIDE: u64 = 1_000_000;
const A: &str = "did:plc:a";
const B: &str = "did:plc:b";

fn open(path: &str) -> Arc<SqliteStore> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(at(1_000_000)));
    Arc::new(SqliteStore::open(path.as_ref(), clock).unwrap())
}

/// The `n`-th event: an invalidation, of which every merge is one change; or a relationship of its
/// own, of which the first merge is one.
fn draft(n: u64) -> rhiz_testkit::events::Draft {
    let name = format!("e{n}");
    if n.is_multiple_of(2) { invalidated(A).id(&name) } else { relationship(A, B).key(n).id(&name) }
}

/// The child: reads where and which run on its standard input. Started by hand it reads nothing,
/// and ends.
#[test]
#[ignore = "it is the child of `kill_9_loses_nothing_and_applies_nothing_twice`"]
fn child() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let Some((path, run)) = line.trim().split_once('\t') else { return };
    let first = run.parse::<u64>().unwrap() * STRIDE;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(path);
        for worker in 0..3u64 {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                loop {
                    store.ready().await;
                    let quota = [1 + 9 * worker as usize; 4];
                    let Some(mut claim) = store.claim(quota).await.unwrap() else { continue };
                    let settlements = applied(&*claim);
                    claim.settle(settlements).await.unwrap();
                }
            });
        }
        let accepting = (0..8u64).map(|lane| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in (first + lane..first + STRIDE).step_by(8) {
                    let events = vec![draft(n).build()];
                    store.append(Intake { events, ..Intake::default() }).await.unwrap();
                    // One write, so that lines of several lanes do not mix.
                    let told = format!("accepted {n}\n");
                    std::io::stdout().lock().write_all(told.as_bytes()).unwrap();
                }
            })
        });
        for task in accepting.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

/// Runs the child until it told of `answers` accepts, kills it, and answers with all it told.
fn run_and_kill(path: &str, run: u64, answers: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{path}\t{run}").unwrap();
    let mut told = Vec::new();
    let mut killed = false;
    // To its end: what was told before the kill was answered before it.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        if let Some(n) = line.strip_prefix("accepted ").and_then(|n| n.parse().ok()) {
            told.push(n);
        }
        if told.len() as u64 >= answers && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "the child ended by itself after {} answers", told.len());
    let status = child.wait().unwrap();
    assert!(!status.success());
    told
}

/// Looks at what is left: each answered event waits or is done, and the number of changes is that
/// of one merge for each that is done.
async fn look(store: &SqliteStore, answered: &BTreeSet<u64>, runs: u64) -> u64 {
    let facts = store.facts(Arc::new(|_, _| {})).await.unwrap();
    let owner = store.entity(A).await.unwrap().map(|e| e.id);
    let (mut done, mut waiting) = (0, 0);
    for run in 0..runs {
        let own = answered.range(run * STRIDE..(run + 1) * STRIDE);
        let last = own.last().copied().unwrap_or(run * STRIDE);
        // Some were accepted whose answer did not get through: at most one for each lane.
        for n in run * STRIDE..last + 64 {
            let found = store.find(&EventId::parse(&format!("e{n}")).unwrap()).await.unwrap();
            match found {
                Some(Whereabouts::Waiting { event, .. }) => {
                    assert_eq!(event.payload.get(), draft(n).build().payload.get());
                    waiting += 1;
                }
                Some(Whereabouts::Done { .. }) => {
                    done += 1;
                    if !n.is_multiple_of(2) {
                        let owner = owner.unwrap();
                        let row = store.record(owner, Collection::Relationship, key(n)).await;
                        assert!(row.unwrap().is_some(), "{n} is done and has no effect");
                    }
                }
                Some(other) => panic!("{n}: {other:?}"),
                None => assert!(!answered.contains(&n), "{n} was answered and is lost"),
            }
        }
    }
    let counts = store.counts().await.unwrap();
    assert_eq!(counts.journal, waiting, "the journal holds what nobody accepted");
    assert_eq!(facts.seq, done + facts.entities.len() as u64, "one change for each event done");
    done
}

#[test]
fn kill_9_loses_nothing_and_applies_nothing_twice() {
    let database = Database::new();
    let path = database.path().into_os_string().into_string().unwrap();
    let dice = SeededEntropy::new(2026);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut answered = BTreeSet::new();
    for run in 0..KILLS {
        // Sometimes at once, sometimes in full swing.
        let answers = dice.next_u64() % 120;
        answered.extend(run_and_kill(&path, run, answers.max(1)));
        // Not after each: to close in order would hide what one kill leaves to the next start.
        if run % 5 == 4 {
            runtime.block_on(async {
                let store = open(&path);
                look(&store, &answered, run + 1).await;
                store.close().await;
            });
        }
    }
    // In the end everything is done, once.
    runtime.block_on(async {
        let store = open(&path);
        while let Some(mut claim) = store.claim([100; 4]).await.unwrap() {
            let settlements = applied(&*claim);
            claim.settle(settlements).await.unwrap();
        }
        let done = look(&store, &answered, KILLS).await;
        assert!(done >= answered.len() as u64);
        assert_eq!(store.counts().await.unwrap().journal, 0);
        store.close().await;
    });
}
