-- name: insert
INSERT INTO audit_entries (key_id, action, subject, details)
VALUES ($1, $2, $3, $4);

-- name: list_page
SELECT audit_id, at, key_id, action, subject, details
FROM audit_entries
WHERE ($1::bigint IS NULL OR audit_id < $1)
    AND ($2::uuid IS NULL OR key_id = $2) AND ($3::text IS NULL OR action = $3)
    AND ($4::text IS NULL OR subject = $4) AND ($5::timestamptz IS NULL OR at >= $5)
ORDER BY audit_id DESC LIMIT $6;
