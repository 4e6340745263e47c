-- name: lock_name
-- Two callers that create the same code wait for each other, although there is no row to lock yet.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));
