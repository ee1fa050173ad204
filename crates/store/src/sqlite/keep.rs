//! How much is kept of one DID: nobody can fill the disk.
//!
//! Letters of what came from a source, inputs that became no event and events that were given up
//! alike, are kept up to [`Rejected::MAX_PER_DID`]; the rest is counted. What a caller with a key
//! sent is kept whoever it is of.

use super::writer::Tx;
use rhiz_domain::store::Rejected;
use rusqlite::OptionalExtension;

/// Whether no more letter of this DID (of those of nobody, without one) is kept.
pub(super) fn is_full(tx: &Tx<'_>, did: Option<&str>) -> rusqlite::Result<bool> {
    let letters = tx
        .conn
        .prepare_cached("SELECT letters FROM dead_counts WHERE did = $1")?
        .query_row([did.unwrap_or("")], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(letters.is_some_and(|letters| letters >= Rejected::MAX_PER_DID as i64))
}

/// Counts one that is not kept.
pub(super) fn count(tx: &Tx<'_>, did: Option<&str>) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT INTO rejected_overflow (did, count) VALUES ($1, 1)
             ON CONFLICT (did) DO UPDATE SET count = count + 1",
        )?
        .execute([did.unwrap_or("")])?;
    Ok(())
}
