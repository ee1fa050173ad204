-- Deleted accounts of which something is still there: what is at or below their floor is taken away
-- in steps. The key of the last record looked at stands here as it stands in its row.
CREATE TABLE stripping (
    entity     INTEGER PRIMARY KEY,
    letters    INTEGER NOT NULL,                -- dead letters up to this number are to go
    collection,
    rkey
);

-- Why what has this name was not applied, if it is nowhere: 1 discarded, 2 only counted, 3 gone with
-- its account.
ALTER TABLE accepted ADD COLUMN dropped INTEGER;

-- By age what has a name that does not begin with the time, as a UUIDv7 does: those need no index.
CREATE INDEX accepted_time ON accepted (accepted_at)
    WHERE (substr(event_id, 1, 1) IN (x'00', x'02')) + (substr(event_id, 8, 1) >= x'70')
        + (substr(event_id, 8, 1) < x'80') < 3;

-- How many dead letters there are of each DID ('' when unknown), and of all together ('*').
CREATE TABLE dead_counts (
    did        TEXT PRIMARY KEY,
    letters    INTEGER NOT NULL,
    replayable INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO dead_counts
    SELECT coalesce(did, ''), count(*), count(*) FILTER (WHERE replayable)
    FROM dead_letters GROUP BY 1;
INSERT INTO dead_counts
    SELECT '*', count(*), count(*) FILTER (WHERE replayable) FROM dead_letters;
CREATE TRIGGER dead_letters_come AFTER INSERT ON dead_letters BEGIN
    UPDATE dead_counts SET letters = letters + 1, replayable = replayable + (new.replayable <> 0)
        WHERE did = '*';
    INSERT INTO dead_counts VALUES (coalesce(new.did, ''), 1, new.replayable <> 0)
        ON CONFLICT (did) DO UPDATE
            SET letters = letters + 1, replayable = replayable + excluded.replayable;
END;
CREATE TRIGGER dead_letters_go AFTER DELETE ON dead_letters BEGIN
    UPDATE dead_counts SET letters = letters - 1, replayable = replayable - (old.replayable <> 0)
        WHERE did IN ('*', coalesce(old.did, ''));
    DELETE FROM dead_counts WHERE did = coalesce(old.did, '') AND letters <= 0;
END;
