//! The SQLite store against everything a store has to do, against damage, and against `kill -9`.

mod careful;
mod conformance;
mod crash;
mod damage;
mod files;
mod many;

use async_trait::async_trait;
use rhiz_domain::{Clock, store::Store};
use rhiz_store::SqliteStore;
use rhiz_testkit::store::Factory;
use std::{path::PathBuf, sync::Arc};
use tempfile::TempDir;

/// A database of its own in a directory of its own.
pub(crate) struct Database {
    dir: TempDir,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("rhiz.db")
    }
}

#[async_trait]
impl Factory for Database {
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.path(), clock).unwrap())
    }
}
