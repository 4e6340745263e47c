-- name: insert
INSERT INTO api_keys (key_id, name, key_sha256, scopes, node_code, expires_at, requests_per_minute)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject;

-- name: meet_subject
-- Whose name is as it was is not written again.
WITH met AS (
    INSERT INTO api_keys AS known (key_id, name, key_sha256, scopes, issuer, subject)
    VALUES ($1, $2, $3, '{}', $4, $5)
    ON CONFLICT (key_id) DO UPDATE SET name = excluded.name WHERE known.name <> excluded.name
    RETURNING key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject
)
SELECT key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject
FROM met
UNION ALL
SELECT key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject
FROM api_keys WHERE key_id = $1 AND NOT EXISTS (SELECT FROM met);

-- name: find_by_digest
SELECT key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject
FROM api_keys
WHERE key_sha256 = $1;

-- name: note_use
UPDATE api_keys SET last_used_at = $2
WHERE key_id = $1;

-- name: list_all
SELECT key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject
FROM api_keys
ORDER BY created_at, key_id;

-- name: list_page
SELECT key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject
FROM api_keys
WHERE ($1::timestamptz IS NULL OR (created_at, key_id) < ($1, $2)) AND ($3 OR retired_at IS NULL)
ORDER BY created_at DESC, key_id DESC LIMIT $4;

-- name: find_for_update
SELECT key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject
FROM api_keys WHERE key_id = $1 FOR UPDATE;

-- name: end_by
UPDATE api_keys SET expires_at = LEAST(COALESCE(expires_at, $2), $2)
WHERE key_id = $1;

-- name: retire
UPDATE api_keys SET retired_at = COALESCE(retired_at, $2)
WHERE key_id = $1
RETURNING key_id, name, scopes, node_code, created_at, expires_at, last_used_at, retired_at, requests_per_minute, issuer, subject;
