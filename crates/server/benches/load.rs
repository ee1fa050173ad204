//! Facts from SQLite, and the graph from the facts: `cargo bench -p rhiz --bench load -- [1m|10m]`
//!
//! What a start waits for, measured step by step. The database is made once and kept in `target/`
//! (10 million relationships: about 1 GB, a minute or two). Its rows are written with SQL into the
//! schema that the store made, not through the pipeline, which would take a quarter of an hour:
//! those that a start reads, without their records, in the order in which they "arrived".
#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::disallowed_methods, reason = "it measures, and so asks the machine for the time")]

#[path = "../../graph/benches/graph/networks.rs"]
#[expect(dead_code, reason = "the graph's own benchmarks use the rest")]
mod networks;

use networks::{Network, TODAY};
use rhiz_domain::{Clock, clock::ManualClock, store::Index};
use rhiz_graph::Graph;
use rhiz_store::SqliteStore;
use rusqlite::{Connection, params};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

/// Runs from the page cache.
const RUNS: usize = 2;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("| relationships | file | facts | graph | together |\n|---|---|---|---|---|");
    for (name, count) in [("1m", 1_000_000), ("10m", 10_000_000)] {
        if asked.iter().any(|a| a == name) || (asked.is_empty() && name == "1m") {
            runtime.block_on(measure(name, count));
        }
    }
}

async fn measure(name: &str, count: usize) {
    let path = database(name, count).await;
    // What is cached of the file is dropped first: a start after a restart of the machine.
    let dropped = Command::new("dd")
        .args(["iflag=nocache", "count=0", "status=none"])
        .arg(format!("if={}", path.display()))
        .status()
        .is_ok_and(|status| status.success());
    for run in 0..=RUNS {
        if run == 0 && !dropped {
            continue;
        }
        let store = open(&path);
        let start = Instant::now();
        let facts = store.facts(Arc::new(|_, _| ())).await.unwrap();
        let read = start.elapsed();
        assert_eq!(facts.relationships.len(), count);
        let graph = Graph::load(
            TODAY,
            facts.seq,
            facts.entities.into_iter(),
            facts.relationships.into_iter(),
            facts.attestations.into_iter(),
        );
        graph.relearn();
        let all = start.elapsed();
        let file = if run == 0 { "from the disk" } else { "cached" };
        println!("| {count} | {file} | {read:.2?} | {:.2?} | {all:.2?} |", all - read);
    }
}

fn open(path: &Path) -> SqliteStore {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Default::default()));
    SqliteStore::open(path, clock).unwrap()
}

/// The database with so many relationships: made, unless it is there already.
async fn database(name: &str, count: usize) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("relationships-{name}.db"));
    if path.exists() {
        return path;
    }
    let part = path.with_extension("part.db");
    for left in ["", "-wal", "-shm"] {
        // Of a run that was broken off, if there was one.
        let _ = fs::remove_file(format!("{}{left}", part.display()));
    }
    rhiz_domain::store::Store::close(&open(&part)).await;
    fill(&part, &networks::power_law(count)).unwrap();
    fs::rename(&part, &path).unwrap();
    path
}

fn fill(path: &Path, network: &Network) -> rusqlite::Result<()> {
    let mut conn = Connection::open(path)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.pragma_update(None, "cache_size", -1_000_000)?;
    let tx = conn.transaction()?;
    let mut insert = tx.prepare("INSERT INTO entities (id, did) VALUES ($1, $2)")?;
    for entity in network.entities() {
        insert.execute(params![entity.id.0, entity.did.as_str()])?;
    }
    drop(insert);
    tx.commit()?;
    // An index is quicker made than kept up.
    let index: String = conn.query_row(
        "SELECT sql FROM sqlite_schema WHERE name = 'relationships_subject'",
        [],
        |row| row.get(0),
    )?;
    conn.execute_batch("DROP INDEX relationships_subject")?;
    let tx = conn.transaction()?;
    let mut insert = tx.prepare(
        "INSERT INTO relationships (id, subject, owner, rkey, kind, strength, last_interaction,
             created, rev, signed, visibility, consent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0)",
    )?;
    for n in 0..network.statements.len() {
        let r = network.relationship(n);
        let (rkey, rev) = (r.key.rkey.to_u64(), r.rev.to_u64());
        insert.execute(params![
            n,
            r.subject.0,
            r.key.owner.0,
            rkey,
            &*r.kind,
            r.strength,
            r.last_interaction,
            r.created,
            rev
        ])?;
    }
    drop(insert);
    tx.commit()?;
    conn.execute_batch(&index)?;
    conn.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
    conn.pragma_update(None, "journal_mode", "DELETE")
}
