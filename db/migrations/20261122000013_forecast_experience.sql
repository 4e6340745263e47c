-- migrate:up

-- How the forecasts that were in force fared in the latest buckets.
ALTER TABLE forecasts ADD COLUMN experience jsonb NOT NULL DEFAULT '{}';
ALTER TABLE forecast_series ADD COLUMN experience jsonb NOT NULL DEFAULT '{}';

-- migrate:down
