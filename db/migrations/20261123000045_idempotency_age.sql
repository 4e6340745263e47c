-- migrate:up

-- The oldest answers are forgotten first.
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- migrate:down
