-- When an event that had been given up was put back last; it is on its way since then.
ALTER TABLE journal ADD COLUMN replayed_at INTEGER;  -- µs
