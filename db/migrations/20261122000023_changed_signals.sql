-- migrate:up

-- What was told since an instant, and nothing else, in the order of its arrival.
CREATE INDEX demand_signals_told ON demand_signals (received_at, signal_id) WHERE superseded_at IS NULL;

-- migrate:down
