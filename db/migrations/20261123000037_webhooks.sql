-- migrate:up

-- Who is told when something has happened, and what is still to be told. A secret is kept as it is: it signs.
CREATE TABLE webhooks (
    webhook_id uuid PRIMARY KEY,
    url text NOT NULL,
    events text [] NOT NULL,
    description text NOT NULL,
    is_enabled boolean NOT NULL,
    secret bytea NOT NULL,
    previous_secret bytea,
    previous_secret_until timestamptz,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz,
    CONSTRAINT webhooks_have_events CHECK (cardinality(events) > 0)
);

CREATE TABLE webhook_deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES webhooks,
    message_id text NOT NULL,
    event text NOT NULL,
    subject text NOT NULL,
    payload text NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_status integer,
    last_problem text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT webhook_deliveries_know_their_state CHECK (state IN ('waiting', 'delivered', 'dead'))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (webhook_id, subject, delivery_id) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, delivery_id);

-- However a run ends: what is to be told of it is stored in the same transaction.
CREATE FUNCTION tell_webhooks_of_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_deliveries (webhook_id, message_id, event, subject, payload)
    SELECT
        webhook_id,
        'msg_' || replace(gen_random_uuid()::text, '-', ''),
        new.kind || '.' || new.state,
        'runs/' || new.run_id,
        jsonb_build_object(
            'type', new.kind || '.' || new.state,
            'timestamp', to_char(new.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'data', jsonb_build_object(
                'run_id', new.run_id, 'kind', new.kind, 'state', new.state, 'result', new.result, 'problem', new.problem
            )
        )::text
    FROM webhooks
    WHERE retired_at IS NULL AND is_enabled AND new.kind || '.' || new.state = ANY (events);
    IF found THEN
        PERFORM pg_notify('pullplan_deliveries', '');
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER run_ended AFTER UPDATE OF state ON runs
FOR EACH ROW WHEN (old.state <> new.state AND new.state IN ('succeeded', 'failed', 'cancelled'))
EXECUTE FUNCTION tell_webhooks_of_run();

-- migrate:down
