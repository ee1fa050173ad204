//! What operators did, written down in the transaction that did it.

use super::{row::time, writer::Tx};
use rhiz_domain::store::{AuditPage, AuditRow};
use rusqlite::{Connection, params};

/// Begins a row; answers with its number.
pub(super) fn begin(
    tx: &Tx<'_>,
    action: &str,
    by: &str,
    subject: &str,
    count: usize,
) -> rusqlite::Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO audit (at, action, by, subject, count) VALUES ($1, $2, $3, $4, $5)",
        )?
        .execute(params![tx.now, action, by, subject, count])?;
    Ok(tx.conn.last_insert_rowid())
}

/// Adds to the count of a row, and says that it names not all it is about when it is `named` by the
/// first of them; answers whether it is there.
pub(super) fn add(tx: &Tx<'_>, row: i64, count: usize, named: bool) -> rusqlite::Result<bool> {
    let found = tx
        .conn
        .prepare_cached(
            "UPDATE audit SET count = count + $1,
                 subject = subject || iif($2 AND subject NOT LIKE '% …', ' …', '')
             WHERE id = $3",
        )?
        .execute(params![count, named, row])?;
    Ok(found > 0)
}

/// One page, newest first.
pub(super) fn page(
    conn: &Connection,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<AuditPage> {
    let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = conn
        .prepare_cached(
            "SELECT id, at, action, by, subject, count FROM audit WHERE id < $1
             ORDER BY id DESC LIMIT $2",
        )?
        .query_map(params![before.unwrap_or(i64::MAX), most], |row| {
            Ok(AuditRow {
                id: row.get(0)?,
                at: time(row.get(1)?),
                action: row.get(2)?,
                by: row.get(3)?,
                subject: row.get(4)?,
                count: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(AuditPage { rows, more })
}
