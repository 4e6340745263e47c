-- migrate:up

-- A forecast of earlier buckets whose models go on in this one, moved by what has come since; it may be gone by now.
ALTER TABLE forecasts ADD COLUMN rolled_from_forecast_id uuid;
-- Of the series that a refresh made again, those that had drifted: all candidates competed for them.
ALTER TABLE forecasts ADD COLUMN n_refitted_series integer;

-- migrate:down
