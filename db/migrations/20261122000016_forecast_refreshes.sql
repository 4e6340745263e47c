-- migrate:up

-- Which transaction wrote a row last: with the snapshot that a forecast was made from it tells what came since,
-- whatever the clock said. Older rows have none: no forecast from before this tells what it had seen.
ALTER TABLE demand_signals ADD COLUMN written_xid xid8;
ALTER TABLE demand_signals ALTER COLUMN written_xid SET DEFAULT pg_current_xact_id();
ALTER TABLE stock_counts ADD COLUMN written_xid xid8;
ALTER TABLE stock_counts ALTER COLUMN written_xid SET DEFAULT pg_current_xact_id();
ALTER TABLE open_supply ADD COLUMN written_xid xid8;
ALTER TABLE open_supply ALTER COLUMN written_xid SET DEFAULT pg_current_xact_id();
CREATE INDEX demand_signals_written ON demand_signals (written_xid);
CREATE INDEX stock_counts_written ON stock_counts (written_xid);
CREATE INDEX open_supply_written ON open_supply (written_xid);

-- The history of a few pairs is read through this.
CREATE INDEX demand_signals_consumed ON demand_signals (product_code, region_code)
WHERE superseded_at IS NULL AND kind = 'consumption';
-- What people say of the future is little: what of it became known between two moments is found here.
CREATE INDEX demand_signals_foretold ON demand_signals (occurred_at)
WHERE superseded_at IS NULL AND kind IN ('adjustment', 'order');

-- A refresh is stored as the series that differ from its base: a forecast that is stored in full, and knows what it
-- had to look at all series for. Without ON DELETE: a base stays as long as others are stored upon it.
ALTER TABLE forecasts ADD COLUMN base_forecast_id uuid;
ALTER TABLE forecasts ADD CONSTRAINT forecasts_base_stays
FOREIGN KEY (base_forecast_id) REFERENCES forecasts NOT VALID;
ALTER TABLE forecasts VALIDATE CONSTRAINT forecasts_base_stays;
CREATE INDEX forecasts_by_base ON forecasts (base_forecast_id);
ALTER TABLE forecasts ADD COLUMN n_refreshed_series integer;
ALTER TABLE forecasts ADD COLUMN seen pg_snapshot;
ALTER TABLE forecasts ADD COLUMN rules_hash text;
ALTER TABLE forecasts ADD COLUMN knowledge jsonb;
ALTER TABLE forecast_series ADD COLUMN refresh_reason text;

CREATE TABLE forecast_products (
    forecast_id uuid NOT NULL REFERENCES forecasts ON DELETE CASCADE,
    product_code text COLLATE "C" NOT NULL,
    season_factors double precision [] NOT NULL,
    is_whole boolean NOT NULL,
    PRIMARY KEY (forecast_id, product_code)
);

-- A forecast's rows wherever they are stored: its own, and its base's of other series. Inlined into every query; as both
-- parts are in order, a page of the whole is a merge of two index scans that stop early.
CREATE FUNCTION forecast_series_of(whole uuid) RETURNS SETOF forecast_series LANGUAGE sql STABLE AS $$
    (SELECT own.* FROM forecast_series AS own WHERE own.forecast_id = whole
    ORDER BY own.product_code, own.region_code)
    UNION ALL
    (SELECT base.* FROM forecast_series AS base
    WHERE base.forecast_id = (SELECT f.base_forecast_id FROM forecasts AS f WHERE f.forecast_id = whole)
        AND NOT EXISTS (
            SELECT FROM forecast_series AS anew
            WHERE anew.forecast_id = whole AND anew.product_code = base.product_code
                AND anew.region_code = base.region_code
        )
    ORDER BY base.product_code, base.region_code)
$$;

CREATE FUNCTION forecast_values_of(whole uuid) RETURNS SETOF forecast_values LANGUAGE sql STABLE AS $$
    (SELECT own.* FROM forecast_values AS own WHERE own.forecast_id = whole
    ORDER BY own.product_code, own.region_code, own.bucket_date)
    UNION ALL
    (SELECT base.* FROM forecast_values AS base
    WHERE base.forecast_id = (SELECT f.base_forecast_id FROM forecasts AS f WHERE f.forecast_id = whole)
        AND NOT EXISTS (
            SELECT FROM forecast_series AS anew
            WHERE anew.forecast_id = whole AND anew.product_code = base.product_code
                AND anew.region_code = base.region_code
        )
    ORDER BY base.product_code, base.region_code, base.bucket_date)
$$;

-- The signals and counts of some pairs, each read through its index; of all pairs where null is given.
CREATE FUNCTION demand_signals_of(product_codes text [], region_codes text []) RETURNS SETOF demand_signals
LANGUAGE sql STABLE AS $$
    SELECT s.* FROM demand_signals AS s WHERE product_codes IS NULL
    UNION ALL
    SELECT s.* FROM unnest(product_codes, region_codes) AS pair (product_code, region_code)
    JOIN demand_signals AS s ON s.product_code = pair.product_code AND s.region_code = pair.region_code
$$;

CREATE FUNCTION stock_counts_of(product_codes text [], region_codes text []) RETURNS SETOF stock_counts
LANGUAGE sql STABLE AS $$
    SELECT c.* FROM stock_counts AS c WHERE product_codes IS NULL
    UNION ALL
    SELECT c.* FROM unnest(product_codes, region_codes) AS pair (product_code, region_code)
    JOIN stock_counts AS c ON c.product_code = pair.product_code AND c.region_code = pair.region_code
$$;

-- migrate:down
