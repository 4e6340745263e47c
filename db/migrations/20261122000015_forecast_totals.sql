-- migrate:up

-- What a forecast's series add up to: each product over its regions, each region over its products, and all.
CREATE TABLE forecast_totals (
    forecast_id uuid NOT NULL REFERENCES forecasts ON DELETE CASCADE,
    totalled_by text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    n_series integer NOT NULL,
    method text NOT NULL,
    method_scores jsonb NOT NULL,
    accuracy jsonb NOT NULL,
    PRIMARY KEY (forecast_id, totalled_by, code),
    CONSTRAINT forecast_totals_are_of_something CHECK (totalled_by IN ('product', 'region', 'all'))
);

CREATE TABLE forecast_total_values (
    forecast_id uuid NOT NULL,
    totalled_by text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    bucket_date date NOT NULL,
    mean_units double precision NOT NULL,
    p10_units double precision NOT NULL,
    p50_units double precision NOT NULL,
    p90_units double precision NOT NULL,
    PRIMARY KEY (forecast_id, totalled_by, code, bucket_date),
    FOREIGN KEY (forecast_id, totalled_by, code) REFERENCES forecast_totals ON DELETE CASCADE,
    CONSTRAINT forecast_total_values_never_cross CHECK (
        0 <= p10_units AND p10_units <= p50_units AND p50_units <= p90_units AND mean_units >= 0
    )
);

-- migrate:down
