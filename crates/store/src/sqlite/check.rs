//! Whether every page of the file holds together: trees whose pages are where they should be, in
//! order, with rows that are what their columns allow. Damage by a disk or by another program shows
//! here first; what the rows mean is not looked at.

use rusqlite::{Connection, ErrorCode};

/// Findings told at most: after so many it is clear what has to be done.
const MOST: u32 = 20;

/// What SQLite's own check finds, in its words; nothing when all is well.
pub(super) fn pages(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(&format!("PRAGMA quick_check({MOST})"))?;
    let mut rows = statement.query([])?;
    let mut found: Vec<String> = Vec::new();
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                // One row can have several lines, below the name of the database.
                let text: String = row.get(0)?;
                let lines = text.lines().filter(|line| !line.starts_with("***"));
                found.extend(lines.map(str::to_owned));
            }
            Ok(None) => break,
            // So bad that the check itself cannot go on: that is one more finding.
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                found.push(e.to_string());
                break;
            }
            Err(e) => return Err(e),
        }
    }
    if found == ["ok"] {
        found.clear();
    }
    Ok(found)
}
