-- migrate:up

CREATE TABLE forecasts (
    forecast_id uuid PRIMARY KEY,
    run_id uuid NOT NULL,
    as_of timestamptz NOT NULL,
    bucket text NOT NULL,
    first_bucket_date date NOT NULL,
    horizon_buckets integer NOT NULL,
    n_steps integer NOT NULL,
    parameters jsonb NOT NULL,
    snapshot_at timestamptz NOT NULL,
    snapshot_hash text NOT NULL,
    measures jsonb NOT NULL,
    wall_seconds double precision NOT NULL,
    code_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX forecasts_by_creation ON forecasts (created_at, forecast_id);

CREATE TABLE forecast_series (
    forecast_id uuid NOT NULL REFERENCES forecasts ON DELETE CASCADE,
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    demand_class text NOT NULL,
    model text NOT NULL,
    fallback_reason text,
    history_buckets integer NOT NULL,
    accuracy jsonb NOT NULL,
    error_paths_units jsonb NOT NULL,
    PRIMARY KEY (forecast_id, product_code, region_code)
);

CREATE TABLE forecast_values (
    forecast_id uuid NOT NULL REFERENCES forecasts ON DELETE CASCADE,
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    bucket_date date NOT NULL,
    mean_units double precision NOT NULL,
    p10_units double precision NOT NULL,
    p50_units double precision NOT NULL,
    p90_units double precision NOT NULL,
    adjustment_units double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (forecast_id, product_code, region_code, bucket_date),
    CONSTRAINT forecast_values_never_cross CHECK (
        0 <= p10_units AND p10_units <= p50_units AND p50_units <= p90_units AND mean_units >= 0
    )
);

CREATE TABLE plans (
    plan_id uuid PRIMARY KEY,
    run_id uuid NOT NULL,
    forecast_id uuid REFERENCES forecasts,
    as_of timestamptz NOT NULL,
    bucket text NOT NULL,
    first_bucket_date date NOT NULL,
    horizon_buckets integer NOT NULL,
    objective text NOT NULL,
    parameters jsonb NOT NULL,
    snapshot_at timestamptz NOT NULL,
    snapshot_hash text NOT NULL,
    plan_hash text NOT NULL,
    method text NOT NULL,
    tie_break text NOT NULL,
    reproducible boolean NOT NULL,
    stages jsonb NOT NULL,
    figures jsonb NOT NULL,
    wall_seconds double precision NOT NULL,
    code_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plans_one_for_each_run UNIQUE (run_id)
);
CREATE INDEX plans_by_creation ON plans (created_at, plan_id);

-- The facts a plan was made from, packed: enough to make it again and to check it.
CREATE TABLE plan_snapshots (
    plan_id uuid PRIMARY KEY REFERENCES plans ON DELETE CASCADE,
    facts bytea NOT NULL
);

CREATE TABLE plan_needs (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    need_id integer NOT NULL,
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    bucket_date date NOT NULL,
    tier text NOT NULL,
    rank integer NOT NULL,
    units double precision NOT NULL,
    assigned_units double precision NOT NULL,
    shortfall_units double precision NOT NULL,
    PRIMARY KEY (plan_id, need_id),
    CONSTRAINT plan_needs_tier_is_known CHECK (tier IN ('order', 'lead', 'forecast', 'buffer'))
);

CREATE TABLE plan_assignments (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    assignment_id integer NOT NULL,
    need_id integer NOT NULL,
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    node_code text COLLATE "C" NOT NULL,
    tier text NOT NULL,
    need_bucket_date date NOT NULL,
    start_bucket_date date NOT NULL,
    arrival_bucket_date date NOT NULL,
    units double precision NOT NULL,
    distance_km double precision NOT NULL,
    cost_per_unit double precision NOT NULL,
    distance_rank integer NOT NULL,
    passed_over jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (plan_id, assignment_id)
);

CREATE TABLE plan_shortfalls (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    shortfall_id integer NOT NULL,
    need_id integer NOT NULL,
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    tier text NOT NULL,
    need_bucket_date date NOT NULL,
    units double precision NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (plan_id, shortfall_id)
);

-- Stage prices that are not zero: what one more unit of this capacity is worth to that stage.
CREATE TABLE plan_prices (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    stage integer NOT NULL,
    node_code text COLLATE "C" NOT NULL,
    resource_code text COLLATE "C" NOT NULL,
    bucket_date date NOT NULL,
    price double precision NOT NULL,
    PRIMARY KEY (plan_id, stage, node_code, resource_code, bucket_date)
);

CREATE TABLE plan_loads (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    node_code text COLLATE "C" NOT NULL,
    resource_code text COLLATE "C" NOT NULL,
    bucket_date date NOT NULL,
    kind text NOT NULL,
    capacity double precision NOT NULL,
    used double precision NOT NULL,
    PRIMARY KEY (plan_id, node_code, resource_code, bucket_date)
);

-- migrate:down
