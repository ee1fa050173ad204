-- Small facts about the database itself: the number of the last change, whether it was closed.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- Every DID ever named, numbered: integer keys inside, text at the edge.
CREATE TABLE entities (
    id            INTEGER PRIMARY KEY,
    did           TEXT NOT NULL UNIQUE,
    active        INTEGER NOT NULL DEFAULT 1,
    status        TEXT,
    account_time  INTEGER,                      -- µs; the greatest account event decides
    floor         INTEGER NOT NULL DEFAULT 0,   -- records with rev <= floor are not live
    handle        TEXT,
    identity_time INTEGER                       -- µs; the greatest identity event decides
);
CREATE INDEX entities_handle ON entities (handle) WHERE handle IS NOT NULL;

-- What wrote each record, for ever: a deleted one stays as a tombstone without body.
-- (class, rev, deleted, hash) is its version; the greatest wins.
-- Rows stand in the order in which they were first heard of, so that new ones fill page after page;
-- only the narrow indexes are written in random order (docs/decisions/0005).
CREATE TABLE records (
    id           INTEGER PRIMARY KEY,
    owner        INTEGER NOT NULL,
    collection   INTEGER NOT NULL,
    rkey         INTEGER NOT NULL,
    class        INTEGER NOT NULL,
    rev          INTEGER NOT NULL,
    deleted      INTEGER NOT NULL,
    hash         BLOB NOT NULL,
    verified     INTEGER NOT NULL,
    subject      INTEGER,                       -- what it is about, while there is a derived row
    subject_rkey INTEGER,
    indexed_at   INTEGER NOT NULL,
    cid          TEXT,                          -- only when it is not the canonical form's
    body         TEXT                           -- NULL when not live
);
CREATE UNIQUE INDEX records_key ON records (owner, collection, rkey);

-- Derived from records: live relationships. The id is the record's.
CREATE TABLE relationships (
    id               INTEGER PRIMARY KEY,
    subject          INTEGER NOT NULL,
    owner            INTEGER NOT NULL,
    rkey             INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    strength         INTEGER NOT NULL,
    last_interaction INTEGER,                   -- day since 1970
    created          INTEGER NOT NULL,          -- µs
    rev              INTEGER NOT NULL,
    signed           INTEGER NOT NULL,          -- 1 by the owner, 2 by the subject
    visibility       INTEGER NOT NULL,
    consent          INTEGER NOT NULL
);
CREATE INDEX relationships_subject ON relationships (subject);

-- Derived from records: live attestations. The id is the record's.
CREATE TABLE attestations (
    id           INTEGER PRIMARY KEY,
    target_owner INTEGER NOT NULL,
    target_rkey  INTEGER NOT NULL,
    attester     INTEGER NOT NULL,
    rkey         INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    confidence   INTEGER NOT NULL,
    effective    INTEGER NOT NULL,              -- µs
    rev          INTEGER NOT NULL
);
CREATE INDEX attestations_target ON attestations (target_owner);

-- Derived from records (made = 0), or made through the API (made = 1); the record's comes first.
CREATE TABLE profiles (
    entity     INTEGER NOT NULL,
    made       INTEGER NOT NULL,
    name       TEXT NOT NULL,
    type       TEXT NOT NULL,
    bio        TEXT,
    avatar_url TEXT,
    verified   INTEGER NOT NULL,
    created    INTEGER NOT NULL,                -- µs
    PRIMARY KEY (entity, made)
) WITHOUT ROWID;

-- Derived from profiles: the words of names, for search by prefix.
CREATE TABLE terms (
    term   TEXT NOT NULL,
    entity INTEGER NOT NULL,
    PRIMARY KEY (term, entity)
) WITHOUT ROWID;

CREATE INDEX terms_entity ON terms (entity);

-- Accepted, not yet applied.
CREATE TABLE journal (
    seq          INTEGER PRIMARY KEY,
    priority     INTEGER NOT NULL,
    event_id     TEXT NOT NULL,
    event_type   TEXT NOT NULL,
    did          TEXT NOT NULL,
    accepted_at  INTEGER NOT NULL,              -- µs
    assigned_rev INTEGER,
    retry_count  INTEGER NOT NULL,
    crashes      INTEGER NOT NULL DEFAULT 0,    -- times it was handed out alone and not settled
    due          INTEGER,                       -- µs; NULL when ready
    origin       TEXT NOT NULL,
    place        INTEGER,
    verified     INTEGER NOT NULL,
    stages       TEXT,
    payload      TEXT NOT NULL
);

-- Identities of what was accepted, so that the same event is accepted once.
CREATE TABLE accepted (
    event_id    BLOB PRIMARY KEY,               -- behind a byte that says who gave it
    fingerprint BLOB NOT NULL,                  -- empty when a source gave it
    accepted_at INTEGER NOT NULL,               -- µs
    seq         INTEGER                         -- its number in the journal; NULL for what became none
) WITHOUT ROWID;

-- How far each source is in the journal.
CREATE TABLE cursors (
    source   TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id     TEXT NOT NULL,
    event_type   TEXT,
    did          TEXT,
    priority     INTEGER NOT NULL,
    retry_count  INTEGER NOT NULL,
    accepted_at  INTEGER NOT NULL,              -- µs
    died_at      INTEGER NOT NULL,              -- µs
    assigned_rev INTEGER,
    origin       TEXT NOT NULL,
    place        INTEGER,
    verified     INTEGER NOT NULL,
    replayable   INTEGER NOT NULL,              -- it was an event, not an input that became none
    stages       TEXT NOT NULL,
    last_error   TEXT NOT NULL,
    payload      BLOB NOT NULL
);
-- Each holds what can be asked for, so that counting and paging read no letter that is not shown.
CREATE INDEX dead_letters_type ON dead_letters (event_type, did, died_at, replayable);
CREATE INDEX dead_letters_did ON dead_letters (did, died_at, replayable);
CREATE INDEX dead_letters_time ON dead_letters (died_at, replayable);
CREATE INDEX dead_letters_event ON dead_letters (event_id);

-- Inputs that were counted and not kept, because their DID ('' when unknown) had too many.
CREATE TABLE rejected_overflow (
    did   TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) WITHOUT ROWID;

-- What stands still: the intake or the work of a type.
CREATE TABLE paused (
    part       TEXT NOT NULL,                   -- intake, work
    event_type TEXT NOT NULL,
    PRIMARY KEY (part, event_type)
) WITHOUT ROWID;

-- What operators did.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,                   -- µs
    action  TEXT NOT NULL,
    by      TEXT NOT NULL,
    subject TEXT NOT NULL,
    count   INTEGER NOT NULL
);
