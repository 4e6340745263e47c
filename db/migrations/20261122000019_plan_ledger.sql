-- migrate:up

-- What was demanded when a plan was made, and where each unit comes from. Some thousand lines stand in a row, as arrays:
-- every plan has its own, and re-plans would otherwise store a line for each of a million that nobody has touched.
CREATE TABLE plan_ledger (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    first_line integer NOT NULL,
    last_line integer NOT NULL,
    first_product_code text COLLATE "C" NOT NULL,
    last_product_code text COLLATE "C" NOT NULL,
    product_codes text [] COLLATE "C" NOT NULL,
    region_codes text [] COLLATE "C" NOT NULL,
    bucket_dates date [] NOT NULL,
    tiers text [] NOT NULL,
    demanded_units double precision [] NOT NULL,
    from_stock_units double precision [] NOT NULL,
    from_supply_units double precision [] NOT NULL,
    from_buffer_units double precision [] NOT NULL,
    assigned_units double precision [] NOT NULL,
    shortfalls jsonb [] NOT NULL,
    PRIMARY KEY (plan_id, first_line)
);

-- migrate:down
