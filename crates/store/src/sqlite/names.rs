//! The numbers of DIDs, and the floors of their repos, as the writer sees them.

use rhiz_domain::{Did, EntityId, Tid};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// A DID as the index knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub id: EntityId,
    /// Records at or below are not live.
    pub floor: Tid,
}

/// DIDs remembered before all are forgotten: about 200 MB.
const MOST: usize = 1_000_000;

/// A memory of the `entities` table. Exact within a transaction; after a rollback it has to be
/// [cleared](Names::clear), for it may hold numbers that were never committed.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<Did, Name>,
}

impl Names {
    /// The name of a DID, and whether it was made just now.
    pub(super) fn of(&mut self, conn: &Connection, did: &Did) -> rusqlite::Result<(Name, bool)> {
        if let Some(name) = self.known.get(did) {
            return Ok((*name, false));
        }
        let found = conn
            .prepare_cached("SELECT id, floor FROM entities WHERE did = $1")?
            .query_row([did.as_str()], |row| {
                Ok(Name { id: EntityId(row.get(0)?), floor: tid(row.get(1)?) })
            })
            .optional()?;
        let (name, new) = match found {
            Some(name) => (name, false),
            None => {
                conn.prepare_cached("INSERT INTO entities (did) VALUES ($1)")?
                    .execute(params![did.as_str()])?;
                let id = u32::try_from(conn.last_insert_rowid())
                    .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
                (Name { id: EntityId(id), floor: Tid::ZERO }, true)
            }
        };
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(did.clone(), name);
        Ok((name, new))
    }

    /// Notes a raised floor.
    pub(super) fn raise(&mut self, did: &Did, floor: Tid) {
        if let Some(name) = self.known.get_mut(did) {
            name.floor = floor;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}

/// A TID from a column. Columns hold what `Tid::to_u64` gave, whose top bit is 0.
pub(super) fn tid(column: i64) -> Tid {
    u64::try_from(column).ok().and_then(Tid::from_u64).unwrap_or(Tid::ZERO)
}

/// A TID for a column.
pub(super) fn column(tid: Tid) -> i64 {
    // The top bit of a TID is 0.
    tid.to_u64() as i64
}
