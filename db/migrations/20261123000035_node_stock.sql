-- migrate:up

-- What lies finished at nodes: counts as of regions, the last one at or before an instant stands.
CREATE TABLE node_stock_counts (
    source text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    node_code text COLLATE "C" NOT NULL REFERENCES nodes,
    product_code text COLLATE "C" NOT NULL REFERENCES products,
    counted_at timestamptz NOT NULL,
    on_hand_units double precision NOT NULL,
    reserved_units double precision NOT NULL DEFAULT 0,
    blocked_units double precision NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, external_id)
);
CREATE INDEX node_stock_counts_last ON node_stock_counts (node_code, product_code, counted_at);

-- The ledger tells it from what is made; empty where none is sent, as in all plans before.
ALTER TABLE plan_ledger ADD COLUMN from_node_stock_units double precision [] NOT NULL DEFAULT '{}';

-- migrate:down
