-- migrate:up

-- Lot rules: null at a capability is what its product says, null at a product is none; 0 is none.
ALTER TABLE products ADD COLUMN minimum_lot_units double precision;
ALTER TABLE products ADD COLUMN lot_multiple_units double precision;
ALTER TABLE products ADD COLUMN maximum_lot_units double precision;
ALTER TABLE capabilities ADD COLUMN minimum_lot_units double precision;
ALTER TABLE capabilities ADD COLUMN lot_multiple_units double precision;
ALTER TABLE capabilities ADD COLUMN maximum_lot_units double precision;
ALTER TABLE capabilities ADD COLUMN setup_use_per_order jsonb NOT NULL DEFAULT '{}';

-- What one node starts of a product in a bucket: n_lots of lot_units each, then n_smaller_lots of smaller_lot_units.
CREATE TABLE plan_production_orders (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    production_order_id integer NOT NULL,
    product_code text COLLATE "C" NOT NULL,
    node_code text COLLATE "C" NOT NULL,
    start_bucket_date date NOT NULL,
    units double precision NOT NULL,
    n_lots integer NOT NULL,
    lot_units double precision NOT NULL,
    n_smaller_lots integer NOT NULL,
    smaller_lot_units double precision NOT NULL,
    surplus_units double precision NOT NULL,
    surplus_region_code text COLLATE "C",
    PRIMARY KEY (plan_id, production_order_id)
);

-- migrate:down
