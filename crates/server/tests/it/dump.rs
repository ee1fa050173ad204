//! What a database holds, read from its file: the index in an order of its own, whatever numbers
//! the rows have.

use rusqlite::{Connection, OpenFlags, types::Value};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Opened for reading, beside whoever writes.
pub(crate) fn open(data: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = Connection::open_with_flags(data.join("rhiz.db"), flags).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    conn
}

/// A number that a query answers with; 0 while there is no such table.
pub(crate) fn number(data: &Path, query: &str) -> u64 {
    if !data.join("rhiz.db").exists() {
        return 0;
    }
    open(data).query_row(query, [], |row| row.get(0)).unwrap_or(0)
}

/// Events accepted so far, where each of them makes a record of its own: applied, or waiting.
pub(crate) fn accepted(data: &Path) -> u64 {
    number(data, "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM journal)")
}

/// Every table of the index, with DIDs instead of numbers: rows and the digest of all of them.
pub(crate) fn index(data: &Path) -> Vec<(&'static str, usize, String)> {
    const TABLES: [(&str, &str); 6] = [
        (
            "entities",
            "SELECT did, active, status, account_time, floor, handle, identity_time
             FROM entities ORDER BY did",
        ),
        (
            "records",
            "SELECT did, collection, rkey, class, rev, deleted, hash, r.verified, cid, body,
                    (SELECT did FROM entities WHERE id = r.subject)
             FROM records r JOIN entities e ON e.id = r.owner ORDER BY did, collection, rkey",
        ),
        (
            "relationships",
            "SELECT o.did, s.did, rkey, kind, strength, last_interaction, created, rev, signed,
                    visibility, consent
             FROM relationships r JOIN entities o ON o.id = r.owner
             JOIN entities s ON s.id = r.subject ORDER BY o.did, rkey",
        ),
        (
            "attestations",
            "SELECT o.did, target_rkey, a.did, rkey, kind, confidence, effective, rev
             FROM attestations t JOIN entities o ON o.id = t.target_owner
             JOIN entities a ON a.id = t.attester ORDER BY 1, 2, 3, 4",
        ),
        (
            "profiles",
            "SELECT did, name, type, bio, avatar_url, p.verified, created
             FROM profiles p JOIN entities e ON e.id = p.entity ORDER BY did, made",
        ),
        ("journal", "SELECT event_id FROM journal ORDER BY event_id"),
    ];
    let conn = open(data);
    let digest = |query: &str| {
        let mut statement = conn.prepare(query).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let (mut count, mut hash) = (0, Sha256::new());
        while let Some(row) = rows.next().unwrap() {
            count += 1;
            for i in 0..columns {
                hash.update(format!("{:?}\n", row.get::<_, Value>(i).unwrap()));
            }
        }
        (count, hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
    };
    TABLES
        .iter()
        .map(|(name, query)| {
            let (count, digest) = digest(query);
            (*name, count, digest)
        })
        .collect()
}
