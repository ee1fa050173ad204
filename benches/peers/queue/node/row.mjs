// The row of 15 columns that a message becomes: as in ../rust/src/row.rs.

export const TABLE = `CREATE TABLE relationship (
  uri TEXT PRIMARY KEY, owner TEXT NOT NULL, rkey TEXT NOT NULL, rev TEXT NOT NULL,
  subject TEXT NOT NULL, kind TEXT NOT NULL, strength BIGINT NOT NULL, context TEXT NOT NULL,
  visibility TEXT NOT NULL, consent TEXT NOT NULL, started_at TEXT NOT NULL,
  last_interaction TEXT NOT NULL, created_at TEXT NOT NULL, time_us BIGINT NOT NULL,
  operation TEXT NOT NULL)`;

const CONFLICT = `ON CONFLICT (uri) DO UPDATE SET rev = excluded.rev, subject = excluded.subject,
  kind = excluded.kind, strength = excluded.strength, context = excluded.context,
  visibility = excluded.visibility, consent = excluded.consent,
  started_at = excluded.started_at, last_interaction = excluded.last_interaction,
  created_at = excluded.created_at, time_us = excluded.time_us, operation = excluded.operation
  WHERE excluded.rev > relationship.rev`;

/** One row. */
export const UPSERT = `INSERT INTO relationship VALUES
  ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ${CONFLICT}`;

/** Many rows, each parameter an array. */
export const UPSERT_MANY = `INSERT INTO relationship SELECT * FROM unnest(
  $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
  $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[],
  $15::text[]) ${CONFLICT}`;

export function columns(event) {
  const { did, commit } = event;
  const { record } = commit;
  return [
    `at://${did}/${commit.collection}/${commit.rkey}`,
    did,
    commit.rkey,
    commit.rev,
    record.participants[1],
    record.type,
    record.strength,
    record.context,
    record.privacy.visibility,
    record.privacy.consent,
    record.temporal.start,
    record.temporal.lastInteraction,
    record.createdAt,
    event.time_us,
    commit.operation,
  ];
}
