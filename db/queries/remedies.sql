-- name: insert
INSERT INTO plan_remedies (
    remedy_id, plan_id, shortfall_id, units, remedies, wall_seconds, code_version
) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: find
SELECT remedy_id, plan_id, shortfall_id, units, remedies, wall_seconds, code_version, created_at
FROM plan_remedies WHERE plan_id = $1 AND remedy_id = $2;
