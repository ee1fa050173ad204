//! The SQLite store against everything a store has to do, against damage, and against `kill -9`.

mod careful;
mod conformance;
mod crash;
mod damage;
mod files;
mod many;
mod rebuild;
mod strip;

use async_trait::async_trait;
use rhiz_domain::{Clock, store::Store};
use rhiz_store::SqliteStore;
use rhiz_testkit::store::Factory;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tempfile::TempDir;

/// A database of its own in a directory of its own.
pub(crate) struct Database {
    dir: TempDir,
    /// How often it was cut off from the store that had it open.
    cuts: AtomicU32,
    /// Rows of a deleted account that are taken away at once.
    step: Option<usize>,
}

impl Database {
    /// In memory where there is such a place: no test here looks at what a flush does, and there
    /// are thousands of them.
    pub(crate) fn new() -> Self {
        let memory = tempfile::tempdir_in("/dev/shm");
        let dir = memory.or_else(|_| tempfile::tempdir()).unwrap();
        Self { dir, cuts: AtomicU32::new(0), step: None }
    }

    /// What deleted accounts leave is taken away in steps of so many rows.
    pub(crate) fn in_steps_of(self, rows: usize) -> Self {
        Self { step: Some(rows), ..self }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join(format!("rhiz{}.db", self.cuts.load(Ordering::SeqCst)))
    }
}

#[async_trait]
impl Factory for Database {
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
        let store = SqliteStore::open(&self.path(), clock).unwrap();
        Arc::new(match self.step {
            Some(rows) => store.strip_in_steps_of(rows),
            None => store,
        })
    }

    /// Copies the files as they are, while the store writes to them. A reader keeps checkpoints
    /// from moving pages from the one file into the other between the two copies; short of that,
    /// it is what a process leaves that is killed.
    async fn cut(&self) {
        let old = self.path();
        self.cuts.fetch_add(1, Ordering::SeqCst);
        let new = self.path();
        let copy = move || {
            let reader = rusqlite::Connection::open(&old).unwrap();
            reader.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
            std::fs::copy(&old, &new).unwrap();
            std::fs::copy(wal(&old), wal(&new)).unwrap();
        };
        // Beside whatever the store is at.
        tokio::task::spawn_blocking(copy).await.unwrap();
    }
}

fn wal(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}
