//! What stands still, on disk, so that a restart does not set it going.

use super::{
    audit,
    lanes::Lanes,
    writer::{Job, Tx},
};
use parking_lot::Mutex;
use rhiz_domain::{EventType, EventTypes, Pause, Paused, store::StoreError};
use rusqlite::{Connection, params};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// What the database says stands still. A type that this program does not know is left out.
pub(super) fn read(conn: &Connection) -> rusqlite::Result<Paused> {
    let types = |part: &str| -> rusqlite::Result<EventTypes> {
        let mut statement = conn.prepare("SELECT event_type FROM paused WHERE part = $1")?;
        let names = statement.query_map([part], |row| row.get::<_, String>(0))?;
        let names = names.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| EventType::parse(name)).collect())
    };
    Ok(Paused { intake: types("intake")?, work: types("work")? })
}

/// An order on its way to the disk.
pub(super) struct Order {
    pub pause: Pause,
    pub by: String,
    pub lanes: Arc<Mutex<Lanes>>,
    pub ready: Arc<Notify>,
    pub answer: oneshot::Sender<Result<Paused, StoreError>>,
    /// What the transaction found, until it is committed.
    pub after: Paused,
}

impl Job for Order {
    fn rows(&self) -> usize {
        EventType::ALL.len()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        // Read here, for another order may be in the same group.
        let before = read(tx.conn)?;
        self.after = before.after(self.pause);
        if self.after == before {
            return Ok(());
        }
        for (asked, part) in [(self.pause.intake, "intake"), (self.pause.work, "work")] {
            if !asked {
                continue;
            }
            let sql = if self.pause.on {
                "INSERT OR IGNORE INTO paused (part, event_type) VALUES ($1, $2)"
            } else {
                "DELETE FROM paused WHERE part = $1 AND event_type = $2"
            };
            let mut statement = tx.conn.prepare_cached(sql)?;
            for event_type in self.pause.types.iter() {
                statement.execute(params![part, event_type.as_str()])?;
            }
        }
        let types: Vec<_> = self.pause.types.iter().map(EventType::as_str).collect();
        let parts: Vec<_> = [(self.pause.intake, "intake"), (self.pause.work, "work")]
            .into_iter()
            .filter_map(|(asked, part)| asked.then_some(part))
            .collect();
        let subject = format!("{} of {}", parts.join(" and "), types.join(" "));
        let action = if self.pause.on { "pause" } else { "resume" };
        audit::begin(tx, action, &self.by, &subject, types.len())?;
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        if result.is_ok() && self.lanes.lock().pause(self.after) {
            self.ready.notify_one();
        }
        // Whoever asked may be gone; what stands still stands still.
        let _ = self.answer.send(result.map(|_| self.after));
    }
}
