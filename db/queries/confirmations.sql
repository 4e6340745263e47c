-- name: insert
INSERT INTO plan_confirmations (
    confirmation_id, plan_id, assignment_id, node_code, units, missed_units, stated_measure, stated_cost, stages,
    wall_seconds, code_version
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: find
SELECT confirmation_id, plan_id, assignment_id, node_code, units, missed_units, stated_measure, stated_cost, stages,
    wall_seconds, code_version, created_at
FROM plan_confirmations WHERE plan_id = $1 AND confirmation_id = $2;
