-- migrate:up

CREATE TABLE api_keys (
    key_id uuid PRIMARY KEY,
    name text NOT NULL,
    key_sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    node_code text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    retired_at timestamptz,
    CONSTRAINT api_keys_are_found_by_hash UNIQUE (key_sha256)
);

CREATE TABLE audit_entries (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    key_id uuid NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE idempotency_keys (
    key_id uuid NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    request_sha256 bytea NOT NULL,
    status_code integer NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key_id, idempotency_key)
);

-- The queue and the resource are one table: state, progress, lease and a fenced attempt.
-- An attempt that is given back when its worker is stopped is none of workers_lost.
CREATE TABLE runs (
    run_id uuid PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'queued',
    attempt integer NOT NULL DEFAULT 0,
    workers_lost integer NOT NULL DEFAULT 0,
    parameters jsonb NOT NULL,
    progress jsonb NOT NULL DEFAULT '{}',
    problem jsonb,
    result text,
    cancel_requested boolean NOT NULL DEFAULT false,
    run_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    key_id uuid,
    CONSTRAINT runs_kind_is_known CHECK (kind IN ('forecast', 'plan')),
    CONSTRAINT runs_state_is_known CHECK (
        state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')
    ),
    CONSTRAINT runs_result_only_on_success CHECK ((result IS NOT NULL) = (state = 'succeeded')),
    CONSTRAINT runs_finished_has_an_end CHECK (
        (finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled'))
    )
);
CREATE INDEX runs_live ON runs (run_at) WHERE state IN ('queued', 'running');
CREATE INDEX runs_by_creation ON runs (created_at, run_id);

-- migrate:down
