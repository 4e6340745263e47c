-- migrate:up

-- How many requests a key may send in a minute; null: as many as the deployment's setting says.
ALTER TABLE api_keys ADD COLUMN requests_per_minute integer CHECK (requests_per_minute >= 0);

-- migrate:down
