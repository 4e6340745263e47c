-- migrate:up

-- History as models were shown it, and by bucket why that is not what was demanded.
ALTER TABLE forecast_series
ADD COLUMN history_used_units double precision [] NOT NULL DEFAULT '{}',
ADD COLUMN history_marks text [] NOT NULL DEFAULT '{}';

-- migrate:down
