-- name: try_lock
-- Held until the transaction ends: the second of two equal requests is told to come back.
SELECT pg_try_advisory_xact_lock(hashtextextended($1::uuid || ' ' || $2::text, 0));

-- name: find
SELECT request_sha256, status_code, headers, body
FROM idempotency_keys WHERE key_id = $1 AND idempotency_key = $2;

-- name: insert
INSERT INTO idempotency_keys (key_id, idempotency_key, request_sha256, status_code, headers, body)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: forget
-- Some at a time, and none that another worker is at.
WITH old AS (
    SELECT key_id, idempotency_key FROM idempotency_keys WHERE created_at < now() - make_interval(days => $1)
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM idempotency_keys USING old
    WHERE idempotency_keys.key_id = old.key_id AND idempotency_keys.idempotency_key = old.idempotency_key
    RETURNING 1
)
SELECT count(*) FROM gone;
