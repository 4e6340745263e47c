-- name: insert
INSERT INTO audit_entries (key_id, action, subject, details)
VALUES ($1, $2, $3, $4);
