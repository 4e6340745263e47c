-- migrate:up

-- What the forecast of a series rests on: its history by bucket (null where its source was silent), the models that
-- competed, and what had been forecast at some origins in the past.
ALTER TABLE forecast_series
ADD COLUMN history_first_date date,
ADD COLUMN history_units double precision [] NOT NULL DEFAULT '{}',
ADD COLUMN candidates jsonb NOT NULL DEFAULT '[]',
ADD COLUMN backtest jsonb NOT NULL DEFAULT '[]';

-- migrate:down
