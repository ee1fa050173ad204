//! What a deleted account leaves behind: taken away in steps, between which others write.
//!
//! Law: nobody sees a step. From the commit that raises an account's floor on, nothing at or below
//! the floor is in any answer of the index, whatever of it is still stored; and the graph hears that
//! the account is not active until the last step, whatever its status is. So it does not matter when
//! a step happens, nor what is merged between two of them: every merge looks at the floor itself.
//!
//! What is still to do stands in the table `stripping`, written in the transaction that raises the
//! floor: a crash between two steps is continued at the next start. A floor that is raised once more
//! begins anew.
//!
//! Example: an account of 150,000 records is deleted. The commit of that takes away 1,000 rows, and
//! so does each of the writer's next 150 transactions; between them it writes what others wait for.

use super::{
    identity,
    merge::{Derived, entity_changed, remove_derived},
    names::{column, tid},
    row::origin,
    writer::{Job, Tx},
};
use rhiz_domain::{
    Collection, Did, EntityId, EventId, Origin, RecordKey, Tid,
    store::{Dropped, StoreError},
};
use rusqlite::{Connection, OptionalExtension, params, types::Value};
use std::collections::HashMap;

/// Rows that one transaction looks at, of all accounts together, unless it is said otherwise.
pub(super) const STEP: usize = 1_000;

/// Bytes of a dead letter that take as long as a row.
const BYTES: usize = 8 * 1024;

/// What a transaction may still do.
#[derive(Debug, Default)]
pub(super) struct Strip {
    /// Rows it may still look at.
    pub room: usize,
    /// There is more to be done.
    pub more: bool,
}

/// How far an account is.
struct Place {
    /// Dead letters up to this number are to go; 0 when they are gone.
    letters: i64,
    /// The key of the last record that was looked at, as it stands there.
    collection: Value,
    rkey: Value,
}

/// An account that is being stripped.
struct Account<'a> {
    did: &'a Did,
    id: EntityId,
    floor: Tid,
}

/// Begins, with the floor of an account raised. Its profile is gone at once, and as much of the rest
/// as there is room for.
pub(super) fn begin(tx: &mut Tx<'_>, did: &Did, id: EntityId, floor: Tid) -> rusqlite::Result<()> {
    let account = Account { did, id, floor };
    let profile: Option<(i64, bool)> = tx
        .conn
        .prepare_cached(
            "SELECT id, subject IS NOT NULL FROM records
             WHERE owner = $1 AND collection = $2 AND rkey = 0 AND rev <= $3 AND body IS NOT NULL",
        )?
        .query_row(params![id.0, Collection::Profile as i64, column(floor)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some((row, derived)) = profile {
        let key = derived.then_some((Collection::Profile, Tid::ZERO));
        strip(tx, &account, row, key)?;
    }
    tx.conn
        .prepare_cached("DELETE FROM rejected_overflow WHERE did = $1")?
        .execute([did.as_str()])?;
    let letters = tx
        .conn
        .prepare_cached("SELECT coalesce(max(id), 0) FROM dead_letters")?
        .query_row([], |row| row.get(0))?;
    let start = Place { letters, collection: i64::MIN.into(), rkey: i64::MIN.into() };
    let was_under_way = is_under_way(tx.conn, id)?;
    if !go_on(tx, &account, start)? || was_under_way {
        entity_changed(tx, did, id)?;
    }
    Ok(())
}

fn is_under_way(conn: &Connection, id: EntityId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM stripping WHERE entity = $1)")?
        .query_row([id.0], |row| row.get(0))
}

/// Does what there is room for, and notes what is left. Answers whether it is all done.
fn go_on(tx: &mut Tx<'_>, account: &Account<'_>, mut place: Place) -> rusqlite::Result<bool> {
    let done = letters(tx, account, &mut place)? && records(tx, account, &mut place)?;
    if done {
        tx.conn
            .prepare_cached("DELETE FROM stripping WHERE entity = $1")?
            .execute([account.id.0])?;
    } else {
        tx.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO stripping (entity, letters, collection, rkey)
                 VALUES ($1, $2, $3, $4)",
            )?
            .execute(params![account.id.0, place.letters, place.collection, place.rkey])?;
        tx.strip.more = true;
    }
    Ok(done)
}

/// Takes away its dead letters; true when none is left.
fn letters(tx: &mut Tx<'_>, account: &Account<'_>, place: &mut Place) -> rusqlite::Result<bool> {
    if place.letters == 0 {
        return Ok(true);
    }
    let found = tx
        .conn
        .prepare_cached(
            "SELECT id, event_id, origin, place, died_at, octet_length(payload) FROM dead_letters
             WHERE did = $1 AND id <= $2 LIMIT $3",
        )?
        .query_map(params![account.did.as_str(), place.letters, tx.strip.room], |row| {
            // A damaged letter goes like any other.
            let name = row.get::<_, String>(1).ok().and_then(|name| EventId::parse(&name).ok());
            let origin =
                row.get::<_, String>(2).ok().map(|o| origin(&o, row.get(3).ok().flatten()));
            Ok((row.get(0)?, name.zip(origin), row.get(4).unwrap_or(0), row.get(5).unwrap_or(0)))
        })?
        .collect::<rusqlite::Result<Vec<(i64, Option<(EventId, Origin)>, i64, usize)>>>()?;
    let all = found.len() < tx.strip.room;
    for (id, named, died_at, bytes) in found {
        if tx.strip.room == 0 {
            return Ok(false);
        }
        tx.strip.room = tx.strip.room.saturating_sub(1 + bytes / BYTES);
        tx.conn.prepare_cached("DELETE FROM dead_letters WHERE id = $1")?.execute([id])?;
        if let Some((name, origin)) = named {
            identity::drop_letter(tx, &origin, &name, died_at, Dropped::Purged)?;
        }
    }
    if all {
        place.letters = 0;
    }
    Ok(all)
}

/// Takes away what its records say; true when none is left that does.
fn records(tx: &mut Tx<'_>, account: &Account<'_>, place: &mut Place) -> rusqlite::Result<bool> {
    let room = tx.strip.room;
    let found = tx
        .conn
        .prepare_cached(
            "SELECT id, collection, rkey, rev <= $1 AND body IS NOT NULL, subject IS NOT NULL
             FROM records WHERE owner = $2 AND (collection, rkey) > ($3, $4)
             ORDER BY collection, rkey LIMIT $5",
        )?
        .query_map(
            params![column(account.floor), account.id.0, place.collection, place.rkey, room],
            |row| {
                let key: (Value, Value) = (row.get(1)?, row.get(2)?);
                Ok((row.get(0)?, key, row.get(3)?, row.get(4)?))
            },
        )?
        .collect::<rusqlite::Result<Vec<(i64, (Value, Value), bool, bool)>>>()?;
    tx.strip.room -= found.len();
    let all = found.len() < room;
    for (row, (collection, rkey), dead, derived) in found {
        if dead {
            let key = match (&collection, &rkey) {
                (Value::Integer(collection), Value::Integer(rkey)) if derived => {
                    Collection::from_number(*collection).map(|c| (c, tid(*rkey)))
                }
                // A damaged key is nobody's; the row says nothing any more all the same.
                _ => None,
            };
            strip(tx, account, row, key)?;
        }
        (place.collection, place.rkey) = (collection, rkey);
    }
    Ok(all)
}

/// Leaves of a record only that there was one; with its key, takes along what was derived from it.
fn strip(
    tx: &mut Tx<'_>,
    account: &Account<'_>,
    row: i64,
    key: Option<(Collection, Tid)>,
) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE records SET body = NULL, cid = NULL, subject = NULL, subject_rkey = NULL
             WHERE id = $1",
        )?
        .execute([row])?;
    let Some((collection, rkey)) = key else { return Ok(()) };
    let key = RecordKey { owner: account.id, rkey };
    remove_derived(tx, account.did, &Derived { id: row, collection, key })
}

/// One step of whichever account comes first.
pub(super) struct Step;

impl Job for Step {
    fn rows(&self) -> usize {
        STEP
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let next = tx
            .conn
            .prepare_cached(
                "SELECT s.entity, e.did, e.floor, s.letters, s.collection, s.rkey
                 FROM stripping s LEFT JOIN entities e ON e.id = s.entity
                 ORDER BY s.entity LIMIT 1",
            )?
            .query_row([], |row| {
                let did = row.get::<_, String>(1).ok().and_then(|did| Did::parse(&did).ok());
                let place =
                    Place { letters: row.get(3)?, collection: row.get(4)?, rkey: row.get(5)? };
                Ok((row.get::<_, u32>(0)?, did.zip(row.get::<_, i64>(2).ok()), place))
            })
            .optional()?;
        let Some((entity, account, place)) = next else { return Ok(()) };
        match account {
            Some((did, floor)) => {
                let account = Account { did: &did, id: EntityId(entity), floor: tid(floor) };
                if go_on(tx, &account, place)? {
                    // Hidden until now, whatever its status is.
                    entity_changed(tx, &did, account.id)?;
                }
            }
            None => {
                tracing::error!(entity, "a deleted account's own row is damaged: its rows stay");
                tx.conn.execute("DELETE FROM stripping WHERE entity = $1", [entity])?;
            }
        }
        tx.strip.more = tx
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM stripping)")?
            .query_row([], |row| row.get(0))?;
        Ok(())
    }

    fn done(self: Box<Self>, _: Result<u64, StoreError>) {
        // Nobody waits for it.
    }
}

/// The floors of accounts that are being stripped: what is at or below is not there any more.
pub(super) fn floors(conn: &Connection) -> rusqlite::Result<HashMap<EntityId, Tid>> {
    conn.prepare_cached(
        "SELECT s.entity, e.floor FROM stripping s JOIN entities e ON e.id = s.entity",
    )?
    .query_map([], |row| Ok((EntityId(row.get(0)?), tid(row.get(1)?))))?
    .collect()
}
