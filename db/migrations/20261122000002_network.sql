-- migrate:up

CREATE TABLE products (
    product_code text COLLATE "C" PRIMARY KEY,
    name text NOT NULL DEFAULT '',
    unit text NOT NULL DEFAULT 'unit',
    weight_kg double precision NOT NULL DEFAULT 1,
    value_per_unit double precision NOT NULL DEFAULT 1,
    holding_cost_per_unit_per_day double precision NOT NULL DEFAULT 0,
    source_revision bigint,
    revision bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);

CREATE TABLE regions (
    region_code text COLLATE "C" PRIMARY KEY,
    name text NOT NULL DEFAULT '',
    latitude double precision,
    longitude double precision,
    source_revision bigint,
    revision bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz,
    CONSTRAINT regions_coordinates_come_together CHECK ((latitude IS NULL) = (longitude IS NULL))
);

CREATE TABLE nodes (
    node_code text COLLATE "C" PRIMARY KEY,
    name text NOT NULL DEFAULT '',
    latitude double precision,
    longitude double precision,
    status text NOT NULL DEFAULT 'online',
    capacity_share double precision NOT NULL DEFAULT 1,
    source_revision bigint,
    revision bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz,
    CONSTRAINT nodes_coordinates_come_together CHECK ((latitude IS NULL) = (longitude IS NULL)),
    CONSTRAINT nodes_status_is_known CHECK (status IN ('online', 'degraded', 'offline'))
);

-- What a node has a limited amount of. working_weekdays: ISO, Monday is 1.
CREATE TABLE resources (
    node_code text COLLATE "C" NOT NULL REFERENCES nodes,
    resource_code text COLLATE "C" NOT NULL,
    kind text NOT NULL DEFAULT 'renewed',
    capacity_per_day double precision NOT NULL,
    working_weekdays integer[] NOT NULL DEFAULT '{1,2,3,4,5,6,7}',
    on_hand double precision NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_code, resource_code),
    CONSTRAINT resources_kind_is_known CHECK (kind IN ('renewed', 'stored'))
);

-- Half-open: from_date counts, until_date does not. On a day that several cover, the one that starts last wins.
CREATE TABLE capacity_exceptions (
    node_code text COLLATE "C" NOT NULL,
    resource_code text COLLATE "C" NOT NULL,
    from_date date NOT NULL,
    until_date date NOT NULL,
    capacity_per_day double precision NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_code, resource_code, from_date),
    FOREIGN KEY (node_code, resource_code) REFERENCES resources ON DELETE CASCADE,
    CONSTRAINT capacity_exceptions_end_after_their_start CHECK (until_date > from_date)
);

CREATE TABLE capabilities (
    node_code text COLLATE "C" NOT NULL REFERENCES nodes,
    product_code text COLLATE "C" NOT NULL REFERENCES products,
    unit_cost double precision NOT NULL DEFAULT 0,
    make_lead_time_days integer NOT NULL DEFAULT 0,
    use_per_unit jsonb NOT NULL DEFAULT '{}',
    qualified boolean NOT NULL DEFAULT true,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_code, product_code)
);

-- A null is computed from coordinates; a forbidden lane is never used.
CREATE TABLE lanes (
    node_code text COLLATE "C" NOT NULL REFERENCES nodes,
    region_code text COLLATE "C" NOT NULL REFERENCES regions,
    distance_km double precision,
    transit_days integer,
    freight_cost_per_unit double precision,
    forbidden boolean NOT NULL DEFAULT false,
    source_revision bigint,
    revision bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_code, region_code)
);

-- '*' is every product or every region; pair beats product beats region beats all.
CREATE TABLE policies (
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    policy text NOT NULL,
    service_level_share double precision NOT NULL DEFAULT 0.95,
    review_period_days integer,
    consume_buckets_back integer NOT NULL DEFAULT 0,
    consume_buckets_forward integer NOT NULL DEFAULT 0,
    lead_probability_min double precision NOT NULL DEFAULT 0.5,
    history_basis text NOT NULL DEFAULT 'automatic',
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_code, region_code),
    CONSTRAINT policies_policy_is_known CHECK (policy IN ('make_to_order', 'base_stock')),
    CONSTRAINT policies_history_basis_is_known CHECK (history_basis IN ('automatic', 'consumption', 'order'))
);

-- migrate:down
