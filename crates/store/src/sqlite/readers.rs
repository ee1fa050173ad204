//! Connections that only read, called inline for point reads.
//!
//! A point read takes microseconds, less than a thread's wake-up; scans go to a blocking thread.

use super::schema::open_reader;
use crate::error::from_sqlite;
use parking_lot::Mutex;
use rhiz_domain::store::StoreError;
use rusqlite::Connection;
use std::{path::PathBuf, sync::Arc};

/// Idle connections kept unless it is said otherwise; under more load, more are opened and closed
/// again.
const IDLE: usize = 8;

/// A pool of reading connections.
#[derive(Clone)]
pub(super) struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    keep: usize,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), idle: Arc::default(), keep: IDLE }
    }

    /// Keeps so many idle connections.
    pub(super) fn keep(&mut self, connections: usize) {
        self.keep = connections;
    }

    /// Reads inline. For what touches a few pages.
    pub(super) fn point<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => open_reader(&self.path).map_err(|e| from_sqlite(&e))?,
        };
        let result = read(&conn).map_err(|e| from_sqlite(&e));
        let mut idle = self.idle.lock();
        if idle.len() < self.keep {
            idle.push(conn);
        }
        result
    }

    /// Reads on a thread that may block. For scans.
    pub(super) async fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.clone();
        tokio::task::spawn_blocking(move || readers.point(read))
            .await
            .map_err(|e| StoreError::Corrupt(format!("a read was broken off: {e}")))?
    }

    /// Closes what is idle.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }
}
