-- name: allow_long_checks
SET LOCAL idle_in_transaction_session_timeout = 0;

-- name: insert
INSERT INTO plan_verifications (
    verification_id, run_id, plan_id, valid, n_findings, findings, stages, checked, wall_seconds, code_version
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: find
SELECT verification_id, run_id, plan_id, valid, n_findings, findings, stages, checked, wall_seconds, code_version,
    created_at
FROM plan_verifications WHERE plan_id = $1 AND verification_id = $2;

-- name: list_of_plan
SELECT verification_id, run_id, plan_id, valid, n_findings, stages, checked, wall_seconds, code_version, created_at
FROM plan_verifications
WHERE plan_id = $1 AND ($2::timestamptz IS NULL OR (created_at, verification_id) < ($2, $3))
ORDER BY created_at DESC, verification_id DESC LIMIT $4;
