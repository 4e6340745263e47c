-- name: insert
INSERT INTO webhooks (webhook_id, url, events, description, is_enabled, secret)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING webhook_id, url, events, description, is_enabled, previous_secret_until, revision, created_at, updated_at, retired_at;

-- name: get
SELECT webhook_id, url, events, description, is_enabled, previous_secret_until, revision, created_at, updated_at, retired_at
FROM webhooks WHERE webhook_id = $1;

-- name: lock
SELECT revision, retired_at FROM webhooks WHERE webhook_id = $1 FOR UPDATE;

-- name: list_page
SELECT webhook_id, url, events, description, is_enabled, previous_secret_until, revision, created_at, updated_at, retired_at
FROM webhooks
WHERE ($1::timestamptz IS NULL OR (created_at, webhook_id) < ($1, $2)) AND ($3 OR retired_at IS NULL)
ORDER BY created_at DESC, webhook_id DESC LIMIT $4;

-- name: replace
UPDATE webhooks SET
    url = $2, events = $3, description = $4, is_enabled = $5, revision = revision + 1, updated_at = now()
WHERE webhook_id = $1
RETURNING webhook_id, url, events, description, is_enabled, previous_secret_until, revision, created_at, updated_at, retired_at;

-- name: rotate
UPDATE webhooks SET
    previous_secret = secret, previous_secret_until = $3, secret = $2, revision = revision + 1, updated_at = now()
WHERE webhook_id = $1
RETURNING webhook_id, url, events, description, is_enabled, previous_secret_until, revision, created_at, updated_at, retired_at;

-- name: retire
WITH buried AS (
    UPDATE webhook_deliveries SET state = 'dead', last_problem = 'the webhook was retired', ended_at = now()
    WHERE webhook_id = $1 AND state = 'waiting'
)
UPDATE webhooks SET retired_at = now(), is_enabled = false, revision = revision + 1, updated_at = now()
WHERE webhook_id = $1;

-- name: disable
UPDATE webhooks SET is_enabled = false, revision = revision + 1, updated_at = now()
WHERE webhook_id = $1 AND is_enabled;

-- name: enqueue
WITH told AS (SELECT pg_notify('pullplan_deliveries', ''))
INSERT INTO webhook_deliveries (webhook_id, message_id, event, subject, payload)
SELECT $1, $2, $3, $4, $5 FROM told
RETURNING delivery_id, message_id, event, subject, payload, state, attempts, next_attempt_at, last_status, last_problem, created_at, ended_at;

-- name: list_deliveries
SELECT delivery_id, message_id, event, subject, payload, state, attempts, next_attempt_at, last_status, last_problem, created_at, ended_at
FROM webhook_deliveries
WHERE webhook_id = $1 AND ($2::bigint IS NULL OR delivery_id < $2) AND ($3::text IS NULL OR state = $3)
ORDER BY delivery_id DESC LIMIT $4;

-- name: redeliver
WITH told AS (SELECT pg_notify('pullplan_deliveries', ''))
UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, next_attempt_at = now(), ended_at = NULL
FROM told
WHERE webhook_id = $1 AND delivery_id = $2 AND state <> 'waiting'
RETURNING delivery_id, message_id, event, subject, payload, state, attempts, next_attempt_at, last_status, last_problem, created_at, ended_at;

-- name: find_delivery
SELECT delivery_id, message_id, event, subject, payload, state, attempts, next_attempt_at, last_status, last_problem, created_at, ended_at
FROM webhook_deliveries
WHERE webhook_id = $1 AND delivery_id = $2;

-- name: claim
-- Of each subject the oldest first; whoever is silent beyond the time given has lost it again.
UPDATE webhook_deliveries AS claimed SET attempts = claimed.attempts + 1, next_attempt_at = now() + $1::interval
FROM webhooks
WHERE claimed.webhook_id = webhooks.webhook_id AND claimed.delivery_id = (
    SELECT due.delivery_id
    FROM webhook_deliveries AS due
    WHERE due.state = 'waiting' AND due.next_attempt_at <= now()
        AND EXISTS (SELECT FROM webhooks WHERE webhooks.webhook_id = due.webhook_id AND webhooks.is_enabled)
        AND NOT EXISTS (
            SELECT FROM webhook_deliveries AS earlier
            WHERE earlier.webhook_id = due.webhook_id AND earlier.subject = due.subject
                AND earlier.state = 'waiting' AND earlier.delivery_id < due.delivery_id
        )
    ORDER BY due.next_attempt_at LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING claimed.delivery_id, claimed.webhook_id, claimed.message_id, claimed.payload, claimed.attempts,
    webhooks.url, webhooks.secret,
    CASE WHEN webhooks.previous_secret_until > now() THEN webhooks.previous_secret END AS previous_secret;

-- name: note_delivered
UPDATE webhook_deliveries SET state = 'delivered', last_status = $3, last_problem = NULL, ended_at = now()
WHERE delivery_id = $1 AND attempts = $2 AND state = 'waiting';

-- name: note_failed
UPDATE webhook_deliveries SET
    state = CASE WHEN $3::interval IS NULL THEN 'dead' ELSE 'waiting' END,
    next_attempt_at = now() + coalesce($3::interval, '0'),
    ended_at = CASE WHEN $3::interval IS NULL THEN now() END,
    last_status = $4, last_problem = $5
WHERE delivery_id = $1 AND attempts = $2 AND state = 'waiting';
