-- name: notice_loss
-- A statement of minutes ends within a second of the worker that asked for it: another attempt would wait for its rows.
SET LOCAL client_connection_check_interval = '1s';

-- name: find_piece
SELECT content FROM import_pieces WHERE run_id = $1 AND ordinal = $2;

-- name: insert
-- Stored and noted, by the key that sent the file.
WITH stored AS (
    INSERT INTO imports (import_id, stored, known, refused, retired, errors) VALUES ($1, $2, $3, $4, $5, $6)
)
INSERT INTO audit_entries (key_id, action, subject, details)
SELECT key_id, 'load', $7, $8 FROM runs WHERE run_id = $1;

-- name: find
SELECT stored, known, refused, retired, errors FROM imports WHERE import_id = $1;

-- name: forget_pieces
-- Of files whose runs have ended, some at a time, and none that another worker is at.
WITH old AS (
    SELECT piece.run_id, piece.ordinal FROM import_pieces AS piece
    JOIN runs ON runs.run_id = piece.run_id AND runs.state IN ('succeeded', 'failed', 'cancelled')
    LIMIT $1 FOR UPDATE OF piece SKIP LOCKED
), gone AS (
    DELETE FROM import_pieces USING old
    WHERE import_pieces.run_id = old.run_id AND import_pieces.ordinal = old.ordinal
    RETURNING 1
)
SELECT count(*) FROM gone;
