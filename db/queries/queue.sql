-- name: enqueue
WITH stored AS (
    INSERT INTO runs (run_id, kind, parameters, key_id) VALUES ($1, $2, $3, $4)
    RETURNING run_id, kind, state, attempt, parameters, progress, problem, result, cancel_requested,
        created_at, started_at, finished_at, updated_at
),
told AS (SELECT pg_notify('pullplan_runs', ''))
SELECT stored.* FROM stored, told;

-- name: end_abandoned
-- Nobody holds these any more, and nobody may take them again.
UPDATE runs SET
    state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'failed' END,
    workers_lost = workers_lost + 1,
    problem = CASE WHEN NOT cancel_requested THEN $2::jsonb END,
    lease_until = NULL, finished_at = now(), updated_at = now()
WHERE run_id IN (
    SELECT run_id FROM runs
    WHERE state = 'running' AND lease_until <= now() AND (workers_lost + 1 >= $1 OR cancel_requested)
    FOR UPDATE SKIP LOCKED
)
RETURNING run_id, state;

-- name: claim
UPDATE runs SET
    state = 'running', attempt = attempt + 1,
    workers_lost = workers_lost + CASE WHEN state = 'running' THEN 1 ELSE 0 END,
    lease_until = now() + $1::interval, started_at = coalesce(started_at, now()),
    progress = '{}', updated_at = now()
WHERE run_id = (
    SELECT run_id FROM runs
    WHERE (state = 'queued' AND run_at <= now())
        OR (state = 'running' AND lease_until <= now() AND workers_lost + 1 < $2 AND NOT cancel_requested)
    ORDER BY run_at, run_id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING run_id, kind, attempt, parameters;

-- name: renew
UPDATE runs SET
    lease_until = now() + $3::interval, progress = coalesce($4::jsonb, progress), updated_at = now()
WHERE run_id = $1 AND attempt = $2 AND state = 'running'
RETURNING cancel_requested;

-- name: succeed
UPDATE runs SET
    state = 'succeeded', result = $3, progress = '{"step": "done", "done_share": 1.0}',
    lease_until = NULL, finished_at = now(), updated_at = now()
WHERE run_id = $1 AND attempt = $2 AND state = 'running'
RETURNING run_id;

-- name: fail
UPDATE runs SET
    state = 'failed', problem = $3, lease_until = NULL, finished_at = now(), updated_at = now()
WHERE run_id = $1 AND attempt = $2 AND state = 'running'
RETURNING run_id;

-- name: end_cancelled
UPDATE runs SET state = 'cancelled', lease_until = NULL, finished_at = now(), updated_at = now()
WHERE run_id = $1 AND attempt = $2 AND state = 'running'
RETURNING run_id;

-- name: give_back
UPDATE runs SET state = 'queued', lease_until = NULL, progress = '{}', updated_at = now()
WHERE run_id = $1 AND attempt = $2 AND state = 'running'
RETURNING run_id;

-- name: give_up
UPDATE runs SET lease_until = now(), updated_at = now()
WHERE run_id = $1 AND attempt = $2 AND state = 'running'
RETURNING run_id;

-- name: request_cancel
UPDATE runs SET
    cancel_requested = true,
    state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
    finished_at = CASE WHEN state = 'queued' THEN now() END,
    updated_at = now()
WHERE run_id = $1 AND state IN ('queued', 'running')
RETURNING run_id, state;
