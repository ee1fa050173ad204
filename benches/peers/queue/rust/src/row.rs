//! The work: one message of a Jetstream, and the row of 15 columns that it becomes.

use serde::{Deserialize, Serialize};

/// A message, with its number in the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    pub i: usize,
    pub event: Message,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    pub did: String,
    pub time_us: i64,
    pub kind: String,
    pub commit: Commit,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Commit {
    pub rev: String,
    pub operation: String,
    pub collection: String,
    pub rkey: String,
    pub record: Record,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    #[serde(rename = "$type")]
    pub schema: String,
    pub participants: [String; 2],
    #[serde(rename = "type")]
    pub kind: String,
    pub strength: i64,
    pub context: String,
    pub privacy: Privacy,
    pub temporal: Temporal,
    pub created_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Privacy {
    pub visibility: String,
    pub consent: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Temporal {
    pub start: String,
    pub last_interaction: String,
}

/// The table, in words that SQLite and PostgreSQL both understand.
pub const TABLE: &str = "CREATE TABLE relationship (
    uri TEXT PRIMARY KEY, owner TEXT NOT NULL, rkey TEXT NOT NULL, rev TEXT NOT NULL,
    subject TEXT NOT NULL, kind TEXT NOT NULL, strength BIGINT NOT NULL, context TEXT NOT NULL,
    visibility TEXT NOT NULL, consent TEXT NOT NULL, started_at TEXT NOT NULL,
    last_interaction TEXT NOT NULL, created_at TEXT NOT NULL, time_us BIGINT NOT NULL,
    operation TEXT NOT NULL)";

/// One upsert, parameters as `upsert!` gives them.
pub const UPSERT: &str = "INSERT INTO relationship VALUES
    ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (uri) DO UPDATE SET rev = excluded.rev, subject = excluded.subject,
    kind = excluded.kind, strength = excluded.strength, context = excluded.context,
    visibility = excluded.visibility, consent = excluded.consent,
    started_at = excluded.started_at, last_interaction = excluded.last_interaction,
    created_at = excluded.created_at, time_us = excluded.time_us, operation = excluded.operation
    WHERE excluded.rev > relationship.rev";

/// The upsert of a message as a query of the sqlx given: two of its versions are in use.
#[macro_export]
macro_rules! upsert {
    ($sqlx:ident, $event:expr) => {{
        let event = $event;
        let commit = event.commit;
        let record = commit.record;
        let uri = format!("at://{}/{}/{}", event.did, commit.collection, commit.rkey);
        let [_, subject] = record.participants;
        $sqlx::query($crate::row::UPSERT)
            .bind(uri)
            .bind(event.did)
            .bind(commit.rkey)
            .bind(commit.rev)
            .bind(subject)
            .bind(record.kind)
            .bind(record.strength)
            .bind(record.context)
            .bind(record.privacy.visibility)
            .bind(record.privacy.consent)
            .bind(record.temporal.start)
            .bind(record.temporal.last_interaction)
            .bind(record.created_at)
            .bind(event.time_us)
            .bind(commit.operation)
    }};
}
