//! The files as a crash left them, compared with the ledgers.

use super::ledger::{Ledger, Op, Slot, tid};
use crate::server::Data;
use rhiz_domain::Tid;
use rusqlite::Connection;
use std::{
    collections::{HashMap, HashSet},
    fs,
};

/// What is not as it has to be, in a sentence each.
#[derive(Debug, Default)]
pub(crate) struct Harm {
    /// Answered, and gone.
    pub(crate) lost: Vec<String>,
    /// Done, and still to be done.
    pub(crate) doubled: Vec<String>,
}

/// What the crash left on the disk.
pub(crate) struct Remains {
    /// A copy of the database, to ask more.
    pub(crate) conn: Connection,
    _copy: Data,
    /// Ids of events that wait.
    pub(crate) journal: HashSet<String>,
    /// Revisions and times: (repo, collection, key) to TID; accounts under collection 0.
    rows: HashMap<(String, i64, i64), i64>,
}

impl Remains {
    /// Reads a copy, so that looking changes nothing. Law: no event that waits has had its effect.
    /// `None` when there is no schema yet.
    pub(crate) fn read(data: &Data) -> Option<Self> {
        let copy = Data::new();
        fs::create_dir_all(copy.path()).unwrap();
        for name in ["rhiz.db", "rhiz.db-wal", "rhiz.db-journal"] {
            let from = data.path().join(name);
            if from.exists() {
                fs::copy(from, copy.path().join(name)).unwrap();
            }
        }
        let conn = Connection::open(copy.path().join("rhiz.db")).unwrap();
        let tables: usize =
            conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        if tables == 0 {
            return None;
        }
        let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "integrity_check");
        let mut statement = conn
            .prepare(
                "SELECT did, collection, rkey, rev FROM records r JOIN entities e ON e.id = r.owner
                 UNION ALL SELECT did, 0, 0, account_time FROM entities
                 WHERE account_time IS NOT NULL",
            )
            .unwrap();
        let rows = statement
            .query_map([], |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))
            .unwrap();
        let rows = rows.map(Result::unwrap).collect();
        drop(statement);
        let mut statement = conn.prepare("SELECT event_id FROM journal").unwrap();
        let journal = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
        let journal = journal.collect();
        drop(statement);
        Some(Self { conn, _copy: copy, journal, rows })
    }

    /// The event's effect, or that of a later one, is there.
    fn applied(&self, ledger: &Ledger, op: &Op) -> Option<std::cmp::Ordering> {
        let (did, uri) = ledger.place(op.slot);
        let rkey = uri.rsplit('/').next().and_then(|k| Tid::parse(k).ok()).unwrap_or(Tid::ZERO);
        let (collection, rkey, own) = match op.slot {
            Slot::Relationship(_) => (1, rkey, tid(op.time).to_u64()),
            Slot::Attestation(_) => (2, rkey, tid(op.time).to_u64()),
            Slot::Profile(_) => (3, Tid::ZERO, tid(op.time).to_u64()),
            Slot::Account => (0, Tid::ZERO, op.time),
        };
        let found = self.rows.get(&(did, collection, rkey.to_u64() as i64))?;
        Some(found.cmp(&(own as i64)))
    }

    /// Every answered event waits or is applied, and none is both.
    pub(crate) fn compare(&self, ledger: &Ledger, harm: &mut Harm) {
        for op in &ledger.fresh {
            let waits = self.journal.contains(&op.id);
            let applied = self.applied(ledger, op);
            if !waits && applied.is_none_or(|o| o.is_lt()) {
                harm.lost.push(format!("neither in the journal nor applied: {op:?}"));
            }
        }
        for op in ledger.fresh.iter().chain(&ledger.unanswered) {
            let waits = self.journal.contains(&op.id);
            if waits && self.applied(ledger, op).is_some_and(|o| o.is_eq()) {
                harm.doubled.push(format!("applied, and still in the journal: {op:?}"));
            }
        }
    }

    /// [`Remains::compare`], where nothing may be wrong.
    pub(crate) fn check(&self, ledger: &Ledger) {
        let mut harm = Harm::default();
        self.compare(ledger, &mut harm);
        assert!(harm.lost.is_empty() && harm.doubled.is_empty(), "{harm:#?}");
    }
}
