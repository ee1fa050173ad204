//! Copying the WAL back into the database, beside the thread that writes.
//!
//! Law: who waits for a commit does not wait for a checkpoint. It runs on a thread and a connection
//! of its own while commits go on; only when the WAL has become [`MOST`] times as long as it should
//! be does the writer, its commit answered, copy the rest itself, so that the WAL ends: one that is
//! written all the time is never copied to its end by anybody else.

use super::schema::open_checkpointer;
use crate::error::from_sqlite;
use rhiz_domain::store::StoreError;
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

/// Pages in the WAL after which they are copied back: 32 MiB, so that a busy page is copied once for
/// many commits.
pub(super) const EVERY: i32 = 8192;

/// How many times [`EVERY`] the WAL grows while commits go on.
const MOST: i32 = 4;

/// Decides when, and has it done.
pub(super) struct Checkpoints {
    every: i32,
    /// Pages in the WAL after the last commit.
    pages: Arc<AtomicI32>,
    /// Pages in it when it was last asked for, or done by the writer.
    asked: i32,
    ask: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread, for the database of `conn`, whose own checkpoints end with this.
    pub(super) fn start(conn: &mut Connection, every: i32) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&pages);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        }))
        .map_err(|e| from_sqlite(&e))?;
        let Some(path) = conn.path().filter(|path| !path.is_empty()) else {
            // A path that is no UTF-8: the writer does it alone, more seldom.
            return Ok(Self { every, pages, asked: 0, ask: None, thread: None });
        };
        let own = open_checkpointer(Path::new(path)).map_err(|e| from_sqlite(&e))?;
        // One is asked for at most: what is written meanwhile is copied with it, or by the next.
        let (ask, asked) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || asked.into_iter().for_each(|()| copy(&own)))
            .map_err(|e| StoreError::Unavailable(format!("cannot start a thread: {e}")))?;
        Ok(Self { every, pages, asked: 0, ask: Some(ask), thread: Some(thread) })
    }

    /// To be told after each group of commits, once they are answered.
    pub(super) fn after_commits(&mut self, conn: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.asked {
            // It was copied to its end, and begins anew.
            self.asked = 0;
        }
        if pages - self.asked < self.every {
            return;
        }
        if pages >= self.every.saturating_mul(MOST) {
            copy(conn);
            self.asked = pages;
        } else if self.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok()) {
            self.asked = pages;
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.ask.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Copies what can be copied now without making anybody wait. What fails is tried with the next:
/// the WAL holds it.
fn copy(conn: &Connection) {
    let copied = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = copied {
        let error = from_sqlite(&error);
        tracing::warn!(%error, "the WAL cannot be copied into the database");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema::open_writer;

    /// Written without a pause, and read, it still ends again and again; nothing of it is missing.
    #[test]
    fn the_wal_stays_short_under_constant_writing() {
        const PAGES: i32 = 8;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rhiz.db");
        let mut conn = open_writer(&path).unwrap();
        let mut checkpoints = Checkpoints::start(&mut conn, PAGES).unwrap();
        conn.execute_batch("CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)").unwrap();
        let reader = Connection::open(&path).unwrap();
        for n in 1..=600i64 {
            conn.execute("INSERT INTO big (body) VALUES (zeroblob(8000))", []).unwrap();
            checkpoints.after_commits(&conn);
            let seen: i64 =
                reader.query_row("SELECT max(id) FROM big", [], |row| row.get(0)).unwrap();
            assert_eq!(seen, n);
        }
        let frame = 4096 + 24;
        let wal = path.with_extension("db-wal").metadata().unwrap().len();
        // Of the 1,200 and more pages that were written. It is as long as it ever was; beyond the
        // limit only by what is written while the other thread is just at it.
        assert!(wal < 20 * MOST as u64 * PAGES as u64 * frame, "{wal} bytes");
        drop((checkpoints, reader));
        let check: String = conn.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}
