-- migrate:up

-- Days that a planner does not count into the past usage of DDMRP buffers, [from_date, until_date).
CREATE TABLE usage_exclusions (
    product_code text COLLATE "C" NOT NULL DEFAULT '*',
    region_code text COLLATE "C" NOT NULL DEFAULT '*',
    from_date date NOT NULL,
    until_date date NOT NULL,
    reason text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_code, region_code, from_date),
    CONSTRAINT usage_exclusions_hold_on_a_day CHECK (until_date > from_date)
);
ALTER TABLE plan_buffers
ADD COLUMN excluded_usage_days integer NOT NULL DEFAULT 0,
ADD COLUMN excluded_usage jsonb NOT NULL DEFAULT '[]';

-- migrate:down
